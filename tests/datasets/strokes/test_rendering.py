"""Pictures of drawings: by hand, against a plain form and Pillow, and hostile drawings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from lib.core.checks import RetrievalInputError
from lib.datasets.strokes import Drawing, render_drawing, render_drawings, rendering
from tests.datasets.strokes.sketches import ANGLE, drawings


def line(*points):
    return Drawing((np.array(points, float),))


def plain(drawing, size, width):
    """The formula of the module, at every pixel for every segment."""
    y, x = np.mgrid[:size, :size] + 0.5
    distance = np.full((size, size), np.inf)
    for stroke in drawing.strokes:
        for (x0, y0), (x1, y1) in zip(stroke[:-1] if len(stroke) > 1 else stroke, stroke[-1:]
                                      if len(stroke) == 1 else stroke[1:]):  # fmt: skip
            dx, dy = x1 - x0, y1 - y0
            squared = dx * dx + dy * dy
            share = np.clip(((x - x0) * dx + (y - y0) * dy) / (squared or 1), 0, 1)
            away = np.hypot(x - x0 - share * dx, y - y0 - share * dy)
            distance = np.minimum(distance, away)
    return 255 * min(width, 1) * np.clip(max(width, 1) / 2 + 0.5 - distance, 0, 1)


# ---- by hand


def test_a_horizontal_line_of_two_pixels():
    picture = render_drawing(line([3, 4], [9, 4]), 12, 2, fit=False, cap="butt")
    expected = np.zeros((12, 12), np.uint8)
    expected[3:5, 3:9] = 255
    np.testing.assert_array_equal(picture, expected)
    assert picture.dtype == np.uint8


def test_caps():
    drawing = line([4, 6], [8, 6])
    butt, square, round_ = (
        render_drawing(drawing, 12, 2, fit=False, cap=cap)[5] for cap in ("butt", "square", "round")
    )
    assert butt.tolist() == [0] * 4 + [255] * 4 + [0] * 4
    assert square.tolist() == [0] * 3 + [255] * 6 + [0] * 3
    assert round_[4:8].min() == 255 and 0 < round_[3] < 255 and round_[2] == 0


def test_half_a_pixel_and_thin_pens_are_gray():
    shifted = render_drawing(line([0, 6.5], [12, 6.5]), 12, 2, fit=False)
    assert shifted[5:8, 6].tolist() == [128, 255, 128]
    thin = render_drawing(line([0, 6.5], [12, 6.5]), 12, 0.5, fit=False)
    assert thin[5:8, 6].tolist() == [0, 128, 0]


def test_a_dot_is_a_disc():
    picture = render_drawing(line([6, 6]), 12, 6, fit=False) / 255
    assert picture.sum() == pytest.approx(9 * np.pi, rel=0.03)
    np.testing.assert_array_equal(picture, picture.T)
    np.testing.assert_array_equal(picture, picture[::-1])


def test_fitting_leaves_half_a_pen_and_half_a_pixel():
    picture = render_drawing(line([-500, 0], [500, 0]), 16, 4)
    rows, columns = np.nonzero(picture)
    assert rows.min() == 6 and rows.max() == 9 and columns.min() == 0 and columns.max() == 15
    assert picture[7:9, 1:15].min() == 255 and picture[7, 0] < 255
    dot = render_drawing(line([900, 900]), 16, 4)
    assert dot[6:10, 6:10].sum() == dot.sum() > 0


def test_a_margin_stays_free():
    picture = render_drawing(line([0, 0], [9, 9]), 24, 2, margin=5)
    assert picture[:5].max() == picture[-5:].max() == picture[:, :5].max() == 0
    assert picture[5:8, 5:8].max() == 255 and picture[-8:-5, -8:-5].max() == 255


def test_what_lies_outside_is_cut_off():
    inside = render_drawing(line([0, 6], [12, 6]), 12, 2, fit=False, cap="butt")
    far = render_drawing(line([-1e5, 6], [1e5, 6]), 12, 2, fit=False, cap="butt")
    np.testing.assert_array_equal(inside, far)
    assert render_drawing(line([50, 50], [90, 90]), 12, 2, fit=False).max() == 0


# ---- other forms


@given(drawings(low=-10, high=50, whole=False), st.floats(0.3, 9))
@settings(max_examples=60, deadline=None)
def test_the_plain_form_agrees(drawing, width):
    picture = render_drawing(drawing, 40, width, fit=False)
    assert np.abs(picture - plain(drawing, 40, width)).max() <= 1


def test_pillow_at_sixteen_times_the_size_agrees():
    rng = np.random.default_rng(0)
    for _ in range(5):
        points = rng.uniform(6, 58, (4, 2))
        large = Image.new("L", (1024, 1024))
        pen = ImageDraw.Draw(large)
        pen.line([tuple(p) for p in points * 16], fill=255, width=48)
        for x, y in points * 16:
            pen.ellipse((x - 24, y - 24, x + 24, y + 24), fill=255)
        expected = np.asarray(large.reduce(16), float)
        difference = np.abs(render_drawing(line(*points), 64, 3, fit=False) - expected)
        assert difference.mean() < 1 and (difference > 30).mean() < 0.005


@given(st.lists(drawings(), min_size=1, max_size=4), st.sampled_from(rendering.CAPS))
@settings(max_examples=20, deadline=None)
def test_a_batch_is_its_drawings_one_by_one(batch, cap):
    widths = np.linspace(1, 5, len(batch))
    together = render_drawings(batch, 24, widths, cap=cap)
    for drawing, width, picture in zip(batch, widths, together, strict=True):
        alone = render_drawing(drawing, 24, width, cap=cap)
        assert np.abs(alone.astype(int) - picture).max() <= 1


def test_batches_of_any_length(monkeypatch):
    batch = [line([0, 0], [k, 5]) for k in range(1, 8)]
    whole = render_drawings(batch, 16)
    monkeypatch.setattr(rendering, "BATCH", 3)
    np.testing.assert_array_equal(render_drawings(batch, 16), whole)


# ---- bad input


def test_a_million_points():
    """Short steps are drawn, a scribble over the whole picture is refused without drawing it."""
    t = np.linspace(0, 40, 100_000)
    spiral = Drawing((np.stack([t * np.cos(t), t * np.sin(t)], axis=1),))
    assert render_drawing(spiral, 64).max() == 255
    scribble = Drawing((np.random.default_rng(0).random((1_000_000, 2)),))
    with pytest.raises(RetrievalInputError, match=r"drawings\[0\] has too long lines"):
        render_drawing(scribble, 64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "at least one drawing"),
        (([ANGLE, "x"],), r"drawings\[1\] must be a Drawing, got str"),
        (([ANGLE], 3), "size must be at least 4"),
        (([ANGLE], 10_000), "size must be at most 4,096"),
        (([ANGLE], 64, 0), "width must be one number"),
        (([ANGLE], 64, 33), "at most 32"),
        (([ANGLE], 64, np.nan), "width must be one number"),
        (([ANGLE], 64, [1, 2]), "one for each of 1 drawings"),
        (([ANGLE], 64, "2"), "width must be"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(RetrievalInputError, match=message):
        render_drawings(*arguments)


def test_unknown_options_are_refused():
    with pytest.raises(RetrievalInputError, match="cap must be one of"):
        render_drawing(ANGLE, cap="flat")
    with pytest.raises(RetrievalInputError, match="fit must be True or False"):
        render_drawing(ANGLE, fit=1)
    with pytest.raises(RetrievalInputError, match="margin must be between 0 and 30.5"):
        render_drawing(ANGLE, margin=31)
