"""The notebooks keep the policy, and the policy notices each way of breaking it."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lib import course, report
from tests.notebook_policy import (
    HEADER_FIELDS,
    NOTEBOOKS,
    SOLUTIONS,
    read,
    solution_cells,
    solution_violations,
    violations,
)

TAUGHT = sorted(NOTEBOOKS.glob("*.ipynb"))
SOLVED = sorted(SOLUTIONS.glob("*.ipynb"))


@pytest.mark.parametrize("path", TAUGHT, ids=lambda path: path.stem)
def test_notebook(path):
    twin = SOLUTIONS / path.name
    solved = [name for name, _ in solution_cells(read(twin))] if twin.exists() else []
    found = violations(read(path), exercises=course.all_exercises(), solved=solved)
    assert not found, "\n".join([path.name, *found])


@pytest.mark.parametrize("path", SOLVED, ids=lambda path: path.stem)
def test_solutions(path):
    found = solution_violations(read(path), exercises=course.all_exercises())
    assert not found, "\n".join([path.name, *found])
    assert (NOTEBOOKS / path.name).exists(), f"{path.name} solves a notebook that does not exist"


@pytest.mark.skipif(not TAUGHT, reason="there are no notebooks yet")
def test_every_exercise_is_in_a_notebook():
    text = "".join(path.read_text() for path in TAUGHT)
    assert [name for name in course.all_exercises() if name not in text] == []


@pytest.mark.skipif(not TAUGHT, reason="there are no notebooks yet")
def test_notebooks_are_numbered_without_gaps():
    assert [int(path.stem[:2]) for path in TAUGHT] == list(range(len(TAUGHT)))


# ---- the policy itself: a notebook that keeps every rule, and one change per rule that breaks it


def shown(payload: report.Shown) -> nbformat.NotebookNode:
    return new_output("execute_result", data=payload._repr_mimebundle_(), execution_count=1)


def figure() -> nbformat.NotebookNode:
    return new_output("display_data", data={"image/png": "aGVsbG8=", "text/plain": "<Figure>"})


def good_notebook() -> nbformat.NotebookNode:
    header = "# Start here\n\n" + "\n".join(
        f"**{field}.** about 10 things" for field in HEADER_FIELDS
    )
    cells = [
        new_markdown_cell(header),
        new_code_cell("report.quality(rows, tolerance=1)"),
        new_code_cell("plots.curves(series)\nplots.show()"),
        new_code_cell("report.sentence('a')"),
        new_code_cell("report.timing(rows)", metadata={"tags": ["nbval-ignore-output"]}),
        new_code_cell("course.predict('gap', 'which?', ['a', 'b'])"),
        new_code_cell("course.reveal('gap', 'a')"),
        new_code_cell(
            "def top_k(scores, k):\n    return None\n\ncourse.check('start.top_k', top_k)"
        ),
        *(new_markdown_cell(f"text {i}") for i in range(14)),
    ]
    notebook = new_notebook(cells=cells)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    code[0].outputs = [shown(report.quality([{"metric": "R@1", "value": 35.0}], tolerance=1.0))]
    code[1].outputs = [figure()]
    code[2].outputs = [shown(report.sentence("It rises to {x:.1f}.", x=1.5, tolerance=0.1))]
    for count, cell in enumerate(code, start=1):
        cell.execution_count = count
    return notebook


def found(notebook, solved=("start.top_k",)) -> list[str]:
    return violations(notebook, exercises={"start.top_k", "start.hit_rate"}, solved=solved)


def test_a_good_notebook_breaks_nothing():
    assert found(good_notebook()) == []


def stream(name, text):
    return new_output("stream", name=name, text=text)


BREAKS = {
    "header field": (
        lambda nb: nb.cells[0].update(source="# T\n\n**Question.** what?"),
        "no field **Headline.**",
    ),
    "no title": (lambda nb: nb.cells[0].update(source="no title"), "begins with '# Title'"),
    "minutes": (
        lambda nb: nb.cells[0].update(
            source=nb.cells[0].source.replace("Minutes.** about 10", "Minutes.** a few")
        ),
        "gives no number",
    ),
    "order": (lambda nb: nb.cells[2].update(execution_count=9), "execution counts"),
    "not run": (lambda nb: nb.cells[2].update(execution_count=None), "execution counts"),
    "error": (
        lambda nb: nb.cells[5].outputs.append(
            new_output("error", ename="KeyError", evalue="x", traceback=[])
        ),
        "ends in KeyError",
    ),
    "stderr": (lambda nb: nb.cells[5].outputs.append(stream("stderr", "warning")), "stderr"),
    "remote image": (
        lambda nb: nb.cells[10].update(source="![a](https://x/y.png)"),
        "image from the network",
    ),
    "remote img": (
        lambda nb: nb.cells[10].update(source='<img src="http://x/y.png">'),
        "image from the network",
    ),
    "no alt": (
        lambda nb: nb.cells[10].update(source="![](figure.png)"),
        "without alternative text",
    ),
    "formula": (lambda nb: nb.cells[10].update(source=r"$\nothing{x}$"), r"no MathML: \nothing{x}"),
    "star": (lambda nb: nb.cells[5].update(source="from numpy import *"), "from numpy import *"),
    "semicolon": (lambda nb: nb.cells[5].update(source="plt.plot(x);  # quiet"), "semicolon"),
    "timeit": (lambda nb: nb.cells[5].update(source="%timeit f()"), "not checkable"),
    "tqdm": (lambda nb: nb.cells[5].update(source="from tqdm import tqdm"), "not checkable"),
    "class": (lambda nb: nb.cells[5].update(source="class A:\n    pass"), "defines a class"),
    "long": (lambda nb: nb.cells[5].update(source="\n".join(["x = 1"] * 29)), "29 lines of code"),
    "figure": (lambda nb: nb.cells[3].update(outputs=[]), "figure without report.sentence"),
    "untagged timing": (lambda nb: nb.cells[4].metadata.clear(), "not tagged nbval-ignore-output"),
    "untagged clock": (lambda nb: nb.cells[5].update(source="t = perf_counter()"), "not tagged"),
    "unchecked quality": (
        lambda nb: nb.cells[1].metadata.update(tags=["nbval-ignore-output"]),
        "timing in a cell of its own",
    ),
    "no quality": (lambda nb: nb.cells[1].update(outputs=[]), "report.quality at least once"),
    "unknown exercise": (
        lambda nb: nb.cells[7].update(source="course.check('start.x', f)"),
        "no registered",
    ),
    "unsolved": (
        lambda nb: nb.cells[7].update(source="course.check('start.hit_rate', f)"),
        "not solved",
    ),
    "reveal first": (lambda nb: nb.cells[5].update(source="pass"), "no earlier cell asks"),
    "path in source": (
        lambda nb: nb.cells[10].update(source="see /home/ada/data"),
        "path of one machine",
    ),
    "path in output": (
        lambda nb: nb.cells[5].outputs.append(stream("stdout", str(NOTEBOOKS))),
        "path of one machine",
    ),
    "address": (
        lambda nb: nb.cells[5].outputs.append(stream("stdout", "<A at 0x7f12345678>")),
        "memory address",
    ),
    "too few": (lambda nb: nb.update(cells=nb.cells[:10]), "10 cells"),
    "too many": (
        lambda nb: nb.cells.extend(new_markdown_cell("x") for _ in range(90)),
        "cells; between",
    ),
    "too big": (
        lambda nb: nb.cells[5].outputs.append(stream("stdout", "x" * 2_000_001)),
        "bytes, at most",
    ),
    "syntax": (lambda nb: nb.cells[5].update(source="def f(:"), "does not parse"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_each_rule_is_noticed(name):
    change, phrase = BREAKS[name]
    notebook = good_notebook()
    change(notebook)
    assert any(phrase in line for line in found(notebook)), found(notebook)


def test_solution_notebooks_name_registered_exercises():
    cell = new_code_cell(
        "def f():\n    return 1", metadata={"tags": ["solution:start.nothing"]}, execution_count=1
    )
    lines = solution_violations(new_notebook(cells=[cell]), exercises={"start.top_k"})
    assert any("no registered exercise" in line for line in lines)
    assert any("solution:" in line for line in solution_violations(new_notebook(), exercises=set()))
