"""Read the fields of a JSON file one by one, with errors that name the field."""

from collections.abc import Iterator
from typing import Self

import numpy as np

from lib.core.checks import RetrievalInputError

LIMIT = 2**63  # the range of int64; counts and ranks are far below


class JsonFields:
    """Read the fields of one JSON object, each checked for its kind.

    Args:
        data: the result of `json.loads`.
        where: file and place, for the messages.
    """

    def __init__(self, data, where: str) -> None:
        if not isinstance(data, dict):
            raise RetrievalInputError(f"{where} holds {type(data).__name__}, expected named fields")
        self.data, self.where = data, where

    def has(self, name: str) -> bool:
        """Tell whether the field exists and is not null."""
        return self.data.get(name) is not None

    def _read(self, name: str, kind, expected: str):
        if name not in self.data:
            raise RetrievalInputError(
                f"{self.where}: field {name!r} is missing; run the evaluation again"
            )
        value = self.data[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self._wrong(name, value, expected)
        return value

    def _wrong(self, name: str, value, expected: str) -> RetrievalInputError:
        return RetrievalInputError(
            f"{self.where}: field {name!r} is {str(value)[:60]!r}, expected {expected}"
        )

    def text(self, name: str) -> str:
        return self._read(name, str, "a text")

    def integer(self, name: str) -> int:
        value = self._read(name, int, "a whole number")
        if not 0 <= value < LIMIT:
            raise self._wrong(name, value, "a whole number of at least 0, below 2^63")
        return value

    def number(self, name: str, missing: float | None = None) -> float:
        """Read a number; `missing` stands for null, which is refused without it."""
        if missing is not None and name in self.data and self.data[name] is None:
            return missing
        value = self._read(name, int | float, "a number")
        if not -LIMIT < value < LIMIT:  # refuses NaN and infinity as well, which JSON does not have
            raise self._wrong(name, value, "a number")
        return float(value)

    def texts(self, name: str) -> dict[str, str]:
        """Read an object of texts."""
        texts = self._read(name, dict, "named texts")
        for key, value in texts.items():
            if not isinstance(value, str):
                raise self._wrong(f"{name}.{key}", value, "a text")
        return texts

    def array(self, name: str, missing: float | None = None, dtype=np.float64) -> np.ndarray:
        """Read a list of numbers; `missing` stands for each null."""
        values = self._read(name, list, "a list of numbers")
        for position, value in enumerate(values):
            kinds = int | float if dtype == np.float64 else int
            if isinstance(value, kinds) and not isinstance(value, bool) and -LIMIT < value < LIMIT:
                continue
            if value is not None or missing is None:
                raise self._wrong(f"{name}[{position}]", value, "a number")
        return np.array([missing if value is None else value for value in values], dtype)

    def tuples(self, name: str, kinds: tuple[type, ...]) -> tuple[tuple, ...]:
        """Read a list of lists with values of those kinds."""
        rows = self._read(name, list, "a list")
        for position, row in enumerate(rows):
            fits = isinstance(row, list) and len(row) == len(kinds)
            if not fits or not all(
                isinstance(v, k) and not isinstance(v, bool) and (k is not int or 0 <= v < LIMIT)
                for v, k in zip(row, kinds)
            ):
                raise self._wrong(
                    f"{name}[{position}]", row, f"({', '.join(k.__name__ for k in kinds)})"
                )
        return tuple(tuple(row) for row in rows)

    def inside(self, name: str) -> Self:
        return JsonFields(self._read(name, dict, "named fields"), f"{self.where}: {name}")

    def each(self, name: str) -> Iterator[Self]:
        for position, item in enumerate(self._read(name, list, "a list")):
            yield JsonFields(item, f"{self.where}: {name}[{position}]")

    def by_name(self, name: str) -> Iterator[tuple[str, Self]]:
        for key, item in self._read(name, dict, "named fields").items():
            yield key, JsonFields(item, f"{self.where}: {name}.{key}")
