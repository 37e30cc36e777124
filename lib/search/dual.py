"""Search by the cosine of one vector per query and one per item."""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.datasets import icons
from lib.index import VectorSearchIndex
from lib.metrics.geometry import to_int8
from lib.models.dual_encoder import DualEncoder
from lib.models.trained_models import load_embeddings, load_model
from lib.search.base import Retriever, Run, Work, encode_side

SCORE_NAMES = {
    "cosine": "cosine",
    "inner_product": "inner product",
    "l2": "negative squared distance",
}


class DualEncoderRetriever(Retriever):
    """Encodes a query and searches an index of encoded items.

        s(q, d) = <f(q), g(d)>

    Args:
        encoder: the dual encoder both sides were made with.
        index: holds one vector per item, ids are gallery positions.
        labels: what to call each item; its position when None.

    Relations: queries are rounded to int8 like the stored items, so a ranking depends on the
    query's embedding only through integers: machines differ only where a coordinate sits on a
    rounding edge. `search` takes stored int8 queries as they are. Its work is what the index
    counted: a pair for each vector or code that was scored, a product for each vector and each
    centroid; none where the index counts nothing.
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
        """Int8 embeddings (n_queries, dim) of texts or images."""
        return to_int8(encode_side(self.encoder, queries, modality))

    def search(self, queries: np.ndarray, k: int) -> Run:
        scores, ids = result = self.index.search(queries, k)
        work = _run_work(result.work, len(ids))
        return Run.of_one_stage(scores, ids, self.score_names[0], *work)


def _run_work(counts: dict[str, int], n_queries: int) -> tuple[Work, ...]:
    """Convert the counts of an index to the work of a run; none where the index counts nothing."""
    if n_queries and not counts:
        return ()
    distances = counts.get("distances", 0)
    pairs = counts.get("codes", distances)  # re-ranked vectors were pairs as codes already
    return (Work("dual encoder", pairs, distances + counts.get("centroids", 0)),)


def icon_retriever() -> DualEncoderRetriever:
    """All icons of every split, searchable by text or by drawing, from the committed model and
    embeddings.
    """
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
