"""Find the exact neighbours of a corpus, and count how many of them another answer has."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lib.core.checks import RetrievalInputError, check_count
from lib.index import VectorSearchIndex
from lib.index.exact_scores import prepare, score_pairs
from lib.metrics import bootstrap_interval, hit_rate_at_k
from lib.studies.ann.corpora import AnnCorpus

SLACK = 1e-3  # of ann-benchmarks: absolute, whatever the scale of the distances
RELATIVE_SLACKS = (0.01, 0.1)  # those that ann-benchmarks reports


@dataclass(frozen=True)
class Truth:
    """Exact search: `(n_queries, k)` ids and distances, and hit rates of the end task."""

    ids: np.ndarray
    distances: np.ndarray
    hit_rates: dict[str, float]


@lru_cache(maxsize=4)
def truth(corpus: AnnCorpus, k: int) -> dict[str, Truth]:
    """Return the exact neighbours by kind of query, of the corpus itself where it has enough."""
    stored = {kind: ids for kind, (ids, _) in corpus.neighbours.items() if ids.shape[1] >= k}
    if corpus.queries.keys() - stored.keys():
        flat = _exact_index(corpus)
    answers = {}
    for kind, queries in corpus.queries.items():
        ids = stored[kind][:, :k].astype(np.int64) if kind in stored else flat.search(queries, k)[1]
        distances = _corpus_distances(corpus, kind, ids)
        answers[kind] = Truth(ids, distances, _end_task_hit_rates(corpus, kind, ids))
    return answers


def exact_ids(corpus: AnnCorpus, queries: np.ndarray, k: int) -> np.ndarray:
    """Return `(n_queries, k)` ids of exact search for queries that are not part of the corpus."""
    return _exact_index(corpus).search(queries, k)[1]


def judge(corpus: AnnCorpus, kind: str, ids: np.ndarray, true: Truth) -> tuple[dict, np.ndarray]:
    """Compare returned ids `(n_queries, k)`, -1 where nothing was returned, with the exact ones.

    Returns:
        Columns, shares of k averaged over queries: `recall` by id with its 95% interval,
        `recall_distance` and the `epsilon` columns as ann-benchmarks counts, `rel`, and R@1 and R@k
        of the end task beside those of exact search. And the `(n_queries, k)` distances of the ids.
    """
    k = ids.shape[1]
    distances = _corpus_distances(corpus, kind, ids)
    hits = hits_by_id(ids, true.ids, k)
    low, high = bootstrap_interval(hits / k)
    row = {"recall": float(hits.mean() / k), "recall_low": low, "recall_high": high}
    by_distance = {"recall_distance": hits_by_distance(distances, true.distances, k)}
    for slack in RELATIVE_SLACKS:
        by_distance[f"epsilon_{slack:g}"] = hits_by_relative_distance(
            distances, true.distances, k, slack
        )
    row |= {name: float(counts.mean() / k) for name, counts in by_distance.items()}
    row["rel"] = relative_error(distances, true.distances, k)
    row |= _end_task_hit_rates(corpus, kind, ids)
    return row | {f"{name}_exact": value for name, value in true.hit_rates.items()}, distances


def recall_by_query_source(
    corpus: AnnCorpus, index: VectorSearchIndex, n_queries: int, seed: int = 0, k: int = 10
) -> dict[str, float]:
    """Compare recall@k in percent of queries drawn from the base with that of new queries.

    The keys are "base, itself counted", "base, itself left out", "new images", "new texts".
    """
    own_ids = np.sort(np.random.default_rng(seed).choice(len(corpus), n_queries, replace=False))
    queries = corpus.vectors(own_ids)
    true, ids = exact_ids(corpus, queries, k + 1), index.search(queries, k + 1)[1]
    others_true, others = without_own(true, own_ids), without_own(ids, own_ids)
    hits = {
        "base, itself counted": hits_by_id(ids, true, k),
        "base, itself left out": hits_by_id(others, others_true, k),
    }
    for kind, queries in corpus.queries.items():
        ids = index.search(queries, k)[1]
        hits[f"new {kind}s"] = hits_by_id(ids, truth(corpus, k)[kind].ids, k)
    return {name: 100 * float(counts.mean()) / k for name, counts in hits.items()}


def without_own(ids: np.ndarray, own_ids: np.ndarray) -> np.ndarray:
    """Remove the own id of each query from its row; where it is missing, remove the last id."""
    own_last = np.argsort(ids == own_ids[:, None], axis=1, kind="stable")
    return np.take_along_axis(ids, own_last, axis=1)[:, :-1]


# ---- counts


def hits_by_id(run_ids, true_ids, k: int) -> np.ndarray:
    """Count the true neighbours among the first k returned ids, each once.

        h_q = |{run_q1 ... run_qk} & {true_q1 ... true_qk}|,    recall@k = mean(h) / k

    Where items tie at the cut-off, exact search keeps the smaller ids: an equally good answer can
    be missed here, and is counted by `hits_by_distance`.

    Args:
        run_ids: `(n_queries, >= k)` whole numbers, best first; -1 (nothing returned) never counts.
        true_ids: `(n_queries, >= k)` ids of exact search.
        k: number of neighbours.

    Returns:
        `(n_queries,)` int64 from 0 to k.
    """
    run, true = _first_columns(run_ids, true_ids, k, "iu", "ids")
    is_true = (run[:, :, None] == true[:, None, :]).any(axis=2)  # (n_queries, k)
    return (is_true & (run >= 0) & ~_is_repeat(run)).sum(axis=1)


def hits_by_distance(run_distances, true_distances, k: int, slack: float = SLACK) -> np.ndarray:
    """Count returned items that are as near as the k-th true neighbour, as ann-benchmarks does.

        h_q = |{j <= k : run_qj <= true_qk + slack}|,    recall@k = mean(h) / k

    Args:
        run_distances: `(n_queries, >= k)`; infinite for -1 and for repeats, which never count.
        true_distances: `(n_queries, >= k)`, ascending.
        k: number of neighbours.
        slack: in units of the distance.

    Reference: `knn_threshold` and `get_recall_values` in erikbern/ann-benchmarks,
    plotting/metrics.py.
    """
    run, true = _first_columns(run_distances, true_distances, k, "f", "distances")
    return (run <= true[:, k - 1 :] + slack).sum(axis=1)


def hits_by_relative_distance(run_distances, true_distances, k: int, slack: float) -> np.ndarray:
    """Count returned items within (1 + slack) of the k-th true distance (`epsilon` metric)."""
    run, true = _first_columns(run_distances, true_distances, k, "f", "distances")
    return (run <= true[:, k - 1 :] * (1 + slack)).sum(axis=1)


def relative_error(run_distances, true_distances, k: int) -> float:
    """Divide the sum of returned distances by that of the true ones (`rel` of ann-benchmarks).

    1 at best. Infinite where an item is missing or the true distances sum to less than 0.01.
    """
    run, true = _first_columns(run_distances, true_distances, k, "f", "distances")
    total = true.sum()
    return float(run.sum() / total) if total >= 0.01 else float("inf")


def recomputed_distances(queries, items, ids, metric: str) -> np.ndarray:
    """Compute the distances of returned items; scores of a compressed index are approximate.

        cosine  1 - cos(q, x)        l2  |q - x|        inner_product  -q.x

    `items` are the `(n_queries * k, d)` rows of the base that belong to `ids` `(n_queries, k)`; any
    finite row but zero where the id is -1. The distance is infinite for -1 and for repeats.
    """
    ids = np.asarray(ids)
    queries, items = prepare(queries, "queries", metric), prepare(items, "items", metric)
    if len(items) != ids.size or len(queries) != len(ids):
        raise RetrievalInputError(
            f"{len(queries)} queries, {len(items)} items and ids of shape {ids.shape} do not fit"
            " together"
        )
    query_at = np.repeat(np.arange(ids.shape[0]), ids.shape[1])
    scores = score_pairs(queries, items, query_at, np.arange(len(items)), metric)
    scores = scores.reshape(ids.shape).astype(np.float64)
    if metric == "l2":
        distances = np.sqrt(np.maximum(-scores, 0))
    else:
        distances = 1 - scores if metric == "cosine" else -scores
    return np.where((ids < 0) | _is_repeat(ids), np.inf, distances)


def _is_repeat(ids: np.ndarray) -> np.ndarray:
    """Mark ids that stand before in their own row."""
    order = np.argsort(ids, axis=1, kind="stable")
    ascending = np.take_along_axis(ids, order, axis=1)
    repeats = np.zeros(ids.shape, bool)
    np.put_along_axis(repeats, order[:, 1:], ascending[:, 1:] == ascending[:, :-1], axis=1)
    return repeats


def _first_columns(run, true, k: int, kinds: str, what: str) -> tuple[np.ndarray, np.ndarray]:
    k, run, true = check_count(k, "k"), np.asarray(run), np.asarray(true)
    for name, array in (("run", run), ("true", true)):
        fits = array.ndim == 2 and array.shape[1] >= k and len(array) == len(run)
        if not fits or array.dtype.kind not in kinds:
            raise RetrievalInputError(
                f"{what} of the {name} have dtype {array.dtype} and shape {array.shape}; expected "
                f"({len(run)}, {k}) or wider"
            )
        if kinds == "f" and np.isnan(array).any():
            row = np.argwhere(np.isnan(array))[0][0]
            raise RetrievalInputError(f"a distance of the {name} is NaN in row {row}")
    return run[:, :k], true[:, :k]


def _corpus_distances(corpus: AnnCorpus, kind: str, ids: np.ndarray) -> np.ndarray:
    items = corpus.vectors(np.maximum(ids, 0).ravel())
    return recomputed_distances(corpus.queries[kind], items, ids, corpus.metric)


def _end_task_hit_rates(corpus: AnnCorpus, kind: str, ids: np.ndarray) -> dict[str, float]:
    """Compute R@1 and R@k over all queries of a kind that has judgements."""
    if kind not in corpus.relevant:
        return {}
    cuts, judged = sorted({1, ids.shape[1]}), corpus.relevant[kind]
    return {f"R@{k}": float(hit_rate_at_k(ids, judged, k, no_relevant="zero").mean()) for k in cuts}


def _exact_index(corpus: AnnCorpus) -> VectorSearchIndex:
    """Build exact search a block at a time; float32 rows are held once."""
    flat = VectorSearchIndex(corpus.dim, "Flat", metric=corpus.metric)
    for block in corpus.blocks():
        flat.add(block)
    return flat
