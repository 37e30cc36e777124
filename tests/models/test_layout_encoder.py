"""Descriptions of page layouts by hand, and the tower on them."""

import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.datasets.page_layouts import PICTURE, TEXT, Layout, generate_pages
from lib.models.layout_encoder import LayoutTower, describe_layouts

LEFT = Layout([[0, 0, 0.5, 1]], (TEXT,))
TOP = Layout([[0, 0, 1, 0.5]], (TEXT,))
PICTURES = Layout([[0, 0, 1, 1]], (PICTURE,))


def test_the_cosine_of_two_descriptions_by_hand():
    rows = describe_layouts([LEFT, TOP, PICTURES], (2, 2))
    np.testing.assert_allclose(rows @ rows.T, [[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]], atol=1e-6)
    assert rows.dtype == np.float32 and rows.shape == (3, 12)


def test_the_tower_encodes_unit_rows_without_dropout():
    torch.manual_seed(0)
    tower, pages = LayoutTower(), generate_pages("test", 5)
    rows = tower.encode(pages)
    assert rows.shape == (5, 64)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(rows, tower.encode(pages))
    with torch.no_grad():
        described = torch.from_numpy(describe_layouts(pages))
        expected = tower.linear(described) + tower.layers(described)
    expected = expected / expected.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(rows, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("grid", [(0, 4), (4, 2.5)])
def test_a_grid_of_whole_numbers(grid):
    with pytest.raises(RetrievalInputError, match="grid must be"):
        describe_layouts([LEFT], grid)
