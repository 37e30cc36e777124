"""What a notebook of the suite must look like, as a function from a notebook to the list of its
violations.

`tests/test_notebook_policy.py` applies it to the notebooks and to notebooks that break each rule.
"""

import ast
import io
import itertools
import json
import re
import sys
import tokenize
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

import nbformat

from lib.course.notebooks.pages import unconverted_formulas
from lib.report import METRICS_MIME

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
SOLUTIONS = NOTEBOOKS / "solutions"
LABS = NOTEBOOKS / "labs"

HEADER_FIELDS = ("Question", "You will be able to", "Before", "Minutes", "Headline")
MAX_CODE_LINES = 28
CELLS = (20, 150)
LAB_CELLS = (8, 60)
STUDENT_LINES = 12  # neither blank nor comment
STUDENT_LINES_OF_ONE_DEFINITION = 24
STUDENT_WIDTH = 80
FOLDED_WIDTH = 100
PLOT_LINES = 3
TABLE_ROWS = 8
FOLDED = "hide-input"
MAX_OUTPUT_BYTES = 2_000_000
IGNORED = "nbval-ignore-output"

TIMING = re.compile(r"report\.(timing|measure)\(|perf_counter|\btime\.time\(|timeit")
BANNED = re.compile(r"^\s*%%?(timeit|time|prun)\b|\btqdm\b|\btrange\b", re.MULTILINE)
REMOTE_IMAGE = re.compile(r"!\[[^\]]*\]\(\s*https?:|<img[^>]+src=[\"']?https?:", re.IGNORECASE)
IMAGE_WITHOUT_TEXT = re.compile(r"!\[\s*\]\(")
MACHINE_PATH = re.compile(
    r"(?<![\w.:/])(/(home|Users|root|tmp|var|private|mnt|opt)/\w|[A-Z]:\\\\?Users)"
)
ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")


@cache
def read(path: Path) -> nbformat.NotebookNode:
    """Reads a notebook as nbformat 4, once a process: do not change it."""
    return nbformat.read(path, as_version=4)


def violations(
    notebook,
    *,
    exercises: Collection[str],
    solved: Collection[str],
    lab: bool = False,
) -> list[str]:
    """Everything a taught notebook breaks.

    Args:
        notebook: the notebook, executed.
        exercises: names that `course.check` knows.
        solved: names that the solutions notebook of the same name solves.
        lab: whether it is an open lab, which may be short.
    """
    found = _common(notebook)
    if any("does not parse" in line for line in found):
        return found
    found += [*_header(notebook), *_figures(notebook), *_exercises(notebook, exercises, solved)]
    least, most = LAB_CELLS if lab else CELLS
    if not least <= len(notebook.cells) <= most:
        found.append(f"{len(notebook.cells)} cells; between {least} and {most} are allowed")
    if not any(
        payload["kind"] == "quality" for _, cell in code(notebook) for payload in payloads(cell)
    ):
        found.append("no cell reports quality: use report.quality at least once")
    return [*found, *_kinds_of_cells(notebook), *_long_tables(notebook)]


def solution_violations(notebook, *, exercises: Collection[str]) -> list[str]:
    """Everything a solutions notebook breaks."""
    found = _common(notebook)
    cells = solution_cells(notebook)
    found += [
        f"solves {name!r}, which is no registered exercise"
        for name, _ in cells
        if name not in exercises
    ]
    if not cells:
        found.append("no cell is tagged solution:<exercise>")
    return found


def worked_example_violations(notebook) -> list[str]:
    """Everything the worked example of a lab breaks."""
    found = [*_common(notebook), *_kinds_of_cells(notebook)]
    calls = [_course_call(node) for _, cell in code(notebook) for node in ast.walk(parsed(cell))]
    verbs = {call[0] for call in calls if call}
    return found + [f"does not call course.{verb}" for verb in {"submit", "practise"} - verbs]


def solution_cells(notebook) -> list[tuple[str, str]]:
    """`(exercise, source)` of the cells tagged `solution:<exercise>`."""
    return [
        (tag.removeprefix("solution:"), cell.source)
        for _, cell in code(notebook)
        for tag in tags(cell)
        if tag.startswith("solution:")
    ]


def defined_function(source: str, namespace: dict):
    """The last function that a cell's source defines, from the namespace it was run in."""
    names = [node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    if not names:
        raise ValueError(f"a solution cell must define a function:\n{source}")
    return namespace[names[-1]]


def imports_for(notebook, sources: Collection[str]) -> str:
    """The notebook's import statements that bind a name used in `sources`."""
    used = {
        node.id
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Name)
    }
    statements = []
    for _, cell in code(notebook):
        for node in parsed(cell).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                bound = {(alias.asname or alias.name).split(".")[0] for alias in node.names}
                if bound & used:
                    statements.append(ast.unparse(node))
    return "\n".join(statements)


def code(notebook) -> Iterator[tuple[int, nbformat.NotebookNode]]:
    """`(position among all cells, cell)` of the code cells."""
    return (
        (number, cell) for number, cell in enumerate(notebook.cells) if cell.cell_type == "code"
    )


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def payloads(cell) -> list[dict]:
    """The quality and sentence payloads among a cell's outputs."""
    return [o.data[METRICS_MIME] for o in cell.outputs if METRICS_MIME in o.get("data", {})]


def python_source(cell) -> str:
    """A cell's source with magics and shell lines blanked."""
    lines = ("pass" if re.match(r"\s*[%!]", line) else line for line in cell.source.splitlines())
    return "\n".join(lines) + "\n"


def parsed(cell) -> ast.Module:
    """A cell's source as a syntax tree."""
    return ast.parse(python_source(cell))


def _ends_with_semicolon(cell) -> bool:
    tokens = list(tokenize.generate_tokens(io.StringIO(python_source(cell)).readline))
    ends = (tokenize.NEWLINE, tokenize.COMMENT)
    return any(a.string == ";" and b.type in ends for a, b in itertools.pairwise(tokens))


def _common(notebook) -> list[str]:
    """The rules for every notebook: executed in order, clean, and free of what nbval cannot
    check.
    """
    found = []
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        found.append(f"not a valid notebook: {error.message}")
    counts = [cell.execution_count for _, cell in code(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        found.append(f"execution counts are {counts}; run it from top to bottom (make refresh)")
    size = sum(len(json.dumps(output)) for _, cell in code(notebook) for output in cell.outputs)
    if size > MAX_OUTPUT_BYTES:
        found.append(f"outputs take {size:,} bytes, at most {MAX_OUTPUT_BYTES:,}")
    for number, cell in enumerate(notebook.cells):
        found += [
            f"cell {number}: {what}"
            for what in (_markdown(cell) if cell.cell_type == "markdown" else [])
        ]
        found += [
            f"cell {number}: {what}" for what in (_code(cell) if cell.cell_type == "code" else [])
        ]
        for text in _texts(cell):
            if MACHINE_PATH.search(text) or str(ROOT) in text or sys.prefix in text:
                found.append(f"cell {number}: holds a path of one machine")
            if ADDRESS.search(text):
                found.append(
                    f"cell {number}: prints a memory address; end the cell with something that has"
                    " a text"
                )
    return found


def _markdown(cell) -> Iterator[str]:
    if REMOTE_IMAGE.search(cell.source):
        yield "an image from the network; commit it, or draw it in a cell"
    if IMAGE_WITHOUT_TEXT.search(cell.source):
        yield "an image without alternative text"
    for formula in unconverted_formulas(cell.source):
        yield f"a formula that has no MathML: {formula}"


def _code(cell) -> Iterator[str]:
    for output in cell.outputs:
        if output.output_type == "error":
            yield f"ends in {output.ename}"
        if output.output_type == "stream" and output.name == "stderr":
            yield "writes to stderr; find the cause of the warning"
    if any(REMOTE_IMAGE.search(text) for text in _texts(cell)):
        yield "an image from the network"
    if BANNED.search(cell.source):
        yield "%timeit, %time and tqdm are not checkable; use report.timing, or show no progress"
    try:
        tree = parsed(cell)
    except SyntaxError as error:
        yield f"does not parse: {error.msg}"
        return
    if _ends_with_semicolon(cell):
        yield "a trailing semicolon, which nbval does not honour; assign to _ instead"
    yield from (f"report.{name} is not shown: it must be the last line" for name in _unshown(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            yield f"from {node.module} import *"
    if TIMING.search(cell.source) and IGNORED not in tags(cell):
        yield f"measures time and is not tagged {IGNORED}"
    if IGNORED in tags(cell) and payloads(cell):
        yield f"reports checked numbers but is tagged {IGNORED}; keep timing in a cell of its own"


def _unshown(tree: ast.Module) -> Iterator[str]:
    """Names of `report` functions whose result is thrown away: Jupyter shows the last line only."""
    for statement in tree.body[:-1]:
        match statement:
            case ast.Expr(ast.Call(ast.Attribute(ast.Name("report"), name))):
                yield name


def _header(notebook) -> Iterator[str]:
    first = notebook.cells[0] if notebook.cells else None
    if first is None or first.cell_type != "markdown" or not first.source.lstrip().startswith("# "):
        yield "the first cell must be markdown that begins with '# Title'"
        return
    for field in HEADER_FIELDS:
        if not re.search(rf"\*\*{field}[.:]?\*\*[.:]?\s*\S", first.source):
            yield f"the header has no field **{field}.**"
    minutes = re.search(r"\*\*Minutes[.:]?\*\*(.*)", first.source)
    if minutes and not re.search(r"\d", minutes.group(1)):
        yield "the header's **Minutes.** gives no number"


def _figures(notebook) -> Iterator[str]:
    cells = list(code(notebook))
    for place, (number, cell) in enumerate(cells):
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            near = [cell, *(following for _, following in cells[place + 1 : place + 2])]
            if not any(
                payload["kind"] == "sentence" for other in near for payload in payloads(other)
            ):
                yield (
                    f"cell {number}: a figure without report.sentence in this or the next code cell"
                )


def _exercises(notebook, exercises: Collection[str], solved: Collection[str]) -> Iterator[str]:
    asked: set[str] = set()
    for number, cell in code(notebook):
        for node in ast.walk(parsed(cell)):
            name = _course_call(node)
            if name is None:
                continue
            verb, key = name
            if verb == "predict":
                asked.add(key)
            elif verb == "reveal" and key not in asked:
                yield f"cell {number}: reveals {key!r}, which no earlier cell asks"
            elif verb in ("check", "hint"):
                if key not in exercises:
                    yield (
                        f"cell {number}: course.{verb} names {key!r}, which is no registered"
                        " exercise"
                    )
                elif verb == "check" and key not in solved:
                    yield f"cell {number}: {key!r} is not solved in notebooks/solutions"


def is_folded(cell) -> bool:
    """Whether JupyterLab and the HTML page hide a cell's source."""
    return bool(cell.metadata.get("jupyter", {}).get("source_hidden"))


def _kinds_of_cells(notebook) -> Iterator[str]:
    """The rules of a student's cell and of a folded cell."""
    letters: set[str] = set()  # of the formulas so far
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            letters |= formula_letters(cell.source)
        elif cell.cell_type == "code":
            rules = _folded_cell(cell) if is_folded(cell) else _students_cell(cell, letters)
            yield from (f"cell {number}: {what}" for what in (*_every_cell(cell), *rules))


def _every_cell(cell) -> Iterator[str]:
    if is_folded(cell) != (FOLDED in tags(cell)):
        yield f"a folded cell has jupyter.source_hidden and the tag {FOLDED}; this has one of them"
    width = FOLDED_WIDTH if is_folded(cell) else STUDENT_WIDTH
    longest = max(map(len, cell.source.splitlines()), default=0)
    if longest > width:
        yield f"a line of {longest} characters, at most {width}"
    if mark := re.search(r"#\s*(fmt: (skip|off)|noqa)", cell.source):
        yield f"holds {mark[0]!r}; lay the code out so that it needs none"


def _folded_cell(cell) -> Iterator[str]:
    lines = [line for line in cell.source.splitlines() if line.strip()]
    if len(lines) > MAX_CODE_LINES:
        yield f"{len(lines)} lines of code, at most {MAX_CODE_LINES}; move some to lib"
    if any(isinstance(node, ast.ClassDef) for node in ast.walk(parsed(cell))):
        yield "a folded cell defines a class; show it, or move it to lib"


def _students_cell(cell, letters: Collection[str]) -> Iterator[str]:
    tree = parsed(cell)
    n_lines, most = code_lines(cell), STUDENT_LINES
    parts = [part for part in tree.body if not _is_check(part)]
    if len(parts) == 1 and isinstance(parts[0], ast.ClassDef | ast.FunctionDef):
        most = STUDENT_LINES_OF_ONE_DEFINITION
    if n_lines > most:
        yield f"{n_lines} lines of code, at most {most} in a student's cell; split it"
    plots = 0
    for node in ast.walk(tree):
        match node:
            case ast.Assert():
                yield "asserts; fold the cell"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="report"), attr=name)):
                yield f"calls report.{name}; fold the cell"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="plots"), attr=name)):
                plots += name != "show"
                if node.end_lineno - node.lineno >= PLOT_LINES:
                    yield f"plots.{name} takes more than {PLOT_LINES} lines; fold the cell"
            case ast.keyword(arg="tolerance") | ast.Name(id="tolerance"):
                yield "names a tolerance; fold the cell"
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                if sorted(map(ast.unparse, names)) != sorted(map(ast.unparse, values)):
                    yield f"assigns {ast.unparse(node.targets[0])} in one line; use one line each"
        if isinstance(node, COMPREHENSIONS) and any(
            isinstance(inner, COMPREHENSIONS) for inner in ast.walk(node) if inner is not node
        ):
            yield "a comprehension in a comprehension; write a loop, or name the inner one"
    if plots > 1:
        yield f"{plots} calls of plots, at most one; fold the cell"
    for name in sorted(short_names(tree)):
        if name.lower() not in letters and name != "_":
            yield f"the name {name!r} stands in no formula above; use a word"


COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def code_lines(cell) -> int:
    """The lines of a cell that are neither blank nor comment."""
    lines = map(str.strip, cell.source.splitlines())
    return sum(1 for line in lines if line and not line.startswith("#"))


def short_names(tree: ast.AST) -> set[str]:
    """The names of one letter that code gives to something."""
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.alias(name=module, asname=name):
                names.add(name or module)
    return {name for name in names if len(name) == 1}


def formula_letters(markdown: str) -> set[str]:
    """The letters of a cell's formulas, in lower case; words of `\\text` and commands left out."""
    letters = set()
    for formula in re.findall(r"\$\$.+?\$\$|\$[^$]+\$", markdown, flags=re.DOTALL):
        words = r"\\(text|mathrm|operatorname\*?|textrm|mathit)\s*\{[^}]*\}|\\[A-Za-z]+"
        letters |= set(re.sub(words, " ", formula).lower())
    return {letter for letter in letters if letter.isalpha()}


def _is_check(part: ast.stmt) -> bool:
    return isinstance(part, ast.Expr) and (_course_call(part.value) or ("", ""))[0] == "check"


def _long_tables(notebook) -> Iterator[str]:
    """Tables of more rows than a page shows at a glance, before the appendix."""
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown" and re.search(r"^#+ .*Appendix", cell.source, re.MULTILINE):
            return
        for payload in payloads(cell) if cell.cell_type == "code" else []:
            n_rows = len(payload.get("rows", []))
            if n_rows > TABLE_ROWS:
                yield (
                    f"cell {number}: a table of {n_rows} rows, at most {TABLE_ROWS}; show those"
                    " that answer the question, and put the rest under a heading Appendix"
                )


def _course_call(node) -> tuple[str, str] | None:
    """`("check", "start.top_k")` for `course.check("start.top_k", ...)`."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
        return None
    key = node.args[0]
    if getattr(node.func.value, "id", None) != "course" or not isinstance(key, ast.Constant):
        return None
    return node.func.attr, key.value


def _texts(cell) -> Iterator[str]:
    """A cell's source and its outputs as text, pictures left out."""
    yield cell.source
    for output in cell.get("outputs", []):
        yield str(output.get("text", ""))
        for mime, data in output.get("data", {}).items():
            if not mime.startswith("image/"):
                yield data if isinstance(data, str) else json.dumps(data)
