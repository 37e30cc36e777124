"""Sketches in files of any format, and files that are refused with their name and advice."""

import json

import numpy as np
import pytest
from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.strokes import Drawing, read_sketch, render_drawing, to_lists, write_ndjson
from lib.datasets.strokes.quickdraw import QuickDrawRecord
from tests.datasets.strokes.sketches import ANGLE, assert_same
from tests.datasets.strokes.test_svg import ATTACKS, PEN, svg

DOT = Drawing((np.array([[3.0, 4]]),))


def test_each_format_by_hand(tmp_path):
    lists = json.dumps(to_lists(ANGLE))
    texts = {
        "lists.json": lists,
        "record.JSON": f'{{"word": "x",\n "drawing": {lists}}}',
        "one.ndjson": f'{{"drawing": {lists}}}\n\n',
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        assert_same(read_sketch(tmp_path / name), ANGLE)
    (tmp_path / "a.svg").write_text(svg(f'<polyline points="0,0 10,0 10,20" {PEN}/>'))
    assert_same(read_sketch(tmp_path / "a.svg"), Drawing(ANGLE.strokes[:1]))
    Image.new("RGBA", (8, 6), (1, 2, 3, 0)).save(tmp_path / "a.png")
    picture = read_sketch(str(tmp_path / "a.png"))
    assert picture.size == (8, 6) and picture.getpixel((0, 0)) == (1, 2, 3, 0)


def test_a_line_of_a_longer_file(tmp_path):
    path = tmp_path / "two.ndjson"
    write_ndjson(path, [QuickDrawRecord(ANGLE, 1, "x"), QuickDrawRecord(DOT, 2, "y")])
    assert_same(read_sketch(f"{path}:1"), ANGLE)
    assert_same(read_sketch(f"{path}:2"), DOT)
    for name, message in [
        (f"{path}", r"two.ndjson holds more than one drawing. .* as in .*two.ndjson:1"),
        (f"{path}:3", r"the line must be between 1 and 2 \(the lines of .*ndjson\), got 3"),
        (f"{path}:0", "between 1 and 0"),
    ]:
        with pytest.raises(RetrievalInputError, match=message):
            read_sketch(name)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.json", "", "x.json is no drawing of QuickDraw"),
        ("x.json", "[]", "at least one stroke"),
        ("x.json", "[[[], []]]", "at least 1, got lengths"),
        ("x.json", "[[[NaN], [1]]]", "NaN is not a number of JSON"),
        ("x.json", "[[[1e999], [1]]]", "finite number"),
        ("x.json", "[" * 100_000, "recursion"),
        ("x.json", '{"word": "cat"}', "must be a list of strokes"),
        ("x.json", json.dumps([[[0] * 1_000_001] * 2]), "at most .* 1,000,000 points"),
        ("x.ndjson", "[[[1, 2], [1]]]\n", "x.ndjson, line 1, is no drawing of QuickDraw"),
        ("x.ndjson", "", "between 1 and 0"),
        ("x.ndjson", "[" * (2**25 + 1), "at most 33,554,432 characters"),
        ("x.svg", svg(""), "must have a visible line"),
        *(("x.svg", text, "x.svg") for text in ATTACKS.values()),
        ("x.png", "[[[1], [1]]]", "x.png is not a picture that can be read"),
        ("x.png", svg(""), "x.png is a SVG or XML file"),
    ],
)
def test_hostile_files_are_refused_with_name_and_advice(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises((DamagedFileError, RetrievalInputError), match=message) as refusal:
        read_sketch(tmp_path / name)
    assert name in str(refusal.value)
    if name != "x.png" and text:
        assert "Draw the sketch again" in str(refusal.value)


def test_huge_pictures_are_refused_before_they_are_decoded(tmp_path):
    path = tmp_path / "huge.png"
    Image.new("1", (10_000, 10_000)).save(path)
    with pytest.raises(RetrievalInputError, match="huge.png is too large: 10,000 x 10,000 pixels"):
        read_sketch(path)


def test_a_million_points_and_a_large_canvas_are_drawn(tmp_path):
    turns = np.linspace(0, 50 * np.pi, 1_000_000)
    spiral = np.stack([5_000 + 80 * turns * f(turns) / np.pi for f in (np.cos, np.sin)], axis=1)
    path = tmp_path / "spiral.json"
    path.write_text(json.dumps(to_lists(Drawing((np.rint(spiral),)))))
    drawing = read_sketch(path)
    assert len(drawing.points) == 1_000_000 and np.ptp(drawing.points) > 7_000
    ink = render_drawing(drawing)
    assert ink.shape == (64, 64) and ink[32, 32] > 0


@pytest.mark.parametrize("name", ["none.svg", "none.json", "none.ndjson", "none.ndjson:4"])
def test_a_missing_file(name):
    with pytest.raises(MissingFileError, match="is missing. Name a sketch"):
        read_sketch(name)
