"""Strokes of SVG files: shapes by hand, OpenMoji's groups, files of drawing programs, attacks."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import emoji_files, svg_drawing
from lib.datasets.strokes import parse_svg_strokes, read_svg_strokes, render_drawing, svg_strokes

PEN = 'fill="none" stroke="#000"'


def svg(content, attributes='viewBox="0 0 16 16"', prolog=""):
    return f'{prolog}<svg {attributes} xmlns="http://www.w3.org/2000/svg">{content}</svg>'


def strokes(content, **options):
    return parse_svg_strokes(svg(content), "x.svg", **options).strokes


def test_shapes_by_hand():
    shapes = {
        '<line x1="1" y1="2" x2="3" y2="4" {}/>': [[1, 2], [3, 4]],
        '<polyline points="1,2 3,4 5,2" {}/>': [[1, 2], [3, 4], [5, 2]],
        '<polygon points="1,2 3,4 5,2" {}/>': [[1, 2], [3, 4], [5, 2], [1, 2]],
        '<rect x="1" y="2" width="3" height="4" {}/>': [[1, 2], [4, 2], [4, 6], [1, 6], [1, 2]],
        '<path d="M1 2h3v4z" {}/>': [[1, 2], [4, 2], [4, 6], [1, 2]],
        '<path d="M1 2 1 2 3 3" {}/>': [[1, 2], [3, 3]],
    }
    for shape, expected in shapes.items():
        (stroke,) = strokes(shape.format(PEN))
        np.testing.assert_allclose(stroke, expected)


def test_circles_ellipses_and_curves_lie_on_their_formula():
    (circle,) = strokes(f'<circle cx="8" cy="8" r="5" {PEN}/>')
    np.testing.assert_allclose(np.hypot(*(circle - 8).T), 5, atol=0.03)
    np.testing.assert_array_equal(circle[0], circle[-1])
    (ellipse,) = strokes(f'<ellipse cx="8" cy="8" rx="6" ry="3" {PEN}/>')
    np.testing.assert_allclose((((ellipse - 8) / [6, 3]) ** 2).sum(axis=1), 1, atol=0.02)
    (parabola,) = strokes(f'<path d="M0 0Q4 8 8 0" {PEN}/>')
    x, y = parabola.T
    np.testing.assert_allclose(y, x * (8 - x) / 4, atol=1e-9)


def test_a_move_begins_a_new_stroke_and_order_is_kept():
    found = strokes(f'<path d="M5 5h2M1 1h2" {PEN}/><line x1="9" x2="10" {PEN}/>')
    assert [stroke[0].tolist() for stroke in found] == [[5, 5], [1, 1], [9, 0]]


def test_transforms_move_strokes():
    content = f'<g transform="translate(1 0)"><line x2="2" transform="scale(2 1)" {PEN}/></g>'
    np.testing.assert_allclose(strokes(content)[0], [[1, 0], [5, 0]])


def test_fills_are_outlined_or_omitted():
    content = '<rect width="2" height="2"/>' + f'<line x2="5" {PEN}/>'
    assert [len(stroke) for stroke in strokes(content)] == [5, 2]
    parsed = svg_drawing.parse_drawing(svg(content))
    assert [len(s) for s in svg_strokes(parsed, fills="omit").strokes] == [2]
    with pytest.raises(RetrievalInputError, match="fills must be one of"):
        svg_strokes(parsed, fills="scribble")


def test_invisible_shapes_have_no_strokes():
    with pytest.raises(RetrievalInputError, match="must have a visible line, got none"):
        parse_svg_strokes(svg('<line x2="5"/><rect width="4" height="4" fill="none"/>'))


def test_the_line_group_of_openmoji():
    path = emoji_files.paths_of(["1F600"])[0]
    drawing = emoji_files.read_line_strokes(path)
    assert 4 <= len(drawing.strokes) <= 8
    assert drawing.points.min() >= 0 and drawing.points.max() <= 72
    with pytest.raises(RetrievalInputError, match=r"in its groups \['none'\]"):
        read_svg_strokes(path, ["none"])
    (again,) = emoji_files.cached_line_strokes(["1F600"])
    np.testing.assert_array_equal(again.points, drawing.points)


@pytest.mark.parametrize("code", ["1F408", "2708", "1F3E0"])
def test_strokes_cover_the_painted_lines(code):
    """The picture of the strokes, and the painted line group, agree in most of their ink."""
    path = emoji_files.paths_of([code])[0]
    drawing = emoji_files.read_line_strokes(path)
    scaled = drawing.with_points(drawing.points * (64 / 72))
    mine = render_drawing(scaled, 64, 2 * 64 / 72, fit=False) / 255
    painted = emoji_files.draw_emoji(path, 64)[1] / 255
    assert np.minimum(mine, painted).sum() > 0.85 * np.maximum(mine, painted).sum()


def test_a_file_of_a_drawing_program():
    """Metadata, definitions and foreign elements show nothing; `style` holds the pen."""
    content = (
        '<title>cat</title><desc/><metadata><x/></metadata><defs id="d"><path d="M9 9"/></defs>'
        '<n:view xmlns:n="urn:n" n:zoom="2"/>'
        '<g n:label="Layer" xmlns:n="urn:n"><path style="fill:none;stroke:#000000;'
        'stroke-width:1px;-program-stroke:none" d="M 1,2 3,4"/></g>'
    )
    drawing = parse_svg_strokes(svg(content, 'width="32px" height="16"'))
    np.testing.assert_allclose(drawing.points, [[1, 2], [3, 4]])


ATTACKS = {
    "an entity": svg("&a;", prolog='<!DOCTYPE svg [<!ENTITY a "b">]>'),
    "a bomb of entities": '<!DOCTYPE s [<!ENTITY a "aa"><!ENTITY b "&a;&a;&a;">]><s>&b;</s>',
    "an external entity": svg("&a;", prolog='<!DOCTYPE s [<!ENTITY a SYSTEM "file:///etc/hosts">]>'),
    "a style sheet": svg("", prolog='<?xml-stylesheet href="http://example.org/a.css"?>'),
    "an image": svg('<image href="http://example.org/a.png"/>'),
    "a copy": svg('<use href="http://example.org/a.svg#a"/>'),
    "a script": svg("<script>1</script>"),
    "a paint server": svg('<rect width="4" height="4" fill="url(http://example.org/a.svg#a)"/>'),
    "too many points": svg(f'<path d="M0 0{"h1" * 210_000}" {PEN}/>'),
    "too long a file": svg(f'<path d="M0 0{"h1" * 2_000_000}" {PEN}/>'),
    "too many shapes": svg("<g/>" * 1_000_001),
    "too many curves": svg(f'<path d="M0 0{"c0 999 9 -999 9 0" * 20_000}" {PEN}/>'),
    "no number": svg(f'<line x2="nan" {PEN}/>'),
    "an infinite box": svg(f'<line x2="1" {PEN}/>', 'width="inf" height="4"'),
    "deep groups": svg("<g>" * 50_000 + "</g>" * 50_000),
    "not XML": "\0\1\2",
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_refused(attack, tmp_path):
    path = tmp_path / "x.svg"
    path.write_text(ATTACKS[attack])
    with pytest.raises(DamagedFileError, match="x.svg"):
        read_svg_strokes(path)


def test_a_missing_file():
    with pytest.raises(MissingFileError, match="none.svg is missing"):
        read_svg_strokes("none.svg")
