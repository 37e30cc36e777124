"""Result grids: items stand in the column of their rank, right ones are framed and marked."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from lib import plots
from lib.core.checks import RetrievalInputError

INK = np.zeros((16, 16), np.uint8)
INK[4:12, 4:12] = 255  # as icons are stored: 255 is ink
EMOJI = np.full((16, 16, 3), (255, 200, 0), np.uint8)
QUERIES = ["bell", "a long query about two small red circles left of one large blue square"]
RIGHT = [[True, False, False], [False, False, True]]


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def green_frames(figure):
    return [
        patch
        for patch in figure.axes[0].patches
        if patch.get_edgecolor()[:3] == to_rgb(plots.COLOURS[2]) and patch.get_linewidth() > 2
    ]


def test_right_results_and_the_truth_are_framed_and_only_results_are_ticked(check_lettering):
    figure = plots.result_grid(
        QUERIES, [[INK] * 3] * 2, [[INK], [EMOJI] * 4], right=RIGHT, labels=["best", "worst"],
        names=[["a", "b", "alarm clock outline"], ["c", "d", "e"]], note="by somebody",
    )  # fmt: skip
    assert texts(figure).count("✓") == 2
    assert len(green_frames(figure)) == 2 + 1 + 2  # two of four relevant items are drawn
    assert {"and 2 more", "best", "worst", "truth", "by somebody"} <= set(texts(figure))
    ticks = [t.get_position()[0] for t in figure.axes[0].texts if t.get_text() == "✓"]
    assert ticks[0] < ticks[1]  # ranks 1 and 3
    check_lettering(figure)
    assert figure.get_size_inches()[0] <= 10.8


def test_icons_are_dark_on_white_and_colours_stay():
    figure = plots.result_grid(["a"], [[INK, 255 - INK, EMOJI]])
    first, second, third = (image.get_array() for image in figure.axes[0].images)
    np.testing.assert_array_equal(first, 255 - INK)
    np.testing.assert_array_equal(second, 255 - INK)
    np.testing.assert_array_equal(third, EMOJI)


def test_two_systems_have_a_strip_each(check_lettering):
    systems = {"before": [[INK] * 3] * 2, "after": [[EMOJI] * 3] * 2}
    marks = {"before": np.zeros((2, 3), bool), "after": np.ones((2, 3), bool)}
    figure = plots.result_grid(QUERIES, systems, [[INK], [INK]], right=marks)
    assert texts(figure).count("before") == texts(figure).count("after") == 2
    assert len(figure.axes[0].images) == 12 + 2 and texts(figure).count("✓") == 6
    check_lettering(figure)


def test_two_systems_stand_next_to_each_other(check_lettering):
    systems = {"before": [[INK] * 3] * 2, "after": [[EMOJI] * 3] * 2}
    marks = {"before": np.zeros((2, 3), bool), "after": np.array([[1, 0, 0], [0, 1, 1]], bool)}
    figure = plots.result_grid(QUERIES, systems, right=marks, note="by me", beside=True)
    assert texts(figure).count("before") == texts(figure).count("after") == 1
    assert len(figure.axes[0].images) == 12 and texts(figure).count("✓") == 3
    lefts = [image.get_extent()[0] for image in figure.axes[0].images]
    assert lefts[:6] == lefts[6:12] and max(lefts[:3]) < min(lefts[3:6])  # a row for each query
    check_lettering(figure)
    assert figure.get_size_inches()[0] <= 10.8 and "by me" in texts(figure)


def test_pictures_ask_and_texts_answer(check_lettering):
    captions = ["a red circle above a large striped blue square", "bell", "two dogs"]
    figure = plots.result_grid([EMOJI, INK], [captions] * 2, [["bell"]] * 2, right=RIGHT)
    assert len(figure.axes[0].images) == 2
    assert texts(figure).count("bell") == 4
    check_lettering(figure)


def test_many_results_are_drawn_smaller():
    figure = plots.result_grid(["a"], [[INK] * 12], [[INK]])
    assert figure.get_size_inches()[0] <= 10.8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), "results must hold a list of items for each query"),
        ((["a"], [[INK], [INK]]), "got 2 lists for 1 queries"),
        ((["a"], [[]]), "at least one"),
        ((["a"], {}), "at least one system"),
        ((["a"], {"x": [[]]}), "results of 'x'"),
        ((["a"], [[INK]], [[INK], [INK]]), "truth must have 1 entries"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(RetrievalInputError, match=message):
        plots.result_grid(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"right": [[True, False]]}, "right must have the shape of results"),
        ({"names": {"x": [["a"]]}}, "names must have the shape of results"),
        ({"labels": ["a", "b"]}, "labels must have 1 entries"),
    ],
)
def test_options_of_another_shape_are_refused(options, message):
    with pytest.raises(RetrievalInputError, match=message):
        plots.result_grid(["a"], [[INK]], **options)


def test_what_is_no_picture_is_refused():
    with pytest.raises(RetrievalInputError, match=r"image must have shape .* got \(5,\)"):
        plots.result_grid(["a"], [[np.zeros(5)]])


@pytest.mark.parametrize("k", [3, 10])
@pytest.mark.parametrize("labels", [None, ["median", "a label that takes two lines of the grid"]])
def test_pictures_that_ask_stay_in_their_row(k, labels):
    figure = plots.result_grid([INK] * 2, [[EMOJI] * k] * 2, labels=labels)
    axes = figure.axes[0]
    lines = [line.get_ydata()[0] for line in axes.lines]  # over each row
    ends = [*lines[1:], max(axes.get_ylim())]
    asking = [image.get_extent() for image in axes.images if image.get_extent()[0] < 1]
    for (_, _, bottom, top), start, end in zip(asking, lines, ends, strict=True):
        assert start < top < bottom <= end
