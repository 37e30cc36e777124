"""The one interface to every index family: make it by name, train, add, remove, search, save,
load.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_count, check_k, check_switch
from lib.index.exact_scores import METRICS
from lib.index.family import Family
from lib.index.gpu import check_gpu
from lib.index.ids import NO_ID, IdMap
from lib.index.options import MOST_DIMENSIONS, checked
from lib.index.saving import load_index, save_index, serialised_bytes


class VectorSearchIndex(Family):
    """Vectors with ids, and the k best of them for a query.

    `VectorSearchIndex(256, "IVF", nlist=128)` makes an index of the named family. Scores are best
    first and higher is better under every metric; equal scores are ordered by the smaller id.

    Args:
        dimension: length of every vector.
        index_type: name of the family, a key of `VectorSearchIndex.families`; "Flat" is exact
            search.
        metric: "cosine", "inner_product" or "l2" (whose score is the negative squared distance).
        use_gpu: whether searches run on a GPU, for families that can.
        options: of the family; `build_known` and `search_known` list them with their defaults.

    Raises:
        RetrievalInputError: unknown family, metric or option, a value out of its range, a dimension
            below 1, or a GPU where there is none.

    Relations: a family derives from this class, names itself in `index_type`, and implements the
    methods of `lib.index.family`; what users may get wrong is checked here, once.
    """

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
        self.dimension = check_count(dimension, "dimension", most=MOST_DIMENSIONS)
        self.metric = check_choice(metric, METRICS, "metric")
        self.use_gpu = check_switch(use_gpu, "use_gpu")
        if self.use_gpu:
            self._need(self.can_use_gpu, "can_use_gpu", "runs on the CPU only")
            check_gpu()
        self.is_trained = not self.needs_training
        self.memory_mapped = False
        self._work: dict[str, int] = {}
        self._ids = IdMap()
        self._set_up()

    @property
    def ntotal(self) -> int:
        """How many vectors the index holds."""
        return len(self._ids)

    @property
    def build_options(self) -> dict[str, Any]:
        """What the index was built with; options that were None show what was chosen once it is
        trained.
        """
        return {name: self._options[name] for name in self.build_known}

    @property
    def search_options(self) -> dict[str, Any]:
        """What searches use now."""
        return {name: self._options[name] for name in self.search_known}

    @property
    def work(self) -> dict[str, int]:
        """What the last search did for all its queries together; counted, the same on every
        machine.

        `distances` to whole vectors, those of re-ranking included; `codes` of compressed vectors
        that were scanned; `centroids` that queries were compared with; `lists` that were visited.
        Only what applies.
        """
        return dict(self._work)

    def set_search(self, **options) -> None:
        """Changes what searches use from now on; nothing changes when one of the options is
        refused.

        Raises:
            RetrievalInputError: not a search option of the family, or out of its range.
        """
        for name in options:
            if name in self.build_known:
                raise RetrievalInputError(
                    f"{name} is fixed when the index is built; make another index"
                )
        options = checked(
            options, self.search_known, f"the search of index type {self.index_type!r}"
        )
        self._check_search(options)
        self._options |= options

    def train(self, vectors) -> None:
        """Learns from vectors like those to come. Families without training return at once.

        Args:
            vectors: `(n, dimension)` numbers. Families sample for themselves what they do not need.

        Raises:
            RetrievalInputError: too few vectors for what is to be learnt (with the number needed),
                an index that holds vectors already, or what `add` refuses about vectors.
        """
        if not self.needs_training:
            return
        if self.ntotal:
            raise RetrievalInputError(
                f"the index holds {self.ntotal} vectors, coded by what it has learnt; train a"
                " new one"
            )
        self._train(self._prepare(vectors, "vectors"))
        self.is_trained = True

    def add(self, vectors, ids=None) -> None:
        """Adds vectors; all of them, or none when one is refused.

        Args:
            vectors: `(n, dimension)` numbers; Flat keeps int8 as it is, the others make float32 of
                it.
            ids: `(n,)` distinct whole numbers that are not in the index; the next positions when
                None.

        Raises:
            RetrievalInputError: an index that is not trained but must be, wrong dimension, a value
                that is not finite, a zero row under cosine, ids that are not one whole number per
                vector, -1 or an id twice.
        """
        if not self.is_trained:
            raise RetrievalInputError(
                f"index type {self.index_type!r} learns first: call train before add"
            )
        self._check_grows()
        checked = self._prepare(vectors, "vectors", own=True)
        new = self._ids.new(ids, len(checked))
        if len(new):
            self._add(checked, new)
            self._ids.append(new)

    def finish(self) -> None:
        """Does now what the first search would do before it can answer, so that it can be timed
        apart.

        ScaNN learns and builds; Flat, and families that keep whole vectors, join what was added in
        parts.
        """
        if self.ntotal:
            self._finish()

    def remove(self, ids) -> None:
        """Removes vectors; all of them, or none when an id is not held.

        Raises:
            RetrievalInputError: an id that is not held, or a family that cannot remove.
        """
        otherwise = "cannot remove vectors; build it again without them, or search with allowed"
        self._need(self.can_remove, "can_remove", otherwise)
        self._check_grows()
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
            `(scores, ids)`: float32 and int64, both `(n_queries, k)`, best first. Where fewer than
            k are found, which approximate families and `allowed` can lead to, -inf and -1 fill up.

        Raises:
            RetrievalInputError: an empty index, wrong dimension, a value that is not finite, a zero
                row under cosine, `k` below 1 or above `ntotal`, ids in `allowed` that are not held,
                or a family that cannot restrict its search.
        """
        if self.ntotal == 0:
            raise RetrievalInputError("the index is empty: add vectors before searching")
        asked = self._prepare(queries, "queries")
        k = check_k(k, self.ntotal)
        positions = None
        if allowed is not None:
            self._need(self.can_filter, "can_filter", "cannot restrict a search to allowed ids")
            positions = self._ids.positions(allowed, "allowed")
        if len(asked) == 0 or (positions is not None and positions.size == 0):
            self._work = {}
            return np.full((len(asked), k), -np.inf, np.float32), np.full((len(asked), k), NO_ID)
        return self._search(asked, k, positions)

    def cost(self) -> dict[str, int]:
        """Bytes by what they are spent on, the same on every machine.

        Parts come from the formulas of `lib.index.capacity.sizes`, with `id_map`, which is what it
        takes to translate between positions and ids (nothing while they agree), and `total`.
        `serialised` is what saving the index writes besides its header, counted while it is
        written.
        """
        parts = self._sizes() | {"id_map": self._ids.nbytes}
        return {**parts, "total": sum(parts.values()), "serialised": serialised_bytes(self)}

    def save(self, folder: str | os.PathLike) -> str:
        """Writes the index to a folder, whole or not at all; returns the SHA-256 of its header.

        Raises:
            RetrievalInputError: an index that is not trained, or a folder of something else.
        """
        return save_index(self, Path(folder))

    @classmethod
    def load(
        cls, folder: str | os.PathLike, memory_map: bool = False, use_gpu: bool = False
    ) -> VectorSearchIndex:
        """Reads what `save` wrote, whatever its family.

        Args:
            folder: the one that was given to `save`.
            memory_map: whether vectors, codes, links and lists stay in the file, of which the
                system reads what searches touch. Such an index cannot grow or shrink. Codes of a
                fast scan and all of ScaNN are read into memory in any case. Every byte is read
                once, for its checksum.
            use_gpu: as for a new index.

        Raises:
            DamagedFileError: a file differs from its checksum.
            MissingFileError: a file is not there.
            RetrievalInputError: not an index, another format, or another family than the class that
                is asked.
        """
        return load_index(cls, Path(folder), check_switch(memory_map, "memory_map"), use_gpu)

    def _need(self, able: bool, ability: str, otherwise: str) -> None:
        if not able:
            types = ", ".join(
                name for name, family in self.families.items() if getattr(family, ability)
            )
            raise RetrievalInputError(f"{self._name} {otherwise}. Types that can: {types}")

    def _check_grows(self) -> None:
        if self.memory_mapped:
            raise RetrievalInputError(
                "a memory-mapped index cannot change; load it with memory_map = False to add,"
                " remove or link"
            )

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}(dimension={self.dimension}, metric={self.metric!r}, ntotal={self.ntotal:,})"
