"""Notebooks as chapters: numbers, targets and links."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lib.course.book.notebook_text import prepare_chapter, read_chapter
from lib.report import METRICS_MIME

FIRST = """# 05 A loss: how?

**Question.** Which loss?

## 2. Losses

See notebook 07, section 3, notebooks 05 and 07, section 2 and `section 2`. Lab 1. In 07 steps.
[A lab](labs/lab_1_space.ipynb), `data/README.md`.

> **Formula.** The loss:
>
> $$L = x
> + y$$
>
> - $x$: see section 2
"""


@pytest.fixture
def both(tmp_path):
    sentence = {METRICS_MIME: {"kind": "sentence"}, "text/plain": "It rises.", "text/html": "<p>"}
    picture = {"image/png": "AAAA", "text/plain": "<Figure>", "application/vnd.other+json": {}}
    outputs = [new_output("display_data", data) for data in (picture, sentence)]
    cells = [
        new_markdown_cell(FIRST),
        new_code_cell("# Figure: the rise. Check: it is right\nplot()", outputs=outputs),
        new_markdown_cell("```\nnotebook 07\n```\n\n## References\n\n- x"),
    ]
    other = [new_markdown_cell("# 07 Another\n\n## 3. There\n\nNotebook 05 says it.")]
    lab = [new_markdown_cell("# Lab 1 A lab")]
    chapters = {}
    for stem, content in (("05_loss", cells), ("07_other", other), ("lab_1_space", lab)):
        chapter = read_chapter(tmp_path / f"{stem}.ipynb", new_notebook(cells=content))
        chapters[chapter.key] = chapter
    for chapter in chapters.values():
        prepare_chapter(
            chapter, chapters, lambda text, key: text.replace("x", key), lambda text, seen: text
        )
    return chapters


def test_header_and_sections(both):
    chapter = both["05"]
    assert (chapter.title, chapter.question) == ("05 A loss: how?", "Which loss?")
    assert chapter.sections == {"2": "section-05-2"}
    assert (chapter.number, both["lab-1"].number) == ("5", "L1")
    text = chapter.notebook.cells[0].source
    assert text.startswith("(notebook-05)=\n\n# 05")
    assert "(section-05-2)=\n\n## 2. Losses" in text


def test_places_are_linked(both):
    text = both["05"].notebook.cells[0].source
    assert "[notebook 07, section 3](#section-07-3)" in text
    assert "notebooks 05 and [07](#notebook-07)" in text, "a chapter does not link to itself"
    assert "[section 2](#section-05-2) and `section 2`" in text
    assert "[Lab 1](#notebook-lab-1). In 07 steps" in text
    assert "[A lab](lab_1_space.ipynb), [`data/README.md`](data.md)" in text
    assert "[Notebook 05](#notebook-05)" in both["07"].notebook.cells[0].source
    assert both["05"].notebook.cells[-1].source == "```\nnotebook 07\n```\n\n## References\n\n- 05"


def test_formulas_are_numbered(both):
    (formula,) = both["05"].formulas
    assert (formula.number, formula.name) == ("5.1", "The loss")
    assert formula.latex == "L = x\n+ y"
    text = both["05"].notebook.cells[0].source
    assert "(formula-05-1)=\n\n> **Formula 5.1.** The loss:" in text


def test_figures_are_numbered_and_described(both):
    (figure,) = both["05"].figures
    assert (figure.number, figure.name, figure.sentence) == ("5.1", "The rise", "It rises.")
    title, cell = both["05"].notebook.cells[1:3]
    assert title.source.endswith("**Figure 5.1.** The rise")
    assert cell.metadata["mystnb"] == {"image": {"alt": "It rises."}}
    assert [list(output.data) for output in cell.outputs] == [["image/png"], ["text/html"]]
    nbformat.validate(both["05"].notebook)


def test_the_stored_notebook_stays_as_it_is(both):
    assert both["05"].stored.cells[0].source == FIRST
