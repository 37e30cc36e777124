"""The one interface to every index family: make it by name, add, search, save, load."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np

from lib.checks import RetrievalInputError, check_choice, check_count, check_k
from lib.files import load_arrays, save_arrays
from lib.index.scores import METRICS, Vectors, prepare

FORMAT = 1  # of the saved file; a file of another format is refused, not guessed at


class VectorSearchIndex(ABC):
    """Vectors with ids, and the k best of them for a query.

    `VectorSearchIndex(256, "Flat")` makes an index of the named family. Scores are best first and higher is
    better under every metric; equal scores are ordered by the smaller id.

    Args:
        dimension: length of every vector.
        index_type: name of the family; "Flat" is exact search.
        metric: "cosine", "inner_product" or "l2" (whose score is the negative squared distance).
        options: parameters of the family.

    Raises:
        RetrievalInputError: unknown family, metric or option, or a dimension below 1.

    Relations: a family derives from this class, names itself in `index_type`, and implements `_add`,
    `_search`, `_state`, `_restore` and `cost`; what users may get wrong is checked here, once.
    """

    index_type: ClassVar[str]
    families: ClassVar[dict[str, type[VectorSearchIndex]]] = {}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        VectorSearchIndex.families[cls.index_type] = cls

    def __new__(cls, dimension=None, index_type: str = "Flat", metric: str = "cosine", **options):
        if cls is VectorSearchIndex:
            cls = cls.families[check_choice(index_type, cls.families, "index_type")]
        return super().__new__(cls)

    def __init__(self, dimension: int, index_type: str | None = None, metric: str = "cosine", **options):
        if index_type not in (None, self.index_type):
            raise RetrievalInputError(
                f"{type(self).__name__} has type {self.index_type!r}, not {index_type!r}"
            )
        if options:
            raise RetrievalInputError(f"index type {self.index_type!r} has no option {next(iter(options))!r}")
        self.dimension = check_count(dimension, "dimension")
        self.metric = check_choice(metric, METRICS, "metric")
        self._ids = np.empty(0, np.int64)

    @property
    def ntotal(self) -> int:
        """How many vectors the index holds."""
        return self._ids.size

    def add(self, vectors, ids=None) -> None:
        """Adds vectors; all of them, or none when one is refused.

        Args:
            vectors: `(n, dimension)` numbers; a family may keep int8 as it is.
            ids: `(n,)` distinct whole numbers that are not in the index; the next positions when None.

        Raises:
            RetrievalInputError: wrong dimension, a value that is not finite, a zero row under cosine, ids
                that are not one whole number per vector, or an id twice.
        """
        checked = prepare(vectors, "vectors", self.metric, dim=self.dimension, allow_empty=True, own=True)
        ids = self._new_ids(ids, len(checked))
        self._add(checked)
        self._ids = np.concatenate([self._ids, ids])

    def search(self, queries, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Finds the k best vectors for every query.

        Args:
            queries: `(n_queries, dimension)` numbers.
            k: hits per query, from 1 to `ntotal`.

        Returns:
            `(scores, ids)`: float32 and int64, both `(n_queries, k)`, best first. Approximate families fill
            up with -inf and -1 when they find fewer than k.

        Raises:
            RetrievalInputError: an empty index, wrong dimension, a value that is not finite, a zero row under
                cosine, `k` below 1 or above `ntotal`.
        """
        if self.ntotal == 0:
            raise RetrievalInputError("the index is empty: add vectors before searching")
        asked = prepare(queries, "queries", self.metric, dim=self.dimension, allow_empty=True)
        return self._search(asked, check_k(k, self.ntotal))

    def save(self, path: str | os.PathLike) -> str:
        """Writes the index to a sealed `.npz` file, atomically; returns its SHA-256."""
        header = {
            "format": np.array(FORMAT),
            "index_type": np.array(self.index_type),
            "dimension": np.array(self.dimension),
            "metric": np.array(self.metric),
        }
        return save_arrays(Path(path), **header, ids=self._ids, **self._state())

    @classmethod
    def load(cls, path: str | os.PathLike) -> VectorSearchIndex:
        """Reads what `save` wrote, whatever its family.

        Raises:
            DamagedFileError: the file differs from its checksum.
            MissingFileError: the file or its checksum is not there.
            RetrievalInputError: not an index, another format, or another family than the class that is asked.
        """
        arrays = load_arrays(path, rebuild="Build the index again and save it.")
        if not {"format", "index_type", "ids"} <= arrays.keys() or int(arrays["format"]) != FORMAT:
            raise RetrievalInputError(f"{path} does not hold a vector index of format {FORMAT}")
        family = cls.families[check_choice(str(arrays["index_type"]), cls.families, "index_type of the file")]
        if not issubclass(family, cls):
            raise RetrievalInputError(f"{path} holds a {family.index_type!r} index, not {cls.index_type!r}")
        index = family(int(arrays["dimension"]), metric=str(arrays["metric"]))
        index._ids = arrays["ids"]
        index._restore(arrays)
        return index

    @abstractmethod
    def cost(self) -> dict[str, int]:
        """Bytes by what they are spent on, from formulas, with their `total`: the same on every machine."""

    @abstractmethod
    def _add(self, vectors: Vectors) -> None: ...

    @abstractmethod
    def _search(self, queries: Vectors, k: int) -> tuple[np.ndarray, np.ndarray]: ...

    @abstractmethod
    def _state(self) -> dict[str, np.ndarray]:
        """The arrays, besides ids, from which `_restore` makes the index again."""

    @abstractmethod
    def _restore(self, arrays: dict[str, np.ndarray]) -> None: ...

    def _new_ids(self, ids, n: int) -> np.ndarray:
        new = np.arange(self.ntotal, self.ntotal + n) if ids is None else np.asarray(ids)
        if new.shape != (n,) or (n and new.dtype.kind not in "iu"):
            raise RetrievalInputError(
                f"ids must be {n} whole numbers, one a vector, got {new.dtype} {new.shape}"
            )
        if new.dtype == np.uint64 and n and new.max() > np.iinfo(np.int64).max:
            raise RetrievalInputError(f"id {new.max()} does not fit into int64")
        new = new.astype(np.int64)
        values, counts = np.unique(new, return_counts=True)
        if values.size < n:
            raise RetrievalInputError(f"id {values[counts > 1][0]} is given twice")
        taken = np.intersect1d(values, self._ids, assume_unique=True)
        if taken.size:
            hint = "; the index has ids of your own, so pass some for these too" if ids is None else ""
            raise RetrievalInputError(f"id {taken[0]} is in the index already{hint}")
        return new

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}(dimension={self.dimension}, metric={self.metric!r}, ntotal={self.ntotal:,})"
