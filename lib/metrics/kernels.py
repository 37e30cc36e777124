"""Registry of ranking metrics: one kernel a family, its value for a random order, and names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lib.core.checks import (
    RetrievalInputError,
    check_choice,
    check_count,
    check_k,
    check_table,
    whole_numbers,
)
from lib.core.qrels import Qrels, check_qrels

GAINS = ("exponential", "linear")
MAX_EXPONENTIAL_GRADE = 30  # gains up to 2^30 leave a float64 sum enough digits for every rank
ORDER_CELLS = 2**22  # of different R x ranks of a random order, held at a time: 32 MB
RANK_STATISTICS = {"MedR": np.median, "MeanR": np.mean}  # of the first relevant rank

# ---- ranks of relevant items


@dataclass(frozen=True, eq=False)
class PlacedItems:
    """Ranks and grades of the judged items in each list, by query and then by rank.

    `query`, `rank` (from 1) and `grade` are `(m,)`; `counts` `(n_queries,)` is the number of
    relevant items R, in the list or not.
    """

    query: np.ndarray
    rank: np.ndarray
    grade: np.ndarray
    counts: np.ndarray

    @classmethod
    def from_grades(cls, grades: np.ndarray, counts: np.ndarray) -> PlacedItems:
        """Read the ranks from `(n_queries, depth)` grades, where 0 means not relevant."""
        query, column = np.nonzero(grades > 0)
        return cls(query, column + 1, grades[query, column], counts)

    def at_least(self, grade: int, counts: np.ndarray) -> PlacedItems:
        """Keep the items of this grade or more, of which each query has `counts`."""
        keep = self.grade >= grade
        return PlacedItems(self.query[keep], self.rank[keep], self.grade[keep], counts)

    @cached_property
    def first_rank(self) -> np.ndarray:
        """`(n_queries,)` rank of the first relevant item, infinity where the list has none."""
        ranks = np.full(self.counts.size, np.inf)
        first = np.flatnonzero(np.diff(self.query, prepend=-1))
        ranks[self.query[first]] = self.rank[first]
        return ranks

    def sum_where(self, within: np.ndarray, values: np.ndarray | None = None) -> np.ndarray:
        """Sum values, or count items, of each query over the items selected by `within`."""
        weights = None if values is None else values[within]
        return np.bincount(self.query[within], weights, minlength=self.counts.size)

    def precision_sum(self, within: np.ndarray) -> np.ndarray:
        """Sum the precisions at the ranks of the items selected by `within`."""
        place = np.arange(self.query.size) - np.searchsorted(self.query, self.query) + 1
        return self.sum_where(within, place / self.rank)


# ---- gains


def check_gain(qrels: Qrels, gain: str) -> None:
    """Refuse an unknown gain, and grades too large for the exponential one."""
    check_choice(gain, GAINS, "gain")
    if gain == "exponential" and qrels.max_grade > MAX_EXPONENTIAL_GRADE:
        at = int(np.argmax(qrels.grades > MAX_EXPONENTIAL_GRADE))
        raise RetrievalInputError(
            f"grade {qrels.grades[at]} of query {qrels.query_index[at]}, item {qrels.items[at]} is"
            f" above {MAX_EXPONENTIAL_GRADE}, too much for the gain 2^grade - 1; use gain='linear'"
            " or coarser grades"
        )


def gain_of(grades: np.ndarray, gain: str) -> np.ndarray:
    """Return the float64 gain of every grade: `2^g - 1` or `g`."""
    grades = grades.astype(np.float64)
    return np.exp2(grades) - 1 if gain == "exponential" else grades


def _dcg(placed: PlacedItems, k: int, gain: str) -> np.ndarray:
    gains = gain_of(placed.grade, gain) / np.log2(placed.rank + 1.0)
    return placed.sum_where(placed.rank <= k, gains)


def ideal_dcg(qrels: Qrels, k: int, gain: str) -> np.ndarray:
    """Return DCG@k of all judgements of each query in their best order, `(n_queries,)`."""
    query = qrels.query_index
    best_first = np.lexsort((-qrels.grades.astype(np.int32), query))
    rank = np.arange(query.size) - qrels.indptr[query] + 1  # the order keeps queries together
    return _dcg(PlacedItems(query, rank, qrels.grades[best_first], qrels.counts), k, gain)


def normalised_dcg(placed: PlacedItems, qrels: Qrels, k: int, gain: str) -> np.ndarray:
    """Return nDCG@k from items of all grades."""
    ideal = ideal_dcg(qrels, k, gain)
    return np.divide(_dcg(placed, k, gain), ideal, out=np.zeros(ideal.size), where=ideal > 0)


def chance_of_gain(qrels: Qrels, k: int, gain: str, sizes: np.ndarray | None = None) -> float:
    """Return the expected nDCG@k of a random order: mean gain at every rank over the ideal.

    `sizes` `(n_queries,)` is the gallery of each query, where it is not the whole.
    """
    check_qrels(qrels)
    check_k(k, qrels.n_items)
    check_choice(gain, GAINS, "gain")
    gains = np.bincount(qrels.query_index, gain_of(qrels.grades, gain), minlength=qrels.shape[0])
    n = qrels.n_items if sizes is None else sizes
    expected = gains / n * (1 / np.log2(np.arange(k) + 2)).sum()
    ideal = ideal_dcg(qrels, k, gain)
    return float(np.divide(expected, ideal, out=np.zeros(ideal.size), where=ideal > 0).mean())


# ---- a random order


class RandomOrder:
    """Probabilities of a random order of the gallery, for every different R in `counts`.

    `counts` `(n_queries,)` is the number of relevant items R, `n_gallery` the size n, or `sizes`
    `(n_queries,)` that of each query; `depth` is the number of ranks. `r`, `n` and `shares` have
    an entry for each different pair of R and n.
    """

    def __init__(self, counts, n_gallery: int, depth: int, sizes=None) -> None:
        counts = whole_numbers(counts, "counts")
        largest = check_count(n_gallery, "n_gallery")
        sizes = np.full(counts.size, largest) if sizes is None else whole_numbers(sizes, "sizes")
        if counts.size == 0 or counts.min() < 0 or (counts > sizes).any():
            raise RetrievalInputError(
                f"counts must be one number of relevant items per query, from 0 to {largest} (the"
                f" gallery), got {counts}"
            )
        self.depth = check_table(check_k(depth, largest), "depth")
        r_values, of_r = np.unique(counts, return_inverse=True)
        n_values, of_n = np.unique(sizes, return_inverse=True)
        different, index = np.unique(of_r * n_values.size + of_n, return_inverse=True)
        self.r, self.n = r_values[different // n_values.size], n_values[different % n_values.size]
        self.shares = np.bincount(index) / counts.size  # of queries with each R and n
        terms = 1 / np.arange(1, max(depth, self.r.max(initial=0)) + 1)
        self.harmonic = np.concatenate([[0], np.cumsum(terms)])

    @cached_property
    def no_hit(self) -> np.ndarray:
        """`(different R and n, depth + 1)` chance of no relevant item among the first 0, 1, ..."""
        drawn = np.arange(self.depth)
        left = np.maximum(self.n[:, None] - drawn, 1)  # a smaller gallery ends before the depth
        stays = np.maximum(self.n[:, None] - self.r[:, None] - drawn, 0) / left
        return np.concatenate([np.ones((self.r.size, 1)), np.cumprod(stays, axis=1)], axis=1)

    def parts(self) -> Iterator[RandomOrder]:
        """Yield the order for some of the different R and n at a time: it bounds the memory."""
        at_once = max(1, ORDER_CELLS // (self.depth + 1))
        if self.r.size <= at_once:
            yield self
            return
        for start in range(0, self.r.size, at_once):
            part, some = copy(self), slice(start, start + at_once)
            vars(part).pop("no_hit", None)
            part.r, part.n, part.shares = self.r[some], self.n[some], self.shares[some]
            yield part

    def reciprocal_rank(self, k: int) -> np.ndarray:
        """Return the expected reciprocal rank cut at k, for each R and n."""
        hit_here = self.no_hit[:, :k] - self.no_hit[:, 1 : k + 1]
        return (hit_here / np.arange(1, k + 1)).sum(axis=1)

    def precision_sum(self, cut) -> np.ndarray:
        """Return the expected sum of precisions up to `cut`, over R, for each R and n."""
        rest = (self.r - 1) / np.maximum(self.n - 1, 1)
        harmonic = self.harmonic[cut]
        return (self.r > 0) * (harmonic + (cut - harmonic) * rest) / self.n


# ---- the families


@dataclass(frozen=True)
class MetricFamily:
    """One metric for any cut-off.

    Args:
        kernel: `(relevant PlacedItems, k)` to `(n_queries,)` values; None for nDCG, which reads all
            grades (`normalised_dcg`).
        chance: `(RandomOrder, k)` to the expected value for each R and n; None for nDCG.
        cut: a bare name is measured at every "k" of `ks`, over the whole "depth", or at "R".
    """

    kernel: Callable[[PlacedItems, int], np.ndarray] | None
    chance: Callable[[RandomOrder, int], np.ndarray] | None
    cut: str = "k"


def _recall(relevant: PlacedItems, k: int) -> np.ndarray:
    return relevant.sum_where(relevant.rank <= k) / np.maximum(relevant.counts, 1)


def _reciprocal_rank(relevant: PlacedItems, k: int) -> np.ndarray:
    return np.where(relevant.first_rank <= k, 1 / relevant.first_rank, 0.0)


def _average_precision(relevant: PlacedItems, k: int) -> np.ndarray:
    return relevant.precision_sum(relevant.rank <= k) / np.maximum(relevant.counts, 1)


def _r_precision(relevant: PlacedItems, k: int) -> np.ndarray:
    within = relevant.rank <= relevant.counts[relevant.query]
    return relevant.sum_where(within) / np.maximum(relevant.counts, 1)


def _average_precision_at_r(relevant: PlacedItems, k: int) -> np.ndarray:
    within = relevant.rank <= relevant.counts[relevant.query]
    return relevant.precision_sum(within) / np.maximum(relevant.counts, 1)


FAMILIES = {
    "R": MetricFamily(
        lambda relevant, k: (relevant.first_rank <= k).astype(np.float64),
        lambda order, k: 1 - order.no_hit[:, k],
    ),
    "recall": MetricFamily(_recall, lambda order, k: k / order.n * (order.r > 0)),
    "P": MetricFamily(
        lambda relevant, k: relevant.sum_where(relevant.rank <= k) / k,
        lambda order, k: order.r / order.n,
    ),
    "nDCG": MetricFamily(None, None),
    "MRR": MetricFamily(_reciprocal_rank, RandomOrder.reciprocal_rank, "depth"),
    "MAP": MetricFamily(_average_precision, RandomOrder.precision_sum, "depth"),
    "R-precision": MetricFamily(_r_precision, lambda order, k: order.r / order.n, "R"),
    "MAP@R": MetricFamily(
        _average_precision_at_r, lambda order, k: order.precision_sum(order.r), "R"
    ),
}
FIRST_ITEM_ONLY = ("R", "MRR")  # families that need no relevant item but the first
_CUT = re.compile("[0-9]{1,18}")  # `int` also reads other alphabets, and refuses 5,000 digits
MetricNames = dict[str, tuple[str, int]]  # name in the result: (family, cut-off)


def parse_metric(name: str) -> tuple[str, int | None]:
    """Split a metric's name into its family and cut-off.

    Args:
        name: a family, "R" (hit rate), "recall", "P", "nDCG", "MRR", "MAP", "R-precision" or
            "MAP@R", with or without a cut-off: "nDCG@10". "R-precision" and "MAP@R" take none.

    Returns:
        `(family, k)`; k is None where the name has no cut-off.
    """
    if isinstance(name, str):
        family, _, cut = name.rpartition("@")
        if name in FAMILIES:
            return name, None
        takes_cut = family in FAMILIES and FAMILIES[family].cut != "R"
        if takes_cut and _CUT.fullmatch(cut):
            return family, check_count(int(cut), f"the cut-off in {name!r}")
    shown = cut if isinstance(name, str) and _CUT.fullmatch(cut) else "10"
    with_cut = [f"{family}@{shown}" for family, kind in FAMILIES.items() if kind.cut != "R"]
    check_choice(name, [*FAMILIES, *with_cut], "metrics")
    raise AssertionError(name)  # a known name was parsed above


def metric_names(
    metrics: Iterable[str],
    ks: Sequence[int],
    depth: int,
    check_cut: Callable[[int, int], int],
    *,
    name_depth: bool = True,
) -> MetricNames:
    """Expand names with and without cut-offs into the metrics of a result, in their order.

    Args:
        metrics: names for `parse_metric`; without cut-off they stand for every k of `ks`, or for
            the whole depth (MRR, MAP).
        ks: cut-offs of the bare names.
        depth: depth of the lists.
        check_cut: checks `(k, depth)` and returns k.
        name_depth: whether "MRR" is named "MRR@<depth>".
    """
    if isinstance(metrics, str) or not isinstance(metrics, Iterable):
        raise RetrievalInputError(f"metrics must be a list of names, got {metrics!r}")
    names: MetricNames = {}
    for family, k in map(parse_metric, metrics):
        cut = FAMILIES[family].cut
        if k is not None:
            names[f"{family}@{k}"] = family, check_cut(k, depth)
        elif cut == "k":
            cuts = sorted({check_cut(k, depth) for k in whole_numbers(ks, "ks").tolist()})
            names |= {f"{family}@{k}": (family, k) for k in cuts}
        else:
            names[f"{family}@{depth}" if cut == "depth" and name_depth else family] = family, depth
    return names


def chance_of(
    counts: np.ndarray,
    n_gallery: int,
    ks: Sequence[int],
    depth: int,
    *,
    metrics: Sequence[str] = ("R", "recall", "MRR"),
) -> dict[str, float]:
    """Compute the expected values of the binary metrics when the order of the gallery is random.

        no hit in the first i   S_i = prod_{j < i} (n - R - j) / (n - j)
        R@k  1 - S_k        recall@k  k / n        P@k, R-precision  R / n
        MRR@K  sum_{i = 1..K} (S_{i-1} - S_i) / i
        MAP@K  (H_K + (K - H_K) (R - 1) / (n - 1)) / n,  H_K = 1 + 1/2 + ... + 1/K
        MAP@R  the same with K = R

    Args:
        counts: `(n_queries,)` number of relevant items R of each query.
        n_gallery: size n of the gallery.
        ks: cut-offs of names without one.
        depth: depth K of the run.
        metrics: names as in `evaluate`; nDCG, which depends on grades, is left out.

    Returns:
        `{metric: expected value}`.
    """
    order = RandomOrder(counts, n_gallery, depth)
    return chance_of_names(metric_names(metrics, ks, depth, check_k), order)


def chance_of_names(names: MetricNames, order: RandomOrder) -> dict[str, float]:
    """Return `{name: expected value}` of all names but those of nDCG."""
    chances = {name: (FAMILIES[family].chance, k) for name, (family, k) in names.items()}
    expected = {name: 0.0 for name, (of, _) in chances.items() if of}
    for part in order.parts():
        for name in expected:
            of, k = chances[name]
            expected[name] += float(part.shares @ of(part, k))
    return expected


def rank_chance(order: RandomOrder) -> dict[str, float]:
    """Return the expected "MedR" and "MeanR", infinite where they depend on ranks beyond the depth.

    MedR is the i at which 1 - S_i passes 1/2, averaged over queries; MeanR the mean of (n+1)/(R+1).
    """
    n, depth = order.n, order.depth
    # (depth + 1,) P[first rank <= 0, 1, ...]
    hit_by_rank = sum(part.shares @ (1 - part.no_hit) for part in order.parts())
    # Where P[r <= i] is exactly 1/2 the median is halfway to the next rank, as in np.median.
    low = np.searchsorted(hit_by_rank, 0.5 - 1e-12)
    high = np.searchsorted(hit_by_rank, 0.5 + 1e-12, side="right")
    median = np.mean([rank if rank <= depth else np.inf for rank in (low, high)])
    all_within = order.r.min() > 0 and depth > (n - order.r).max()
    mean = order.shares @ ((n + 1) / (order.r + 1)) if all_within else np.inf
    return {"MedR": float(median), "MeanR": float(mean)}
