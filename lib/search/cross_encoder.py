"""Search by a network that reads query and item together: every pair costs a forward pass."""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_count, check_k
from lib.core.token_vectors import Tokens
from lib.metrics.runs import as_ranked_ids
from lib.models.cross_encoder import CrossEncoder
from lib.search.base import Retriever, Run, Work, best_first, check_rows

QUERIES_AT_ONCE = 64  # the same for a search and for a rerank
OTHER_SIDE = {"text": "image", "image": "text"}


class CrossEncoderRetriever(Retriever):
    """Score query and item with one network that reads both.

        s(q, d) = h([q; d])

    `search` scores every pair, which is too slow for a large gallery; `TwoStageRetriever` scores
    only the best items of a cheap first stage. Both read pairs in order of id: reranking the whole
    gallery gives the logits of `search` to the last bit.

    Args:
        encoder: the cross-encoder.
        items: the gallery, as `encoder.read_image` or `encoder.read_text` returned it.
        item_modality: modality of the gallery, "image" or "text"; queries have the other one.
        labels: a name for each item; its position when None.
        pairs_at_once: pairs per call of the encoder. It bounds the memory and changes the last bits
            of a logit.
    """

    def __init__(
        self,
        encoder: CrossEncoder,
        items: Tokens,
        item_modality: str = "image",
        labels: Sequence[str] | None = None,
        *,
        pairs_at_once: int = 2048,
    ) -> None:
        super().__init__(len(items), labels, ("cross-encoder logit",))
        self.encoder, self.items = encoder, items
        self.item_modality = check_choice(item_modality, OTHER_SIDE, "item_modality")
        self.pairs_at_once = check_count(pairs_at_once, "pairs_at_once")

    def encode(self, queries: Sequence, modality: str) -> Tokens:
        """Compute the states of the queries, once for all items."""
        if check_choice(modality, OTHER_SIDE, "modality") == self.item_modality:
            raise RetrievalInputError(
                f"the gallery holds {modality}s and the cross-encoder reads a text with an image; "
                f"search with a {OTHER_SIDE[modality]}, or use a dual encoder"
            )
        read = self.encoder.read_text if modality == "text" else self.encoder.read_image
        return read(queries)

    def search(self, queries: Tokens, k: int) -> Run:
        k, n = check_k(k, self.n_items), len(queries)
        scores, ids = np.empty((n, k), np.float32), np.empty((n, k), np.int64)
        for start in range(0, n, QUERIES_AT_ONCE):
            rows = np.arange(start, min(start + QUERIES_AT_ONCE, n))
            all_items = np.broadcast_to(np.arange(self.n_items), (rows.size, self.n_items))
            logits = self._score(queries, rows, all_items)
            scores[rows], ids[rows] = best_first(logits, all_items, k)
        work = Work("cross-encoder", n * self.n_items, 0)
        return Run.of_one_stage(scores, ids, self.score_names[0], work)

    def score(self, queries: Tokens, ids: np.ndarray) -> np.ndarray:
        """Compute the logits of given pairs.

        Args:
            queries: from `encode`.
            ids: `(n_queries, m)` gallery positions, none twice in a row; -1 for no item.

        Returns:
            `(n_queries, m)` float32; -inf where the id is -1.
        """
        ids = as_ranked_ids(ids, self.n_items)
        check_rows(queries, ids)
        scores = np.empty(ids.shape, np.float32)
        for start in range(0, len(ids), QUERIES_AT_ONCE):
            rows = np.arange(start, min(start + QUERIES_AT_ONCE, len(ids)))
            scores[rows] = self._score(queries, rows, ids[rows])
        return scores

    def work(self, queries: Tokens, ids: np.ndarray) -> Work:
        return Work("cross-encoder", int(np.count_nonzero(ids >= 0)), 0)

    def _score(self, queries: Tokens, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Compute logits of the queries `rows` with their items (n_rows, m), in order of id."""
        order = np.argsort(ids, axis=1)
        row, place = np.nonzero(np.take_along_axis(ids, order, axis=1) >= 0)
        column = order[row, place]
        item, query = ids[row, column], rows[row]
        logits = np.empty(row.size, np.float32)
        for start in range(0, row.size, self.pairs_at_once):
            now = slice(start, start + self.pairs_at_once)
            query_states, item_states = queries.take(query[now]), self.items.take(item[now])
            if self.item_modality == "image":
                logits[now] = self.encoder.score(query_states, item_states)
            else:
                logits[now] = self.encoder.score(item_states, query_states)
        scores = np.full(ids.shape, -np.inf, np.float32)
        scores[row, column] = logits
        return scores
