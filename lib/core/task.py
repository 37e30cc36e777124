"""A retrieval task: queries, gallery, and the relevant items of each query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lib.core.checks import RetrievalInputError, as_array
from lib.core.qrels import Qrels, check_qrels


def entries_at(entries: Sequence, positions) -> Sequence:
    """Take entries of a list, an array or a sequence of files in this order; decode no file."""
    if isinstance(entries, np.ndarray):
        return entries[positions]
    if hasattr(entries, "take"):
        return entries.take(positions)
    return [entries[position] for position in positions]


@dataclass(frozen=True)
class RetrievalTask:
    """Queries of one modality, a gallery of another, and graded judgements between them.

    Args:
        name: corpus, for example `"icons"`.
        split: `"train"`, `"validation"`, `"test"` or a split the corpus documents.
        direction: `"<query modality>_to_<gallery modality>"`, for example `"text_to_image"`.
        queries: one entry per query: a list of strings or an array whose first axis is the query.
        gallery: one entry per item that can be found.
        qrels: shape `(n_queries, n_gallery)`. Relevance comes from ids, never from the diagonal.
        query_groups: cluster of each query for intervals (captions of one image belong together),
            or None.
        hit_grade: the smallest grade that counts as a hit in R@K; graded metrics use every grade.
        datasheet: the section of `data/README.md` that describes the corpus.
    """

    name: str
    split: str
    direction: str
    queries: Sequence
    gallery: Sequence
    qrels: Qrels
    query_groups: np.ndarray | None = None
    hit_grade: int = 1
    datasheet: str = ""

    def __post_init__(self) -> None:
        check_qrels(self.qrels)
        if not isinstance(self.direction, str) or self.direction.count("_to_") != 1:
            raise RetrievalInputError(
                "direction must be '<query modality>_to_<gallery modality>', such as"
                f" 'text_to_image', got {self.direction!r}"
            )
        for name in ("queries", "gallery"):
            if not hasattr(getattr(self, name), "__len__"):
                got = f"{getattr(self, name)!r}"
                raise RetrievalInputError(f"{name} must be a list or an array, got {got}")
        sizes = (len(self.queries), len(self.gallery))
        if self.qrels.shape != sizes:
            shape = self.qrels.shape
            raise RetrievalInputError(f"qrels must have shape {sizes} (the task), got {shape}")
        groups = None if self.query_groups is None else as_array(self.query_groups, "query_groups")
        if groups is not None and groups.shape[:1] != sizes[:1]:
            n = len(self.queries)
            raise RetrievalInputError(f"query_groups must have {n} entries, got {groups.size}")

    @property
    def query_modality(self) -> str:
        return self.direction.split("_to_")[0]

    @property
    def gallery_modality(self) -> str:
        return self.direction.split("_to_")[1]

    def take_queries(self, index) -> RetrievalTask:
        """Take some queries of the task in this order (positions, or a boolean per query)."""
        qrels = self.qrels.take_queries(index)  # refuses invalid positions
        rows = np.arange(len(self.queries))[as_array(index, "index")]
        queries = entries_at(self.queries, rows)
        groups = None if self.query_groups is None else np.asarray(self.query_groups)[rows]
        return replace(self, queries=queries, qrels=qrels, query_groups=groups)

    def turned(self, query_groups: np.ndarray | None = None) -> RetrievalTask:
        """Exchange queries and gallery, with the clusters of the new queries."""
        return replace(
            self,
            direction=f"{self.gallery_modality}_to_{self.query_modality}",
            queries=self.gallery,
            gallery=self.queries,
            qrels=self.qrels.T,
            query_groups=query_groups,
        )

    def describe(self) -> str:
        """Describe the task in one line: name, split, direction, sizes, judgements."""
        return (
            f"{self.name}, {self.split} split, {self.query_modality} to {self.gallery_modality}: "
            f"{len(self.queries):,} queries, {len(self.gallery):,} items, "
            f"{len(self.qrels.items):,} judgements "
            f"(grades 1 to {self.qrels.max_grade}, hit from {self.hit_grade})"
        )
