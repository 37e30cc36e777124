"""InfoNCE without the (B, M) matrix: log-sum-exp merged over tiles, tiles computed again in
backward.
"""

import math

import torch
from torch import Tensor

from lib.losses.blocked import LogitTiles, on_diagonal, refuse_second_derivative


class BlockedInfoNCE(torch.autograd.Function):
    """The exact InfoNCE loss and its gradient in O(block_size^2 + B d) memory.

        forward:   row_i = log sum_j exp(s_ij),  column_j = log sum_i exp(s_ij),  merged over tiles
        backward:  dL/ds_ij = [ exp(s_ij - row_i) + exp(s_ij - column_j) - target_ij ] / n

    It takes four matrix products, one more than with all logits stored, and is still the faster of
    the two on large batches: what the products and exponentials read lies in cache.

    `apply(query, key, scale, rows, columns, same, positives, block_size)`: embeddings (B, d) and
    (M, d) and a 0-d scale of one dtype; whether queries look for keys (`rows`) and keys for queries
    (`columns`, with M = B); masks as in `infonce_loss`, which checks all of it.
    """

    @staticmethod
    def forward(ctx, query, key, scale, rows, columns, same, positives, block_size):
        # Rows and columns that look for nothing have no share in the targets.
        row_share = _share(positives, query, 1) if rows else query.new_zeros(len(query))  # (B,)
        column_share = _share(positives, key, 0) if columns else key.new_zeros(len(key))  # (M,)
        row_lse, column_lse = (
            query.new_full((len(query),), -math.inf),
            key.new_full((len(key),), -math.inf),
        )
        attraction = torch.zeros_like(row_lse)  # sum of the logits of what is right, weighted
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
            lse.sum() for lse, wanted in ((row_lse, rows), (column_lse, columns)) if wanted
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
                    tiles.carry(tile, r, c, grad_query, grad_key)
            grad_scale = (
                tiles.gradient_of_scale(grad_query) * grad_loss / ctx.n if needs_scale else None
            )
            for gradient in (grad_query, grad_key):
                if gradient is not None:
                    gradient.mul_(grad_loss * scale / ctx.n)
        return grad_query if needs_query else None, grad_key, grad_scale, *[None] * 5


def _share(positives: Tensor | None, emb: Tensor, dim: int) -> Tensor:
    """What each right cell of a row (dim 1) or column (dim 0) weighs: together they weigh 1."""
    return (
        emb.new_ones(len(emb))
        if positives is None
        else positives.sum(dim=dim).to(emb.dtype).reciprocal()
    )


def _mask_out(tile: Tensor, same: Tensor | None, rows: slice, columns: slice) -> Tensor:
    """Takes the cells of `same` out of the softmax, except for the diagonal."""
    if same is None:
        return tile
    cells = same[rows, columns]
    if on_diagonal(rows, columns):
        cells = cells.clone()
        cells.diagonal().fill_(False)
    return tile.masked_fill_(cells, -math.inf)
