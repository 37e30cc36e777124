"""MaxSim in tiles, forward and backward: the similarities of all tokens never exist at one time."""

from functools import cached_property

import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError, check_count
from lib.losses.blocked import blocks, refuse_second_derivative
from lib.losses.inputs import check_tensor, wide_dtype

QUERY_TOKENS = 512  # columns of a tile: enough for a product at full speed


class TokenSide:
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

    def __init__(self, query: TokenSide, document: TokenSide, tile_bytes: int) -> None:
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
