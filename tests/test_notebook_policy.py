"""The notebooks keep the policy, and the policy notices each way of breaking it."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lib import course, report
from tests.notebook_policy import (
    HEADER_FIELDS,
    LABS,
    NOTEBOOKS,
    SOLUTIONS,
    formula_letters,
    read,
    solution_cells,
    solution_violations,
    violations,
    worked_example_violations,
)

TAUGHT = sorted(NOTEBOOKS.glob("*.ipynb"))
SOLVED = sorted(SOLUTIONS.glob("*.ipynb"))
OPEN = sorted(LABS.glob("*.ipynb"))


@pytest.mark.parametrize("path", TAUGHT, ids=lambda path: path.stem)
def test_notebook(path):
    twin = SOLUTIONS / path.name
    solved = [name for name, _ in solution_cells(read(twin))] if twin.exists() else []
    found = violations(
        read(path),
        exercises=course.all_exercises(),
        solved=solved,
    )
    assert not found, "\n".join([path.name, *found])


@pytest.mark.parametrize("path", SOLVED, ids=lambda path: path.stem)
def test_solutions(path):
    found = solution_violations(read(path), exercises=course.all_exercises())
    assert not found, "\n".join([path.name, *found])
    assert (NOTEBOOKS / path.name).exists(), f"{path.name} solves a notebook that does not exist"


@pytest.mark.parametrize("path", OPEN, ids=lambda path: path.stem)
def test_lab(path):
    names = course.all_exercises()
    found = violations(read(path), exercises=names, solved=names, lab=True)
    assert not found, "\n".join([path.name, *found])
    assert (SOLUTIONS / "labs" / path.name).exists(), f"{path.name} has no worked example"


@pytest.mark.parametrize("path", OPEN, ids=lambda path: path.stem)
def test_worked_example_of_a_lab(path):
    found = worked_example_violations(read(SOLUTIONS / "labs" / path.name))
    assert not found, "\n".join([path.name, *found])


@pytest.mark.skipif(not TAUGHT, reason="there are no notebooks yet")
def test_every_exercise_is_in_a_notebook():
    text = "".join(path.read_text() for path in TAUGHT)
    assert [name for name in course.all_exercises() if name not in text] == []


@pytest.mark.skipif(not TAUGHT, reason="there are no notebooks yet")
def test_titles_carry_the_number_of_the_file():
    for path in (*NOTEBOOKS.glob("*.ipynb"), *SOLUTIONS.glob("*.ipynb")):
        title = read(path).cells[0].source.splitlines()[0]
        assert f" {path.stem[:2]} " in title, f"{path.name} begins with {title!r}"


def test_notebooks_are_numbered_without_gaps():
    assert [int(path.stem[:2]) for path in TAUGHT] == list(range(len(TAUGHT)))


# ---- the policy itself: a notebook that keeps every rule, and one change per rule that breaks it


def shown(payload: report.Shown) -> nbformat.NotebookNode:
    return new_output("execute_result", data=payload._repr_mimebundle_(), execution_count=1)


def figure() -> nbformat.NotebookNode:
    return new_output("display_data", data={"image/png": "aGVsbG8=", "text/plain": "<Figure>"})


FOLDED = {"jupyter": {"source_hidden": True}, "tags": ["hide-input"]}
TIMED = {"jupyter": {"source_hidden": True}, "tags": ["hide-input", "nbval-ignore-output"]}


def good_notebook() -> nbformat.NotebookNode:
    header = "# Start here\n\n" + "\n".join(
        f"**{field}.** about 10 things" for field in HEADER_FIELDS
    )
    header += "\n\n$$s_k = \\mathrm{best}_k \\cdot \\tau$$"
    cells = [
        new_markdown_cell(header),
        new_code_cell("report.quality(rows, tolerance=1)", metadata=FOLDED),
        new_code_cell("plots.curves(series)\nplots.show()", metadata=FOLDED),
        new_code_cell("report.sentence('a')", metadata=FOLDED),
        new_code_cell("report.timing(rows)", metadata=TIMED),
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
        lambda nb: nb.cells.extend(new_markdown_cell("x") for _ in range(130)),
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


# ---- the rules of a student's cell and of a folded cell

STUDENT, FOLD = 5, 1  # positions of a student's cell and of a folded one
LONG_TABLE = report.quality([{"metric": "R@1", "value": i} for i in range(9)], tolerance=0)
CHECK = '\ncourse.check("start.top_k", top_k)'
METHOD = "class Index:\n" + "\n".join(f"    value_{i} = {i}" for i in range(23))
# what is tried -> (cell, source, phrase; None where it is allowed)
RULES_OF_A_CELL = {
    "a class of 24 lines": (STUDENT, METHOD, None),
    "a function and its check, 24 lines": (
        STUDENT,
        METHOD.replace("class Index", "def top_k()").rpartition("\n")[0] + CHECK,
        None,
    ),
    "a long definition": (STUDENT, METHOD + "\n    last = 1", "25 lines of code, at most 24"),
    "12 lines": (STUDENT, "# why\n\n" + "\n".join(["value = 1"] * 12), None),
    "13 lines": (STUDENT, "\n".join(["value = 1"] * 13), "13 lines of code, at most 12"),
    "80 characters": (STUDENT, f"text = '{'x' * 71}'", None),
    "81 characters": (STUDENT, f"text = '{'x' * 72}'", "a line of 81 characters, at most 80"),
    "quality": (STUDENT, "report.quality(rows)", "calls report.quality; fold"),
    "tolerance": (STUDENT, "check_all(rows, tolerance=1)", "names a tolerance"),
    "assert": (STUDENT, "assert value == 1", "asserts; fold"),
    "one plot": (STUDENT, "plots.curves(series)\nplots.show()", None),
    "two plots": (STUDENT, "plots.curves(one)\nplots.bars(two)", "2 calls of plots"),
    "a long plot": (STUDENT, "plots.curves(\n    1,\n    2,\n)", "plots.curves takes more than 3"),
    "fmt": (STUDENT, "rows = [1]  # fmt: skip", "holds '# fmt: skip'"),
    "noqa": (FOLD, "rows = [1]  # noqa: E501", "holds '# noqa'"),
    "golf": (STUDENT, "first, second = 1, 2", "assigns (first, second) in one line"),
    "a swap": (STUDENT, "first, second = second, first", None),
    "unpacking": (STUDENT, "first, second = best_two(scores)", None),
    "a letter of the formula": (STUDENT, "k = 1\nfor s in scores:\n    k += s", None),
    "another letter": (STUDENT, "q = 1", "the name 'q' stands in no formula"),
    "a letter of a loop": (STUDENT, "ranks = [x for x in scores]", "the name 'x'"),
    "a letter of a word": (STUDENT, "b = 1", "the name 'b'"),
    "an argument": (STUDENT, "distance = lambda x: x", "the name 'x'"),
    "a nested comprehension": (STUDENT, "rows = [[0 for _ in row] for row in rows]", "a compr"),
    "a long folded cell": (FOLD, "\n".join(["value = 1"] * 29), "29 lines of code, at most 28"),
    "a table that is not shown": (
        FOLD,
        "report.quality(rows, tolerance=1)\nreport.sentence('a')",
        "report.quality is not shown",
    ),
    "28 folded lines": (FOLD, "\n".join(["x, y = 1, 2"] * 28), None),
    "100 folded characters": (FOLD, f"text = '{'x' * 92}'", "101 characters, at most 100"),
    "a folded class": (FOLD, "class Index:\n    pass", "a folded cell defines a class"),
}


@pytest.mark.parametrize("name", RULES_OF_A_CELL)
def test_rules_of_a_cell(name):
    place, source, phrase = RULES_OF_A_CELL[name]
    notebook = good_notebook()
    notebook.cells[6].source = "pass"  # it reveals what the student's cell asks
    notebook.cells[place].source = source
    lines = found(notebook)
    assert (lines == []) if phrase is None else any(phrase in line for line in lines), lines


def test_a_folded_cell_is_folded_everywhere():
    for key in ("jupyter", "tags"):
        notebook = good_notebook()
        del notebook.cells[FOLD].metadata[key]
        assert any("has one of them" in line for line in found(notebook))


def test_long_tables_stand_in_the_appendix():
    notebook = good_notebook()
    notebook.cells[FOLD].outputs = [shown(LONG_TABLE)]
    assert any("a table of 9 rows" in line for line in found(notebook))
    notebook.cells[0].source += "\n\n## Appendix: all rows"
    assert found(notebook) == []


def test_the_number_of_cells():
    for n_more, phrases in ((128, []), (129, ["151 cells; between 20 and 150 are allowed"])):
        notebook = good_notebook()
        notebook.cells.extend(new_markdown_cell("more") for _ in range(n_more))
        assert found(notebook) == phrases


def test_letters_of_formulas():
    text = r"Prose x. $\mathrm{R@}K = \sum_i g_{ij}$ and $$\text{if } \tau > 0$$"
    assert formula_letters(text) == {"k", "i", "g", "j"}
