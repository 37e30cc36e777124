"""Figures of pictures: light and dark patches of each word, and sheets of images."""

import numpy as np
import pytest

from lib import plots
from lib.core.checks import RetrievalInputError
from lib.plots.pictures import DARKEST

IMAGE = np.full((8, 8, 3), 100, np.uint8)
MAP = np.array([[1.0, 0.5, 0.0, -0.7]])  # one word, 2 x 2 patches


def drawn(maps=MAP, words=("red",), **kwargs):
    return plots.spotlights([IMAGE], [maps], [words], ["its own image"], **kwargs)


def test_it_is_dark_where_similarity_is_low_and_clear_where_it_is_high():
    veil = drawn().axes[1].images[1].get_array()
    assert veil.shape == (2, 2, 4)
    np.testing.assert_allclose(veil[..., 3].ravel(), [0, DARKEST / 2, DARKEST, DARKEST])


def test_a_frame_stands_on_the_patch_that_won_and_its_similarity_behind_the_word():
    panel = drawn(np.array([[0.0, 0.1, 0.25, 0.2]])).axes[1]
    assert {patch.get_xy() for patch in panel.patches} == {(-0.5, 3.5)}
    assert panel.get_xlabel() == "red\n0.25"


def test_words_are_readable_and_rows_may_have_different_numbers_of_them():
    figure = plots.spotlights(
        [IMAGE] * 2, [MAP, np.tile(MAP, (2, 1))], [["a"], ["b", "c"]], ["1", "2"]
    )
    labels = [ax.get_xlabel() for ax in figure.axes]
    assert labels == ["", "a\n1.00", "", "", "b\n1.00", "c\n1.00"]
    assert all(ax.xaxis.label.get_fontsize() >= 12 for ax in figure.axes)


def test_a_long_name_does_not_widen_the_panel_it_stands_over():
    figures = [
        plots.spotlights([IMAGE], [MAP], [["red"]], [name]) for name in ("short", "a caption " * 6)
    ]
    for figure in figures:
        figure.draw_without_rendering()
    widths = [figure.axes[0].get_position().width for figure in figures]
    assert widths[0] == pytest.approx(widths[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], [], [], []), "equally many, got 0, 0"),
        (([IMAGE], [MAP, MAP], [["a"]], ["1"]), "got 1, 2"),
        (([IMAGE], [MAP[:, :3]], [["a"]], ["1"]), r"square grid\), got \(1, 3\)"),
        (([IMAGE], [MAP], [["a", "b"]], ["1"]), r"shape \(2, patches"),
        (([IMAGE], [MAP[0]], [["a"]], ["1"]), r"got \(4,\)"),
    ],
)
def test_refuses_what_it_cannot_draw(arguments, message):
    with pytest.raises(RetrievalInputError, match=message):
        plots.spotlights(*arguments)


# ---- contact sheets


def test_contact_sheet_marks_right_answers_in_form_and_word():
    images = np.random.default_rng(0).random((3, 8, 8, 3))
    figure = plots.contact_sheet(
        images,
        ["bell", "bell ring", "a very long name that goes on and on and on"],
        marks=[1, 0, 0],
    )
    first, second, third = figure.axes[:3]
    assert first.get_xlabel().startswith("✓") and not second.get_xlabel().startswith("✓")
    assert first.spines["top"].get_linewidth() > second.spines["top"].get_linewidth()
    assert third.get_xlabel().endswith("…") and third.get_xlabel().count("\n") == 1


def test_contact_sheet_shows_bytes_on_their_own_scale():
    figure = plots.contact_sheet([np.full((4, 4), 128, np.uint8)])
    assert figure.axes[0].images[0].get_clim() == (0, 255)
    assert plots.contact_sheet([np.full((4, 4), 0.5)]).axes[0].images[0].get_clim() == (0, 1)


def test_contact_sheet_shows_any_text_as_it_is():
    """No formula is read out of dollars, and no warning is printed for a missing character."""
    names = ["$x_$", "\u65e5\u672c \u00e9\u0436"]
    title = "\\frac{ $a^$ \U0001f334 " + "long " * 40
    figure = plots.contact_sheet(
        [np.zeros((4, 4), np.uint8)] * 2, names, title=title, note="by somebody"
    )
    figure.draw_without_rendering()
    first, second = (ax.get_xlabel() for ax in figure.axes)
    assert first == "$x_$" and second == "\u25a1\u25a1 \u00e9\u0436"
    assert (
        figure.get_suptitle().startswith("\\frac{ $a^$ \u25a1")
        and "\n" not in figure.get_suptitle()
    )
    assert figure.get_suptitle().endswith("\u2026") and figure.get_supxlabel() == "by somebody"


def test_larger_names_are_wrapped_earlier():
    image, name = np.zeros((4, 4), np.uint8), "clock counter clockwise"
    small, large = (
        plots.contact_sheet([image], [name], size=2.2, font_size=points).axes[0].xaxis.label
        for points in (12, 18)
    )
    assert small.get_fontsize() == 12 and large.get_fontsize() == 18
    assert small.get_text() == name
    assert large.get_text() == "clock counter\nclockwise"
