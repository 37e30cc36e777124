"""SVG drawings: shapes by hand, styles and transforms, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.svg_drawing import paint_drawing, parse_drawing, parse_transform, read_drawing

SIZE = 16


def svg(content, attributes=""):
    return (
        f'<svg viewBox="0 0 {SIZE} {SIZE}" xmlns="http://www.w3.org/2000/svg"{attributes}>'
        f"{content}</svg>"
    )


def painted(content, attributes="", size=SIZE, **options):
    return paint_drawing(parse_drawing(svg(content, attributes), "x.svg"), size, **options)


def ink(content, **options):
    """Darkness 0..1 of a drawing of black shapes."""
    return 1 - painted(content, **options)[..., 0] / 255


def same(one, other):
    np.testing.assert_array_equal(painted(one), painted(other))


SQUARE = '<rect x="2" y="3" width="8" height="4"/>'


# ---- shapes


def test_a_square_is_black_on_white():
    expected = np.full((SIZE, SIZE, 3), 255, np.uint8)
    expected[3:7, 2:10] = 0
    np.testing.assert_array_equal(painted(SQUARE), expected)
    assert painted(SQUARE).dtype == np.uint8


@pytest.mark.parametrize(
    "shape",
    [
        '<polygon points="2,3 10,3 10,7 2,7"/>',
        '<polyline points="2 3 10 3 10 7 2 7"/>',  # a fill closes an open line
        '<path d="M2,3H10V7H2Z"/>',
        '<path d="m2 3h8v4h-8z"/>',
        '<path d="M2 3 10 3 10 7 2 7"/>',
        '<rect x="2" y="3" width="8" height="4" rx="0"/>',
    ],
)
def test_shapes_that_are_the_same_rectangle(shape):
    same(shape, SQUARE)


def test_areas_of_round_shapes():
    assert ink('<circle cx="8" cy="8" r="5"/>').sum() == pytest.approx(25 * np.pi, rel=0.01)
    ellipse = ink('<ellipse cx="8" cy="8" rx="6" ry="3"/>')
    assert ellipse.sum() == pytest.approx(18 * np.pi, rel=0.01)
    assert ellipse[8, 3] == 1 and ellipse[3, 8] == 0
    rounded = ink('<rect x="2" y="2" width="12" height="12" rx="3"/>')
    assert rounded.sum() == pytest.approx(144 - 36 + 9 * np.pi, rel=0.01)
    same('<rect width="9" height="9" rx="3"/>', '<rect width="9" height="9" ry="3"/>')
    same('<rect width="8" height="8" rx="99"/>', '<circle cx="4" cy="4" r="4"/>')


def test_an_arc_and_a_curve_of_a_path():
    half = ink('<path d="M2,8 A6,6 0 0 1 14,8 Z"/>')
    assert half.sum() == pytest.approx(18 * np.pi, rel=0.01) and half[9:].sum() == 0
    # Controls 10 above the ends: y = 30 t (1 - t), dx = 72 t (1 - t) dt, area 2160 / 30.
    curve = ink('<path d="M2,12 C2,2 14,2 14,12 Z"/>')
    assert curve.sum() == pytest.approx(72, rel=0.01)
    quadratic = ink('<path d="M2,12 Q8,-4 14,12 Z"/>')  # a parabola: 2/3 of 12 x 8
    assert quadratic.sum() == pytest.approx(64, rel=0.01)


def test_a_line_has_a_stroke_and_no_fill():
    assert ink('<line x1="2" y1="8" x2="12" y2="8"/>').sum() == 0
    stroked = ink('<line x1="2" y1="8" x2="12" y2="8" stroke="#000" stroke-width="2"/>')
    assert stroked[7:9, 2:12].min() == 1 and stroked.sum() == 20


def test_a_hole_needs_the_even_odd_rule():
    path = "M2,2H14V14H2Z M5,5H11V11H5Z"
    assert ink(f'<path d="{path}"/>').sum() == 144
    assert ink(f'<path d="{path}" fill-rule="evenodd"/>').sum() == 144 - 36
    assert ink('<path d="M2,2H14V14H2Z M5,5V11H11V5Z"/>').sum() == 144 - 36  # turns the other way


@pytest.mark.parametrize(
    "empty",
    [
        '<circle cx="8" cy="8" r="0"/>',
        '<rect x="2" y="2" width="0" height="9"/>',
        '<path d=""/>',
        "<path/>",
        '<polygon points=""/>',
        '<rect width="9" height="9" fill="none"/>',
        '<rect width="9" height="9" display="none"/>',
        f'<g display="none">{SQUARE}</g>',
        '<rect width="9" height="9" fill-opacity="0"/>',
        '<line x1="2" y1="8" x2="12" y2="8" stroke="#000" stroke-width="0"/>',
    ],
)
def test_what_shows_nothing(empty):
    assert (painted(empty) == 255).all()


# ---- style


@pytest.mark.parametrize(
    ("colour", "expected"),
    [("#fcea2b", (252, 234, 43)), ("#FFF", (255, 255, 255)), ("red", (255, 0, 0))],
)
def test_colours(colour, expected):
    assert tuple(painted(f'<rect width="4" height="4" fill="{colour}"/>')[1, 1]) == expected


def test_later_shapes_lie_on_top_and_opacity_mixes():
    red, blue = (
        '<rect width="9" height="9" fill="#f00"/>',
        '<rect width="9" height="9" fill="#00f"/>',
    )
    assert tuple(painted(red + blue)[2, 2]) == (0, 0, 255)
    assert tuple(painted(blue + red)[2, 2]) == (255, 0, 0)
    half = blue.replace("/>", ' opacity="0.4"/>')
    assert tuple(painted(red + half)[2, 2]) == (153, 0, 102)
    same(half, blue.replace("/>", ' fill-opacity="0.4"/>'))
    same(blue, blue.replace("/>", ' opacity="7"/>'))


def test_groups_hand_down_their_style_and_children_overrule_it():
    inside = '<rect width="4" height="4"/><rect x="8" width="4" height="4" fill="#0f0"/>'
    picture = painted(f'<g fill="#f00" stroke="none"><g>{inside}</g></g>')
    assert tuple(picture[1, 1]) == (255, 0, 0) and tuple(picture[1, 9]) == (0, 255, 0)
    picture = painted(inside, attributes=' fill="#00f"')
    assert tuple(picture[1, 1]) == (0, 0, 255)


def test_the_stroke_lies_on_the_fill_unless_the_order_says_otherwise():
    shape = '<rect x="4" y="4" width="8" height="8" fill="#f00" stroke="#00f" stroke-width="4"{}/>'
    assert tuple(painted(shape.format(""))[5, 5]) == (0, 0, 255)
    order = ' paint-order="stroke fill markers"'
    assert tuple(painted(shape.format(order))[5, 5]) == (255, 0, 0)
    assert tuple(painted(shape.format(order))[3, 3]) == (0, 0, 255)


def test_only_the_asked_groups_are_painted():
    content = f'<g id="color">{SQUARE}</g><g id="line"><g id="inner">{SQUARE}</g></g>'
    drawing = parse_drawing(svg(content + SQUARE))
    assert [shape.group for shape in drawing.shapes] == ["color", "line", ""]
    assert paint_drawing(drawing, SIZE, ["line"]).min() == 0
    assert paint_drawing(drawing, SIZE, ["inner", "other"]).min() == 255


# ---- transforms


@pytest.mark.parametrize(
    ("text", "point", "expected"),
    [
        ("translate(3, 4)", (1, 1), (4, 5)),
        ("translate(3)", (1, 1), (4, 1)),
        ("scale(2)", (1, 3), (2, 6)),
        ("scale(-1, 1) translate(-72, 0)", (10, 5), (62, 5)),  # the right-most one acts first
        ("rotate(90)", (1, 0), (0, 1)),
        ("rotate(180 2 3)", (2, 4), (2, 2)),
        ("matrix(1 2 3 4 5 6)", (1, 10), (36, 48)),
        ("", (1, 2), (1, 2)),
    ],
)
def test_transforms_by_hand(text, point, expected):
    moved = parse_transform(text) @ [*point, 1]
    np.testing.assert_allclose(moved, [*expected, 1], atol=1e-12)


def test_transforms_of_groups_and_shapes_are_chained():
    inner = '<rect width="4" height="2" transform="translate(1, 0)"/>'
    same(f'<g transform="scale(2)">{inner}</g>', '<rect x="2" width="8" height="4"/>')


def test_a_transform_scales_the_stroke_with_the_shape():
    line = '<line x1="1" y1="4" x2="6" y2="4" stroke="#000" transform="scale(2)"/>'
    same(line, '<line x1="2" y1="8" x2="12" y2="8" stroke="#000" stroke-width="2"/>')


def test_the_view_box_fills_the_picture():
    large = painted(SQUARE, size=4 * SIZE)
    np.testing.assert_array_equal(large[::4, ::4], painted(SQUARE))
    text = svg(SQUARE).replace("0 0 16 16", "2 3 8 8")
    picture = paint_drawing(parse_drawing(text), 8)
    assert (picture[:4] == 0).all() and (picture[4:] == 255).all()


@given(st.integers(8, 96), st.floats(0, 6.3))
@settings(max_examples=20, deadline=None)
def test_area_is_kept_by_rotation_and_grows_with_the_size(size, angle):
    turn = f'transform="rotate({np.rad2deg(angle):.3f} 8 8)"'
    area = ink(f'<rect x="5" y="4" width="6" height="8" {turn}/>', size=size).sum()
    assert area / (size / SIZE) ** 2 == pytest.approx(48, rel=0.08)


def test_the_same_file_gives_the_same_bytes():
    content = '<circle cx="7.3" cy="8.1" r="5.7" stroke="#123456" fill="#fedcba"/>'
    assert painted(content).tobytes() == painted(content).tobytes()


# ---- bad input


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<text>a</text>", "element <text> cannot be drawn"),
        ('<use href="#a"/>', "element <use> cannot be drawn"),
        ('<image href="a.png"/>', "element <image> cannot be drawn"),
        ('<rect style="filter:url(#a)"/>', "attribute filter of <rect> cannot be drawn"),
        ('<rect style="fill"/>', "style 'fill' is not understood"),
        ('<g clip-path="url(#a)"/>', "attribute clip-path of <g> cannot be drawn"),
        ('<path d="M0 0" marker-end="url(#a)"/>', "attribute marker-end of <path>"),
        ('<g opacity="0.5"/>', "opacity of a group cannot be drawn"),
        ('<rect width="4" height="4" transform="skewX(3)"/>', "transform 'skewX.3.' is not"),
        ('<rect width="4" height="4" transform="scale(2"/>', "transform 'scale.2' is not"),
        ('<rect width="4" height="4" fill="url(#a)"/>', "unknown color specifier"),
        ('<rect width="4" height="4" fill-rule="odd"/>', "fill-rule must be one of"),
        ('<rect width="4px" height="4"/>', "could not convert"),
        ('<path d="L3 4"/>', "moveto"),
        ('<path d="M0 0 C1 2"/>', "Not enough coordinates"),
        ('<path d="M0 0 H1e9 V5"/>', "not a number up to 1,000,000"),
        ('<circle r="nan"/>', "Invalid arc|not a number"),
        ('<rect x="1e7" width="4" height="4"/>', "not a number up to"),
        ('<path d="M0 0H4" stroke="#000" stroke-linecap="flat"/>', "cap must be one of"),
        ('<polygon points="1 2 3"/>', "pairs of numbers"),
        ("<rect", "not well-formed"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_file(content, message):
    with pytest.raises(DamagedFileError, match=message) as refusal:
        painted(content)
    assert "x.svg is no drawing that can be read" in str(refusal.value)


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE svg [<!ENTITY a "b">]>' + svg(SQUARE),
        "<html/>",
        svg(SQUARE).replace("0 0 16 16", "0 0 16"),
        svg(SQUARE).replace("0 0 16 16", "0 0 16 0"),
        "",
        svg("<g>" * 5000 + "</g>" * 5000),
    ],
    ids=["entities", "another root", "three numbers", "no height", "empty", "deep"],
)
def test_files_that_are_no_drawing_are_refused(text):
    with pytest.raises(DamagedFileError, match="x.svg"):
        parse_drawing(text, "x.svg")


MANY = 20_001


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f'<g transform="{"a" * 1_000_000}">{SQUARE}</g>', "transform 'aaa.* is not understood"),
        (f'<g transform="scale{" " * 500_000}">{SQUARE}</g>', "is not understood"),
        (f'<path d="{"M0 0L1 1" * MANY}" stroke="#000"/>', "more than 20,000 lines"),
        (f'<path d="{"M0 0L1 1" * 15_000}" stroke="#000"/>' * 2, "more than 20,000 lines"),
        ("<path/>" * MANY, "more than 20,000 elements"),
        (
            f'<g transform="scale(1e200)"><g transform="scale(1e200)">{SQUARE}</g></g>',
            "not a number",
        ),
        ('<path d="M0 0L1e999 5" stroke="#000"/>', "not a number"),
    ],
    ids=["a long word", "spaces", "subpaths", "of two paths", "elements", "overflow", "infinite"],
)
def test_files_that_would_take_minutes_are_refused_without_warnings(content, message, recwarn):
    with pytest.raises(DamagedFileError, match=message):
        parse_drawing(svg(content), "x.svg")
    assert not recwarn.list


def test_a_file_is_read_as_its_text(tmp_path):
    path = tmp_path / "square.svg"
    path.write_text(svg(SQUARE))
    np.testing.assert_array_equal(paint_drawing(read_drawing(path), SIZE), painted(SQUARE))
    with pytest.raises(MissingFileError, match="other.svg is missing"):
        read_drawing(tmp_path / "other.svg")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DamagedFileError, match="square.svg is no drawing"):
        read_drawing(path)


def test_the_size_is_a_whole_number():
    with pytest.raises(RetrievalInputError, match="size must be at least 1, got 0"):
        painted(SQUARE, size=0)
