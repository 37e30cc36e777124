"""Texts are measured and wrapped by their width in inches, and drawn at even distances."""

import numpy as np
import pytest

from lib.plots.lettering import drawable, height_of, width_of, wrap_text, write_lines
from lib.plots.schematics.canvas import new_canvas


def test_a_measured_width_is_the_drawn_one():
    figure, ax = new_canvas(2.0)
    (text,) = write_lines(ax, 5, 1, "Illumination, $5 jug", 15)
    drawn = text.get_window_extent(figure.canvas.get_renderer()).width / figure.dpi
    assert width_of("Illumination, $5 jug", 15) == pytest.approx(drawn, rel=0.03)
    assert width_of("mm", 20) == pytest.approx(2 * width_of("mm", 10))


@pytest.mark.parametrize("text", ["a red circle left of a large blue square", "counter-clock-wise"])
def test_no_line_is_wider_than_asked_and_no_word_is_lost(text):
    wrapped = wrap_text(text, 1.0, 12, lines=9)
    assert all(width_of(row, 12) <= 1.0 for row in wrapped.split("\n"))
    assert wrapped.count("\n") >= 1
    assert wrapped.replace("\n", "").replace(" ", "") == text.replace(" ", "")


def test_a_text_too_long_ends_in_an_ellipsis():
    wrapped = wrap_text("one two three four five six seven eight nine", 0.7, 12, lines=2)
    assert wrapped.count("\n") == 1 and wrapped.endswith("…")
    assert all(width_of(row, 12) <= 0.7 for row in wrapped.split("\n"))
    assert wrap_text("incomprehensibilities", 0.5, 12).endswith("…")


def test_line_breaks_stay_and_characters_without_a_glyph_are_boxes():
    assert wrap_text("a b\nc", 9, 12) == "a b\nc"
    assert drawable("sun \U0001f334 é") == "sun \u25a1 é"
    assert wrap_text("", 1, 12) == ""


@pytest.mark.parametrize("va", ["top", "center", "bottom", "baseline"])
def test_lines_stand_at_even_distances(va):
    _, ax = new_canvas(4.0)
    places = [t.get_position()[1] for t in write_lines(ax, 2, 2, "xxx\ngjp\nÉdl\naaa", 15, va)]
    np.testing.assert_allclose(np.diff(places), -height_of(1, 15))
    ax.set_ylim(4, 0)
    places = [t.get_position()[1] for t in write_lines(ax, 2, 2, "a\nb", 15, va)]
    np.testing.assert_allclose(np.diff(places), height_of(1, 15))
