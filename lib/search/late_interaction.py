"""Search by several vectors per item: every query token takes its best token of the item."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from lib.core.checks import RetrievalInputError, check_choice, check_count, check_k
from lib.core.token_vectors import Tokens
from lib.index import TokenIndex
from lib.metrics.runs import as_ranked_ids
from lib.models.late_interaction import LateInteraction
from lib.models.maxsim import REDUCTIONS, maxsim, maxsim_pairs
from lib.search.base import Retriever, Run, Work, best_first, check_rows, encode_side

CELLS = 2**22  # queries x items of a block of scores
ITEMS_AT_ONCE = 4096  # items that an index unpacks at one time
QUERIES_AT_ONCE = 32  # queries with their candidates gathered at one time


class LateInteractionRetriever(Retriever):
    """Score by MaxSim between the token vectors of query and item.

        s(q, d) = sum_i max_j <q_i, d_j>

    `score` makes it the second stage of a `TwoStageRetriever`. Queries can be any `Tokens`: int8
    queries and an int8 gallery give whole numbers, the same on every machine. Scores of floats
    differ between `search` and `score` in the last bits, as matrix products of other shapes do.

    Args:
        encoder: the model of both sides.
        items: the gallery's tokens, or an index that stores them compressed and unpacks the tokens
            to score.
        labels: a name for each item; its position when None.
        reduce: "sum", or "mean" over the tokens of the query; both give the same ranking.
        nprobe: number of the index's centroids that give candidates to each query token. Only the
            candidates are then scored, exactly, with the vectors of the index; every item when
            None.
        max_candidates: largest number per query, see `TokenIndex.candidates`; all when None.
    """

    def __init__(
        self,
        encoder: LateInteraction,
        items: Tokens | TokenIndex,
        labels: Sequence[str] | None = None,
        *,
        reduce: str = "sum",
        nprobe: int | None = None,
        max_candidates: int | None = None,
    ) -> None:
        indexed = isinstance(items, TokenIndex)
        super().__init__(items.ntotal if indexed else len(items), labels, ("MaxSim",))
        dim = items.dimension if indexed else items.dim
        if dim != encoder.dim:
            raise RetrievalInputError(f"the items have dimension {dim}, the encoder {encoder.dim}")
        if not indexed and (nprobe, max_candidates) != (None, None):
            raise RetrievalInputError(
                "tokens alone give no candidates: put them into a TokenIndex, or search all"
            )
        if nprobe is None and max_candidates is not None:
            raise RetrievalInputError(
                f"max_candidates = {max_candidates} limits the candidates of nprobe; give nprobe"
            )
        self.encoder, self.items = encoder, items
        self.reduce = check_choice(reduce, REDUCTIONS, "reduce")
        self.nprobe = None if nprobe is None else check_count(nprobe, "nprobe")
        self.max_candidates = max_candidates

    def encode(self, queries: Sequence, modality: str) -> Tokens:
        """Encode each piece of each text, or each patch of each image, as a unit vector."""
        return encode_side(self.encoder, queries, modality)

    def search(self, queries: Tokens, k: int) -> Run:
        """Find the k best items; with `nprobe` the best candidates, -1 where there are fewer."""
        k = check_k(k, self.n_items)
        search = self._search_all if self.nprobe is None else self._search_candidates
        return search(queries, k)

    def score(self, queries: Tokens, ids: np.ndarray) -> np.ndarray:
        """Compute MaxSim of given pairs.

        Args:
            queries: from `encode`.
            ids: `(n_queries, m)` gallery positions, none twice in a row; -1 for no item.

        Returns:
            `(n_queries, m)` float32; -inf where the id is -1.
        """
        ids = as_ranked_ids(ids, self.n_items)
        check_rows(queries, ids)
        return self._score(queries, ids)

    def work(self, queries: Tokens, ids: np.ndarray) -> Work:
        is_item = ids >= 0
        products = np.where(is_item, self.items.counts[ids], 0).sum(axis=1) @ queries.counts
        return Work("MaxSim", int(np.count_nonzero(is_item)), int(products))

    def _search_all(self, queries: Tokens, k: int) -> Run:
        n, at_once = len(queries), max(1, CELLS // self.n_items)
        scores, ids = np.empty((n, k), np.float32), np.empty((n, k), np.int64)
        for start in range(0, n, at_once):
            now = slice(start, start + at_once)
            block = queries.take(now)
            all_scores = np.concatenate([self._maxsim(block, part) for part in self._parts()], 1)
            all_items = np.broadcast_to(np.arange(self.n_items), all_scores.shape)
            scores[now], ids[now] = best_first(all_scores, all_items, k)
        work = Work("MaxSim", n * self.n_items, queries.n_tokens * int(self.items.counts.sum()))
        return Run.of_one_stage(scores, ids, "MaxSim", work)

    def _search_candidates(self, queries: Tokens, k: int) -> Run:
        ids = self.items.candidates(queries, self.nprobe, self.max_candidates).padded_ids()
        ids = np.pad(ids, ((0, 0), (0, max(0, k - ids.shape[1]))), constant_values=-1)
        n_products = queries.n_tokens * self.items.n_centroids
        index_work = Work("token index", int((ids >= 0).sum()), n_products)
        maxsim_work = self.work(queries, ids)
        scores, ids = best_first(self._score(queries, ids), ids, k)
        return Run.of_one_stage(scores, ids, "MaxSim", index_work, maxsim_work)

    def _parts(self) -> Iterator[Tokens]:
        """Yield all items in order: at once, or as an index unpacks them."""
        if isinstance(self.items, Tokens):
            yield self.items
            return
        for start in range(0, self.n_items, ITEMS_AT_ONCE):
            yield self.items.documents(np.arange(start, min(start + ITEMS_AT_ONCE, self.n_items)))

    def _maxsim(self, queries: Tokens, items: Tokens) -> np.ndarray:
        sides = self._tensors(queries.vectors, items.vectors, queries.mask, items.mask)
        return maxsim(*sides, reduce=self.reduce).cpu().numpy()

    def _score(self, queries: Tokens, ids: np.ndarray) -> np.ndarray:
        """Compute MaxSim of pairs; only items of one block of queries are unpacked at one time."""
        scores = np.full(ids.shape, -np.inf, np.float32)
        take = self.items.take if isinstance(self.items, Tokens) else self.items.documents
        for start in range(0, len(ids), QUERIES_AT_ONCE):
            now = slice(start, start + QUERIES_AT_ONCE)
            items, at = np.unique(ids[now], return_inverse=True)
            if items[-1] < 0:
                continue  # no query of the block has a candidate
            at = at.reshape(ids[now].shape) - (items[0] < 0)  # -1, if there, is first and stays -1
            query_tokens, item_tokens = queries.take(now), take(items[items >= 0])
            sides = self._tensors(
                query_tokens.vectors, item_tokens.vectors, at, query_tokens.mask, item_tokens.mask
            )
            scores[now] = maxsim_pairs(*sides, reduce=self.reduce).cpu().numpy()
        return scores

    def _tensors(self, *arrays: np.ndarray) -> tuple[torch.Tensor, ...]:
        """Move arrays to the device of the encoder."""
        return tuple(torch.from_numpy(array).to(self.encoder.device) for array in arrays)
