"""How many of the true neighbours were found: by id, and by distance as ann-benchmarks counts."""

import numpy as np

from lib.core.checks import RetrievalInputError, check_count
from lib.index.exact_scores import Vectors, prepare, score_pairs

EPSILON = 1e-3  # ann-benchmarks' slack: absolute, whatever the scale of the distances


def by_id(run_ids, true_ids, k: int) -> np.ndarray:
    """Counts the true neighbours among the first k that were returned, each once.

        h_q = |{run_q1 ... run_qk} & {true_q1 ... true_qk}|,    recall@k = mean(h) / k

    Args:
        run_ids: `(n_queries, >= k)` whole numbers, best first; -1, where nothing was found, never
            counts.
        true_ids: `(n_queries, >= k)` ids of exact search.
        k: neighbours asked for.

    Returns:
        `(n_queries,)` int64 from 0 to k. Sum counts before dividing: `mean(h / k)` loses the last
        bit.

    Raises:
        RetrievalInputError: no whole numbers, fewer than k columns, or another number of queries.

    Relations: `by_distance` forgives ties and near ties. Where items tie at the cut-off, exact
    search keeps the smaller ids, so an equally good answer can be missed here.
    """
    run, true = _columns(run_ids, true_ids, k, "iu", "ids")
    found = (run[:, :, None] == true[:, None, :]).any(axis=2)  # (n_queries, k)
    return (found & (run >= 0) & ~repeated(run)).sum(axis=1)


def by_distance(run_distances, true_distances, k: int, epsilon: float = EPSILON) -> np.ndarray:
    """Counts returned items that are as near as the k-th true neighbour: ann-benchmarks'
    definition.

        h_q = |{j <= k : run_qj <= true_qk + epsilon}|,    recall@k = mean(h) / k

    Args:
        run_distances: `(n_queries, >= k)`, recomputed from the returned ids by `distances_of`,
            which gives infinity to -1 and to repeats: they never count.
        true_distances: `(n_queries, >= k)`, ascending.
        k: neighbours asked for.
        epsilon: slack in units of the distance.

    Returns:
        `(n_queries,)` int64 from 0 to k.

    Raises:
        RetrievalInputError: distances that are NaN, fewer than k columns, or another number of
            queries.

    Reference: `knn_threshold` and `get_recall_values` in erikbern/ann-benchmarks,
    plotting/metrics.py.
    """
    run, true = _columns(run_distances, true_distances, k, "f", "distances")
    return (run <= true[:, k - 1 :] + epsilon).sum(axis=1)


def by_relative_distance(run_distances, true_distances, k: int, epsilon: float) -> np.ndarray:
    """Counts returned items within (1 + epsilon) of the k-th true distance: ann-benchmarks'
    `epsilon` metric.

    Arguments and result as for `by_distance`; ann-benchmarks reports 0.01 and 0.1.
    """
    run, true = _columns(run_distances, true_distances, k, "f", "distances")
    return (run <= true[:, k - 1 :] * (1 + epsilon)).sum(axis=1)


def relative_error(run_distances, true_distances, k: int) -> float:
    """Sum of the returned distances over the sum of the true ones, 1 at best: ann-benchmarks'
    `rel`.

    Infinite where something is missing, or where the true distances sum to less than 0.01.
    """
    run, true = _columns(run_distances, true_distances, k, "f", "distances")
    total = true.sum()
    return float(run.sum() / total) if total >= 0.01 else float("inf")


def distances_of(queries, items, ids, metric: str) -> np.ndarray:
    """Distances of returned items, computed again, since the scores of a compressed index are
    approximate.

        cosine  1 - cos(q, x)        l2  |q - x|        inner_product  -q.x

    Args:
        queries: `(n_queries, d)`.
        items: rows of the base that belong to `ids`, `(n_queries * k, d)`; anything finite, but not
            zero, where the id is -1.
        ids: `(n_queries, k)`.
        metric: one of `lib.index.METRICS`.

    Returns:
        `(n_queries, k)` float64; infinite where the id is -1 or stands before in its row.
    """
    ids = np.asarray(ids)
    asked, found = prepare(queries, "queries", metric), prepare(items, "items", metric)
    if len(found) != ids.size or len(asked) != len(ids):
        raise RetrievalInputError(
            f"{len(asked)} queries, {len(found)} items and ids of shape {ids.shape} do not fit"
            " together"
        )
    distances = _as_distances(_scores(asked, found, ids.shape, metric), metric)
    return np.where((ids < 0) | repeated(ids), np.inf, distances)


def repeated(ids: np.ndarray) -> np.ndarray:
    """Where `(n_queries, k)` ids stand before in their own row; bool of the same shape."""
    order = np.argsort(ids, axis=1, kind="stable")
    ascending = np.take_along_axis(ids, order, axis=1)
    again = np.zeros(ids.shape, bool)
    np.put_along_axis(again, order[:, 1:], ascending[:, 1:] == ascending[:, :-1], axis=1)
    return again


def _scores(queries: Vectors, items: Vectors, shape: tuple[int, int], metric: str) -> np.ndarray:
    query_at = np.repeat(np.arange(shape[0]), shape[1])
    return score_pairs(queries, items, query_at, np.arange(len(items)), metric).reshape(shape)


def _as_distances(scores: np.ndarray, metric: str) -> np.ndarray:
    scores = scores.astype(np.float64)
    if metric == "cosine":
        return 1 - scores
    return np.sqrt(np.maximum(-scores, 0)) if metric == "l2" else -scores


def _columns(run, true, k: int, kinds: str, what: str) -> tuple[np.ndarray, np.ndarray]:
    k, run, true = check_count(k, "k"), np.asarray(run), np.asarray(true)
    for name, array in (("run", run), ("true", true)):
        if (
            array.ndim != 2
            or array.shape[1] < k
            or array.dtype.kind not in kinds
            or len(array) != len(run)
        ):
            raise RetrievalInputError(
                f"{what} of the {name} have dtype {array.dtype} and shape {array.shape}; expected "
                f"({len(run)}, {k}) or wider"
            )
        if kinds == "f" and np.isnan(array).any():
            row = np.argwhere(np.isnan(array))[0][0]
            raise RetrievalInputError(f"a distance of the {name} is NaN in row {row}")
    return run[:, :k], true[:, :k]
