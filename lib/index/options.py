"""The options of an index family: what they are called, what they are by default, what they may
be.
"""

import numbers
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_count, check_switch


class Option(NamedTuple):
    """A default, and the check `(value, name) -> value` that every other value must pass."""

    default: Any
    check: Callable[[Any, str], Any]


def whole(default: int | None, least: int = 1, most: int = 2**31 - 1) -> Option:
    """A whole number in a range; None too where that is the default, and means a choice by size."""

    def check(value, name: str) -> int | None:
        if value is None and default is None:
            return None
        return check_count(value, name, least=least, most=most)

    return Option(default, check)


def switch(default: bool) -> Option:
    """True or False."""
    return Option(default, check_switch)


def real(default: float, low: float, high: float) -> Option:
    """A number from `low` up to, but not including, `high`."""

    def check(value, name: str) -> float:
        if (
            isinstance(value, bool | np.bool_)
            or not isinstance(value, numbers.Real)
            or not low <= value < high
        ):
            raise RetrievalInputError(f"{name} must be a number in [{low}, {high}), got {value!r}")
        return float(value)

    return Option(default, check)


SEED = whole(0, least=0)
MOST_DIMENSIONS = 2**15  # a rotation of as many takes 4 GB


def checked(given: Mapping[str, Any], known: Mapping[str, Option], whose: str) -> dict[str, Any]:
    """The given options after their checks.

    Raises:
        RetrievalInputError: an option that is not known, or a value that its check refuses.
    """
    unknown = [name for name in given if name not in known]
    if unknown and not known:
        raise RetrievalInputError(f"{whose} has no option {unknown[0]!r}; it takes none")
    for name in unknown:
        check_choice(name, known, f"an option of {whose}")
    return {name: known[name].check(value, name) for name, value in given.items()}
