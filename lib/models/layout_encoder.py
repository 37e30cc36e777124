"""Encode page layouts as unit vectors: shares of a grid, and a small network on them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lib.core.checks import unit_rows
from lib.datasets.page_layouts import KINDS, Layout, cell_shares

GRID = (16, 12)  # rows and columns of cells


def describe_layouts(layouts: Sequence[Layout], grid: tuple[int, int] = GRID) -> np.ndarray:
    """Describe pages by what covers each cell of a grid, without any training.

        v = sqrt(a) / |sqrt(a)|,   a_kc = share of cell c that kind k covers

    The cosine of two such vectors is the Bhattacharyya coefficient of the shares.

    Args:
        layouts: of n pages.
        grid: rows and columns.

    Returns:
        float32 (n, kinds * rows * columns), rows of length 1.
    """
    shares = cell_shares(layouts, grid).reshape(len(layouts), -1)
    return unit_rows(np.sqrt(shares), "layouts")


class LayoutTower(nn.Module):
    """Map descriptions of layouts to a smaller space: a linear map plus a network of two layers.

    f(v) = A v + C gelu(B v + b) + c

    Args:
        grid: of the description.
        hidden: units between the two layers.
        dim: of the result.
    """

    def __init__(self, grid: tuple[int, int] = GRID, hidden: int = 256, dim: int = 64) -> None:
        super().__init__()
        n_inputs = len(KINDS) * grid[0] * grid[1]
        self.grid = grid
        self.linear = nn.Linear(n_inputs, dim, bias=False)
        self.layers = nn.Sequential(
            nn.Linear(n_inputs, hidden), nn.GELU(), nn.Dropout(0.1), nn.Linear(hidden, dim)
        )

    def forward(self, described: Tensor) -> Tensor:
        """Encode (n, kinds * rows * columns) as (n, dim), not normalised."""
        return self.linear(described) + self.layers(described)

    @torch.inference_mode()
    def encode(self, layouts: Sequence[Layout]) -> np.ndarray:
        """Encode layouts, pages and sketches alike, as float32 (n, dim), rows of length 1."""
        self.eval()
        return unit_rows(
            self(torch.from_numpy(describe_layouts(layouts, self.grid))).numpy(), "rows"
        )
