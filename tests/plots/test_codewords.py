"""Tests of the picture of codewords: the ellipses are the loss they are said to be."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Ellipse

from lib import plots
from lib.core.checks import RetrievalInputError

BOOK = np.array([[2.0, 0.0], [1.0, 1.0], [3.0, 4.0]])


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_an_ellipse_goes_through_the_chosen_codeword_and_is_flat_along_the_vector():
    ax = plots.allowed_errors((2.0, 2.0), BOOK, [1, 0], [1, 4])
    circle, flat = (patch for patch in ax.patches if isinstance(patch, Ellipse))
    assert circle.width == pytest.approx(circle.height) == pytest.approx(2 * np.sqrt(2))
    # (2, 0) misses by sqrt 2 along and sqrt 2 across: 4 * 2 + 2.
    assert (flat.width, flat.height) == pytest.approx((2 * np.sqrt(10 / 4), 2 * np.sqrt(10)))
    assert flat.angle == pytest.approx(45)
    assert [line.get_xydata()[0].tolist() for line in ax.get_lines()[:2]] == [
        [1.0, 1.0],
        [2.0, 0.0],
    ]
    assert ax.get_lines()[0].get_marker() != ax.get_lines()[1].get_marker()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.allowed_errors((0.0, 0.0), BOOK, [0], [1]), "zero and has no direction"),
        (lambda: plots.allowed_errors((1.0, 0.0), BOOK, [3], [1]), "positions are 0 to 2"),
        (lambda: plots.allowed_errors((1.0, 0.0), BOOK, [0, 1], [1]), "as many etas"),
        (lambda: plots.allowed_errors((1.0, 0.0), BOOK, [0], [0]), "etas above 0"),
        (lambda: plots.allowed_errors((1.0, 0.0), BOOK[:, :1], [0], [1]), "codewords has shape"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call()
