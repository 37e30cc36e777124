"""Interface of all index families: make one by name, train, add, remove, search, save, load."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_count, check_k, check_switch
from lib.core.reading import DamagedFileError, load_arrays, reading
from lib.core.writing import atomic_folder, save_arrays
from lib.index.exact_scores import METRICS, prepare
from lib.index.gpu import check_gpu
from lib.index.ids import NO_ID, IdMap
from lib.index.saved_files import (
    HEADER,
    REBUILD,
    Bodies,
    HashingStream,
    files_of_index,
    verify_file,
)

MOST_DIMENSIONS = 2**15  # a rotation of as many takes 4 GB
FORMAT = 2  # of a saved index; other formats are refused


class Option(NamedTuple):
    """Default of an option, and the check `(value, name) -> value` of other values."""

    default: Any
    check: Callable[[Any, str], Any]


def whole(default: int | None, least: int = 1, most: int = 2**31 - 1) -> Option:
    """Make an option for a whole number; a default of None is allowed and chosen by size."""

    def check(value, name: str) -> int | None:
        if value is None and default is None:
            return None
        return check_count(value, name, least=least, most=most)

    return Option(default, check)


def switch(default: bool) -> Option:
    """Make an option for True or False."""
    return Option(default, check_switch)


SEED = whole(0, least=0)


class TooFewVectorsError(RetrievalInputError):
    """There are fewer vectors than an index needs for its training."""


class SearchResult(tuple):
    """Scores and ids of a search, with its work: `scores, ids = result`.

    Args:
        scores: `(n_queries, k)` float32, best first; -inf where there is no hit.
        ids: `(n_queries, k)` int64; -1 where there is no hit.
        work: counts for all queries together, the same on every machine: `distances` to whole
            vectors, `codes`, `centroids` compared and `lists` visited, as far as they apply.
    """

    work: dict[str, int]

    def __new__(cls, scores: np.ndarray, ids: np.ndarray, work: dict[str, int]) -> SearchResult:
        result = super().__new__(cls, (scores, ids))
        result.work = work
        return result

    def __getnewargs__(self) -> tuple:
        return (*self, self.work)

    @property
    def scores(self) -> np.ndarray:
        return self[0]

    @property
    def ids(self) -> np.ndarray:
        return self[1]


class VectorSearchIndex(ABC):
    """Store vectors with ids and find the k best of them for a query.

        index = VectorSearchIndex(dimension=512, index_type="IVF")
        index.add(database_embeddings)
        scores, ids = index.search(query_embeddings, k=10)

    Scores are best first and higher is better under every metric; of equal scores the smaller id
    comes first. A family sets `index_type` and implements the methods at the end of this class.

    Args:
        dimension: length of every vector.
        index_type: name of the family, a key of `VectorSearchIndex.families`; "Flat" is exact
            search.
        metric: "cosine", "inner_product" or "l2" (the score is the negative squared distance).
        use_gpu: whether searches run on a GPU, for families that can.
        options: of the family; `build_known` and `search_known` list them with their defaults.

    Attributes:
        counts_work: faiss counts for the whole process, so searches of families that read its
            counters run one at a time. Set this to False and they run beside one another, and
            `work` lacks what faiss counts.
    """

    counts_work: bool = True
    families: ClassVar[dict[str, type[VectorSearchIndex]]] = {}

    index_type: ClassVar[str]
    needs_training: ClassVar[bool] = False
    can_remove: bool = True  # of the family; a single index can be less able
    can_filter: bool = True
    can_merge: bool = False
    can_use_gpu: ClassVar[bool] = False
    build_known: ClassVar[dict[str, Option]] = {}
    search_known: ClassVar[dict[str, Option]] = {}

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
            expected = f"{self.index_type!r} for {type(self).__name__}"
            raise RetrievalInputError(f"index_type must be {expected}, got {index_type!r}")
        known = self.build_known | self.search_known
        options = _check_options(options, known, f"index type {self.index_type!r}")
        self._given = set(options)  # names of the options that the user chose
        self._options = {name: option.default for name, option in known.items()} | options
        self.dimension = check_count(dimension, "dimension", most=MOST_DIMENSIONS)
        self.metric = check_choice(metric, METRICS, "metric")
        self.use_gpu = check_switch(use_gpu, "use_gpu")
        if self.use_gpu:
            self._need("can_use_gpu", "runs on the CPU only")
            check_gpu()
        self.is_trained = not self.needs_training
        self.memory_mapped = False
        self._ids = IdMap()
        self._set_up()

    @property
    def ntotal(self) -> int:
        """Number of vectors in the index."""
        return len(self._ids)

    @property
    def build_options(self) -> dict[str, Any]:
        """Build options in effect; those that were None have a value after training."""
        return {name: self._options[name] for name in self.build_known}

    @property
    def search_options(self) -> dict[str, Any]:
        """Search options in effect."""
        return {name: self._options[name] for name in self.search_known}

    def set_search(self, **options) -> None:
        """Change search options of later searches: all of them, or none when one is refused."""
        for name in options:
            if name in self.build_known:
                raise RetrievalInputError(f"{name} is a build option; make another index")
        family = f"the search of index type {self.index_type!r}"
        options = _check_options(options, self.search_known, family)
        self._check_search(options)
        self._options |= options

    def train(self, vectors) -> None:
        """Train centroids and codebooks on `(n, dimension)` vectors, if the family needs it.

        It is optional: `add` trains an untrained index on the first vectors. Large samples are
        reduced.
        """
        if not self.needs_training:
            return
        if self.ntotal:
            raise RetrievalInputError(f"the index holds {self.ntotal} vectors; train a new one")
        self._train(self._prepare(vectors, "vectors"))
        self.is_trained = True

    def add(self, vectors, ids=None) -> None:
        """Add vectors: all of them, or none when one is refused.

        An untrained index that needs training is trained on these vectors first.

        Args:
            vectors: `(n, dimension)` numbers; Flat stores int8 as it is, all else becomes float32.
            ids: `(n,)` distinct new whole numbers; the next positions when None.
        """
        self._check_can_change()
        rows = self._prepare(vectors, "vectors", copy=True)
        new_ids = self._ids.new(ids, len(rows))
        if not len(new_ids):
            return
        if not self.is_trained:
            try:
                self._train(rows)
            except TooFewVectorsError as error:
                raise TooFewVectorsError(f"{error}, or train on a larger sample first") from None
            self.is_trained = True
        self._add(rows, new_ids)
        self._ids.append(new_ids)

    def finish(self) -> None:
        """Do now the work that the first search would do: ScaNN builds, Flat joins its parts."""
        if self.ntotal:
            self._finish()

    def remove(self, ids) -> None:
        """Remove vectors by id: all of them, or none when an id is not in the index."""
        advice = "cannot remove vectors; build it again without them, or search with allowed"
        self._need("can_remove", advice)
        self._check_can_change()
        positions = self._ids.positions(ids, "ids")
        if positions.size:
            self._remove(positions)
            self._ids.remove(positions)

    def merge(self, other: VectorSearchIndex) -> None:
        """Take over the vectors of an index of the same training, as if they were added here.

        They keep their ids and their order, and the other index is empty afterwards.
        """
        self._need("can_merge", "cannot take over the vectors of another index")
        self._check_can_change()
        other._check_can_change()
        self._check_same_training(other)
        ids = self._ids.new(other._ids.array, other.ntotal)
        self._merge(other)
        self._ids.append(ids)
        other._ids = IdMap()

    def _check_same_training(self, other: VectorSearchIndex) -> None:
        for name in ("index_type", "dimension", "metric", "is_trained", "build_options"):
            mine, its = getattr(self, name), getattr(other, name, None)
            if mine != its:
                raise RetrievalInputError(f"{name} of the other index must be {mine}, got {its}")
        mine, its = self._training(), other._training()
        for name, array in mine.items():
            if not np.array_equal(array, its[name]):
                raise RetrievalInputError(
                    f"the other index has other {name}: train once, and fill copies of that index"
                )

    def search(self, queries, k: int, allowed=None) -> SearchResult:
        """Find the k best vectors for every query; several threads can search at once.

        Args:
            queries: `(n_queries, dimension)` numbers.
            k: hits per query, from 1 to `ntotal`.
            allowed: `(m,)` ids to which the search is restricted; all when None.

        Returns:
            `SearchResult`: unpacks as `scores, ids`, both `(n_queries, k)`, best first. Approximate
            families and `allowed` can give fewer than k hits; the rest is -inf and -1.
        """
        if self.ntotal == 0:
            raise RetrievalInputError("the index is empty: add vectors before searching")
        vectors = self._prepare(queries, "queries")
        k = check_k(k, self.ntotal)
        positions = None
        if allowed is not None:
            self._need("can_filter", "cannot restrict a search to allowed ids")
            positions = self._ids.positions(allowed, "allowed")
        if len(vectors) == 0 or (positions is not None and positions.size == 0):
            shape = len(vectors), k
            return SearchResult(np.full(shape, -np.inf, np.float32), np.full(shape, NO_ID), {})
        return self._search(vectors, k, positions)

    def bytes_by_part(self) -> dict[str, int]:
        """Count bytes by part, the same on every machine.

        The parts come from the formulas of `lib.index.capacity.sizes`, with `id_map` (positions to
        ids) and `total`. `serialised` is the size of the saved files without the header.
        """
        parts = self._sizes() | {"id_map": self._ids.nbytes}
        stream = HashingStream()
        for write in self._bodies().values():
            write(stream)
        serialised = stream.size + sum(array.nbytes for array in self._state().values())
        return {**parts, "total": sum(parts.values()), "serialised": serialised}

    def save(self, folder: str | os.PathLike) -> str:
        """Write the index to a folder, atomically; return the SHA-256 of its header."""
        folder = Path(folder)
        if not self.is_trained:
            raise RetrievalInputError("the index is untrained: call train or add before save")
        if folder.exists() and not (folder / HEADER).is_file():
            raise RetrievalInputError(f"{folder} exists and is not a saved index; choose another")
        with atomic_folder(folder, ours=files_of_index(folder)) as temporary:
            digests = {}
            for name, write in self._bodies().items():
                with open(temporary / name, "wb") as file:
                    stream = HashingStream(file)
                    write(stream)
                digests[name] = stream.sha256.hexdigest()
            header = {
                "format": FORMAT,
                "index_type": self.index_type,
                "dimension": self.dimension,
                "metric": self.metric,
                "options": self._options,
                "n": self.ntotal,
                "bodies": digests,
            }
            text = np.array(json.dumps(header))
            return save_arrays(temporary / HEADER, header=text, **self._state())

    @classmethod
    def load(
        cls, folder: str | os.PathLike, memory_map: bool = False, use_gpu: bool = False
    ) -> VectorSearchIndex:
        """Read an index that `save` wrote, of any family, after checking every byte.

        Args:
            folder: the folder of `save`.
            memory_map: read vectors, codes, links and lists from the file when a search needs them.
                Such an index cannot change. Codes of a fast scan and all of ScaNN are always in
                memory.
            use_gpu: as for a new index.
        """
        folder, memory_map = Path(folder), check_switch(memory_map, "memory_map")
        arrays = load_arrays(folder / HEADER, rebuild=REBUILD)
        with reading(folder / HEADER, "no header of an index", REBUILD):
            header = json.loads(str(arrays["header"])) if "header" in arrays else {}
            if header.get("format") != FORMAT:
                raise RetrievalInputError(f"{folder} is not a vector index of format {FORMAT}")
            index_type = check_choice(header["index_type"], cls.families, "index_type of the file")
            family = cls.families[index_type]
            if not issubclass(family, cls):
                got = f"{index_type!r}, expected {cls.index_type!r}"
                raise RetrievalInputError(f"{folder} has type {got}")
            for name, digest in header["bodies"].items():
                verify_file(folder / name, digest)
            options = {"metric": header["metric"], "use_gpu": use_gpu, **header["options"]}
            index = family(header["dimension"], **options)
            n = check_count(header["n"], f"n of {folder / HEADER}", least=0)
        ids = arrays.get("ids")
        fits = ids is None or (ids.shape == (n,) and ids.dtype == np.int64)
        if not fits or (ids is not None and len(np.unique(ids)) < n):
            raise DamagedFileError(
                f"{folder} has ids {ids.dtype} {ids.shape}, expected {n} distinct ones. {REBUILD}"
            )
        with reading(folder, f"no {family.index_type} index", REBUILD):
            index._restore(folder, arrays, n, memory_map)
        return index

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}(dimension={self.dimension}, metric={self.metric!r}, ntotal={self.ntotal:,})"

    def _need(self, ability: str, advice: str) -> None:
        if not getattr(self, ability):
            able = [name for name, family in self.families.items() if getattr(family, ability)]
            raise RetrievalInputError(
                f"{self._name} {advice}. Types that can: {', '.join(sorted(able))}"
            )

    def _check_can_change(self) -> None:
        if self.memory_mapped:
            advice = "load it with memory_map = False to add, remove or link"
            raise RetrievalInputError(f"a memory-mapped index cannot change; {advice}")

    # ---- implemented by families; arguments are checked, positions ascend, each once

    @property
    def _name(self) -> str:
        """Name of the family for messages, with options that make this index less able."""
        on_gpu = " on a GPU" if self.use_gpu and self.can_use_gpu else ""
        return f"index type {self.index_type!r}{on_gpu}"

    @abstractmethod
    def _set_up(self) -> None:
        """Make the parts of an empty index."""

    def _prepare(self, x, name: str, copy: bool = False):
        """Check vectors or queries and convert them to what the other methods take."""
        return prepare(x, name, self.metric, dim=self.dimension, allow_empty=True, copy=copy)

    def _check_search(self, options: dict[str, Any]) -> None:  # noqa: B027
        """Refuse search options that this index cannot have, for reasons beyond their ranges."""

    def _finish(self) -> None:  # noqa: B027
        """Do the work of `finish`; called again and again."""

    def _train(self, vectors) -> None:
        raise NotImplementedError  # by families with needs_training

    @abstractmethod
    def _add(self, vectors, ids: np.ndarray) -> None: ...

    def _remove(self, positions: np.ndarray) -> None:
        raise NotImplementedError  # by families with can_remove

    def _merge(self, other) -> None:
        raise NotImplementedError  # by families with can_merge

    def _training(self) -> dict[str, np.ndarray]:
        """Return what training has given: merging needs it to be equal."""
        return {}

    @abstractmethod
    def _search(self, queries, k: int, positions: np.ndarray | None) -> SearchResult: ...

    @abstractmethod
    def _sizes(self) -> dict[str, int]:
        """Apply the formula of `lib.index.capacity.sizes` to the vectors in the index."""

    @abstractmethod
    def _bodies(self) -> Bodies:
        """Return the files to save besides the header."""

    def _state(self) -> dict[str, np.ndarray]:
        """Return the small arrays to save in the header."""
        return {} if self._ids.counted else {"ids": self._ids.array}

    def _restore(self, folder: Path, arrays: dict, n: int, memory_map: bool) -> None:
        self._restore_body(folder, arrays, n, memory_map)
        self._ids = IdMap(n, arrays.get("ids"))
        self.is_trained, self.memory_mapped = True, memory_map

    @abstractmethod
    def _restore_body(self, folder: Path, arrays: dict, n: int, memory_map: bool) -> None: ...


def _check_options(
    options: Mapping[str, Any], known: Mapping[str, Option], family: str
) -> dict[str, Any]:
    for name in options:
        if not known:
            raise RetrievalInputError(f"{family} has no option {name!r}; it takes none")
        check_choice(name, known, f"an option of {family}")
    return {name: known[name].check(value, name) for name, value in options.items()}
