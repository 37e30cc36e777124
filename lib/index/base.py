"""The one interface to every index family: make it by name, train, add, remove, search, save, load."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lib.checks import RetrievalInputError, check_choice, check_count, check_k
from lib.files import load_arrays, save_arrays
from lib.index.ids import NO_ID, IdMap
from lib.index.options import Option, checked
from lib.index.scores import METRICS, prepare

FORMAT = 1  # of the saved file; a file of another format is refused, not guessed at


class VectorSearchIndex(ABC):
    """Vectors with ids, and the k best of them for a query.

    `VectorSearchIndex(256, "IVF", nlist=128)` makes an index of the named family. Scores are best first and
    higher is better under every metric; equal scores are ordered by the smaller id.

    Args:
        dimension: length of every vector.
        index_type: name of the family, a key of `VectorSearchIndex.families`; "Flat" is exact search.
        metric: "cosine", "inner_product" or "l2" (whose score is the negative squared distance).
        use_gpu: whether searches run on a GPU, for families that can.
        options: of the family; `build_known` and `search_known` list them with their defaults.

    Raises:
        RetrievalInputError: unknown family, metric or option, a value out of its range, a dimension below 1,
            or a GPU where there is none.

    Relations: a family derives from this class, names itself in `index_type`, and implements the methods
    below that begin with an underscore; what users may get wrong is checked here, once.
    """

    index_type: ClassVar[str]
    needs_training: ClassVar[bool] = False
    can_remove: ClassVar[bool] = True  # an index may be less able than its family: ask the instance
    can_filter: ClassVar[bool] = True
    can_use_gpu: ClassVar[bool] = False
    build_known: ClassVar[dict[str, Option]] = {}
    search_known: ClassVar[dict[str, Option]] = {}
    families: ClassVar[dict[str, type[VectorSearchIndex]]] = {}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "index_type" in vars(cls):
            VectorSearchIndex.families[cls.index_type] = cls

    def __new__(cls, dimension=None, index_type: str = "Flat", *args, **options):
        if cls is VectorSearchIndex:
            cls = cls.families[check_choice(index_type, cls.families, "index_type")]
        return super().__new__(cls)

    def __init__(
        self,
        dimension: int,
        index_type: str | None = None,
        metric: str = "cosine",
        use_gpu: bool = False,
        **options,
    ):
        if index_type not in (None, self.index_type):
            raise RetrievalInputError(
                f"{type(self).__name__} has type {self.index_type!r}, not {index_type!r}"
            )
        known = self.build_known | self.search_known
        options = checked(options, known, f"index type {self.index_type!r}")
        self._given = set(options)
        defaults = {name: option.default for name, option in known.items()}
        self._options = defaults | options
        self.dimension = check_count(dimension, "dimension")
        self.metric = check_choice(metric, METRICS, "metric")
        self.use_gpu = bool(use_gpu)
        if self.use_gpu and not self.can_use_gpu:
            able = ", ".join(name for name, family in self.families.items() if family.can_use_gpu)
            raise RetrievalInputError(
                f"index type {self.index_type!r} runs on the CPU only; a GPU can: {able}"
            )
        self.is_trained = not self.needs_training
        self._work: dict[str, int] = {}
        self._ids = IdMap()
        self._set_up()

    @property
    def ntotal(self) -> int:
        """How many vectors the index holds."""
        return len(self._ids)

    @property
    def build_options(self) -> dict[str, Any]:
        """What the index was built with; options that were None show what was chosen once it is trained."""
        return {name: self._options[name] for name in self.build_known}

    @property
    def search_options(self) -> dict[str, Any]:
        """What searches use now."""
        return {name: self._options[name] for name in self.search_known}

    @property
    def work(self) -> dict[str, int]:
        """What the last search did for all its queries together; counted, the same on every machine.

        `distances` to whole vectors, those of re-ranking included; `codes` of compressed vectors that were
        scanned; `centroids` that queries were compared with; `lists` that were visited. Only what applies.
        """
        return dict(self._work)

    def set_search(self, **options) -> None:
        """Changes what searches use from now on; nothing changes when one of the options is refused.

        Raises:
            RetrievalInputError: not a search option of the family, or out of its range.
        """
        for name in options:
            if name in self.build_known:
                raise RetrievalInputError(f"{name} is fixed when the index is built; make another index")
        options = checked(options, self.search_known, f"the search of index type {self.index_type!r}")
        self._check_search(options)
        self._options |= options

    def train(self, vectors) -> None:
        """Learns from vectors like those to come. Families without training return at once.

        Args:
            vectors: `(n, dimension)` numbers. Families sample for themselves what they do not need.

        Raises:
            RetrievalInputError: too few vectors for what is to be learnt (with the number needed), an index
                that holds vectors already, or what `add` refuses about vectors.
        """
        if not self.needs_training:
            return
        if self.ntotal:
            raise RetrievalInputError(
                f"the index holds {self.ntotal} vectors, coded by what it has learnt; train a new one"
            )
        self._train(self._prepare(vectors, "vectors"))
        self.is_trained = True

    def add(self, vectors, ids=None) -> None:
        """Adds vectors; all of them, or none when one is refused.

        Args:
            vectors: `(n, dimension)` numbers; Flat keeps int8 as it is, the others make float32 of it.
            ids: `(n,)` distinct whole numbers that are not in the index; the next positions when None.

        Raises:
            RetrievalInputError: an index that is not trained but must be, wrong dimension, a value that is
                not finite, a zero row under cosine, ids that are not one whole number per vector, -1 or an
                id twice.
        """
        if not self.is_trained:
            raise RetrievalInputError(f"index type {self.index_type!r} learns first: call train before add")
        checked = self._prepare(vectors, "vectors", own=True)
        new = self._ids.new(ids, len(checked))
        if len(new):
            self._add(checked, new)
            self._ids.append(new)

    def remove(self, ids) -> None:
        """Removes vectors; all of them, or none when an id is not held.

        Raises:
            RetrievalInputError: an id that is not held, or a family that cannot remove.
        """
        if not self.can_remove:
            able = ", ".join(name for name, family in self.families.items() if family.can_remove)
            raise RetrievalInputError(
                f"{self._name()} cannot remove vectors; build it again without them, or pass the ids that "
                f"may be found as allowed. Types that can: {able}"
            )
        positions = self._ids.positions(ids, "ids")
        if positions.size:
            self._remove(positions)
            self._ids.remove(positions)

    def search(self, queries, k: int, allowed=None) -> tuple[np.ndarray, np.ndarray]:
        """Finds the k best vectors for every query.

        Args:
            queries: `(n_queries, dimension)` numbers.
            k: hits per query, from 1 to `ntotal`.
            allowed: `(m,)` ids that may be found; all when None.

        Returns:
            `(scores, ids)`: float32 and int64, both `(n_queries, k)`, best first. Where fewer than k are
            found, which approximate families and `allowed` can lead to, -inf and -1 fill up.

        Raises:
            RetrievalInputError: an empty index, wrong dimension, a value that is not finite, a zero row under
                cosine, `k` below 1 or above `ntotal`, ids in `allowed` that are not held, or a family that
                cannot restrict its search.
        """
        if self.ntotal == 0:
            raise RetrievalInputError("the index is empty: add vectors before searching")
        asked = self._prepare(queries, "queries")
        k = check_k(k, self.ntotal)
        positions = None
        if allowed is not None:
            if not self.can_filter:
                able = ", ".join(name for name, family in self.families.items() if family.can_filter)
                raise RetrievalInputError(f"{self._name()} cannot restrict a search. Types that can: {able}")
            positions = self._ids.positions(allowed, "allowed")
        if len(asked) == 0 or (positions is not None and positions.size == 0):
            self._work = {}
            return np.full((len(asked), k), -np.inf, np.float32), np.full((len(asked), k), NO_ID)
        return self._search(asked, k, positions)

    def save(self, path: str | os.PathLike) -> str:
        """Writes the index to a sealed `.npz` file, atomically; returns its SHA-256."""
        header = {
            "format": np.array(FORMAT),
            "index_type": np.array(self.index_type),
            "dimension": np.array(self.dimension),
            "metric": np.array(self.metric),
        }
        return save_arrays(Path(path), **header, ids=self._ids.array, **self._state())

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
        index._ids.append(arrays["ids"])
        index._restore(arrays)
        return index

    @abstractmethod
    def cost(self) -> dict[str, int]:
        """Bytes by what they are spent on, from formulas, with their `total`: the same on every machine."""

    @abstractmethod
    def _set_up(self) -> None:
        """Makes what an empty index of the family holds."""

    def _prepare(self, x, name: str, own: bool = False):
        """The border: what the family's other methods get for vectors and queries."""
        return prepare(x, name, self.metric, dim=self.dimension, allow_empty=True, own=own)

    def _check_search(self, options: dict[str, Any]) -> None:  # noqa: B027  most families refuse nothing here
        """Refuses search options that this index cannot have, for reasons beyond their ranges."""

    def _train(self, vectors) -> None:
        raise NotImplementedError  # by families with needs_training

    @abstractmethod
    def _add(self, vectors, ids: np.ndarray) -> None: ...

    def _remove(self, positions: np.ndarray) -> None:
        raise NotImplementedError  # by families with can_remove

    @abstractmethod
    def _search(self, queries, k: int, positions: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]: ...

    @abstractmethod
    def _state(self) -> dict[str, np.ndarray]:
        """The arrays, besides ids, from which `_restore` makes the index again."""

    @abstractmethod
    def _restore(self, arrays: dict[str, np.ndarray]) -> None: ...

    def _name(self) -> str:
        """The family, with what makes this index less able than others of it."""
        return f"index type {self.index_type!r}"

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}(dimension={self.dimension}, metric={self.metric!r}, ntotal={self.ntotal:,})"
