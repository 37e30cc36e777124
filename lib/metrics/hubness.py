"""Hubs, the gallery items that are near to everything, and what is done against them at test time.

Every remedy here needs more queries than the one that is asked. Where those come from decides what
its score may be compared with, so each result says so: "inductive" (none), "querybank" (other
queries, for example training captions), "transductive" (the test queries themselves, which a
deployed system does not have).
"""

from dataclasses import dataclass

import numpy as np

from lib.core.checks import (
    RetrievalInputError,
    check_count,
    check_k,
    check_number,
    check_table,
    real_numbers,
    whole_numbers,
)
from lib.metrics.runs import as_ranked_ids
from lib.metrics.similarities import Cosines, blocks_of, checked_scores, top_of

INFERENCE = ("inductive", "querybank", "transductive")


@dataclass(frozen=True, eq=False, repr=False)
class LabelledRun:
    """A ranking and what it was allowed to see.

    Args:
        scores: `(n_queries, depth)` float64, best first; comparable within a row only.
        ids: `(n_queries, depth)` int64 gallery positions.
        inference: "inductive", "querybank" or "transductive"; a column of every table that shows
            the result.
        method: name and settings, for the same table.
    """

    scores: np.ndarray
    ids: np.ndarray
    inference: str
    method: str

    @property
    def run(self) -> tuple[np.ndarray, np.ndarray]:
        """`(scores, ids)`, as `evaluate` takes it."""
        return self.scores, self.ids

    def __repr__(self) -> str:
        n_queries, depth = self.ids.shape
        return f"LabelledRun({self.method}, {self.inference}: {n_queries:,} queries, {depth} deep)"


# ---- measuring


def k_occurrence(ranked_ids, n_items: int, k: int | None = None) -> np.ndarray:
    """How many queries have each gallery item among their first k.

        N_k(j) = #{i : item j is at rank 1..k for query i}

    Args:
        ranked_ids: `(n_queries, depth)` gallery positions, best first; -1 where nothing was
            returned.
        n_items: size of the gallery.
        k: from 1 to `depth`; the whole depth when None.

    Returns:
        `(n_items,)` int64; the sum is n_queries k when nothing is missing.

    Raises:
        RetrievalInputError: what `hit_rate_at_k` refuses of a run.

    Relations: `skewness` of it is the usual measure of hubness. An item with count 0 is an
    anti-hub: whatever is asked, it is not found.

    Reference: M. Radovanovic, A. Nanopoulos, M. Ivanovic, Hubs in Space, JMLR 2010.
    """
    n_items = check_table(check_count(n_items, "n_items"), "n_items")
    ids = as_ranked_ids(ranked_ids, n_items)
    k = ids.shape[1] if k is None else check_count(k, "k")
    if k > ids.shape[1]:
        raise RetrievalInputError(
            f"k = {k} is deeper than the run, which holds {ids.shape[1]} items per query"
        )
    found = ids[:, :k]
    return np.bincount(found[found >= 0], minlength=n_items)


def skewness(counts) -> float:
    """The skewness of a distribution: how long its upper tail is.

        mean((N - mean N)^3) / mean((N - mean N)^2)^(3/2)

    Args:
        counts: `(n_items,)` k-occurrences.

    Returns:
        0 for a symmetric distribution and where all counts are equal; above 1 a few items crowd the
        lists.

    Raises:
        RetrievalInputError: no counts, or one that is not finite.
    """
    counts = real_numbers(counts, "counts")
    if (counts == counts[0]).all():
        return 0.0
    deviation = counts - counts.mean()
    return float((deviation**3).mean() / (deviation**2).mean() ** 1.5)


def top_hubs(counts, n: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """The items with the largest counts: `(item positions, counts)`, equal counts by position."""
    counts = whole_numbers(counts, "counts")
    items = np.argsort(-counts, kind="stable")[: check_k(n, counts.size)]
    return items, counts[items]


# ---- remedies


def unadjusted(scores, depth: int = 10) -> LabelledRun:
    """The ranking by the scores as they are: what every remedy is compared with.

    Args:
        scores: `(n_queries, n_items)` numbers or `Cosines`; higher is better.
        depth: how many items to keep per query.

    Returns:
        A `LabelledRun`, "inductive". Equal scores are in order of id.
    """
    scores = checked_scores(scores, "scores")
    return _rank(scores, depth, lambda start, block: block, "inductive", "none")


def inverted_softmax(scores, bank=None, *, beta: float = 20.0, depth: int = 10) -> LabelledRun:
    """Divides by how much an item attracts the queries of a bank, so that hubs must earn their
    place.

        s'_ij = s_ij - 1/beta log sum_b exp(beta t_bj)
        exp(beta s'_ij) = exp(beta s_ij) / sum_b exp(beta t_bj), the published form, ranks the same

    The sum is over bank queries b, one per item j: a fixed handicap of each item. In logarithms
    nothing overflows, whatever beta is.

    Args:
        scores: `(n_queries, n_items)` similarities s or `Cosines`.
        bank: `(n_bank, n_items)` similarities t of other queries to the same gallery, or `Cosines`.
            None takes the test queries themselves, as in the original paper.
        beta: inverse temperature, chosen on validation data.
        depth: how many items to keep per query.

    Returns:
        A `LabelledRun`: "querybank", or "transductive" without a bank.

    Raises:
        RetrievalInputError: a value that is not finite, galleries of unequal size, a beta that is
            not above 0, or a bank row that equals a test query's.

    Relations: `qb_norm` does this only where a query's best item is a known hub.

    Reference: S. Smith, D. Turban, S. Hamblin, N. Hammerla, Offline Bilingual Word Vectors,
    Orthogonal Transformations and the Inverted Softmax, ICLR 2017.
    """
    scores, beta = checked_scores(scores, "scores"), _checked_beta(beta)
    bank, inference = (
        (scores, "transductive") if bank is None else (_checked_bank(bank, scores), "querybank")
    )
    handicap = _column_logsumexp(bank, beta) / beta  # (n_items,)
    method = f"inverted softmax (beta={beta:g})"
    return _rank(scores, depth, lambda start, block: block - handicap, inference, method)


def qb_norm(scores, bank, *, beta: float = 20.0, k: int = 1, depth: int = 10) -> LabelledRun:
    """Querybank normalisation with the dynamic inverted softmax: only queries that a hub answers
    are changed.

        A = {items among the first k of any bank query}
        s'_i = inverted softmax of s_i if the best item of query i is in A, else s_i

    Args:
        scores: `(n_queries, n_items)` similarities or `Cosines`.
        bank: `(n_bank, n_items)` similarities of queries that are not tested, for example training
            captions, to the same gallery, or `Cosines`.
        beta: inverse temperature; the paper's 20 suits cosines. Chosen on validation data.
        k: how many items each bank query activates.
        depth: how many items to keep per query.

    Returns:
        A `LabelledRun`, "querybank".

    Raises:
        RetrievalInputError: as `inverted_softmax`; the bank must hold none of the test queries.

    Relations: leaves alone each query whose best item no bank query wants, so a bank unlike the
    test queries does less harm than by `inverted_softmax`. It still does some: compare on
    validation data before use.

    Reference: S. Bogolin, I. Croitoru, H. Jin, Y. Liu, S. Albanie, Cross Modal Retrieval with
    Querybank Normalisation, CVPR 2022.
    """
    scores, beta = checked_scores(scores, "scores"), _checked_beta(beta)
    bank, k = _checked_bank(bank, scores), check_k(k, scores.shape[1])
    activated = np.zeros(scores.shape[1], bool)

    def activate(block: np.ndarray) -> None:
        activated[top_of(block, k)[1]] = True

    handicap = _column_logsumexp(bank, beta, activate) / beta

    def adjust(start: int, block: np.ndarray) -> np.ndarray:
        hub_first = activated[block.argmax(axis=1)]
        return block - np.where(hub_first[:, None], handicap, 0.0)

    return _rank(scores, depth, adjust, "querybank", f"QB-Norm (beta={beta:g}, k={k})")


def dual_softmax(scores, *, beta: float = 20.0, depth: int = 10) -> LabelledRun:
    """Weights each score by the share of the item that the query gets when all test queries compete
    for it.

        s'_ij = s_ij exp(beta s_ij) / sum_i' exp(beta s_i'j)

    The sum is over all test queries i', and it helps because benchmarks ask for each item about
    once. A system in use knows neither, so its numbers belong in a column of their own, or in none.

    Args:
        scores: `(n_queries, n_items)` similarities or `Cosines`. Weights shrink a score towards 0,
            which raises negative ones: as published, it supposes that what is ranked high is
            positive.
        beta: inverse temperature. Very large values leave most weights 0 and their order to the
            ids.
        depth: how many items to keep per query.

    Returns:
        A `LabelledRun`, "transductive".

    Raises:
        RetrievalInputError: a value that is not finite, or a beta that is not above 0.

    Relations: on positive scores, close to `inverted_softmax(scores)` without a bank, to which it
    adds log(s_ij) / beta.

    Reference: X. Cheng et al., Improving Video-Text Retrieval by Multi-Stream Corpus Alignment and
    Dual Softmax Loss, 2021.
    """
    scores, beta = checked_scores(scores, "scores"), _checked_beta(beta)
    total = _column_logsumexp(scores, beta)  # (n_items,)
    method = f"dual softmax (beta={beta:g})"
    return _rank(
        scores,
        depth,
        lambda start, block: block * np.exp(beta * block - total),
        "transductive",
        method,
    )


# ---- machinery


def _checked_beta(beta) -> float:
    return check_number(beta, "beta", 0, above=True)


def _checked_bank(bank, scores):
    bank = checked_scores(bank, "bank")
    if bank.shape[1] != scores.shape[1]:
        raise RetrievalInputError(
            f"the bank was scored against {bank.shape[1]} items, the queries against"
            f" {scores.shape[1]}; both must be scored against the same gallery"
        )
    lazy = isinstance(bank, Cosines), isinstance(scores, Cosines)
    if all(lazy) and not np.array_equal(bank.gallery, scores.gallery):
        raise RetrievalInputError(
            "the bank was made with other gallery embeddings than the queries"
        )
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
    """A 64-bit number per row, the same for equal rows and practically never for others."""
    weights = np.random.default_rng(0).integers(2**63, size=rows.shape[1], dtype=np.uint64) * 2 + 1
    prints = np.empty(len(rows), np.uint64)
    for start, block in blocks_of(rows):
        bits = (block + 0.0).view(np.uint64)  # -0.0 + 0.0 is 0.0: equal numbers have equal bits
        # The low bits of round numbers are all 0; mixed in, the high ones fill them (as in
        # SplitMix64).
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits ^= bits >> np.uint64(27)
        prints[start : start + len(block)] = (bits * weights).sum(
            axis=1, dtype=np.uint64
        )  # modulo 2^64
    return prints


def _column_logsumexp(scores, beta: float, see=None) -> np.ndarray:
    """log sum_i exp(beta s_ij) of each column, `(n_items,)`, in one pass; `see` is shown each
    block.
    """
    highest = np.full(scores.shape[1], -np.inf)
    total = np.zeros(scores.shape[1])
    for _, block in blocks_of(scores):
        scaled = beta * block
        higher = np.maximum(highest, scaled.max(axis=0))
        total = total * np.exp(highest - higher) + np.exp(scaled - higher).sum(axis=0)
        highest = higher
        if see is not None:
            see(block)
    return highest + np.log(total)


def _rank(scores, depth: int, adjust, inference: str, method: str) -> LabelledRun:
    depth = check_k(depth, scores.shape[1])
    best = np.empty((scores.shape[0], depth))
    ids = np.empty((scores.shape[0], depth), np.int64)
    for start, block in blocks_of(scores):
        rows = slice(start, start + len(block))
        best[rows], ids[rows] = top_of(adjust(start, block), depth)
    return LabelledRun(best, ids, inference, method)
