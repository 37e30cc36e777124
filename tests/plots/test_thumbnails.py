"""Thumbnails: one for each row or column of a matrix, and none over another on a map."""

import itertools

import numpy as np
import pytest
from matplotlib.offsetbox import AnnotationBbox

from lib import plots
from lib.core.checks import RetrievalInputError

IMAGE = np.full((32, 32, 3), 200, np.uint8)
INK = np.zeros((32, 32), np.uint8)
INK[8:24, 8:24] = 255
LABELS = {"xlabel": "pictures", "ylabel": "names"}


def drawn(ax) -> list[AnnotationBbox]:
    return [artist for artist in ax.get_children() if isinstance(artist, AnnotationBbox)]


def extents(ax):
    ax.figure.draw_without_rendering()
    return [artist.get_window_extent() for artist in drawn(ax)]


def test_pictures_name_the_columns_of_a_heat_map_and_leave_its_labels_free():
    values = np.arange(6.0).reshape(2, 3)
    ax = plots.heatmap(values, ["a", "b"], [IMAGE, INK, IMAGE], label="cosine", **LABELS)
    boxes = extents(ax)
    assert len(boxes) == 3
    centres = [(box.x0 + box.x1) / 2 for box in boxes]
    expected = [ax.transData.transform((column, 0))[0] for column in range(3)]
    assert centres == pytest.approx(expected, abs=1.5)
    label = ax.xaxis.label.get_window_extent()
    assert not any(box.overlaps(label) for box in boxes)
    assert all(box.y1 <= ax.get_window_extent().y0 for box in boxes)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b"]


def test_pictures_name_the_rows_of_forces_once_a_line():
    four = {name: np.eye(2) for name in ("one", "two", "three", "four")}
    figure = plots.forces(four, rows=[IMAGE] * 2, per_line=2)
    for at, ax in enumerate(figure.axes[:4]):
        boxes = extents(ax)
        label = ax.yaxis.label.get_window_extent()
        assert len(boxes) == (0 if at % 2 else 2) and not any(box.overlaps(label) for box in boxes)
        assert all(box.x1 <= ax.get_window_extent().x0 for box in boxes)


def test_an_icon_is_drawn_dark_on_white():
    ax = plots.heatmap(np.eye(1), ["a"], [INK], label="cosine", **LABELS)
    np.testing.assert_array_equal(drawn(ax)[0].offsetbox.get_data(), 255 - INK)


def test_thumbnails_on_a_map_do_not_overlap_and_the_first_go_first():
    points = np.random.default_rng(0).normal(size=(200, 2))
    ax = plots.scatter({"all": points}, xlabel="u", ylabel="v")
    chosen = plots.add_thumbnails(ax, points, [IMAGE] * 200)
    assert chosen == sorted(chosen) and 10 < len(chosen) <= 40
    boxes = extents(ax)
    assert len(boxes) == len(chosen)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_a_picture_is_left_out_only_if_an_earlier_one_is_in_its_way():
    points = np.array([[0.5, 0.5], [0.5001, 0.5], [0.1, 0.1], [0.9, 0.9]])
    ax = plots.scatter({"all": [[0, 0], [1, 1]]}, xlabel="u", ylabel="v")
    assert plots.add_thumbnails(ax, points, [IMAGE] * 4) == [0, 2, 3]
    ax = plots.scatter({"all": [[0, 0], [1, 1]]}, xlabel="u", ylabel="v")
    assert plots.add_thumbnails(ax, points, [IMAGE] * 4, at_most=2) == [0, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": [IMAGE]}, "images must be 2, one a point, got 1"),
        ({"size": 0}, "size must be 0.1 to 3 inches, got 0"),
        ({"at_most": 0}, "at_most must be at least 1"),
        ({"points": [1, 2]}, r"points has shape \(2,\)"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options, message):
    ax = plots.scatter({"all": np.eye(2)}, xlabel="u", ylabel="v")
    with pytest.raises(RetrievalInputError, match=message):
        plots.add_thumbnails(ax, **({"points": np.eye(2), "images": [IMAGE] * 2} | options))
