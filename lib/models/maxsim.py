"""Late-interaction scores (MaxSim): every query token takes its most similar document token.

The similarities of all tokens are the one large object. They are computed one tile at a time. A
tile holds whole queries and whole documents, and is small enough to stay in a core's cache until
its maxima are taken. Tiles are not stored: the gradient needs only the winning tokens.
"""

from functools import cached_property

import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.losses.blocked import blocks, refuse_second_derivative
from lib.losses.inputs import check_tensor, wide_dtype

REDUCTIONS = ("sum", "mean")
TILE_BYTES = 2**20  # a tile of similarities stays in a core's cache until its maxima are taken
GATHERED_BYTES = 2**24  # limit of the candidate tokens that are gathered at one time
QUERY_TOKENS = 512  # columns of a tile: enough for a matrix product at full speed


def maxsim(
    query: Tensor,
    document: Tensor,
    query_mask: Tensor | None = None,
    document_mask: Tensor | None = None,
    *,
    reduce: str = "sum",
    block_bytes: int = TILE_BYTES,
) -> Tensor:
    """Compute late-interaction scores of every query with every document.

        s(q, d) = sum_i max_j <q_i, d_j>        "mean": the same divided by the tokens of q

    i and j run over unmasked tokens, so padding changes nothing: a document has the same score
    alone and in a batch, even where all its similarities are negative. Maxima are added in float64
    and rounded once; scores of int8 tokens do not depend on the order of the sum (d <= 1024).

    Args:
        query: (n_queries, L_q, d) floats or int8, of unit length for cosines.
        document: (n_documents, L_d, d), likewise.
        query_mask: bool (n_queries, L_q), True for a token, False for padding; no padding if None.
        document_mask: bool (n_documents, L_d), likewise.
        reduce: "sum" (ColBERT) grows with the length of the query; "mean" (FILIP) does not.
        block_bytes: size of a tile; at least one query and one document. Changes time and memory,
            not the scores.

    Returns:
        (n_queries, n_documents), float32, or float64 if an input is float64. Differentiable once:
        the gradient goes to the winning tokens, and to the first of equal ones.

    Reference: Khattab and Zaharia 2020, "ColBERT", equation 3.
    """
    check_choice(reduce, REDUCTIONS, "reduce")
    sides = _checked_sides(query, document, query_mask, document_mask)
    scores = TiledMaxSim.apply(query, document, Tiles(*sides, block_bytes))
    return scores / sides[0].counts[:, None] if reduce == "mean" else scores


def late_interaction_logits(
    text: Tensor, image: Tensor, text_mask: Tensor | None = None, image_mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Compute mean similarities in both directions, which differ.

    A text can find all its words in an image that shows more.

        text_to_image[t, i] = mean over words w of t of max over patches p of i of <w, p>
        image_to_text[t, i] = mean over patches p of i of max over words w of t of <w, p>

    Both have one row per text and one column per image. The candidates of a query are therefore
    along the rows of the first and along the columns of the second: transpose the second before a
    cross-entropy.

    Args:
        text: (n_texts, L_t, d) unit token vectors.
        image: (n_images, L_i, d) unit token vectors.
        text_mask: bool (n_texts, L_t), True for a token; no padding if None.
        image_mask: bool (n_images, L_i), likewise.

    Returns:
        (text_to_image, image_to_text), both (n_texts, n_images).

    Reference: Yao et al. 2022, "FILIP", equations 4 and 5.
    """
    text_to_image = maxsim(text, image, text_mask, image_mask, reduce="mean")
    return text_to_image, maxsim(image, text, image_mask, text_mask, reduce="mean").T


def maxsim_pairs(
    query: Tensor,
    document: Tensor,
    candidates: Tensor,
    query_mask: Tensor | None = None,
    document_mask: Tensor | None = None,
    *,
    reduce: str = "sum",
    block_bytes: int = GATHERED_BYTES,
) -> Tensor:
    """Compute the scores of `maxsim` for each query and its own candidates, as a reranker does.

    Args:
        query: (n_queries, L_q, d) floats or int8.
        document: (n_documents, L_d, d), likewise.
        candidates: int64 (n_queries, k) positions of documents, -1 where a query has fewer. One
            column `torch.arange(n)` scores aligned pairs.
        query_mask, document_mask, reduce: as for `maxsim`.
        block_bytes: size of the candidate tokens that are gathered at one time.

    Returns:
        (n_queries, k), -inf where `candidates` is -1. Differentiable.
    """
    check_choice(reduce, REDUCTIONS, "reduce")
    queries, documents = _checked_sides(query, document, query_mask, document_mask)
    _check_candidates(candidates, len(query), len(document))
    dtype = wide_dtype(query, document)
    query_rows, document_rows = query.flatten(0, 1), document.flatten(0, 1)
    is_token = torch.arange(queries.filled.shape[1], device=query.device) < queries.counts[:, None]
    n_tokens = max(1, candidates.shape[1]) * documents.filled.shape[1]
    n_bytes = n_tokens * query.shape[2] * dtype.itemsize  # of one query's candidates
    at_once = max(1, check_count(block_bytes, "block_bytes") // n_bytes)
    parts = []
    with torch.autocast(query.device.type, enabled=False):
        for block in blocks(len(query), at_once):
            rows = documents.filled[candidates[block].clamp(min=0)]  # (b, k, W)
            gathered = document_rows[rows.flatten(1)].to(dtype)  # (b, k * W, d)
            similarities = query_rows[queries.filled[block]].to(dtype) @ gathered.mT
            best = similarities.unflatten(2, rows.shape[1:]).max(dim=3).values  # (b, L_q, k)
            best = best.masked_fill(~is_token[block, :, None], 0)
            parts.append(best.sum(dim=1, dtype=torch.float64).to(dtype))
    scores = torch.cat(parts) if parts else query.new_empty(candidates.shape, dtype=dtype)
    scores = scores / queries.counts[:, None] if reduce == "mean" else scores
    return scores.masked_fill(candidates < 0, -torch.inf)


def _check_candidates(candidates: Tensor, n_queries: int, n_documents: int) -> None:
    check_tensor(candidates, "candidates", dtype=torch.int64)
    if candidates.ndim != 2 or len(candidates) != n_queries or candidates.dtype != torch.int64:
        raise RetrievalInputError(
            f"candidates must be int64 ({n_queries}, k), one row per query, "
            f"got {candidates.dtype} {tuple(candidates.shape)}"
        )
    outside = (candidates < -1) | (candidates >= n_documents)
    if outside.any():
        row, column = outside.nonzero()[0].tolist()
        raise RetrievalInputError(
            f"candidate {int(candidates[row, column])} of query {row} is no document: there are "
            f"{n_documents}, counted from 0, and -1 stands for none"
        )


class TokenRows:
    """Check the tokens of one side, and locate unmasked tokens among its (n * L, d) rows.

    Args:
        vectors: (n, L, d) floats or int8.
        mask: bool (n, L), True for a token; no padding if None.
        name: the name of the argument, for errors.
    """

    def __init__(self, vectors: Tensor, mask: Tensor | None, name: str) -> None:
        check_tensor(vectors, name, dtype=getattr(vectors, "dtype", None))
        shape = tuple(vectors.shape)
        if vectors.ndim != 3 or 0 in shape[1:]:
            raise RetrievalInputError(
                f"{name} must be (items, tokens, dimension), the last two not empty, got {shape}"
            )
        if not (vectors.is_floating_point() or vectors.dtype == torch.int8):
            raise RetrievalInputError(f"{name} must be floating point or int8, got {vectors.dtype}")
        if mask is None:
            mask = vectors.new_ones(shape[:2], dtype=torch.bool)
        check_tensor(mask, f"{name}_mask", dtype=torch.bool)
        if mask.dtype != torch.bool or tuple(mask.shape) != shape[:2]:
            raise RetrievalInputError(
                f"{name}_mask must be bool {shape[:2]}, got {mask.dtype} {tuple(mask.shape)}"
            )
        self.counts = mask.sum(dim=1)  # (n,)
        if (self.counts == 0).any():
            raise RetrievalInputError(
                f"{name} {int(self.counts.argmin())} has no tokens: its MaxSim is undefined."
                " Leave it out"
            )
        self.vectors, self.mask = vectors, mask
        self.is_full = bool(mask.all())

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def rows(self) -> Tensor:
        """Return (n * L, d), without a copy where the vectors are contiguous."""
        return self.vectors.detach().flatten(0, 1)

    @cached_property
    def counted(self) -> Tensor:
        """Return (T,) rows of the tokens in order, without padding."""
        return self.mask.flatten().nonzero().squeeze(1)

    @cached_property
    def filled(self) -> Tensor:
        """Return (n, W) rows of the tokens, filled up with the first one; W of the longest item.

        A maximum does not change when a token is there twice. This excludes padding as -inf would,
        whatever it holds, and keeps mask and infinity out of the arithmetic and its gradient.
        """
        width = int(self.counts.max()) if len(self) else 1
        # A stable sort puts tokens before padding.
        order = (~self.mask).byte().argsort(dim=1, stable=True)[:, :width]
        is_token = torch.arange(width, device=order.device) < self.counts[:, None]
        first = torch.arange(len(self), device=order.device)[:, None] * self.mask.shape[1]
        return first + torch.where(is_token, order, order[:, :1])


def _checked_sides(
    query: Tensor, document: Tensor, query_mask: Tensor | None, document_mask: Tensor | None
) -> tuple[TokenRows, TokenRows]:
    sides = TokenRows(query, query_mask, "query"), TokenRows(document, document_mask, "document")
    if query.shape[2] != document.shape[2]:
        raise RetrievalInputError(
            f"tokens of queries have dimension {query.shape[2]}, those of documents"
            f" {document.shape[2]}"
        )
    return sides


class Tiles:
    """Cut tokens of queries (columns) and documents (rows) into tiles of at most `tile_bytes`.

    Documents are along the rows: the maximum over a document's tokens is then one over whole rows,
    which adds a tenth to the time of the product.
    """

    def __init__(self, query: TokenRows, document: TokenRows, tile_bytes: int) -> None:
        self.query, self.document = query, document
        self.dtype = wide_dtype(query.vectors, document.vectors)
        longest = query.mask.shape[1]
        n_queries = min(max(1, QUERY_TOKENS // longest), max(1, len(query)))
        cells = max(1, check_count(tile_bytes, "block_bytes") // self.dtype.itemsize)
        n_documents = max(1, cells // (n_queries * longest * document.mask.shape[1]))
        ends = torch.nn.functional.pad(query.counts.cumsum(0), (1, 0)).tolist()
        # Each block of queries, with the columns of its tokens.
        self.query_blocks = [
            (block, slice(ends[block.start], ends[block.stop]))
            for block in blocks(len(query), n_queries)
        ]
        self.document_blocks = blocks(len(document), n_documents)
        self._counts = document.counts.tolist()
        self._memory: Tensor | None = None

    def query_rows(self) -> Tensor:
        """Return (T, d) tokens of queries without padding."""
        rows = self.query.rows
        return (rows if self.query.is_full else rows[self.query.counted]).to(self.dtype)

    def document_at(self, block: slice) -> Tensor | slice:
        """Return the rows of a block of documents, equally many for each of them."""
        length = self.document.mask.shape[1]
        if self.document.is_full:
            return slice(block.start * length, block.stop * length)
        return self.document.filled[block, : max(self._counts[block])].flatten()

    def empty(self, block: slice, n_rows: int, n_columns: int) -> Tensor:
        """Return an undefined tile (documents, tokens of each, columns), always in one memory."""
        if self._memory is None or self._memory.numel() < n_rows * n_columns:
            self._memory = self.query.vectors.new_empty(n_rows * n_columns, dtype=self.dtype)
        n_documents = block.stop - block.start
        return self._memory[: n_rows * n_columns].view(
            n_documents, n_rows // n_documents, n_columns
        )

    def sum_of(self, best: Tensor, block: slice, columns: slice) -> Tensor:
        """Add the maxima (documents, columns) of each query of a block: (documents, queries)."""
        length = self.query.mask.shape[1]
        n_queries = block.stop - block.start
        if not self.query.is_full:
            padded = best.new_zeros(len(best), n_queries * length)
            best = padded.index_copy_(1, self.query.counted[columns] - block.start * length, best)
        return best.view(len(best), n_queries, length).sum(dim=2, dtype=torch.float64)


class TiledMaxSim(torch.autograd.Function):
    """Compute sum_i max_j <q_i, d_j> of every query and document, and its gradient.

    With g(q, d) the gradient of a score and j*(i, d) the winner of token i in document d:

        dL/dq_i = sum_d g(q, d) d_{j*(i, d)}
        dL/dd_j = sum over i with j*(i, d) = j of g(q, d) q_i

    Both are products with a tile that holds g where a token won, and 0 elsewhere.
    """

    @staticmethod
    def forward(ctx, query: Tensor, document: Tensor, tiles: Tiles) -> Tensor:
        query_rows, document_rows = tiles.query_rows(), tiles.document.rows
        scores = query_rows.new_empty(len(tiles.query), len(tiles.document))
        needs_winners = any(ctx.needs_input_grad[:2])
        shape = len(tiles.document) if needs_winners else 0, len(query_rows)
        winners = query_rows.new_empty(shape, dtype=torch.int32)
        for documents in tiles.document_blocks:
            rows = document_rows[tiles.document_at(documents)].to(tiles.dtype)
            for queries, columns in tiles.query_blocks:
                tile = tiles.empty(documents, len(rows), columns.stop - columns.start)
                torch.mm(rows, query_rows[columns].T, out=tile.flatten(0, 1))
                if needs_winners:
                    best, winners[documents, columns] = tile.max(dim=1)
                else:
                    best = tile.amax(dim=1)  # (documents, columns)
                scores[queries, documents] = tiles.sum_of(best, queries, columns).T.to(tiles.dtype)
        ctx.tiles = tiles
        ctx.save_for_backward(query, document, winners)
        return scores

    @staticmethod
    def backward(ctx, grad_scores: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        refuse_second_derivative("maxsim", "maxsim_pairs keeps a graph that can be")
        tiles: Tiles = ctx.tiles
        query, document, winners = ctx.saved_tensors
        query_rows, document_rows = tiles.query_rows(), tiles.document.rows
        grad_query_rows = torch.zeros_like(query_rows)
        grad_document_rows = torch.zeros_like(document_rows, dtype=tiles.dtype)
        for documents in tiles.document_blocks:
            at = tiles.document_at(documents)
            rows = document_rows[at].to(tiles.dtype)
            grad_rows = torch.zeros_like(rows)
            for queries, columns in tiles.query_blocks:
                tile = tiles.empty(documents, len(rows), columns.stop - columns.start).zero_()
                weight = grad_scores[queries, documents].T.to(tiles.dtype)
                # (documents, queries) to (documents, columns)
                weight = weight.repeat_interleave(tiles.query.counts[queries], dim=1)
                tile.scatter_(1, winners[documents, columns, None].mT.long(), weight[:, None])
                grad_query_rows[columns].addmm_(tile.flatten(0, 1).T, rows)
                grad_rows.addmm_(tile.flatten(0, 1), query_rows[columns])
            if isinstance(at, slice):
                grad_document_rows[at] = grad_rows
            else:  # added, since a token that fills up an item is there several times
                grad_document_rows.index_add_(0, at, grad_rows)
        grad_query = torch.zeros_like(tiles.query.rows, dtype=tiles.dtype)
        grad_query[tiles.query.counted] = grad_query_rows
        query_needed, document_needed, _ = ctx.needs_input_grad
        return (
            grad_query.view_as(query).to(query.dtype) if query_needed else None,
            grad_document_rows.view_as(document).to(document.dtype) if document_needed else None,
            None,
        )
