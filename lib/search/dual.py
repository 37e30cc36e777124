"""Search by the cosine of one vector per query and one per item."""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.datasets import icons
from lib.index import VectorSearchIndex
from lib.metrics.geometry import to_int8
from lib.models.artifact_files import load_embeddings
from lib.models.dual_encoder import DualEncoder
from lib.models.trained_models import load_model
from lib.search.base import Retriever, Run, Work, encode_side

SCORE_NAMES = {
    "cosine": "cosine",
    "inner_product": "inner product",
    "l2": "negative squared distance",
}


class DualEncoderRetriever(Retriever):
    """Encode a query and search an index of encoded items.

        s(q, d) = <f(q), g(d)>

    Queries are rounded to int8 like the stored items. A ranking then depends on integers alone, and
    machines differ only where a coordinate is on a rounding edge. `search` also takes stored int8
    queries.

    Args:
        encoder: the dual encoder of both sides.
        index: one vector per item, with gallery positions as ids.
        labels: a name for each item; its position when None.
    """

    def __init__(
        self, encoder: DualEncoder, index: VectorSearchIndex, labels: Sequence[str] | None = None
    ) -> None:
        super().__init__(index.ntotal, labels, (SCORE_NAMES[index.metric],))
        if index.dimension != encoder.dim:
            raise RetrievalInputError(
                f"the index has dimension {index.dimension}, the encoder {encoder.dim}"
            )
        self.encoder, self.index = encoder, index

    def encode(self, queries: Sequence, modality: str) -> np.ndarray:
        """Encode texts or images as int8 (n_queries, dim)."""
        return to_int8(encode_side(self.encoder, queries, modality))

    def search(self, queries: np.ndarray, k: int) -> Run:
        result = self.index.search(queries, k)
        work, counts = (), result.work
        if counts or not len(queries):
            distances = counts.get("distances", 0)
            pairs = counts.get("codes", distances)  # reranked vectors were counted as codes already
            work = (Work("dual encoder", pairs, distances + counts.get("centroids", 0)),)
        return Run.of_one_stage(result.scores, result.ids, self.score_names[0], *work)


def icon_retriever() -> DualEncoderRetriever:
    """Make a retriever over all icons from the committed model and embeddings."""
    corpus = icons.load_icons()
    vectors = load_embeddings("icons")["all_image"]
    if len(vectors) != len(corpus):
        raise RetrievalInputError(
            f"the stored embeddings cover {len(vectors)} icons, the installed fonts hold"
            f" {len(corpus)}. Install the qtawesome version of constraints.txt, or run: crossmodal"
            " train icons"
        )
    encoder = load_model("icons")
    index = VectorSearchIndex(encoder.dim, "Flat", metric="cosine")
    index.add(vectors)
    return DualEncoderRetriever(encoder, index, [icons.phrase_of(name) for name in corpus.names])
