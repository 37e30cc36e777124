"""What was measured in one direction: values with intervals, and the ranks that they follow from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lib.checks import RetrievalInputError, check_choice

OF_RANKS = ("MedR", "MeanR")  # in ranks, lower is better; every other metric is a fraction


@dataclass(frozen=True)
class Measured:
    """One metric: value, ends of the 95% interval (NaN where there is none), and what chance gives."""

    value: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True, eq=False, repr=False)
class DirectionResult:
    """One direction: the metrics, and per query what paired tests need.

    Args:
        direction: `"text_to_image"`.
        n_queries: queries that were judged; n_gallery: items that could be found, of the first fold
            where there are folds.
        n_without_relevant: queries left out because nothing is relevant to them.
        tie_share: share of queries whose first rank depends on the order of equal scores.
        values: `{"R@1": Measured, ..., "MRR", "R-precision", "MAP@R", "MedR", "MeanR"}`.
        first_ranks: `(n_queries,)` rank of the first relevant item, ties against it; infinity beyond the run.
        map_at_r: `(n_queries,)` AP@R of each query.
        queries_checksum: SHA-256 over the ids of the judged queries, in order.
        groups: `(n_queries,)` cluster of each query, None where each is its own.
    """

    direction: str
    n_queries: int
    n_gallery: int
    n_without_relevant: int
    tie_share: float
    values: dict[str, Measured]
    first_ranks: np.ndarray
    map_at_r: np.ndarray
    queries_checksum: str
    groups: np.ndarray | None = None

    def __post_init__(self) -> None:
        sizes = {"first_ranks": self.first_ranks.size, "map_at_r": self.map_at_r.size}
        if self.groups is not None:
            sizes["groups"] = self.groups.size
        for name, size in sizes.items():
            if size != self.n_queries:
                raise RetrievalInputError(
                    f"{self.direction}: {name} has {size} entries for {self.n_queries} queries"
                )

    def __getitem__(self, metric: str) -> Measured:
        return self.values[check_choice(metric, self.values, "metric")]

    def hits(self, k: int) -> np.ndarray:
        """`(n_queries,)` float64, 1 where the first relevant item is at rank k or better."""
        return (self.first_ranks <= k).astype(np.float64)
