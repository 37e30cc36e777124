"""What compressed token vectors cost in quality, and what their candidates leave out."""

from collections.abc import Mapping, Sequence

from lib.core.checks import check_choice
from lib.core.task import RetrievalTask
from lib.core.token_vectors import Tokens
from lib.index import TokenIndex
from lib.metrics import Evaluation, evaluate, holm, paired_randomization, recall_at_k
from lib.models.late_interaction import LateInteraction
from lib.search import DEPTH, LateInteractionRetriever

# Arguments of a `TokenIndex`. Where every item is scored, only residuals need centroids, so others
# get one.
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


def storage_rows(
    encoder: LateInteraction,
    task: RetrievalTask,
    queries: Tokens,
    documents: Tokens,
    storages: Mapping[str, Mapping] = STORAGES,
) -> list[dict]:
    """Bytes and quality of every way to store the gallery's tokens, each scored exhaustively.

    Args:
        encoder: the model both sides were made with.
        task: judges the runs.
        queries: its queries, float32, whatever the storage.
        documents: its gallery, float32.
        storages: arguments of `TokenIndex` by name; `REFERENCE` among them.

    Returns:
        Tidy rows: storage, centroids, bytes_an_item (tokens and the numbers of their centroids),
        shared_kb (centroids and buckets, once for all items), R@1 and mAP in percent with 95%
        intervals, p (Holm) of the difference in mAP from `REFERENCE`, queries of a group flipped
        together; None for `REFERENCE` itself.

    Raises:
        RetrievalInputError: storages without `REFERENCE`.

    Relations: `candidate_rows` asks what searching fewer documents costs.
    """
    check_choice(REFERENCE, list(storages), "storage")
    rows, found = [], {}
    for name, made in storages.items():
        index = TokenIndex(documents.dim, **made)
        index.add(documents)
        found[name] = result = _judged(LateInteractionRetriever(encoder, index), task, queries)
        item, shared = _bytes(index)
        rows.append(
            {
                "storage": name,
                "centroids": index.n_centroids if index.storage == "residual" else 0,
                "bytes_an_item": item,
                "shared_kb": shared / 1e3,
                "R@1": _percent(result, "R@1"),
                "mAP": _percent(result, _mean_precision(result)),
            }
        )
    others = [name for name in storages if name != REFERENCE]
    p = holm([_p_value(found[name], found[REFERENCE]) for name in others]) if others else []
    adjusted = dict(zip(others, p))
    return [
        row | {"p (Holm)": float(adjusted[row["storage"]]) if row["storage"] in adjusted else None}
        for row in rows
    ]


def candidate_rows(
    encoder: LateInteraction,
    task: RetrievalTask,
    queries: Tokens,
    index: TokenIndex,
    nprobes: Sequence[int],
    k: int = 10,
) -> list[dict]:
    """What candidates by centroids find of what scoring every document finds, and for how much less
    work.

    Args:
        encoder, task, queries: as for `storage_rows`.
        index: holds the task's gallery.
        nprobes: centroids that each token of a query asks.
        k: the length of the list that should be found again.

    Returns:
        Tidy rows: nprobe, found (percent of the exhaustive top k that are in the top k of the
        candidates), R@1 (percent), exhaustive R@1 (percent), scored (percent of all pairs that get
        an exact MaxSim).
    """
    everything = LateInteractionRetriever(encoder, index).search(queries, k)
    pairs = len(queries) * index.ntotal
    rows = []
    for nprobe in nprobes:
        run = LateInteractionRetriever(encoder, index, nprobe=nprobe).search(queries, k)
        rows.append(
            {
                "nprobe": int(nprobe),
                "found": 100 * float(recall_at_k(run.ids, everything.ids, k=k).mean()),
                "R@1": 100 * _evaluated(run, task).mean("R@1"),
                "exhaustive R@1": 100 * _evaluated(everything, task).mean("R@1"),
                "scored": 100 * run.work[-1].pairs / pairs,
            }
        )
    return rows


def _judged(
    retriever: LateInteractionRetriever, task: RetrievalTask, queries: Tokens
) -> Evaluation:
    return _evaluated(retriever.search(queries, min(DEPTH, retriever.n_items)), task)


def _evaluated(run, task: RetrievalTask) -> Evaluation:
    return evaluate(
        run.ranked, task.qrels, ks=[1], metrics=("R", "MAP"),
        hit_grade=task.hit_grade, groups=task.query_groups,
    )  # fmt: skip


def _mean_precision(result: Evaluation) -> str:
    return f"MAP@{result.k}"


def _percent(result: Evaluation, metric: str) -> tuple[float, float, float]:
    return tuple(100 * value for value in (result.mean(metric), *result.interval(metric)))


def _p_value(a: Evaluation, b: Evaluation) -> float:
    metric = _mean_precision(a)
    return paired_randomization(a.per_query[metric], b.per_query[metric], a.groups).p_value


def _bytes(index: TokenIndex) -> tuple[float, int]:
    """Of an item, and of what all share; centroids count where decoding needs them."""
    cost = index.cost()
    if index.storage != "residual":
        return cost["tokens"] / index.ntotal, cost["codec"]
    return (cost["tokens"] + cost["centroid_ids"]) / index.ntotal, cost["centroids"] + cost["codec"]
