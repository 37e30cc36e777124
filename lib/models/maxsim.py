"""Late-interaction scores (MaxSim): every query token takes its best document token."""

from functools import cached_property

import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.losses.blocked import blocks, refuse_second_derivative
from lib.losses.inputs import check_tensor, wide_dtype

QUERY_TOKENS = 512  # columns of a tile: enough for a product at full speed


class TokenRows:
    """The tokens of one side: which of them count, and where they stand among its (n * L, d) rows.

    Args:
        vectors: (n, L, d) floats or int8.
        mask: bool (n, L), True where a token counts; all count when None.
        name: what the caller calls the side; every message starts with it.

    Raises:
        RetrievalInputError: other shapes or dtypes, or an item without a token.
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
                f"{name} {int(self.counts.argmin())} has no token, and a maximum over nothing has"
                " no value; leave it out"
            )
        self.vectors, self.mask = vectors, mask
        self.is_full = bool(mask.all())

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def rows(self) -> Tensor:
        """(n * L, d), without a copy where the vectors are contiguous."""
        return self.vectors.detach().flatten(0, 1)

    @cached_property
    def counted(self) -> Tensor:
        """(T,) rows of the tokens that count, in order."""
        return self.mask.flatten().nonzero().squeeze(1)

    @cached_property
    def filled(self) -> Tensor:
        """(n, W) rows of the tokens that count, then of the first of them again, W those of the
        longest item.

        A maximum over tokens is the same with one of them twice. So padding is shut out of it as by
        -inf, whatever it holds, and neither mask nor infinity goes into the arithmetic or its
        gradient.
        """
        width = int(self.counts.max()) if len(self) else 1
        order = (
            (~self.mask).byte().argsort(dim=1, stable=True)[:, :width]
        )  # tokens that count come first
        is_token = torch.arange(width, device=order.device) < self.counts[:, None]
        first = torch.arange(len(self), device=order.device)[:, None] * self.mask.shape[1]
        return first + torch.where(is_token, order, order[:, :1])


class Tiles:
    """The grid of tiles over tokens of queries (columns) and tokens of documents (rows).

    Documents go down the rows: the maximum over a document's tokens is then one over whole rows,
    which adds a tenth to the time of the product.

    Args:
        query, document: both sides, of one dimension.
        tile_bytes: of a tile; it holds one query and one document at least.
    """

    def __init__(self, query: TokenRows, document: TokenRows, tile_bytes: int) -> None:
        self.query, self.document = query, document
        self.dtype = wide_dtype(query.vectors, document.vectors)
        longest = query.mask.shape[1]
        n_queries = min(max(1, QUERY_TOKENS // longest), max(1, len(query)))
        cells = max(1, check_count(tile_bytes, "block_bytes") // self.dtype.itemsize)
        n_documents = max(1, cells // (n_queries * longest * document.mask.shape[1]))
        ends = torch.nn.functional.pad(query.counts.cumsum(0), (1, 0)).tolist()
        self.query_blocks = [
            (block, slice(ends[block.start], ends[block.stop]))
            for block in blocks(len(query), n_queries)
        ]  # queries, and the columns of their tokens
        self.document_blocks = blocks(len(document), n_documents)
        self._counts = document.counts.tolist()
        self._memory: Tensor | None = None

    def query_rows(self) -> Tensor:
        """(T, d) tokens of queries that count."""
        rows = self.query.rows
        return (rows if self.query.is_full else rows[self.query.counted]).to(self.dtype)

    def document_at(self, block: slice) -> Tensor | slice:
        """Which rows the documents of a block are: as many for each, those of its longest."""
        length = self.document.mask.shape[1]
        if self.document.is_full:
            return slice(block.start * length, block.stop * length)
        return self.document.filled[block, : max(self._counts[block])].flatten()

    def empty(self, block: slice, n_rows: int, n_columns: int) -> Tensor:
        """A tile (documents, tokens of each, columns) of undefined content, always in the same
        memory.
        """
        if self._memory is None or self._memory.numel() < n_rows * n_columns:
            self._memory = self.query.vectors.new_empty(n_rows * n_columns, dtype=self.dtype)
        n_documents = block.stop - block.start
        return self._memory[: n_rows * n_columns].view(
            n_documents, n_rows // n_documents, n_columns
        )

    def sum_of(self, best: Tensor, block: slice, columns: slice) -> Tensor:
        """Adds the maxima (documents, columns) of each query of a block: (documents, queries)."""
        length = self.query.mask.shape[1]
        n_queries = block.stop - block.start
        if not self.query.is_full:
            padded = best.new_zeros(len(best), n_queries * length)
            best = padded.index_copy_(1, self.query.counted[columns] - block.start * length, best)
        return best.view(len(best), n_queries, length).sum(dim=2, dtype=torch.float64)


class TiledMaxSim(torch.autograd.Function):
    """sum_i max_j <q_i, d_j> of every query and document; what is kept for the gradient is who won.

    With g(q, d) the gradient of a score and j*(i, d) the winner of token i in document d:

        dL/dq_i = sum_d g(q, d) d_{j*(i, d)}        dL/dd_j = sum over i with j*(i, d) = j of g(q,
        d) q_i

    Both are products with a tile that holds g where a token won and 0 elsewhere.
    """

    @staticmethod
    def forward(ctx, query: Tensor, document: Tensor, tiles: Tiles) -> Tensor:
        own, rows = tiles.query_rows(), tiles.document.rows
        scores = own.new_empty(len(tiles.query), len(tiles.document))
        wanted = any(ctx.needs_input_grad[:2])
        winners = own.new_empty(len(tiles.document) if wanted else 0, len(own), dtype=torch.int32)
        for documents in tiles.document_blocks:
            theirs = rows[tiles.document_at(documents)].to(tiles.dtype)
            for queries, columns in tiles.query_blocks:
                tile = tiles.empty(documents, len(theirs), columns.stop - columns.start)
                torch.mm(theirs, own[columns].T, out=tile.flatten(0, 1))
                if wanted:
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
        own, rows = tiles.query_rows(), tiles.document.rows
        grad_own = torch.zeros_like(own)
        grad_rows = torch.zeros_like(rows, dtype=tiles.dtype)
        for documents in tiles.document_blocks:
            at = tiles.document_at(documents)
            theirs = rows[at].to(tiles.dtype)
            grad_theirs = torch.zeros_like(theirs)
            for queries, columns in tiles.query_blocks:
                tile = tiles.empty(documents, len(theirs), columns.stop - columns.start).zero_()
                weight = grad_scores[queries, documents].T.to(tiles.dtype)
                weight = weight.repeat_interleave(
                    tiles.query.counts[queries], dim=1
                )  # (documents, columns)
                tile.scatter_(1, winners[documents, columns, None].mT.long(), weight[:, None])
                grad_own[columns].addmm_(tile.flatten(0, 1).T, theirs)
                grad_theirs.addmm_(tile.flatten(0, 1), own[columns])
            if isinstance(at, slice):
                grad_rows[at] = grad_theirs
            else:
                grad_rows.index_add_(
                    0, at, grad_theirs
                )  # a token that fills up stands there several times
        grad_query = torch.zeros_like(tiles.query.rows, dtype=tiles.dtype)
        grad_query[tiles.query.counted] = grad_own
        wanted = ctx.needs_input_grad
        return (
            grad_query.view_as(query).to(query.dtype) if wanted[0] else None,
            grad_rows.view_as(document).to(document.dtype) if wanted[1] else None,
            None,
        )


REDUCTIONS = ("sum", "mean")
TILE_BYTES = 2**20  # of similarities: a tile stays in a core's cache until its maxima are taken
GATHERED_BYTES = 2**24  # of the tokens of candidates at one time


def maxsim(
    query: Tensor,
    document: Tensor,
    query_mask: Tensor | None = None,
    document_mask: Tensor | None = None,
    *,
    reduce: str = "sum",
    block_bytes: int = TILE_BYTES,
) -> Tensor:
    """Late-interaction scores of every query with every document.

        s(q, d) = sum_i max_j <q_i, d_j>        "mean": the same divided by the tokens of q

    i and j run over the tokens that count, so padding changes nothing: a document scores the same
    alone and in a batch, also where all its similarities are negative. Maxima are added in float64
    and rounded once; scores of int8 tokens do not depend on any order of adding (d <= 1024).

    Args:
        query: (n_queries, L_q, d) floats or int8, of unit length where cosines are meant.
        document: (n_documents, L_d, d), likewise.
        query_mask: bool (n_queries, L_q), True where a token counts; all count when None.
        document_mask: bool (n_documents, L_d), likewise.
        reduce: "sum" (ColBERT), which grows with the length of the query, or "mean" (FILIP).
        block_bytes: of a tile of similarities; it holds at least one query and one document. It
            changes time and memory, nothing else.

    Returns:
        (n_queries, n_documents), float32, or float64 where a side is. Differentiable once: the
        gradient reaches the tokens that won, the first of equals.

    Raises:
        RetrievalInputError: other shapes or dtypes, or a query or document without a token.

    Relations: with one token a side it is the dot product. `maxsim_pairs` scores chosen pairs,
    `late_interaction_logits` both directions. `lib.core.token_vectors.Tokens` holds `vectors` and
    `mask` of either side.

    Reference: Khattab and Zaharia 2020, "ColBERT", equation 3.
    """
    check_choice(reduce, REDUCTIONS, "reduce")
    sides = _sides(query, document, query_mask, document_mask)
    scores = TiledMaxSim.apply(query, document, Tiles(*sides, block_bytes))
    return scores / sides[0].counts[:, None] if reduce == "mean" else scores


def late_interaction_logits(
    text: Tensor, image: Tensor, text_mask: Tensor | None = None, image_mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mean similarities both ways, which differ: a text may find all its words in an image that
    shows more.

        text_to_image[t, i] = mean over words w of t of max over patches p of i of <w, p>
        image_to_text[t, i] = mean over patches p of i of max over words w of t of <w, p>

    Both have a row per text and a column per image. A softmax over the candidates of each query is
    therefore along rows of the first and along columns of the second: transpose that before a
    cross-entropy.

    Args:
        text: (n_texts, L_t, d) unit token vectors.
        image: (n_images, L_i, d) unit token vectors.
        text_mask: bool (n_texts, L_t), True where a token counts; all count when None.
        image_mask: bool (n_images, L_i), likewise.

    Returns:
        (text_to_image, image_to_text), both (n_texts, n_images).

    Raises:
        RetrievalInputError: what `maxsim` refuses.

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
    """The scores of `maxsim` for each query with a list of documents of its own, as a reranker
    wants them.

    Args:
        query: (n_queries, L_q, d) floats or int8.
        document: (n_documents, L_d, d), likewise.
        candidates: int64 (n_queries, k) positions of documents, -1 where a query has fewer; a
            column of `torch.arange(n)` scores aligned pairs.
        query_mask, document_mask, reduce: as for `maxsim`.
        block_bytes: of gathered document tokens at one time.

    Returns:
        (n_queries, k), with -inf where `candidates` is -1. Differentiable.

    Raises:
        RetrievalInputError: what `maxsim` refuses, or positions outside -1 to n_documents - 1.
    """
    check_choice(reduce, REDUCTIONS, "reduce")
    asked, offered = _sides(query, document, query_mask, document_mask)
    _check_candidates(candidates, len(query), len(document))
    dtype = wide_dtype(query, document)
    asked_rows, offered_rows = query.flatten(0, 1), document.flatten(0, 1)
    is_token = torch.arange(asked.filled.shape[1], device=query.device) < asked.counts[:, None]
    gathered = (
        max(1, candidates.shape[1]) * offered.filled.shape[1] * query.shape[2] * dtype.itemsize
    )
    parts = []
    with torch.autocast(query.device.type, enabled=False):
        for block in blocks(
            len(query), max(1, check_count(block_bytes, "block_bytes") // gathered)
        ):
            at = offered.filled[candidates[block].clamp(min=0)]  # (b, k, W)
            theirs = offered_rows[at.flatten(1)].to(dtype)  # (b, k * W, d)
            similarities = asked_rows[asked.filled[block]].to(dtype) @ theirs.mT
            best = similarities.unflatten(2, at.shape[1:]).max(dim=3).values  # (b, L_q, k)
            best = best.masked_fill(~is_token[block, :, None], 0)
            parts.append(best.sum(dim=1, dtype=torch.float64).to(dtype))
    scores = torch.cat(parts) if parts else query.new_empty(candidates.shape, dtype=dtype)
    scores = scores / asked.counts[:, None] if reduce == "mean" else scores
    return scores.masked_fill(candidates < 0, -torch.inf)


def _sides(
    query: Tensor, document: Tensor, query_mask, document_mask
) -> tuple[TokenRows, TokenRows]:
    sides = TokenRows(query, query_mask, "query"), TokenRows(document, document_mask, "document")
    if query.shape[2] != document.shape[2]:
        raise RetrievalInputError(
            f"tokens of queries have dimension {query.shape[2]}, those of documents"
            f" {document.shape[2]}"
        )
    return sides


def _check_candidates(candidates: Tensor, n_queries: int, n_documents: int) -> None:
    check_tensor(candidates, "candidates", dtype=torch.int64)
    if candidates.ndim != 2 or len(candidates) != n_queries or candidates.dtype != torch.int64:
        raise RetrievalInputError(
            f"candidates must be int64 ({n_queries}, k), a row for each query, "
            f"got {candidates.dtype} {tuple(candidates.shape)}"
        )
    outside = (candidates < -1) | (candidates >= n_documents)
    if outside.any():
        row, column = outside.nonzero()[0].tolist()
        raise RetrievalInputError(
            f"candidate {int(candidates[row, column])} of query {row} is no document: there are "
            f"{n_documents}, counted from 0, and -1 stands for none"
        )
