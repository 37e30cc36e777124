"""Processes that work on many inputs: this one alone, or those of a cluster (`lib.search.cluster`).

Code that can be spread over machines takes `workers` and calls `workers.map(function, inputs)`. So
one process and many run the same function on the same inputs, and give the same results.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol


class Finished(NamedTuple):
    """One input, its result, and the address of the worker; "" for this process."""

    input: object
    result: object
    worker: str


class Workers(Protocol):
    """Run a function on many inputs."""

    @property
    def n_workers(self) -> int: ...

    def map(
        self, function: Callable[..., object], inputs: Iterable[object], *shared: object
    ) -> Iterator[Finished]:
        """Yield `function(input, *shared)` of every input, in their order.

        Inputs are drawn as they are needed: a few more than are yielded.

        Args:
            function: of a module, and its arguments are plain data: they may go to other machines.
            inputs: one for each call.
            shared: further arguments, the same for all calls; each worker receives them once.
        """
        ...


class ThisProcess:
    """The process that asks does the work itself, one input after the other."""

    n_workers = 1

    def map(
        self, function: Callable[..., object], inputs: Iterable[object], *shared: object
    ) -> Iterator[Finished]:
        """Yield `function(input, *shared)` of every input."""
        for one in inputs:
            yield Finished(one, function(one, *shared), "")


HERE = ThisProcess()
