"""Lines of cosines: items stand at their cosine, arrows go against the gradient."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch

from lib import plots
from lib.core.checks import RetrievalInputError

PICTURES = [np.full((16, 16), 80 * i, np.uint8) for i in range(3)]
COSINES = {"all": [0.7, 0.1, 0.6], "hard": [0.2, 0.2, 0.5]}
GREEN, ORANGE = to_rgb(plots.COLOURS[2]), to_rgb(plots.COLOURS[1])


def arrows(figure):
    """Colour and length of each arrow, to the right positive."""
    found = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyArrowPatch)]
    ends = [patch._posA_posB for patch in found]
    return [(p.get_edgecolor()[:3], b[0] - a[0]) for p, (a, b) in zip(found, ends, strict=True)]


def places(figure):
    return [np.mean(image.get_extent()[:2]) for image in figure.axes[0].images]


def test_items_stand_at_their_cosine(check_lettering):
    figure = plots.force_lines(COSINES, PICTURES, [0, 2], margins=0.2)
    x = places(figure)
    cosines = np.ravel(list(COSINES.values()))
    scale = (x[0] - x[1]) / (0.7 - 0.1)
    np.testing.assert_allclose(x, x[0] + scale * (cosines - 0.7))
    assert not arrows(figure)
    check_lettering(figure)


def test_a_positive_gradient_pushes_to_the_left_and_lengths_are_proportional():
    gradients = [[-2.0, 0.0, 2.0], [1.0, 0.0, -1.0]]
    figure = plots.force_lines(COSINES, PICTURES, [0, 2], gradients=gradients)
    colours, lengths = zip(*arrows(figure), strict=True)
    assert colours == (GREEN, ORANGE, ORANGE, GREEN)
    np.testing.assert_allclose(np.array(lengths) / lengths[0], [1, -1, -0.5, 0.5])
    assert "2 of 4 wrong ones" in plots.description(figure)


def test_equal_cosines_are_stacked():
    figure = plots.force_lines({"tie": [0.2, 0.2, 0.5]}, PICTURES, [2])
    heights = [image.get_extent()[2] for image in figure.axes[0].images]
    assert heights[0] != heights[1] and heights[0] == heights[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lines": {"one": [0.1, 0.2]}}, "lines must hold 3 finite numbers"),
        ({"lines": {"one": [0.1, 0.2, np.nan]}}, "lines must hold 3 finite numbers"),
        ({"gradients": [[1.0, 2.0]]}, "gradients must hold 3 finite numbers"),
        ({"right": [3]}, "right must name one of 3 pictures"),
        ({"right": [0, 1]}, "right must name one of 3 pictures for each of 1 lines"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    arguments = {"lines": {"one": [0.1, 0.2, 0.3]}, "pictures": PICTURES, "right": [0]} | change
    with pytest.raises(RetrievalInputError, match=message):
        plots.force_lines(**arguments)
