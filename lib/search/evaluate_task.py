"""Evaluate retrieval on a task: embeddings, retrievers over its gallery, metrics of a run."""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import RetrievalInputError, whole_numbers
from lib.core.qrels import Qrels, check_qrels
from lib.core.task import RetrievalTask
from lib.index import VectorSearchIndex
from lib.index.exact import topk_exact
from lib.metrics import Evaluation, evaluate, first_rank
from lib.metrics.geometry import to_int8
from lib.models.baselines import WordTemplates
from lib.models.cross_encoder import CrossEncoder
from lib.models.dual_encoder import DualEncoder
from lib.models.late_interaction import LateInteraction
from lib.models.trained_models import Model
from lib.search.base import Retriever, Run, encode_side
from lib.search.cross_encoder import CrossEncoderRetriever
from lib.search.dual import DualEncoderRetriever
from lib.search.late_interaction import LateInteractionRetriever
from lib.search.two_stage import TwoStageRetriever

DEPTH = 100  # items kept per query when a task is evaluated


def encode_sides(
    encoder: DualEncoder | WordTemplates, task: RetrievalTask
) -> tuple[np.ndarray, np.ndarray]:
    """Float32 embeddings of a task's queries (n_queries, dim) and gallery (n_gallery, dim)."""
    queries = encode_side(encoder, task.queries, task.query_modality)
    return queries, encode_side(encoder, task.gallery, task.gallery_modality)


def encode_task(encoder: DualEncoder, task: RetrievalTask) -> tuple[np.ndarray, np.ndarray]:
    """Int8 embeddings of a task's queries (n_queries, dim) and gallery (n_gallery, dim)."""
    queries, gallery = encode_sides(encoder, task)
    return to_int8(queries), to_int8(gallery)


def evaluate_task(
    queries,
    gallery,
    task: RetrievalTask,
    *,
    metric: str = "cosine",
    depth: int = DEPTH,
    ks: Sequence[int] = (1, 5, 10),
) -> Evaluation:
    """Exact search with a task's embeddings, judged by its qrels.

    Args:
        queries: (n_queries, d) float32 or int8.
        gallery: (n_gallery, d).
        task: says what is right, from which grade on, and which queries belong together.
        metric: "cosine", "inner_product" or "l2".
        depth: items kept per query; metrics below that rank count as 0.
        ks: cut-offs; those beyond the depth or the gallery are left out.
    """
    return evaluate_run(
        topk_exact(queries, gallery, min(depth, len(gallery)), metric=metric), task, ks=ks
    )


def evaluate_run(
    run: Run | tuple[np.ndarray, np.ndarray], task: RetrievalTask, *, ks: Sequence[int] = (1, 5, 10)
) -> Evaluation:
    """A run over a task's queries and gallery, judged by its qrels.

    Args:
        run: of any retriever, or `(scores, ids)`; metrics below its depth count as 0.
        task: says what is right, from which grade on, and which queries belong together.
        ks: cut-offs; those beyond the depth of the run are left out.
    """
    run = run.ranked if isinstance(run, Run) else run
    return evaluate(
        run, task.qrels, ks=[k for k in ks if k <= run[1].shape[1]],
        hit_grade=task.hit_grade, groups=task.query_groups,
        name=task.name, split=task.split, direction=task.direction,
    )  # fmt: skip


def recall_ceiling(
    run: Run, qrels: Qrels, depths: Sequence[int], *, hit_grade: int = 1, no_relevant: str = "error"
) -> np.ndarray:
    """The share of queries whose answer a first stage hands to the second: no reranking can pass
    it.

        ceiling(D) = 1/n sum_i [rank of the first relevant item of query i <= D]

    Args:
        run: of the first stage.
        qrels: judgements of the same queries and gallery.
        depths: how many items are handed on; from 0, where the ceiling is 0, to the depth of the
            run.
        hit_grade: the grade from which an item counts as an answer.
        no_relevant: what a query without answers is: "error", or "zero" for one that no depth
            finds.

    Returns:
        `(n_depths,)` float64 in [0, 1], not falling with depth. The first K <= D of a reranked
        list come from the D items handed on, so that ceiling(D) bounds its R@K.

    Raises:
        RetrievalInputError: a depth below 0 or beyond the run; what `lib.metrics.first_rank`
            refuses.

    Relations: R@D of the first stage, by `lib.metrics.hit_rate_at_k`.
    """
    check_qrels(qrels)
    if not isinstance(run, Run):
        raise RetrievalInputError(
            f"run must be a Run, got {type(run).__name__}; see Run.of_one_stage"
        )
    depths = whole_numbers(depths, "depths")
    if depths.size and not 0 <= depths.min() <= depths.max() <= run.depth:
        wrong = depths[(depths < 0) | (depths > run.depth)][0]
        raise RetrievalInputError(
            f"depth {wrong} is outside 0..{run.depth}, the depth of the run; search deeper"
        )
    first = first_rank(run.ids, qrels.at_least(hit_grade), no_relevant=no_relevant)
    return (first[:, None] <= depths).mean(axis=0)


def retriever_over(task: RetrievalTask, model: Model) -> Retriever:
    """Reads a task's gallery once with a model and returns the retriever that searches it.

    Args:
        task: whose gallery.
        model: a dual encoder gets exact search over int8 vectors, late interaction int8 tokens, a
            cross-encoder the states that it reads with each query.
    """
    if isinstance(model, LateInteraction):
        tokens = encode_side(model, task.gallery, task.gallery_modality)
        return LateInteractionRetriever(model, tokens.as_int8())
    if isinstance(model, CrossEncoder):
        read = model.read_text if task.gallery_modality == "text" else model.read_image
        return CrossEncoderRetriever(model, read(task.gallery), task.gallery_modality)
    index = VectorSearchIndex(model.dim, "Flat", metric="cosine")
    index.add(to_int8(encode_side(model, task.gallery, task.gallery_modality)))
    return DualEncoderRetriever(model, index)


def two_stages_over(
    task: RetrievalTask, first: Model, second: Model, depth: int
) -> TwoStageRetriever:
    """`retriever_over` for both, and the second rereads the `depth` best of the first (at most
    all).
    """
    stages = [retriever_over(task, model) for model in (first, second)]
    return TwoStageRetriever(*stages, min(depth, len(task.gallery)))
