"""What was measured in one direction: values with intervals, and the ranks that they follow
from.
"""

import math
from dataclasses import dataclass

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice

SLACK = 1e-6  # of values that were rounded on their way into a file
OF_RANKS = ("MedR", "MeanR")  # in ranks, lower is better; every other metric is a fraction


@dataclass(frozen=True)
class Measured:
    """One metric: value, ends of the 95% interval (NaN where there is none), and what chance
    gives.
    """

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
        first_ranks: `(n_queries,)` rank of the first relevant item, ties against it; infinity
            beyond the run.
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

    def check(self, n_folds: int = 1) -> None:
        """Refuses values out of their range, and those that do not follow from the ranks of the
        queries.

        The mean of folds weighs queries by fold, which is not stored: there only the ranges are
        checked.
        """

        def refuse(what: str) -> None:
            raise RetrievalInputError(
                f"{self.direction}: {what}. The file was changed; evaluate again"
            )

        if not (self.n_queries and self.n_gallery and 0 <= self.tie_share <= 1):
            refuse(
                f"{self.n_queries} queries, {self.n_gallery} items and a tie share of"
                f" {self.tie_share}"
            )
        ranks = self.first_ranks
        inside = (ranks >= 1) & (ranks <= self.n_gallery) & (ranks == np.floor(ranks))
        if not (inside | np.isposinf(ranks)).all():
            query = int(np.argmin(inside | np.isposinf(ranks)))
            refuse(
                f"first_ranks[{query}] is {ranks[query]}, expected a whole number of 1 to"
                f" {self.n_gallery}"
            )
        if not ((self.map_at_r >= 0) & (self.map_at_r <= 1)).all():
            refuse(
                f"map_at_r lies in {self.map_at_r.min()} to {self.map_at_r.max()}, expected 0 to 1"
            )
        for name, of in self.values.items():
            least, most = (1, self.n_gallery) if name in OF_RANKS else (0, 1)
            for what, value in vars(of).items():
                unknown = (
                    math.isnan(value)
                    if what in ("low", "high")
                    else math.isinf(value) and name in OF_RANKS
                )
                if not (unknown or least - SLACK <= value <= most * (1 + SLACK)):
                    refuse(f"{what} of {name} is {value}, expected {least} to {most}")
            if not math.isnan(of.low) and not of.low - SLACK <= of.high:
                refuse(f"the interval of {name} begins at {of.low} and ends at {of.high}")
            follows = self._mean_of(name)
            if (
                n_folds == 1
                and follows is not None
                and not np.isclose(of.value, follows, rtol=SLACK, atol=SLACK)
            ):
                refuse(f"{name} is {of.value}, but the ranks of its queries give {follows}")

    def _mean_of(self, metric: str) -> float | None:
        """A metric from what is stored per query; None where that does not say."""
        if metric in OF_RANKS:
            return float((np.median if metric == "MedR" else np.mean)(self.first_ranks))
        if metric.startswith("R@"):
            return float(self.hits(int(metric[2:])).mean()) if metric[2:].isdecimal() else None
        return {
            "MRR": float((1 / self.first_ranks).mean()),
            "MAP@R": float(self.map_at_r.mean()),
        }.get(metric)
