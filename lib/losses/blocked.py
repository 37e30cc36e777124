"""Losses without the (B, M) matrix: logits in tiles, with the exact gradient.

Recomputing the tiles is faster on CPUs than storing them: the tiles stay in the cache. Strips under
`torch.utils.checkpoint` would be shorter and 20% slower.
"""

import math

import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError


def blocks(length: int, size: int) -> list[slice]:
    """Cut `range(length)` into slices of at most `size`."""
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


class LogitTiles:
    """Compute the logits scale <q_i, k_j> + bias of one square tile at a time.

    A tile of 512 x 512 stays in a core's cache from the product to its last use; a whole (B, M)
    matrix would travel to memory and back with each operation. All tiles are written into the same
    memory: a tile is valid until the next one is computed.
    """

    def __init__(
        self, query: Tensor, key: Tensor, scale: Tensor, size: int, bias: Tensor | None = None
    ) -> None:
        self.query, self.key, self.scale, self.bias = query, key, scale, bias
        self.row_blocks, self.column_blocks = blocks(len(query), size), blocks(len(key), size)
        self._memory = query.new_empty(2, min(size, len(query)) * min(size, len(key)))

    def __call__(self, rows: slice, columns: slice) -> Tensor:
        """Compute one tile; the caller may overwrite it."""
        query, key = self.query[rows], self.key[columns]
        tile = self._memory[0, : len(query) * len(key)].view(len(query), len(key))
        torch.mm(query, key.T, out=tile).mul_(self.scale)
        return tile if self.bias is None else tile.add_(self.bias)

    def spare(self, tile: Tensor) -> Tensor:
        """Get a second tile of the same shape with undefined content."""
        return self._memory[1, : tile.numel()].view_as(tile)

    def add_gradients(
        self,
        tile: Tensor,
        rows: slice,
        columns: slice,
        grad_query: Tensor | None,
        grad_key: Tensor | None,
    ) -> None:
        """Add a tile of dL/ds to the gradients of the embeddings, without the factor `scale`."""
        if grad_query is not None:
            grad_query[rows].addmm_(tile, self.key[columns])
        if grad_key is not None:
            grad_key[columns].addmm_(tile.T, self.query[rows])

    def gradient_of_scale(self, grad_query: Tensor) -> Tensor:
        """Compute sum_ij G_ij <q_i, k_j> = sum_i <q_i, (G k)_i> from the gradient of queries."""
        return torch.stack([(grad_query[r] * self.query[r]).sum() for r in self.row_blocks]).sum()


def on_diagonal(rows: slice, columns: slice) -> bool:
    """Tell whether a tile holds the cells (i, i) of its rows; a square tile has all or none."""
    return rows.start == columns.start


def refuse_second_derivative(
    what: str = "with block_size a loss", remedy: str = "leave block_size out"
) -> None:
    """Raise in a backward pass under create_graph: results made in place have no gradient."""
    if torch.is_grad_enabled():
        raise RetrievalInputError(
            f"{what} can be differentiated once only, and create_graph asks for more; {remedy}"
        )


class BlockedInfoNCE(torch.autograd.Function):
    """Compute InfoNCE and its gradient in O(block_size^2 + B d) memory.

        forward:   row_i = log sum_j exp(s_ij),  column_j = log sum_i exp(s_ij),  merged over tiles
        backward:  dL/ds_ij = [ exp(s_ij - row_i) + exp(s_ij - column_j) - target_ij ] / n

    Arguments of `apply` are checked: query (B, d), key (M, d) and a 0-d scale of one dtype; `rows`
    and `columns`: the directions; the masks of `infonce_loss`; block_size.
    """

    @staticmethod
    def forward(ctx, query, key, scale, rows, columns, same, positives, block_size):
        # In a direction that is not computed the targets have weight 0.
        row_share = _share(positives, query, 1) if rows else query.new_zeros(len(query))  # (B,)
        column_share = _share(positives, key, 0) if columns else key.new_zeros(len(key))  # (M,)
        row_lse = query.new_full((len(query),), -math.inf)
        column_lse = key.new_full((len(key),), -math.inf)
        attraction = torch.zeros_like(row_lse)  # weighted sum of the logits of the positives
        with torch.autocast(query.device.type, enabled=False):
            tiles = LogitTiles(query, key, scale, block_size)
            for r in tiles.row_blocks:
                for c in tiles.column_blocks:
                    tile = _mask_out(tiles(r, c), same, r, c)
                    if rows:
                        row_lse[r] = torch.logaddexp(row_lse[r], tile.logsumexp(dim=1))
                    if columns:
                        column_lse[c] = torch.logaddexp(column_lse[c], tile.logsumexp(dim=0))
                    if positives is not None:
                        share = row_share[r, None] + column_share[c]
                        attraction[r] += (tile * share * positives[r, c]).sum(dim=1)
                    elif on_diagonal(r, c):
                        attraction[r] += tile.diagonal() * (rows + columns)
        ctx.save_for_backward(
            query, key, scale, row_lse, column_lse, same, positives, row_share, column_share
        )
        ctx.rows, ctx.columns, ctx.block_size = rows, columns, block_size
        ctx.n = len(query) * (rows + columns)
        normalisers = sum(
            lse.sum() for lse, used in ((row_lse, rows), (column_lse, columns)) if used
        )
        return (normalisers - attraction.sum()) / ctx.n

    @staticmethod
    def backward(ctx, grad_loss):
        refuse_second_derivative()
        query, key, scale, row_lse, column_lse, same, positives, row_share, column_share = (
            ctx.saved_tensors
        )
        needs_query, needs_key, needs_scale = ctx.needs_input_grad[:3]
        grad_query = torch.zeros_like(query) if needs_query or needs_scale else None
        grad_key = torch.zeros_like(key) if needs_key else None
        with torch.autocast(query.device.type, enabled=False):
            tiles = LogitTiles(query, key, scale, ctx.block_size)
            for r in tiles.row_blocks:
                for c in tiles.column_blocks:
                    tile = _mask_out(tiles(r, c), same, r, c)
                    # From here on the tile holds n dL/ds.
                    if ctx.rows and ctx.columns:
                        by_column = torch.sub(tile, column_lse[c], out=tiles.spare(tile)).exp_()
                        tile.sub_(row_lse[r, None]).exp_().add_(by_column)
                    else:
                        tile.sub_(row_lse[r, None] if ctx.rows else column_lse[c]).exp_()
                    if positives is not None:
                        tile.sub_((row_share[r, None] + column_share[c]) * positives[r, c])
                    elif on_diagonal(r, c):
                        tile.diagonal().sub_(ctx.rows + ctx.columns)
                    tiles.add_gradients(tile, r, c, grad_query, grad_key)
            grad_scale = None
            if needs_scale:
                grad_scale = tiles.gradient_of_scale(grad_query) * grad_loss / ctx.n
            for gradient in (grad_query, grad_key):
                if gradient is not None:
                    gradient.mul_(grad_loss * scale / ctx.n)
        return grad_query if needs_query else None, grad_key, grad_scale, *[None] * 5


def _share(positives: Tensor | None, emb: Tensor, dim: int) -> Tensor:
    """Compute the weight of one positive of each row (dim 1) or column (dim 0); they sum to 1."""
    if positives is None:
        return emb.new_ones(len(emb))
    return positives.sum(dim=dim).to(emb.dtype).reciprocal()


def _mask_out(tile: Tensor, same: Tensor | None, rows: slice, columns: slice) -> Tensor:
    """Remove the cells of `same` from the softmax, except for the diagonal."""
    if same is None:
        return tile
    cells = same[rows, columns]
    if on_diagonal(rows, columns):
        cells = cells.clone()
        cells.diagonal().fill_(False)
    return tile.masked_fill_(cells, -math.inf)


class BlockedSigmoid(torch.autograd.Function):
    """Compute the summed sigmoid loss and its gradient in O(block_size^2 + B d) memory.

        L = sum_ij softplus(-z_ij s_ij),    dL/ds_ij = -z_ij sigmoid(-z_ij s_ij)

    A softmax needs its whole row before any gradient. Here each cell has its own gradient, so the
    forward pass computes both from one tile, and no tile is computed twice.

    Arguments of `apply` are checked: query (B, d), key (M, d), 0-d scale and bias of one dtype;
    `positives` of `sigmoid_loss`; block_size; `with_gradient`: whether a backward pass can follow.
    """

    @staticmethod
    def forward(ctx, query, key, scale, bias, positives, block_size, with_gradient):
        needs_query, needs_key, needs_scale, needs_bias = (
            needed and with_gradient for needed in ctx.needs_input_grad[:4]
        )
        grad_query = torch.zeros_like(query) if needs_query or needs_scale else None
        grad_key = torch.zeros_like(key) if needs_key else None
        # Sums by row: thousands of single numbers on the heap would keep the memory of freed
        # tiles from being used again.
        losses, slopes = query.new_zeros(len(query)), query.new_zeros(len(query))  # (B,)
        with torch.autocast(query.device.type, enabled=False):
            tiles = LogitTiles(query, key, scale, block_size, bias)
            for r in tiles.row_blocks:
                for c in tiles.column_blocks:
                    tile = _flip_positives(tiles(r, c), positives, r, c)  # -z s
                    losses[r] += _softplus_sums_and_sigmoid_(tile, tiles.spare(tile))
                    tile = _flip_positives(tile, positives, r, c)  # dL/ds
                    slopes[r] += tile.sum(dim=1)
                    tiles.add_gradients(tile, r, c, grad_query, grad_key)
            grad_scale = tiles.gradient_of_scale(grad_query) if needs_scale else None
            for gradient in (grad_query, grad_key):
                if gradient is not None:
                    gradient.mul_(scale)
        grad_bias = slopes.sum() if needs_bias else None
        ctx.save_for_backward(grad_query if needs_query else None, grad_key, grad_scale, grad_bias)
        return losses.sum()

    @staticmethod
    def backward(ctx, grad_loss):
        refuse_second_derivative()
        gradients = (None if x is None else x * grad_loss for x in ctx.saved_tensors)
        return *gradients, None, None, None


def _flip_positives(tile: Tensor, positives: Tensor | None, rows: slice, columns: slice) -> Tensor:
    """Change the sign of the positive cells in place."""
    if positives is not None:
        torch.where(positives[rows, columns], -tile, tile, out=tile)
    elif on_diagonal(rows, columns):
        tile.diagonal().neg_()
    return tile


def _softplus_sums_and_sigmoid_(x: Tensor, spare: Tensor) -> Tensor:
    """Compute row sums of log(1 + exp(x)); x becomes sigmoid(x).

        sum_j softplus(x_j) = sum_j max(x_j, 0) + log prod_j (1 + e_j),    e_j = exp(-|x_j|)

    The logarithm is by far the slowest function here, so factors are first multiplied in pairs:
    (1 + a)(1 + b) = 1 + (a + b + a b). Six rounds leave one logarithm for 64 cells and a product of
    at most 2^64. Only the excess over 1 is stored: with bias -10 nearly all e are tiny, and 1 + e
    would lose their digits.
    """
    positive_part = torch.clamp(x, min=0, out=spare).sum(dim=1)
    above_one = torch.abs(x, out=spare).neg_().exp_()
    for _ in range(6):
        if above_one.shape[1] % 2:
            break
        a, b = above_one.chunk(2, dim=1)
        above_one = a.addcmul_(a, b).add_(b)
    x.sigmoid_()
    return positive_part.add_(above_one.log1p().sum(dim=1))
