"""Notebook runner: order, progress, failures, offline pages, and outputs stored in place."""

import html
import re
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from rich.console import Console

from lib.core.checks import RetrievalInputError
from lib.course.notebooks import (
    NotebookFailed,
    execute_in_place,
    find_notebooks,
    run_notebooks,
)
from lib.course.notebooks.__main__ import main

pytestmark = pytest.mark.slow

FIRST = """# First <steps>

Go on to [the second](01_second.ipynb#there), or [away](https://example.org/x.ipynb).
Inline $d = 1 - \\cos\\theta$ costs \\$5.

$$\\hat{x} = \\frac{x}{\\lVert x \\rVert}$$
"""
FIGURE = """import matplotlib.pyplot as plt

_ = plt.plot([1, 2])
plt.show()
report.sentence("It rises to {top}.", top=2)"""

FOLDED = {"jupyter": {"source_hidden": True}, "tags": ["hide-input"]}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Two notebooks in a folder: one good and refreshed, one that fails in its second cell; both
    run once.
    """
    folder = tmp_path_factory.mktemp("notebooks")
    good = [
        new_markdown_cell(FIRST),
        new_code_cell(
            "from lib import report\nimport sys\nprint('a')\nprint('b')",
            metadata={"tags": ["setup"]},
        ),
        new_code_cell(
            "report.quality([{'metric': 'R@1', 'value': 35.25}], tolerance=0.5, title='Icons')"
        ),
        new_code_cell(FIGURE, metadata={"collapsed": True, **FOLDED}),
        new_markdown_cell("## The *end* of $d$"),
        new_code_cell("import ipywidgets\nipywidgets.IntSlider(7)"),
    ]
    bad = [
        new_markdown_cell("# Second"),
        new_code_cell("from lib import report\nreport.quality([{'x': 1.5}], tolerance=0.1)"),
        new_code_cell("1 / 0"),
        new_code_cell("print('never')"),
    ]
    notebook = new_notebook(
        cells=good, metadata={"language_info": {"name": "python", "version": "3.0.0"}}
    )
    nbformat.write(notebook, folder / "00_first.ipynb")
    nbformat.write(new_notebook(cells=bad), folder / "01_second.ipynb")
    console = Console(record=True, width=100, force_terminal=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "nonsense")  # of the shell; the kernels do not see it
        execute_in_place(folder / "00_first.ipynb")
        runs = run_notebooks(folder, folder / "build", console=console)
    return folder, runs, console.export_text()


def page(built, name: str) -> str:
    return (built[0] / "build" / name).read_text(encoding="utf-8")


def test_runs_in_order_and_goes_on_after_a_failure(built):
    _, runs, _ = built
    assert [run.path.stem for run in runs] == ["00_first", "01_second"]
    assert runs[0].error is None and runs[1].error.startswith("cell 2:")
    assert "ZeroDivisionError" in runs[1].error


def test_shows_progress_and_where_the_report_is(built):
    _, _, text = built
    assert re.search(r"\[1/2\] 00_first: 6 cells, [\d.]+ s, ok", text)
    assert "[2/2] 01_second: 4 cells" in text and "failed, cell 2" in text
    assert "report.html" in text


def test_running_leaves_the_notebooks_alone(built):
    folder, runs, _ = built
    assert nbformat.read(folder / "01_second.ipynb", as_version=4).cells[1].outputs == []


def test_refresh_stores_outputs_without_traces_of_the_machine(built):
    notebook = nbformat.read(built[0] / "00_first.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3, 4]
    assert code[0].outputs == [{"output_type": "stream", "name": "stdout", "text": "a\nb\n"}]
    assert code[0].metadata == {"tags": ["setup"]} and code[1].metadata == {}
    assert code[2].metadata == FOLDED
    assert notebook.metadata.language_info == {"name": "python"}
    assert list(code[3].outputs[0].data) == ["text/plain"]  # a widget ends with its kernel


def test_refresh_of_a_failing_notebook_leaves_the_file(built):
    path = built[0] / "01_second.ipynb"
    before = path.read_bytes()
    with pytest.raises(NotebookFailed, match=r"01_second\.ipynb, cell 2:"):
        execute_in_place(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["00_first.html", "01_second.html", "report.html"])
def test_pages_need_no_network_and_no_script(built, name):
    text = page(built, name)
    assert "<script" not in text
    assert not re.search(r"""(src|href)=["']?https?://(?!example\.org)""", text)
    assert "@import" not in text and not re.search(r"url\(['\"]?https?:", text)


def test_formulas_are_mathml_and_money_is_not(built):
    text = page(built, "00_first.html")
    assert text.count("<math") == 3 and 'display="block"' in text
    assert "$5" in text and "\\cos" not in text


def test_links_lead_to_pages_only_where_there_are_pages(built):
    text = page(built, "00_first.html")
    assert 'href="01_second.html#there"' in text and "https://example.org/x.ipynb" in text


def test_the_source_of_a_folded_cell_is_behind_a_click_and_its_output_is_not(built):
    text = page(built, "00_first.html")
    folds = re.findall(r'<details class="folded">.*?</details>', text, flags=re.DOTALL)
    assert len(folds) == 1 and folds[0].count("<summary>Show the code</summary>") == 1
    assert "pyplot" in folds[0] and "<img" not in folds[0] and "It rises to 2." not in folds[0]


def test_pages_lead_to_each_other_and_to_their_headings(built):
    first, second = page(built, "00_first.html"), page(built, "01_second.html")
    assert '<a rel="next" href="01_second.html">' in first and 'rel="prev"' not in first
    assert '<a rel="prev" href="00_first.html">' in second and 'rel="next"' not in second
    assert '<b aria-current="page">First &lt;steps&gt;</b>' in first
    target = re.search(r'<a href="#([^"]+)">The end of d</a></li>', first)[1]
    assert f'<h2 id="{target}">' in first


def test_figures_are_described_by_their_sentence(built):
    assert '<img alt="It rises to 2."' in page(built, "00_first.html")


def test_report_holds_every_table_and_says_whether_it_agrees(built):
    text = page(built, "report.html")
    assert "First &lt;steps&gt;" in text and "35.2" in text and "Icons" in text
    assert '<p class="agrees">agrees with the stored numbers</p>' in text
    assert '<p class="agrees">It rises to 2.</p>' in text
    assert "2 of 2 tables and sentences agree" in text
    assert "failed; 0 of 1 tables" in text and "nothing is stored to compare with" in text
    assert "\x1b" not in text


def test_names_select_by_their_beginning(built):
    folder = built[0]
    assert [path.stem for path in find_notebooks(folder, ("01",))] == ["01_second"]
    with pytest.raises(
        RetrievalInputError, match="no notebook begins with '07'; there are: 00_first, 01_second"
    ):
        find_notebooks(folder, ("07",))


def test_command_line_says_when_there_is_nothing_to_run(tmp_path, capsys):
    assert main(["run", "--notebooks", str(tmp_path)]) == 1
    assert "there are no notebooks" in capsys.readouterr().err
    assert main(["refresh", "--notebooks", str(tmp_path), "00"]) == 1
    assert "there are: none" in capsys.readouterr().err


GOOD = new_notebook(cells=[new_code_cell("import sys\nprint(sys.executable)")])
BAD = {
    "02_conflict": (
        "<<<<<<< HEAD\n" + nbformat.writes(GOOD) + "=======\n",
        "marks of a merge conflict",
    ),
    "03_broken": (nbformat.writes(GOOD)[:-40], "the file is no notebook: "),
    "04_list": ("[1, 2]", "the file is no notebook: "),
    "05_cells": (
        '{"cells": 3, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
        "the file is no notebook",
    ),
    "06_empty": ("", "the file is no notebook: "),
    "07_old": ('{"nbformat": 99, "nbformat_minor": 0}', "the file is no notebook: "),
    "08_latin": ('{"cells": ["\udce9"]}', "the file is no notebook: 'utf-8' codec"),
}


def test_bad_files_are_named_and_the_others_run_in_this_interpreter(tmp_path, monkeypatch, capsys):
    kernels = tmp_path / "jupyter" / "kernels" / "python3"
    kernels.mkdir(parents=True)
    planted = '{"argv": ["no-such-python"], "display_name": "x", "language": "python"}'
    (kernels / "kernel.json").write_text(planted)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    for name, (text, _) in BAD.items():
        (tmp_path / f"{name}.ipynb").write_text(text, encoding="utf-8", errors="surrogateescape")
    (tmp_path / "09_mark.ipynb").write_text(nbformat.writes(GOOD), encoding="utf-8-sig")
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Words")]), tmp_path / "01_words.ipynb")
    monkeypatch.setenv("COLUMNS", "400")
    assert main(["run", "--notebooks", str(tmp_path), "--build", str(tmp_path / "build")]) == 1
    output = capsys.readouterr().out
    report = html.unescape((tmp_path / "build" / "report.html").read_text(encoding="utf-8"))
    for name, (_, phrase) in BAD.items():
        line = next(line for line in output.splitlines() if name in line)
        assert "failed, " in line and phrase in line, line
        assert phrase in report
    assert re.search(r"01_words: 1 cells, [\d.]+ s, ok", output), output
    assert re.search(r"09_mark: 1 cells, [\d.]+ s, ok", output), output
    assert html.escape(sys.executable) in (tmp_path / "build" / "09_mark.html").read_text(
        encoding="utf-8"
    )
    assert main(["refresh", "--notebooks", str(tmp_path), "03"]) == 1
    assert "03_broken.ipynb, the file is no notebook" in capsys.readouterr().err


def test_an_interrupt_is_one_line_and_leaves_a_report(tmp_path, monkeypatch, capsys):
    nbformat.write(GOOD, tmp_path / "00_first.ipynb")

    def interrupted(*arguments, **options):
        raise AssertionError  # what nbclient raises when it has taken its own kernel down

    monkeypatch.setattr("lib.course.notebooks.NotebookClient.execute", interrupted)
    assert main(["run", "--notebooks", str(tmp_path), "--build", str(tmp_path / "build")]) == 130
    assert capsys.readouterr().err.startswith("interrupted; ")
    assert (tmp_path / "build" / "report.html").exists()
