"""The sigmoid loss without the (B, M) matrix: tiles are independent, so one pass gives the gradient
too.
"""

import torch
from torch import Tensor

from lib.losses.blocked import LogitTiles, on_diagonal, refuse_second_derivative


class BlockedSigmoid(torch.autograd.Function):
    """The sum of the sigmoid loss over all pairs and its exact gradient, in O(block_size^2 + B d)
    memory.

        L = sum_ij softplus(-z_ij s_ij),    dL/ds_ij = -z_ij sigmoid(-z_ij s_ij)

    A softmax needs its whole row before any gradient; here each cell has its own, so the forward
    pass accumulates the gradient from the tile it holds and nothing is computed twice.

    `apply(query, key, scale, bias, positives, block_size, with_gradient)`: embeddings (B, d) and
    (M, d), 0-d scale and bias, all of one dtype; `positives` as in `sigmoid_loss`, which checks all
    of it; `with_gradient`: whether a backward pass can follow.
    """

    @staticmethod
    def forward(ctx, query, key, scale, bias, positives, block_size, with_gradient):
        needs_query, needs_key, needs_scale, needs_bias = (
            needed and with_gradient for needed in ctx.needs_input_grad[:4]
        )
        grad_query = torch.zeros_like(query) if needs_query or needs_scale else None
        grad_key = torch.zeros_like(key) if needs_key else None
        # Sums by row: thousands of single numbers on the heap would keep freed tiles from being
        # used again.
        losses, slopes = query.new_zeros(len(query)), query.new_zeros(len(query))  # (B,)
        with torch.autocast(query.device.type, enabled=False):
            tiles = LogitTiles(query, key, scale, block_size, bias)
            for r in tiles.row_blocks:
                for c in tiles.column_blocks:
                    tile = _flip_positives(tiles(r, c), positives, r, c)  # -z s
                    losses[r] += _softplus_sums_and_sigmoid_(tile, tiles.spare(tile))
                    tile = _flip_positives(tile, positives, r, c)  # dL/ds
                    slopes[r] += tile.sum(dim=1)
                    tiles.carry(tile, r, c, grad_query, grad_key)
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
    """Changes the sign of the cells that are right, in place."""
    if positives is not None:
        torch.where(positives[rows, columns], -tile, tile, out=tile)
    elif on_diagonal(rows, columns):
        tile.diagonal().neg_()
    return tile


def _softplus_sums_and_sigmoid_(x: Tensor, spare: Tensor) -> Tensor:
    """Row sums of log(1 + exp(x)); x becomes sigmoid(x).

        sum_j softplus(x_j) = sum_j max(x_j, 0) + log prod_j (1 + e_j),    e_j = exp(-|x_j|)

    The product is taken of pairs, (1 + a)(1 + b) = 1 + (a + b + a b), and what it is above 1 is
    what is kept: with bias -10 nearly all e are tiny, and 1 + e would lose their digits. Six rounds
    leave one logarithm for 64 cells and a product of at most 2^64; the logarithm is by far the
    slowest of these functions.
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
