"""Search by many vectors an item: every token of the query takes its best token of the item."""

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
ITEMS_AT_ONCE = 4096  # unpacked from an index at one time
QUERIES_AT_ONCE = 32  # whose candidates are gathered at one time


class LateInteractionRetriever(Retriever):
    """Scores by MaxSim between the token vectors of query and item.

        s(q, d) = sum_i max_j <q_i, d_j>

    Args:
        encoder: the model both sides were made with.
        items: the gallery's tokens, or an index that holds them compressed and unpacks what is
            scored.
        labels: what to call each item; its position when None.
        reduce: "sum", or "mean" over the tokens of the query; both rank alike.
        nprobe: centroids of the index that each query token asks for candidates, which alone are
            then scored exactly, with the vectors that the index keeps; every item is scored when
            None.
        max_candidates: most for a query, see `TokenIndex.candidates`; all when None.

    Raises:
        RetrievalInputError: tokens of another dimension, labels that do not fit, or candidates
            asked of tokens that are in no index.

    Relations: `score` makes it the second stage of a `TwoStageRetriever`. `search` and `score` take
    any `Tokens` as queries: int8 ones with an int8 gallery make scores whole numbers, the same on
    every machine. Those of floats differ between the two in the last bits, as matrix products of
    other shapes do.
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
                f"max_candidates = {max_candidates} limits what nprobe finds; give nprobe"
            )
        self.encoder, self.items = encoder, items
        self.reduce = check_choice(reduce, REDUCTIONS, "reduce")
        self.nprobe = None if nprobe is None else check_count(nprobe, "nprobe")
        self.max_candidates = max_candidates

    def encode(self, queries: Sequence, modality: str) -> Tokens:
        """One unit vector per piece of each text, or per patch of each image."""
        return encode_side(self.encoder, queries, modality)

    def search(self, queries: Tokens, k: int) -> Run:
        """The k best; with `nprobe`, those among the candidates, and -1 where there are fewer."""
        k = check_k(k, self.n_items)
        return (
            self._search_all(queries, k)
            if self.nprobe is None
            else self._search_candidates(queries, k)
        )

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
        return self._score(queries, ids)

    def work(self, queries: Tokens, ids: np.ndarray) -> Work:
        found = ids >= 0
        products = np.where(found, self.items.counts[ids], 0).sum(axis=1) @ queries.counts
        return Work("MaxSim", int(np.count_nonzero(found)), int(products))

    def _search_all(self, queries: Tokens, k: int) -> Run:
        n, at_once = len(queries), max(1, CELLS // self.n_items)
        scores, ids = np.empty((n, k), np.float32), np.empty((n, k), np.int64)
        for start in range(0, n, at_once):
            asked = queries.take(slice(start, start + at_once))
            found = np.concatenate([self._maxsim(asked, part) for part in self._parts()], axis=1)
            every = np.broadcast_to(np.arange(self.n_items), found.shape)
            scores[start : start + at_once], ids[start : start + at_once] = best_first(
                found, every, k
            )
        work = Work("MaxSim", n * self.n_items, queries.n_tokens * int(self.items.counts.sum()))
        return Run.of_one_stage(scores, ids, "MaxSim", work)

    def _search_candidates(self, queries: Tokens, k: int) -> Run:
        asked = self.items.candidates(queries, self.nprobe, self.max_candidates).padded_ids()
        table = np.pad(asked, ((0, 0), (0, max(0, k - asked.shape[1]))), constant_values=-1)
        scores, ids = best_first(self._score(queries, table), table, k)
        named = Work(
            "token index", int((table >= 0).sum()), queries.n_tokens * self.items.n_centroids
        )
        return Run.of_one_stage(scores, ids, "MaxSim", named, self.work(queries, table))

    def _parts(self) -> Iterator[Tokens]:
        """All items in order: at once, or as an index unpacks them."""
        if isinstance(self.items, Tokens):
            yield self.items
            return
        for start in range(0, self.n_items, ITEMS_AT_ONCE):
            yield self.items.documents(np.arange(start, min(start + ITEMS_AT_ONCE, self.n_items)))

    def _maxsim(self, queries: Tokens, items: Tokens) -> np.ndarray:
        sides = self._tensors(queries.vectors, items.vectors, queries.mask, items.mask)
        return maxsim(*sides, reduce=self.reduce).cpu().numpy()

    def _score(self, queries: Tokens, ids: np.ndarray) -> np.ndarray:
        """MaxSim of pairs; of the gallery, only the items of a block of queries are touched at one
        time.
        """
        scores = np.full(ids.shape, -np.inf, np.float32)
        take = self.items.take if isinstance(self.items, Tokens) else self.items.documents
        for start in range(0, len(ids), QUERIES_AT_ONCE):
            now = slice(start, start + QUERIES_AT_ONCE)
            wanted, at = np.unique(ids[now], return_inverse=True)
            at = at.reshape(ids[now].shape) - (
                wanted[0] < 0
            )  # -1, if it is there, comes first and stays -1
            if wanted[-1] < 0:
                continue  # no query of the block has a candidate
            asked, found = queries.take(now), take(wanted[wanted >= 0])
            sides = self._tensors(asked.vectors, found.vectors, at, asked.mask, found.mask)
            scores[now] = maxsim_pairs(*sides, reduce=self.reduce).cpu().numpy()
        return scores

    def _tensors(self, *arrays: np.ndarray) -> tuple[torch.Tensor, ...]:
        """Where the encoder is: on its GPU, if it has one."""
        return tuple(torch.from_numpy(array).to(self.encoder.device) for array in arrays)
