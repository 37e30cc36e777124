"""Clusters on Dask: worker processes of this machine, or the workers of a scheduler elsewhere.

    with local_cluster(workers=2) as cluster:
        build_collection(["~/Pictures"], "pictures", encoder, model, cluster=cluster)

Dask sends functions and data by pickle, and asks nobody for a password: whoever reaches a scheduler
or a worker can run code there. A local cluster listens on 127.0.0.1 alone. For other machines, set
up TLS in Dask's own configuration (`distributed.comm`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import wait
from contextlib import ExitStack
from typing import TYPE_CHECKING

from lib.core.checks import RetrievalInputError, check_count
from lib.core.reading import DamagedFileError, MissingFileError
from lib.core.workers import Finished
from lib.core.writing import temporary_folder

if TYPE_CHECKING:
    import distributed

LOOPBACK = "127.0.0.1"
AHEAD = 2  # inputs under way for each thread of a worker: one in work, one waiting
CONNECT_S = 10  # until a scheduler must have answered
ALONE_S = 60  # without any worker, until that is an error
ASK_S = 5  # between two looks at the workers while a result is awaited
# Ctrl-C reaches all processes of a terminal; the one that asks ends the workers in order.
IGNORE_INTERRUPTS = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
# Dask has workers return every 64 kB to the system: encoding then takes twice the time.
KEEP_MEMORY = "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_"
LARGE = "1GB"  # Dask warns of inputs beyond 10 MB; blocks of vectors are larger


def local_cluster(workers: int = 2) -> Cluster:
    """Start worker processes on this machine; they end with the `with` block.

    They listen on random ports of 127.0.0.1, without Dask's dashboard. Each runs one input at a
    time, with as many threads of BLAS as OMP_NUM_THREADS says, or one. In a script, call this below
    `if __name__ == "__main__":`, because each worker imports the script.

    Args:
        workers: number of processes.
    """
    distributed = _import_distributed()
    import dask

    workers = check_count(workers, "workers", most=1024)
    with ExitStack() as stack:
        # Dask's own files, such as those of a worker that was killed, go with the folder.
        room = stack.enter_context(temporary_folder())
        try:
            with dask.config.set({KEEP_MEMORY: None, "temporary-directory": str(room)}):
                processes = distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    host=LOOPBACK,
                    scheduler_port=0,
                    dashboard_address=f"{LOOPBACK}:0",  # None takes port 8787
                    scheduler_kwargs={"dashboard": False},
                    memory_limit=0,
                    local_directory=str(room),
                    preload=[IGNORE_INTERRUPTS],
                    silence_logs=logging.CRITICAL,
                )
        except (RuntimeError, OSError) as error:
            raise RetrievalInputError(
                f"the worker processes did not start: {_one_line(error)}. In a script, start them"
                ' below `if __name__ == "__main__":`'
            ) from error
        stack.callback(processes.close)
        client = distributed.Client(processes, set_as_default=False)
        stack.callback(client.close)
        return Cluster(client, stack.pop_all())


def connect_cluster(address: str) -> Cluster:
    """Use the workers of a Dask scheduler; it goes on when the `with` block ends.

    Each worker must have this package in the same version, and see the same files under the same
    paths. TLS comes from Dask's own configuration.

    Args:
        address: of the scheduler: "tcp://HOST:PORT" or "tls://HOST:PORT".
    """
    distributed = _import_distributed()
    try:
        client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
    # Dask asserts that the thread of its loop starts within ten seconds: not so on a busy machine.
    except (OSError, ValueError, TypeError, AssertionError) as error:
        raise RetrievalInputError(
            f"no Dask scheduler answers at {address!r}: {_one_line(error)}. Start one with `dask"
            " scheduler --host HOST`, and give its address, such as tcp://HOST:8786"
        ) from error
    with ExitStack() as stack:
        stack.callback(client.close)
        if not client.nthreads():
            raise RetrievalInputError(
                f"the scheduler {address} has no workers. Start some: dask worker {address}"
            )
        # `exec` is in every Python. A task of a package that a worker lacks would end that worker.
        for worker, error in client.run(exec, f"import {__name__}", on_error="return").items():
            if isinstance(error, Exception):
                raise RetrievalInputError(_cannot_load(worker, error)) from error
        return Cluster(client, stack.pop_all())


class Cluster:
    """Workers of a Dask scheduler; made by `local_cluster` or `connect_cluster`."""

    def __init__(self, client: distributed.Client, closing: ExitStack) -> None:
        self._client, self._closing = client, closing

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Leave the scheduler; the processes of a local cluster end."""
        self._closing.close()

    @property
    def address(self) -> str:
        """Address of the scheduler."""
        return self._client.scheduler.address

    @property
    def workers(self) -> list[str]:
        """Addresses of the workers that there are now."""
        return sorted(self._client.nthreads())

    @property
    def n_workers(self) -> int:
        """Number of workers that there are now."""
        return len(self.workers)

    def process_ids(self) -> dict[str, int]:
        """Return the process id of each worker, by its address."""
        return self._client.run(os.getpid)

    def map(
        self, function: Callable[..., object], inputs: Iterable[object], *shared: object
    ) -> Iterator[Finished]:
        """Yield `function(input, *shared)` of every input, in their order, see `Workers.map`.

        Some inputs are under way at a time: two for each thread of the workers. When a worker dies,
        what it was doing is done again by another one.
        """
        pending: deque = deque()
        n_ahead = AHEAD * max(1, sum(self._client.nthreads().values()))
        kept = [self._keep(value) for value in shared]
        try:
            for one in inputs:
                pending.append((one, self._submit(_run, _packed(function, one), *kept)))
                if len(pending) >= n_ahead:
                    yield self._finished(*pending.popleft())
            while pending:
                yield self._finished(*pending.popleft())
        finally:
            self._client.cancel([future for _, future in pending])

    def _keep(self, value: object) -> distributed.Future:
        """Send a value to every worker, in such a way that Dask can send it again to a new one."""
        future = self._submit(_unpacked, _packed(value))
        self._result(future)
        self._client.replicate([future])
        return future

    def _submit(self, function: Callable, *arguments: object) -> distributed.Future:
        import dask

        with dask.config.set({"distributed.admin.large-graph-warning-threshold": LARGE}):
            return self._client.submit(function, *arguments, pure=False)

    def _finished(self, one: object, future: distributed.Future) -> Finished:
        worker, result = self._result(future)
        return Finished(one, result, worker)

    def _result(self, future: distributed.Future) -> object:
        """Wait for a result; a scheduler or all workers that go away are an error."""
        import distributed

        # `wait` raises nothing, so a TimeoutError that is raised here is the function's own.
        answer = asyncio.run_coroutine_threadsafe(
            self._client.gather(future, asynchronous=True), self._client.loop.asyncio_loop
        )
        alone_s = 0
        try:
            while not wait([answer], timeout=ASK_S).done:
                alone_s = 0 if self._client.nthreads() else alone_s + ASK_S
                if alone_s >= ALONE_S:
                    raise RetrievalInputError(
                        f"the scheduler {self.address} has had no workers for {ALONE_S} s. Start"
                        " some, and run this again: it goes on behind what is done"
                    )
            return answer.result()
        except distributed.client.FutureCancelledError as error:
            raise RetrievalInputError(
                f"the scheduler {self.address} went away. Run this again: it goes on behind"
                " what is done"
            ) from error
        except distributed.KilledWorker as error:
            raise RetrievalInputError(
                "several workers died over the same input, perhaps for lack of memory:"
                f" {_one_line(error)}. Start fewer, or give them more memory"
            ) from error
        finally:
            answer.cancel()


def _run(packed: bytes, *shared: object) -> tuple[str, object]:
    """Run a function on a worker; return its address too, and name it in our errors."""
    import distributed

    function, one = _unpacked(packed)
    address = distributed.get_worker().address
    try:
        return address, function(one, *shared)
    except (RetrievalInputError, DamagedFileError, MissingFileError) as error:
        raise type(error)(f"worker {address}: {error}") from error


def _packed(*values: object) -> bytes:
    """Pickle values: `_unpacked` reports what it cannot load, where Dask would end its worker."""
    import cloudpickle  # Dask's own; functions of a notebook go whole

    return cloudpickle.dumps(values if len(values) > 1 else values[0])


def _unpacked(packed: bytes) -> object:
    import distributed

    try:
        return pickle.loads(packed)
    except (ImportError, AttributeError) as error:
        address = distributed.get_worker().address
        raise RetrievalInputError(_cannot_load(address, error)) from error


def _cannot_load(worker: str, error: Exception) -> str:
    return (
        f"the worker {worker} cannot load what it is asked to do: {_one_line(error)}. Install this"
        " package, in the same version, where the workers run"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _import_distributed():
    """Import Dask, which is an extra."""
    try:
        import distributed
    except ImportError as error:
        raise RetrievalInputError(
            "a cluster needs the package distributed (Dask). Run: pip install"
            " 'crossmodal-retrieval[cluster]'. One process does the same work without it"
        ) from error
    # A lost connection becomes an error of ours, without Dask's own traceback.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    return distributed
