"""Hubness: how often the same gallery items are returned, and corrections at test time.

Every correction here needs more queries than the one that is searched. Their origin decides what
the result can be compared with, so each result states it: "inductive" (none), "querybank" (other
queries, for example training captions), "transductive" (all test queries, which a deployed system
does not have).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from lib.core.checks import (
    RetrievalInputError,
    as_embeddings,
    as_real_matrix,
    check_count,
    check_finite,
    check_k,
    check_number,
    check_table,
    real_numbers,
    unit_rows,
)
from lib.metrics.runs import as_ranked_ids, check_depth

INFERENCE = ("inductive", "querybank", "transductive")
CELLS_AT_ONCE = 2**18  # scores held at a time; bounds the memory, not the result


class Cosines:
    """Cosines of queries and gallery as a score matrix that is computed block by block.

    It can be given in place of a `(n_queries, n_items)` array to every function of this module.

    Args:
        queries: `(n_queries, d)` embeddings.
        gallery: `(n_items, d)` embeddings.
    """

    def __init__(self, queries, gallery) -> None:
        self.gallery = unit_rows(as_embeddings(gallery, "gallery"), "gallery")
        queries = as_embeddings(queries, "queries", dim=self.gallery.shape[1])
        self.queries = unit_rows(queries, "queries")
        self.shape = len(self.queries), len(self.gallery)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Return the scores of some queries, `(stop - start, n_items)` float32."""
        return self.queries[start:stop] @ self.gallery.T


@dataclass(frozen=True, eq=False, repr=False)
class LabelledRun:
    """A ranking and the queries that it used.

    Args:
        scores: `(n_queries, depth)` float64, best first; comparable within a row only.
        ids: `(n_queries, depth)` int64 gallery positions.
        inference: "inductive", "querybank" or "transductive"; show it in every table of results.
        method: name and settings.
    """

    scores: np.ndarray
    ids: np.ndarray
    inference: str
    method: str

    @property
    def run(self) -> tuple[np.ndarray, np.ndarray]:
        """`(scores, ids)` for `evaluate`."""
        return self.scores, self.ids

    def __repr__(self) -> str:
        n_queries, depth = self.ids.shape
        return f"LabelledRun({self.method}, {self.inference}: {n_queries:,} queries, {depth} deep)"


# ---- measures


def k_occurrence(ranked_ids, n_items: int, k: int | None = None) -> np.ndarray:
    """Count how many queries have each gallery item among their first k.

        N_k(j) = #{i : item j is at rank 1..k for query i}

    Their `skewness` is the usual measure of hubness. An item with count 0 is an anti-hub: no query
    returns it.

    Args:
        ranked_ids: `(n_queries, depth)` gallery positions, best first; -1 where nothing was
            returned.
        n_items: size of the gallery.
        k: from 1 to `depth`; None: the whole depth.

    Returns:
        `(n_items,)` int64; the sum is n_queries k when nothing is missing.

    Reference: M. Radovanovic, A. Nanopoulos, M. Ivanovic, Hubs in Space, JMLR 2010.
    """
    n_items = check_table(check_count(n_items, "n_items"), "n_items")
    ids = as_ranked_ids(ranked_ids, n_items)
    ids = ids if k is None else ids[:, : check_depth(k, ids.shape[1])]
    return np.bincount(ids[ids >= 0], minlength=n_items)


def skewness(counts) -> float:
    """Compute the skewness of a distribution: the length of its upper tail.

        mean((N - mean N)^3) / mean((N - mean N)^2)^(3/2)

    Args:
        counts: `(n_items,)` k-occurrences.

    Returns:
        0 for a symmetric distribution and where all counts are equal; above 1 a few items fill many
        lists.
    """
    counts = real_numbers(counts, "counts")
    if (counts == counts[0]).all():
        return 0.0
    deviation = counts - counts.mean()
    return float((deviation**3).mean() / (deviation**2).mean() ** 1.5)


# ---- corrections


def unadjusted(scores, depth: int = 10) -> LabelledRun:
    """Rank by the scores as they are: the baseline of every correction.

    Args:
        scores: `(n_queries, n_items)` numbers or `Cosines`; higher is better.
        depth: number of items per query.

    Returns:
        A `LabelledRun`, "inductive". Equal scores are in order of id.
    """
    scores = _checked_scores(scores, "scores")
    return _rank(scores, depth, lambda block: block, "inductive", "none")


def inverted_softmax(scores, bank=None, *, beta: float = 20.0, depth: int = 10) -> LabelledRun:
    """Rank by the inverted softmax: divide by how much an item attracts the queries of a bank.

        s'_ij = s_ij - 1/beta log sum_b exp(beta t_bj)
        exp(beta s'_ij) = exp(beta s_ij) / sum_b exp(beta t_bj), the published form, ranks the same

    The sum is over bank queries b, one per item j: a fixed penalty of each item. In logarithms
    nothing overflows for any beta.

    Args:
        scores: `(n_queries, n_items)` similarities s or `Cosines`.
        bank: `(n_bank, n_items)` similarities t of other queries to the same gallery, or `Cosines`.
            None: the test queries themselves, as in the original paper.
        beta: inverse temperature, above 0, chosen on validation data.
        depth: number of items per query.

    Returns:
        A `LabelledRun`: "querybank", or "transductive" without a bank.

    Reference: S. Smith, D. Turban, S. Hamblin, N. Hammerla, Offline Bilingual Word Vectors,
    Orthogonal Transformations and the Inverted Softmax, ICLR 2017.
    """
    scores, beta = _checked_scores(scores, "scores"), _checked_beta(beta)
    inference = "transductive" if bank is None else "querybank"
    bank = scores if bank is None else _checked_bank(bank, scores)
    penalty = _column_logsumexp(bank, beta) / beta  # (n_items,)
    method = f"inverted softmax (beta={beta:g})"
    return _rank(scores, depth, lambda block: block - penalty, inference, method)


def qb_norm(scores, bank, *, beta: float = 20.0, k: int = 1, depth: int = 10) -> LabelledRun:
    """Rank by querybank normalisation (QB-Norm) with the dynamic inverted softmax.

        A = {items among the first k of any bank query}
        s'_i = inverted softmax of s_i if the best item of query i is in A, else s_i

    Queries with a best item outside A stay as they are. So a bank unlike the test queries does less
    harm than in `inverted_softmax`, but still some: compare on validation data before use.

    Args:
        scores: `(n_queries, n_items)` similarities or `Cosines`.
        bank: `(n_bank, n_items)` similarities of queries that are not tested, for example training
            captions, to the same gallery, or `Cosines`. It must hold no test query.
        beta: inverse temperature; the paper's 20 suits cosines. Chosen on validation data.
        k: number of items that each bank query puts into A.
        depth: number of items per query.

    Returns:
        A `LabelledRun`, "querybank".

    Reference: S. Bogolin, I. Croitoru, H. Jin, Y. Liu, S. Albanie, Cross Modal Retrieval with
    Querybank Normalisation, CVPR 2022.
    """
    scores, beta = _checked_scores(scores, "scores"), _checked_beta(beta)
    bank, k = _checked_bank(bank, scores), check_k(k, scores.shape[1])
    activated = np.zeros(scores.shape[1], bool)

    def activate(block: np.ndarray) -> None:
        activated[_top_of(block, k)[1]] = True

    penalty = _column_logsumexp(bank, beta, activate) / beta

    def adjust(block: np.ndarray) -> np.ndarray:
        hub_first = activated[block.argmax(axis=1)]
        return block - np.where(hub_first[:, None], penalty, 0.0)

    return _rank(scores, depth, adjust, "querybank", f"QB-Norm (beta={beta:g}, k={k})")


def dual_softmax(scores, *, beta: float = 20.0, depth: int = 10) -> LabelledRun:
    """Rank by the dual softmax: weight each score by the query's share of the item.

        s'_ij = s_ij exp(beta s_ij) / sum_i' exp(beta s_i'j)

    The sum is over all test queries i'. It helps because benchmarks search for each item about
    once. A deployed system knows neither, so report its numbers in a column of their own.

    Args:
        scores: `(n_queries, n_items)` similarities or `Cosines`. Weights shrink a score towards 0,
            which raises negative ones: the published form supposes positive scores at the top.
        beta: inverse temperature, above 0. For very large values most weights are 0, and ids decide
            the order.
        depth: number of items per query.

    Returns:
        A `LabelledRun`, "transductive".

    Reference: X. Cheng et al., Improving Video-Text Retrieval by Multi-Stream Corpus Alignment and
    Dual Softmax Loss, 2021.
    """
    scores, beta = _checked_scores(scores, "scores"), _checked_beta(beta)
    total = _column_logsumexp(scores, beta)  # (n_items,)

    def adjust(block: np.ndarray) -> np.ndarray:
        return block * np.exp(beta * block - total)

    return _rank(scores, depth, adjust, "transductive", f"dual softmax (beta={beta:g})")


# ---- checks and blocks of scores


def _checked_scores(scores, name: str):
    if isinstance(scores, Cosines):
        return scores
    array = as_real_matrix(scores, name)
    check_finite(array, name, "it has no place in an order")
    return array


def _checked_beta(beta) -> float:
    return check_number(beta, "beta", 0, above=True)


def _checked_bank(bank, scores):
    bank = _checked_scores(bank, "bank")
    if bank.shape[1] != scores.shape[1]:
        raise RetrievalInputError(
            f"the bank was scored against {bank.shape[1]} items, the queries against"
            f" {scores.shape[1]}; both must be scored against the same gallery"
        )
    lazy = isinstance(bank, Cosines), isinstance(scores, Cosines)
    if all(lazy) and not np.array_equal(bank.gallery, scores.gallery):
        raise RetrievalInputError("bank and scores must have one gallery, got two")
    if lazy[0] == lazy[1]:
        rows = (bank.queries, scores.queries) if lazy[0] else (bank, scores)
        _, of_bank, of_scores = np.intersect1d(*map(_fingerprints, rows), return_indices=True)
        if of_bank.size:
            first = of_bank.argmin()
            raise RetrievalInputError(
                f"row {of_bank[first]} of the bank equals test query {of_scores[first]}"
                f" ({of_bank.size} such rows); the bank must hold no test query. Leave these rows"
                " out, or use inverted_softmax without a bank, which is labelled transductive"
            )
    return bank


def _fingerprints(rows: np.ndarray) -> np.ndarray:
    """Return a 64-bit number per row, equal for equal rows and practically never for others."""
    weights = np.random.default_rng(0).integers(2**63, size=rows.shape[1], dtype=np.uint64) * 2 + 1
    prints = np.empty(len(rows), np.uint64)
    for start, block in _blocks_of(rows):
        bits = (block + 0.0).view(np.uint64)  # -0.0 + 0.0 is 0.0: equal numbers have equal bits
        # The low bits of round numbers are all 0; mixing in the high ones fills them (SplitMix64).
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits ^= bits >> np.uint64(27)
        # Sums are modulo 2^64.
        prints[start : start + len(block)] = (bits * weights).sum(axis=1, dtype=np.uint64)
    return prints


def _blocks_of(scores) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first row, float64 scores) of consecutive queries."""
    n_queries, n_items = scores.shape
    size = max(1, CELLS_AT_ONCE // n_items)
    for start in range(0, n_queries, size):
        stop = min(start + size, n_queries)
        block = scores.rows(start, stop) if isinstance(scores, Cosines) else scores[start:stop]
        yield start, block.astype(np.float64)


def _column_logsumexp(
    scores, beta: float, visit: Callable[[np.ndarray], None] | None = None
) -> np.ndarray:
    """Return log sum_i exp(beta s_ij) of each column, `(n_items,)`; `visit` gets each block too."""
    highest = np.full(scores.shape[1], -np.inf)
    total = np.zeros(scores.shape[1])
    for _, block in _blocks_of(scores):
        scaled = beta * block
        higher = np.maximum(highest, scaled.max(axis=0))
        total = total * np.exp(highest - higher) + np.exp(scaled - higher).sum(axis=0)
        highest = higher
        if visit is not None:
            visit(block)
    return highest + np.log(total)


def _rank(
    scores, depth: int, adjust: Callable[[np.ndarray], np.ndarray], inference: str, method: str
) -> LabelledRun:
    depth = check_k(depth, scores.shape[1])
    best = np.empty((scores.shape[0], depth))
    ids = np.empty((scores.shape[0], depth), np.int64)
    for start, block in _blocks_of(scores):
        rows = slice(start, start + len(block))
        best[rows], ids[rows] = _top_of(adjust(block), depth)
    return LabelledRun(best, ids, inference, method)


def _top_of(block: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k highest of each row, best first, ties by position: `(values, positions)`."""
    n_items = block.shape[1]
    if k == n_items:
        ids = np.argsort(-block, axis=1)  # twice as fast as a stable sort, which only ties need
        values = np.take_along_axis(block, ids, axis=1)
        tied = (values[:, 1:] == values[:, :-1]).any(axis=1)
        if tied.any():
            ids[tied] = np.argsort(-block[tied], axis=1, kind="stable")
        return values, ids
    last = np.partition(block, n_items - k, axis=1)[:, n_items - k, None]  # the k-th highest
    above, level = block > last, block == last
    # Of the values level with the k-th, take as many of the first positions as fit into k.
    n_free = k - above.sum(axis=1, keepdims=True)
    crowded = np.flatnonzero(level.sum(axis=1, keepdims=True) > n_free)
    level[crowded] &= np.cumsum(level[crowded], axis=1) <= n_free[crowded]
    ids = np.nonzero(above | level)[1].reshape(len(block), k)  # ascending within a row
    values = np.take_along_axis(block, ids, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(ids, order, axis=1)
