"""Relevance judgements (qrels): graded relevance of items to queries as a sparse matrix."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lib.core.checks import RetrievalInputError, as_array, check_count, check_table, whole_numbers

MAX_GRADE = int(np.iinfo(np.int16).max)


@dataclass(frozen=True, eq=False, repr=False)
class Qrels:
    """Graded relevance judgements in compressed sparse rows (CSR); other cells have grade 0.

    Row `i` holds `items[indptr[i]:indptr[i + 1]]`, ascending, with `grades` beside them. Both axes
    are positions: query `i` is the `i`-th query, item `j` the `j`-th of the gallery. No diagonal is
    assumed: five captions per image or an item without a query are ordinary cases. Arrays are
    read-only. `from_owner`, `from_pairs` and `from_ids` build one; `.T` is the other direction.

    Args:
        indptr: `(n_queries + 1,)` int64 row boundaries.
        items: `(n_judgements,)` int64 item positions, strictly ascending within a row.
        grades: `(n_judgements,)` int16, at least 1.
        n_items: size of the gallery.
    """

    indptr: np.ndarray
    items: np.ndarray
    grades: np.ndarray
    n_items: int

    def __post_init__(self) -> None:
        names = ("indptr", "items", "grades")
        arrays = {name: whole_numbers(getattr(self, name), name) for name in names}
        indptr, items, grades = arrays.values()
        ends = indptr.size and indptr[0] == 0 and indptr[-1] == items.size
        if not ends or (np.diff(indptr) < 0).any():
            limits = f"0 to {items.size} (the items)"
            raise RetrievalInputError(f"indptr must ascend from {limits}, got {indptr}")
        if items.size != grades.size:
            raise RetrievalInputError(f"{items.size} items have {grades.size} grades")
        object.__setattr__(self, "n_items", check_count(self.n_items, "n_items", least=0))
        _check_range(items, self.n_items, "item")
        _check_grades(grades)
        for (name, array), dtype in zip(arrays.items(), (np.int64, np.int64, np.int16)):
            array = array.astype(dtype)  # a copy, which no caller can write to
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        queries = self.query_index
        fails = np.flatnonzero((np.diff(items) <= 0) & (np.diff(queries) == 0))
        if fails.size:
            at = int(fails[0])
            raise RetrievalInputError(
                f"items of query {queries[at]} must ascend strictly, "
                f"found {self.items[at]} before {self.items[at + 1]}"
            )

    # ---- building

    @classmethod
    def from_owner(cls, owner, n_queries: int, grade: int = 1) -> Qrels:
        """Build judgements where item `j` answers exactly query `owner[j]`, as captions of images.

        Args:
            owner: `(n_items,)` query position of each item.
            n_queries: number of queries; one without items gets an empty row.
            grade: the grade of every judgement.
        """
        owner = whole_numbers(owner, "owner")
        grades = np.full(owner.size, check_count(grade, "grade"))
        return cls.from_pairs(owner, np.arange(owner.size), grades, shape=(n_queries, owner.size))

    @classmethod
    def from_pairs(cls, query_index, item_index, grades=None, *, shape: tuple[int, int]) -> Qrels:
        """Build judgements from distinct (query, item) pairs in any order.

        Args:
            query_index: `(n_judgements,)` query positions.
            item_index: `(n_judgements,)` item positions.
            grades: `(n_judgements,)` whole numbers from 1 to 32767, or None for all 1.
            shape: `(n_queries, n_items)`.
        """
        queries = whole_numbers(query_index, "query_index")
        items = whole_numbers(item_index, "item_index")
        grades = np.ones(queries.size, int) if grades is None else whole_numbers(grades, "grades")
        if not queries.size == items.size == grades.size:
            raise RetrievalInputError(
                "query_index, item_index and grades must be equally long, "
                f"got {queries.size}, {items.size} and {grades.size}"
            )
        if not isinstance(shape, tuple | list) or len(shape) != 2:
            raise RetrievalInputError(f"shape must be (n_queries, n_items), got {shape!r}")
        n_queries = check_count(shape[0], "shape: n_queries", least=0)
        n_items = check_count(shape[1], "shape: n_items", least=0)
        check_table(n_queries, "n_queries")
        _check_range(queries, n_queries, "query")
        _check_range(items, n_items, "item")
        _check_grades(grades)
        order = np.lexsort((items, queries))
        repeats = np.flatnonzero((np.diff(items[order]) == 0) & (np.diff(queries[order]) == 0))
        if repeats.size:
            at = order[repeats[0] + 1]
            pair = f"(query {queries[at]}, item {items[at]})"
            raise RetrievalInputError(f"pairs must be distinct, got {pair} again at position {at}")
        indptr = np.concatenate([[0], np.cumsum(np.bincount(queries, minlength=n_queries))])
        return cls(indptr, items[order], grades[order], n_items)

    @classmethod
    def from_ids(cls, judgements: Mapping, query_ids: Sequence, item_ids: Sequence) -> Qrels:
        """Build judgements from names of queries and items, as in TREC files and COCO.

        Args:
            judgements: `{query id: {item id: grade}}` or `{query id: [item id, ...]}` (grade 1).
                Queries that are not mentioned get an empty row.
            query_ids: name of each query, in the order of the query embeddings.
            item_ids: name of each item, in the order of the gallery.
        """
        if not isinstance(judgements, Mapping):
            raise RetrievalInputError(
                f"judgements must be {{query id: [item id, ...]}}, got {type(judgements).__name__}"
            )
        query_at, item_at = _positions(query_ids, "query"), _positions(item_ids, "item")
        triples = []
        for query, answers in judgements.items():
            if query not in query_at:
                n = len(query_at)
                raise RetrievalInputError(f"judged query {query!r} is not one of {n} query ids")
            if isinstance(answers, str | bytes) or not isinstance(answers, Iterable):
                raise RetrievalInputError(
                    f"judgements of query {query!r} must be a list of item ids or {{item id:"
                    f" grade}}, got {answers!r}"
                )
            mapping = isinstance(answers, Mapping)
            for item, grade in answers.items() if mapping else ((item, 1) for item in answers):
                if item not in item_at:
                    pair = f"item {item!r}, judged for query {query!r},"
                    raise RetrievalInputError(f"{pair} is not one of {len(item_at)} item ids")
                triples.append((query_at[query], item_at[item], grade))
        columns = list(zip(*triples, strict=True)) or [[], [], []]
        return cls.from_pairs(*columns, shape=(len(query_at), len(item_at)))

    # ---- reading

    @property
    def shape(self) -> tuple[int, int]:
        return self.indptr.size - 1, self.n_items

    @property
    def counts(self) -> np.ndarray:
        """`(n_queries,)` number of relevant items of each query."""
        return np.diff(self.indptr)

    @property
    def max_grade(self) -> int:
        """The highest grade given, 0 when there are no judgements."""
        return int(self.grades.max(initial=0))

    @property
    def query_index(self) -> np.ndarray:
        """`(n_judgements,)` query position of each judgement, ascending."""
        return np.repeat(np.arange(self.shape[0]), self.counts)

    @cached_property
    def _cells(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the different items, and a key of each judgement for binary search.

        A key counts the different items, not the gallery: query * n_items can overflow.
        """
        different, column = np.unique(self.items, return_inverse=True)
        return different, self.query_index * different.size + column

    def row(self, query: int) -> tuple[np.ndarray, np.ndarray]:
        """Return item positions and grades of one query."""
        if not 0 <= check_count(query, "query", least=0) < self.shape[0]:
            raise RetrievalInputError(f"query {query} is outside 0..{self.shape[0] - 1}")
        cells = slice(self.indptr[query], self.indptr[query + 1])
        return self.items[cells], self.grades[cells]

    def grades_of(self, ranked_ids) -> np.ndarray:
        """Look up the grade of every ranked item.

        Args:
            ranked_ids: `(n_queries, k)` item positions; -1 stands for "no item".

        Returns:
            `(n_queries, k)` int16, 0 where an item is not relevant.
        """
        ids = whole_numbers(ranked_ids, "ranked ids", ndim=2)
        if ids.shape[0] != self.shape[0]:
            n = self.shape[0]
            raise RetrievalInputError(f"ranked ids must have shape ({n}, k), got {ids.shape}")
        _check_range(ids, self.n_items, "ranked item", lowest=-1)
        if self.items.size == 0:
            return np.zeros(ids.shape, np.int16)
        at, judged = self._find(np.arange(self.shape[0])[:, None], ids)
        return np.where(judged, self.grades[at], np.int16(0))

    def has_pairs(self, query_index: np.ndarray, item_index: np.ndarray) -> np.ndarray:
        """Return for each pair of a query and an item whether it is judged, `(n,)` bool."""
        if self.items.size == 0:
            return np.zeros(len(item_index), bool)
        return self._find(query_index, item_index)[1]

    def _find(self, queries: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the place of the judgement of each cell, and whether there is one."""
        different, keys = self._cells
        column = np.minimum(np.searchsorted(different, items), different.size - 1)
        wanted = queries * different.size + column
        at = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
        return at, (keys[at] == wanted) & (different[column] == items)

    # ---- deriving

    @property
    def T(self) -> Qrels:
        """The other direction: items become queries, with the same grades."""
        return Qrels.from_pairs(self.items, self.query_index, self.grades, shape=self.shape[::-1])

    def at_least(self, min_grade: int) -> Qrels:
        """Keep judgements of `min_grade` or more, with their grades; rows may become empty."""
        keep = self.grades >= check_count(min_grade, "min_grade", least=0)
        indptr = np.concatenate([[0], np.cumsum(keep)])[self.indptr]
        return Qrels(indptr, self.items[keep], self.grades[keep], self.n_items)

    def take_queries(self, index) -> Qrels:
        """Take the rows of some queries in this order (positions, or a boolean per query)."""
        index = as_array(index, "index")
        if index.dtype == bool and index.shape == self.counts.shape:
            index = np.flatnonzero(index)
        rows = whole_numbers(index, "index")
        _check_range(rows, self.shape[0], "query")
        starts, counts = self.indptr[rows], self.counts[rows]
        indptr = np.concatenate([[0], np.cumsum(counts)])
        cells = np.repeat(starts - indptr[:-1], counts) + np.arange(indptr[-1])
        return Qrels(indptr, self.items[cells], self.grades[cells], self.n_items)

    def __eq__(self, other) -> bool:
        if not isinstance(other, Qrels):
            return NotImplemented
        names = ("indptr", "items", "grades", "n_items")
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)

    __hash__ = None

    def __repr__(self) -> str:
        n_queries, n_items = self.shape
        return (
            f"Qrels({n_queries:,} queries x {n_items:,} items, {self.items.size:,} judgements, "
            f"max grade {self.max_grade})"
        )


def check_qrels(qrels) -> None:
    """Refuse anything but `Qrels`."""
    if not isinstance(qrels, Qrels):
        raise RetrievalInputError(f"qrels must be Qrels, got {type(qrels).__name__}")


def _check_range(values: np.ndarray, size: int, kind: str, lowest: int = 0) -> None:
    if values.size and (values.min() < lowest or values.max() >= size):
        at = np.unravel_index(np.argmax((values < lowest) | (values >= size)), values.shape)
        where = at[0] if len(at) == 1 else tuple(int(i) for i in at)
        cell = f"{kind} {values[at]} at position {where}"
        raise RetrievalInputError(f"{cell} is outside {lowest}..{size - 1}")


def _check_grades(grades: np.ndarray) -> None:
    wrong = np.flatnonzero((grades < 1) | (grades > MAX_GRADE))
    if wrong.size:
        raise RetrievalInputError(
            f"grade {grades[wrong[0]]} at position {wrong[0]} must lie in 1..{MAX_GRADE}; "
            "leave out what is not relevant"
        )


def _positions(ids: Sequence, kind: str) -> dict:
    positions: dict = {}
    unordered = isinstance(ids, str | bytes | Set) or not isinstance(ids, Iterable)
    if unordered or getattr(ids, "ndim", 1) != 1:
        raise RetrievalInputError(
            f"{kind}_ids must be a list of names in order, got {type(ids).__name__}"
        )
    for position, name in enumerate(ids):
        if not isinstance(name, Hashable):
            raise RetrievalInputError(f"{kind}_ids[{position}] is {name!r}, which cannot be a name")
        if positions.setdefault(name, position) != position:
            places = f"{positions[name]} and {position}"
            raise RetrievalInputError(f"{kind} ids must be distinct, got {name!r} at {places}")
    return positions
