"""Search by many vectors an item: every token of the query takes its best token of the item."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from lib.checks import RetrievalInputError, check_choice, check_k
from lib.metrics.runs import as_ranked_ids
from lib.models.late_interaction import LateInteraction
from lib.models.maxsim import REDUCTIONS, maxsim, maxsim_pairs
from lib.retrieval.base import Retriever, check_rows, encode_side
from lib.retrieval.runs import Run, Work, best_first
from lib.tokens import Tokens

CELLS = 2**22  # queries x items of a block of scores


class LateInteractionRetriever(Retriever):
    """Scores by MaxSim between the token vectors of query and item.

        s(q, d) = sum_i max_j <q_i, d_j>

    Args:
        encoder: the model both sides were made with.
        items: the gallery's tokens, float32 or int8.
        labels: what to call each item; its position when None.
        reduce: "sum", or "mean" over the tokens of the query; both rank alike.

    Raises:
        RetrievalInputError: tokens of another dimension, or labels that do not fit.

    Relations: `search` compares every query with every item; `score` is the second stage of a
    `TwoStageRetriever`. Both take any `Tokens` as queries: int8 ones with an int8 gallery make scores whole
    numbers, the same on every machine.
    """

    def __init__(
        self,
        encoder: LateInteraction,
        items: Tokens,
        labels: Sequence[str] | None = None,
        *,
        reduce: str = "sum",
    ) -> None:
        super().__init__(len(items), labels, ("MaxSim",))
        if items.dim != encoder.dim:
            raise RetrievalInputError(f"the items have dimension {items.dim}, the encoder {encoder.dim}")
        self.encoder, self.items = encoder, items
        self.reduce = check_choice(reduce, REDUCTIONS, "reduce")

    def encode(self, queries: Sequence, modality: str) -> Tokens:
        """One unit vector per piece of each text, or per patch of each image."""
        return encode_side(self.encoder, queries, modality)

    def search(self, queries: Tokens, k: int) -> Run:
        k, n = check_k(k, self.n_items), len(queries)
        scores, ids = np.empty((n, k), np.float32), np.empty((n, k), np.int64)
        every, at_once = np.arange(self.n_items), max(1, CELLS // self.n_items)
        for start in range(0, n, at_once):
            now = slice(start, start + at_once)
            asked = queries.take(now)
            found = maxsim(*_vectors(asked, self.items), *_masks(asked, self.items), reduce=self.reduce)
            scores[now], ids[now] = best_first(found.numpy(), np.broadcast_to(every, found.shape), k)
        work = Work("MaxSim", n * self.n_items, queries.n_tokens * self.items.n_tokens)
        return Run.of_one_stage(scores, ids, self.score_names[0], work)

    def score(self, queries: Tokens, ids: np.ndarray) -> np.ndarray:
        """MaxSim of given pairs.

        Args:
            queries: from `encode`.
            ids: `(n_queries, m)` gallery positions, none twice in a row; -1 for no item.

        Returns:
            `(n_queries, m)` float32; -inf where the id is -1.
        """
        ids = as_ranked_ids(ids, self.n_items)
        check_rows(queries, ids)
        masks = _masks(queries, self.items)
        vectors = _vectors(queries, self.items)
        return maxsim_pairs(*vectors, torch.from_numpy(ids), *masks, reduce=self.reduce).numpy()

    def work(self, queries: Tokens, ids: np.ndarray) -> Work:
        found = ids >= 0
        products = np.where(found, self.items.counts[ids], 0).sum(axis=1) @ queries.counts
        return Work("MaxSim", int(np.count_nonzero(found)), int(products))


def _vectors(queries: Tokens, items: Tokens) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(queries.vectors), torch.from_numpy(items.vectors)


def _masks(queries: Tokens, items: Tokens) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(queries.mask), torch.from_numpy(items.mask)
