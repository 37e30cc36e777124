"""Logits in tiles: what the blocked losses share, so that no (B, M) matrix ever exists."""

import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError


def blocks(length: int, size: int) -> list[slice]:
    """Slices of at most `size` that cover `range(length)` in order."""
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


class LogitTiles:
    """The logits scale <q_i, k_j> + bias, one square tile at a time.

    A tile of 512 x 512 stays in a core's cache from the product to its last use; a whole (B, M)
    matrix would travel to memory and back with each operation on it. So all tiles are written into
    the same memory: one is valid until the next is asked for.

    Args:
        query: (B, d).
        key: (M, d).
        scale: 0-d.
        size: rows and columns of a tile.
        bias: 0-d, or none.
    """

    def __init__(
        self, query: Tensor, key: Tensor, scale: Tensor, size: int, bias: Tensor | None = None
    ) -> None:
        self.query, self.key, self.scale, self.bias = query, key, scale, bias
        self.row_blocks, self.column_blocks = blocks(len(query), size), blocks(len(key), size)
        self._memory = query.new_empty(2, min(size, len(query)) * min(size, len(key)))

    def __call__(self, rows: slice, columns: slice) -> Tensor:
        """The logits of one tile; the caller may overwrite them."""
        query, key = self.query[rows], self.key[columns]
        tile = self._memory[0, : len(query) * len(key)].view(len(query), len(key))
        torch.mm(query, key.T, out=tile).mul_(self.scale)
        return tile if self.bias is None else tile.add_(self.bias)

    def spare(self, tile: Tensor) -> Tensor:
        """A second tile of the same shape, its content undefined."""
        return self._memory[1, : tile.numel()].view_as(tile)

    def carry(
        self,
        tile: Tensor,
        rows: slice,
        columns: slice,
        grad_query: Tensor | None,
        grad_key: Tensor | None,
    ) -> None:
        """Adds what a tile of dL/ds says to the gradients of the embeddings, where they are wanted.

        They lack the factor `scale`, which the caller applies once, at the end.
        """
        if grad_query is not None:
            grad_query[rows].addmm_(tile, self.key[columns])
        if grad_key is not None:
            grad_key[columns].addmm_(tile.T, self.query[rows])

    def gradient_of_scale(self, grad_query: Tensor) -> Tensor:
        """sum_ij G_ij <q_i, k_j> = sum_i <q_i, (G k)_i>, from what `carry` has gathered."""
        return torch.stack([(grad_query[r] * self.query[r]).sum() for r in self.row_blocks]).sum()


def on_diagonal(rows: slice, columns: slice) -> bool:
    """Whether a tile holds the cells (i, i) of its rows; tiles are square, so it holds all or
    none.
    """
    return rows.start == columns.start


def refuse_second_derivative(
    what: str = "with block_size a loss", remedy: str = "leave block_size out"
) -> None:
    """Called first in a backward pass: gradients are on there only where it is to be differentiated
    itself.

    Autograd would take what is accumulated in place for a constant, without a word.

    Args:
        what: can be differentiated once only.
        remedy: what to do where more is wanted.
    """
    if torch.is_grad_enabled():
        raise RetrievalInputError(
            f"{what} can be differentiated once only, and create_graph asks for more; {remedy}"
        )
