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

DEPTH = 100  # ranked items per query in an evaluation


def encode_sides(
    encoder: DualEncoder | WordTemplates, task: RetrievalTask
) -> tuple[np.ndarray, np.ndarray]:
    """Encode a task's queries (n_queries, dim) and gallery (n_gallery, dim) as float32."""
    queries = encode_side(encoder, task.queries, task.query_modality)
    return queries, encode_side(encoder, task.gallery, task.gallery_modality)


def encode_task(encoder: DualEncoder, task: RetrievalTask) -> tuple[np.ndarray, np.ndarray]:
    """Encode a task's queries (n_queries, dim) and gallery (n_gallery, dim) as int8."""
    queries, gallery = encode_sides(encoder, task)
    return to_int8(queries), to_int8(gallery)


def retriever_over(task: RetrievalTask, model: Model) -> Retriever:
    """Make the retriever of a model over a task's gallery.

    A dual encoder gets exact search over int8 vectors, late interaction int8 tokens, and a
    cross-encoder the states that it reads with each query.
    """
    gallery, modality = task.gallery, task.gallery_modality
    if isinstance(model, LateInteraction):
        return LateInteractionRetriever(model, encode_side(model, gallery, modality).as_int8())
    if isinstance(model, CrossEncoder):
        read = model.read_text if modality == "text" else model.read_image
        return CrossEncoderRetriever(model, read(gallery), modality)
    index = VectorSearchIndex(model.dim, "Flat", metric="cosine")
    index.add(to_int8(encode_side(model, gallery, modality)))
    return DualEncoderRetriever(model, index)


def two_stages_over(
    task: RetrievalTask, first: Model, second: Model, depth: int
) -> TwoStageRetriever:
    """Make a retriever that reranks the `depth` best items of `first` (at most all) by `second`."""
    stages = [retriever_over(task, model) for model in (first, second)]
    return TwoStageRetriever(*stages, min(depth, len(task.gallery)))


def evaluate_task(
    queries,
    gallery,
    task: RetrievalTask,
    *,
    metric: str = "cosine",
    depth: int = DEPTH,
    ks: Sequence[int] = (1, 5, 10),
) -> Evaluation:
    """Search exactly with a task's embeddings and compute metrics by its qrels.

    Args:
        queries: (n_queries, d) float32 or int8.
        gallery: (n_gallery, d).
        task: gives qrels, the grade of a hit, and the groups of queries.
        metric: "cosine", "inner_product" or "l2".
        depth: ranked items per query; lower ranks count as 0.
        ks: cut-offs; those beyond the depth or the gallery are left out.
    """
    run = topk_exact(queries, gallery, min(depth, len(gallery)), metric=metric)
    return evaluate_run(run, task, ks=ks)


def evaluate_run(
    run: Run | tuple[np.ndarray, np.ndarray],
    task: RetrievalTask,
    *,
    metrics: Sequence[str] = ("R", "recall", "MRR"),
    ks: Sequence[int] = (1, 5, 10),
) -> Evaluation:
    """Compute metrics of a run over a task's queries and gallery, by its qrels.

    Args:
        run: of any retriever, or `(scores, ids)`; ranks below its depth count as 0.
        task: gives qrels, the grade of a hit, and the groups of queries.
        metrics: names as in `lib.metrics.evaluate`.
        ks: cut-offs of the names without one; those beyond the depth of the run are left out.
    """
    run = run.ranked if isinstance(run, Run) else run
    return evaluate(
        run,
        task.qrels,
        metrics=metrics,
        ks=[k for k in ks if k <= run[1].shape[1]],
        hit_grade=task.hit_grade,
        groups=task.query_groups,
        name=task.name,
        split=task.split,
        direction=task.direction,
    )


def recall_ceiling(
    run: Run, qrels: Qrels, depths: Sequence[int], *, hit_grade: int = 1, no_relevant: str = "error"
) -> np.ndarray:
    """Compute the upper bound of R@K after reranking: queries with an answer in the first D items.

        ceiling(D) = 1/n sum_i [rank of the first relevant item of query i <= D]

    Args:
        run: of the first stage.
        qrels: judgements of the same queries and gallery.
        depths: numbers of reranked items, from 0 (ceiling 0) to the depth of the run.
        hit_grade: smallest grade of an answer.
        no_relevant: for a query without answers: "error", or "zero" (found at no depth).

    Returns:
        `(n_depths,)` float64 in [0, 1], not falling with depth. It is R@D of the first stage
        (`lib.metrics.hit_rate_at_k`). The first K <= D of a reranked list come from these D items,
        which bounds its R@K.
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
