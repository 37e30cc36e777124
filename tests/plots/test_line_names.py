"""Names of lines: at the height of their ends, apart, also when limits change afterwards."""

import itertools

import numpy as np
import pytest
from matplotlib.text import Text

from lib import plots
from lib.plots.line_names import spread_apart

X = np.array([1.0, 2.0, 4.0, 8.0])


def names_of(ax):
    ax.figure.draw_without_rendering()
    return {text.get_text().replace("\n", " "): text for text in ax.texts}


def middles(ax) -> dict[str, float]:
    extents = {name: Text.get_window_extent(text) for name, text in names_of(ax).items()}
    boxes = [extent.shrunk(1, 0.85) for extent in extents.values()]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert all(box.x0 >= ax.get_window_extent().x1 for box in boxes)
    assert all(box.x1 <= ax.figure.bbox.x1 for box in boxes)
    return {name: (extent.y0 + extent.y1) / 2 for name, extent in extents.items()}


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("change", [lambda ax: None, lambda ax: ax.set_ylim(0.5, 900),
                                    lambda ax: ax.invert_yaxis()])  # fmt: skip
def test_a_name_stands_at_the_height_of_the_last_point(scale, change):
    ax = plots.curves({"low": (X, X), "high": (X, 80 * X)}, xlabel="x", ylabel="y", yscale=scale)
    change(ax)
    places = middles(ax)
    for name, end in (("low", 8), ("high", 640)):
        assert places[name] == pytest.approx(ax.transData.transform((8, end))[1], abs=3)


def test_names_of_lines_that_meet_keep_the_order_of_their_ends():
    series = {f"a long name of a line, number {i}": (X, X + 0.01 * i) for i in (2, 0, 3, 1)}
    places = middles(plots.curves(series, xlabel="x", ylabel="y"))
    order = sorted(places, key=places.get)
    assert [name[-1] for name in order] == ["0", "1", "2", "3"]


def test_a_line_that_ends_early_or_in_nan_is_named_at_its_last_known_point():
    series = {"whole": (X, X), "early": (X, np.array([1, 5, np.nan, np.nan]))}
    ax = plots.curves(series, xlabel="x", ylabel="y")
    assert names_of(ax)["early"].xy == pytest.approx((2, 5))
    joint = names_of(ax)["early"].arrow_patch
    assert joint.get_visible() and middles(ax)


def test_places_move_as_little_as_possible():
    heights = np.full(4, 10.0)
    np.testing.assert_allclose(spread_apart(np.array([0, 50, 20, 90.0]), heights), [0, 50, 20, 90])
    np.testing.assert_allclose(spread_apart(np.array([50, 50.0]), heights[:2]), [45, 55])
    moved = spread_apart(np.array([0, 100, 102, 104.0]), heights)
    np.testing.assert_allclose(moved, [0, 92, 102, 112])
