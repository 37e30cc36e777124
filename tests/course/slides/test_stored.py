"""Pieces of an executed notebook, by the ids of its cells."""

import base64
import io

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from lib import report
from lib.core.checks import RetrievalInputError
from lib.course.slides.pieces import slide_html
from lib.course.slides.stored import StoredNotebook

ROWS = [
    {"set": "icons", "metric": "R@1", "value": 43.61, "low": 40.3, "high": 46.8},
    {"set": "icons", "metric": "R@10", "value": 74.5, "low": 71.2, "high": 77.9},
    {"set": "emoji", "metric": "R@1", "value": 22.5, "low": 16.4, "high": 28.9},
]


def shown(output):
    data = output._repr_mimebundle_()
    return new_output("display_data", data=data[0] if isinstance(data, tuple) else data)


def asked(key, text):
    mime = "application/vnd.crossmodal.prediction+json"
    return new_output("display_data", data={mime: {"key": key}, "text/plain": text})


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    picture = Image.new("RGB", (200, 100), "white")
    picture.paste("black", (50, 20, 150, 80))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    png = base64.b64encode(stream.getvalue()).decode()
    sentence = report.sentence(
        "{n:,} of {k:.1f} < 3 in {where}.", n=1000, k=2.25, where="a & b", tolerance=0
    )
    table = report.quality(ROWS, tolerance=1, digits=1, title="A title", columns=list(ROWS[0]))
    cells = {
        "fig": [new_output("display_data", data={"image/png": png, "text/plain": ""})],
        "words": [shown(sentence)],
        "rows": [shown(table)],
        "text": [new_output("stream", text="first\nsecond\nthird\n")],
        "ask": [
            asked("a.key", "What?\n  a) this\n  b) that\nYour prediction: none yet. Set yours.")
        ],
        "tell": [
            asked("a.key", "Observed: b) that\nYou made no prediction: set it.\nWhy: it\n    is.")
        ],
    }
    whole = new_notebook(
        cells=[
            new_code_cell("k = 3\nprint(k,\n      seed=7)", id=name, outputs=outputs)
            for name, outputs in cells.items()
        ]
    )
    path = tmp_path_factory.mktemp("notebooks") / "07_topic.ipynb"
    nbformat.write(whole, path)
    return StoredNotebook(path)


def test_a_figure_loses_its_margin_and_keeps_its_sentence(notebook):
    figure = notebook.figure("fig")
    assert (figure.width, figure.height) == (112, 72)  # 6 pixels around the ink
    assert figure.sentence == "1,000 of 2.2 < 3 in a & b."  # of the following cell
    half = notebook.figure("fig", crop="0 0 50 100")
    assert (half.width, half.height) == (56, 72)


def test_values_have_the_format_of_their_sentence(notebook):
    assert notebook.value("words", "n") == "1,000"
    assert notebook.value("words", "k") == "2.2"
    assert notebook.value("words", "where") == "a & b"
    assert notebook.sentence("words") == "1,000 of 2.2 < 3 in a & b."


def test_tables_are_read_as_they_are_shown(notebook):
    table = notebook.table("rows")
    assert table.title == "A title"
    assert table.columns == ["set", "metric", "value [low, high]"]
    assert table.rows[0] == ["icons", "R@1", "43.6 [40.3, 46.8]"]
    assert notebook.entry("rows", "icons / R@10", "value") == "74.5 [71.2, 77.9]"
    assert notebook.entry("rows", "emoji", "value [low, high]") == "22.5 [16.4, 28.9]"


def test_lines_and_predictions(notebook):
    assert notebook.printed("text", "2-3") == "second\nthird"
    assert notebook.printed("text", "1, 3") == "first\nthird"
    assert notebook.code("text", "1") == "k = 3"
    assert notebook.code("text", "3") == "seed=7)"  # without the space before it
    (prediction,) = notebook.predictions().values()
    assert prediction.question == "What?\n  a) this\n  b) that"
    assert prediction.answer == "Observed: b) that\nWhy: it\n    is."
    assert notebook.holds("seed=7") and notebook.holds("k=3") and not notebook.holds("k=4")


def test_a_list_of_all_pieces(notebook):
    pieces = "\n".join(notebook.pieces())
    for name in ("figure fig", "sentence words", "value words n", "table rows", "printed text"):
        assert f"{{{{{name}}}}}" in pieces
    assert "{{question a.key}} and {{answer a.key}}" in pieces


def test_directives_become_html(notebook):
    page = slide_html(
        "We see {{value words where}}, {{sentence words}}\n\n{{table rows}}", notebook
    )
    assert "We see a &amp; b, 1,000 of 2.2 &lt; 3" in page
    assert page.count("<tr>") == 4 and "<td>43.6 [40.3, 46.8]</td>" in page
    few = slide_html("{{table rows | rows: 1, 3 | columns: set; value}}", notebook)
    assert "<tr><td>icons</td><td>43.6" in few and "<tr><td>emoji</td>" in few
    assert "<li>this</li><li>that</li>" in slide_html("{{question a.key}}", notebook)
    assert "<p>Why: it is.</p>" in slide_html("{{answer a.key}}", notebook)
    assert 'class="printed">first\nsecond' in slide_html("{{printed text}}", notebook)
    assert '<span class="n">seed</span>' in slide_html("{{code text | lines: 2-3}}", notebook)


def test_a_figure_beside_the_text_stands_outside_of_it(notebook):
    page = slide_html("Before.\n\n{{figure fig | side}}\n\nAfter.", notebook)
    before, figure = page.split("<figure")
    assert "Before." in before and "After." in before and 'alt="1,000 of 2.2 &lt; 3' in figure
    assert 'width="112" height="72"' in figure


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("{{picture fig}}", "unknown directive"),
        ("{{figure no}}", "has no cell 'no'"),
        ("{{figure words}}", "has 0 figures"),
        ("{{figure fig | n: two}}", "whole number"),
        ("{{figure fig | crop: 0 0 100}}", "left top right bottom"),
        ("{{figure fig | crop: 60 0 50 100}}", "left top right bottom"),
        ("{{figure fig | size: 3}}", "unknown option 'size'"),
        ("{{value words m}}", "it has: k, n, where"),
        ("{{sentence rows}}", "prints no sentence"),
        ("{{table words}}", "has 0 tables"),
        ("{{table rows | columns: metric; recall}}", "no column 'recall'"),
        ("{{table rows | rows: 2-4}}", "between 1 and 3"),
        ("{{entry rows | row: icons | column: value}}", "has 2 rows 'icons'"),
        ("{{entry rows | row: icons}}", "needs the option 'column'"),
        ("{{printed fig}}", "prints no text"),
        ("{{printed text | lines: 3-4}}", "between 1 and 3"),
        ("{{answer b.key}}", "asks for a.key"),
    ],
)
def test_what_is_not_stored_is_named(notebook, text, complaint):
    with pytest.raises(RetrievalInputError, match=complaint):
        slide_html(text, notebook)


def test_a_slide_takes_few_lines_and_rows(tmp_path):
    rows = [{"a": number} for number in range(7)]
    table = shown(report.quality(rows, tolerance=0))
    printed = new_output("stream", text="line\n" * 9)
    cell = new_code_cell("x\n" * 10 + "x", id="long", outputs=[table, printed])
    nbformat.write(new_notebook(cells=[cell]), tmp_path / "long.ipynb")
    notebook = StoredNotebook(tmp_path / "long.ipynb")
    for name, most in (("table", "7 rows"), ("printed", "9 lines"), ("code", "11 lines")):
        with pytest.raises(RetrievalInputError, match=most):
            slide_html(f"{{{{{name} long}}}}", notebook)
