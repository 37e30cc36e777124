"""The retriever of a model over the gallery of a task."""

from lib.core.task import RetrievalTask
from lib.index import VectorSearchIndex
from lib.metrics.geometry import to_int8
from lib.models.cross_encoder import CrossEncoder
from lib.models.late_interaction import LateInteraction
from lib.models.trained_models import Model
from lib.search.base import Retriever, encode_side
from lib.search.cross_encoder import CrossEncoderRetriever
from lib.search.dual import DualEncoderRetriever
from lib.search.late_interaction import LateInteractionRetriever
from lib.search.two_stage import TwoStageRetriever


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
