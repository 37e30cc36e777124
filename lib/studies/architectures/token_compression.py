"""Measure what fewer bytes and fewer tokens an item cost late interaction in quality."""

from collections.abc import Mapping, Sequence

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.core.task import RetrievalTask
from lib.core.token_vectors import Tokens
from lib.index import TokenIndex
from lib.metrics import Evaluation, evaluate, holm, paired_randomization, recall_at_k
from lib.models.late_interaction import LateInteraction
from lib.search import DEPTH, LateInteractionRetriever

CELLS = 2**22  # similarities in memory at one time
# Arguments of a `TokenIndex`. Every item is scored here; only residuals need centroids.
STORAGES = {
    "float32": {"storage": "float32", "n_centroids": 1},
    "int8": {"storage": "int8", "n_centroids": 1},
    "2 bits": {"bits": 2},
    "1 bit": {"bits": 1},
    "2 bits, 64 centroids": {"bits": 2, "n_centroids": 64},
    "1 bit, 64 centroids": {"bits": 1, "n_centroids": 64},
    "1 bit, 1 centroid": {"bits": 1, "n_centroids": 1},
}
REFERENCE = "float32"


# ---- fewer bytes a token


def storage_rows(
    encoder: LateInteraction,
    task: RetrievalTask,
    queries: Tokens,
    documents: Tokens,
    storages: Mapping[str, Mapping] = STORAGES,
) -> list[dict]:
    """Compute bytes and quality of every way to store the gallery's tokens, scored exhaustively.

    Args:
        encoder: model of both sides.
        task: queries, gallery and judgements.
        queries, documents: float32 tokens of both sides, whatever the storage.
        storages: arguments of `TokenIndex` by name; `REFERENCE` among them.

    Returns:
        Rows `storage`, `centroids`, `bytes_an_item`, `shared_kb`, R@1 and mAP in percent with 95%
        intervals, and p (Holm) of the difference in mAP from `REFERENCE`.
    """
    check_choice(REFERENCE, list(storages), "storage")
    rows, results = [], {}
    for name, options in storages.items():
        index = TokenIndex(documents.dim, **options)
        index.add(documents)
        retriever = LateInteractionRetriever(encoder, index)
        run = retriever.search(queries, min(DEPTH, retriever.n_items))
        results[name] = result = _evaluate(run, task)
        item, shared = _bytes(index)
        centroids = index.n_centroids if index.storage == "residual" else 0
        row = {"storage": name, "centroids": centroids, "bytes_an_item": item}
        row |= {"shared_kb": shared / 1e3, "R@1": _percent(result, "R@1")}
        rows.append(row | {"mAP": _percent(result, f"MAP@{result.k}")})
    others = [name for name in storages if name != REFERENCE]
    p_values = [_p_value(results[name], results[REFERENCE]) for name in others]
    adjusted = dict(zip(others, map(float, holm(p_values)), strict=True)) if others else {}
    return [row | {"p (Holm)": adjusted.get(row["storage"])} for row in rows]


def candidate_rows(
    encoder: LateInteraction,
    task: RetrievalTask,
    queries: Tokens,
    index: TokenIndex,
    nprobes: Sequence[int],
    k: int = 10,
) -> list[dict]:
    """Compute what candidates by centroids find of the exhaustive top k, and for how much work.

    Args:
        encoder, task, queries: as for `storage_rows`.
        index: holds the task's gallery.
        nprobes: centroids that each token of a query visits.
        k: length of the list.

    Returns:
        Tidy rows: nprobe, found (percent of the exhaustive top k), R@1 (percent), exhaustive R@1
        (percent), scored (percent of all pairs that get an exact MaxSim).
    """
    exhaustive = LateInteractionRetriever(encoder, index).search(queries, k)
    pairs = len(queries) * index.ntotal
    rows = []
    for nprobe in nprobes:
        run = LateInteractionRetriever(encoder, index, nprobe=nprobe).search(queries, k)
        row = {"nprobe": int(nprobe)}
        row["found"] = 100 * float(recall_at_k(run.ids, exhaustive.ids, k=k).mean())
        row["R@1"] = 100 * _evaluate(run, task).mean("R@1")
        row["exhaustive R@1"] = 100 * _evaluate(exhaustive, task).mean("R@1")
        rows.append(row | {"scored": 100 * run.work[-1].pairs / pairs})
    return rows


def _evaluate(run, task: RetrievalTask) -> Evaluation:
    return evaluate(
        run.ranked,
        task.qrels,
        ks=[1],
        metrics=("R", "MAP"),
        hit_grade=task.hit_grade,
        groups=task.query_groups,
    )


def _percent(result: Evaluation, metric: str) -> tuple[float, float, float]:
    return tuple(100 * value for value in (result.mean(metric), *result.interval(metric)))


def _p_value(a: Evaluation, b: Evaluation) -> float:
    metric = f"MAP@{a.k}"
    return paired_randomization(a.per_query[metric], b.per_query[metric], a.groups).p_value


def _bytes(index: TokenIndex) -> tuple[float, int]:
    """Count bytes of an item, and shared bytes; centroids count where decoding needs them."""
    cost = index.bytes_by_part()
    if index.storage != "residual":
        return cost["tokens"] / index.ntotal, cost["codec"]
    return (cost["tokens"] + cost["centroid_ids"]) / index.ntotal, cost["centroids"] + cost["codec"]


# ---- fewer tokens an item


def count_wins(queries: Tokens, documents: Tokens) -> np.ndarray:
    """Count how often each token of a document is its best for a token of a query.

        w[d, j] = sum over queries q and their tokens i of [argmax_j' <q_i, d_j'> = j]

    Args:
        queries: a sample like the queries to come, but not those that evaluate the pruned gallery.
        documents: the gallery.

    Returns:
        `(n_documents, L_d)` int64, 0 where there is padding; the first token wins ties.
    """
    if queries.dim != documents.dim:
        raise RetrievalInputError(
            f"tokens must have one dimension, got {queries.dim} of queries and {documents.dim} of"
            " documents"
        )
    query_tokens, length = queries.flat()[0].astype(np.float32).T, documents.mask.shape[1]
    counts = np.zeros(documents.mask.shape, np.int64)
    at_once = max(1, CELLS // max(1, length * query_tokens.shape[1]))
    for start in range(0, len(documents), at_once):
        part = slice(start, start + at_once)
        similarities = documents.vectors[part].astype(np.float32) @ query_tokens  # (b, L_d, T)
        masked = np.where(documents.mask[part, :, None], similarities, -np.inf)
        best = masked.argmax(axis=1)  # (b, T)
        cells = best + length * np.arange(len(best))[:, None]
        counts_of_part = np.bincount(cells.ravel(), minlength=len(best) * length)
        counts[part] = counts_of_part.reshape(-1, length)
    return counts


def keep_most(tokens: Tokens, counts: np.ndarray, k: int) -> Tokens:
    """Keep of every item the k tokens with the largest `(n, L)` counts, in their order."""
    counts = np.asarray(counts)
    if counts.shape != tokens.mask.shape:
        raise RetrievalInputError(
            f"counts must be {tokens.mask.shape}, one a token, got {counts.shape}"
        )
    keys = np.where(tokens.mask, -counts.astype(np.float64), np.inf)
    order = np.argsort(keys, axis=1, kind="stable")
    places = np.sort(order[:, : check_count(k, "k")], axis=1)
    mask = np.take_along_axis(tokens.mask, places, axis=1)
    return Tokens(np.take_along_axis(tokens.vectors, places[:, :, None], axis=1), mask)


def mean_pool(tokens: Tokens) -> Tokens:
    """Replace the tokens of an item by one unit vector: the direction of their mean."""
    real = np.where(tokens.mask[:, :, None], tokens.vectors.astype(np.float64), 0)
    sums = real.sum(axis=1, keepdims=True)
    lengths = np.linalg.norm(sums, axis=2, keepdims=True)
    if (lengths == 0).any():
        raise RetrievalInputError(
            f"the tokens of item {int((lengths[:, 0, 0] == 0).argmax())} add up to zero, which has"
            " no direction; leave it out"
        )
    return Tokens((sums / lengths).astype(np.float32))
