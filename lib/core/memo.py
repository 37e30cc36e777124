"""A cache of results that tells calls apart by what they ask for, not by how they are written."""

import inspect
from collections.abc import Callable
from functools import lru_cache, wraps


def memoized(maxsize: int) -> Callable[[Callable], Callable]:
    """Cache the results of a function, as `functools.lru_cache` does.

    `lru_cache` takes `load()`, `load(64)` and `load(size=64)` for three calls, and makes the
    result three times, even where 64 is the default. Here they are one.

    Args:
        maxsize: number of results that are kept; of more, the one asked for longest ago goes.

    Returns:
        A decorator. The function's arguments must be hashable; `cache_clear` forgets all results.
    """

    def decorate(function: Callable) -> Callable:
        signature = inspect.signature(function)

        @lru_cache(maxsize)
        def remembered(args: tuple, kwargs: tuple) -> object:
            return function(*args, **dict(kwargs))

        @wraps(function)
        def call(*args: object, **kwargs: object) -> object:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return remembered(bound.args, tuple(sorted(bound.kwargs.items())))

        call.cache_clear = remembered.cache_clear
        return call

    return decorate
