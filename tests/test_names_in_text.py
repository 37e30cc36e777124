"""Names of the library in docstrings, pages and notebooks exist."""

import ast
import importlib
import re
from pathlib import Path

import pytest

from lib import course
from tests.notebook_policy import read

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "lib/cli/README.md")]
PAGES += [ROOT / "data" / name for name in ("README.md", "RESULTS.md")]
PAGES += [ROOT / "notebooks/instructor" / name / "README.md" for name in ("assignments", "exams")]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
QUOTED = re.compile(r"`([A-Za-z_][\w.]*\.[A-Za-z_]\w*)(?:\([^`]*\))?`")
PATHS = re.compile(r"`((?:lib|tests|notebooks|data)/[\w./]+)`")


def resolves(name: str) -> bool:
    """Tell whether a dotted name of the library is a module or an attribute."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:n]))
        except ImportError:
            continue
        try:
            for part in parts[n:]:
                value = getattr(value, part)
        except AttributeError:
            fields = getattr(value, "__annotations__", {})  # of a dataclass
            return n < len(parts) and parts[-1] in fields
        return True
    return False


def unknown_names(text: str, known: dict[str, str]) -> list[str]:
    """List the quoted dotted names of the library that do not exist."""
    names = (match[1] for match in QUOTED.finditer(text))
    full = ((name, re.sub(r"^\w+", lambda m: known.get(m[0], m[0]), name)) for name in names)
    return [name for name, path in full if path.startswith("lib.") and not resolves(path)]


def unknown_modules(text: str, names_of_code: set[str]) -> list[str]:
    """List the quoted `module.name` of a notebook with a module that its code does not have."""
    names = (match[1] for match in QUOTED.finditer(text))
    exercises = course.all_exercises()
    return [
        name
        for name in names
        if name not in exercises
        and (first := name.split(".")[0]) not in names_of_code
        and not resolves(first)
    ]


def test_docstrings_name_what_exists():
    wrong = []
    for path in sorted((ROOT / "lib").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                names = unknown_names(ast.get_docstring(node) or "", {})
                wrong += [f"{path.relative_to(ROOT)}: {name}" for name in names]
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_what_exists(page):
    text = page.read_text(encoding="utf-8")
    assert not unknown_names(text, {})
    missing = [path for path in PATHS.findall(text) if not list(ROOT.glob(path))]
    assert not [path for path in missing if "NN" not in path and "cache" not in path]


def test_notebooks_name_what_exists():
    wrong = []
    for path in NOTEBOOKS:
        cells = read(path).cells
        known: dict[str, str] = {}
        names: set[str] = set()
        for cell in cells:
            if cell.cell_type == "code":
                for node in ast.walk(ast.parse(re.sub(r"(?m)^\s*[%!].*$", "", cell.source))):
                    names |= {node.id} if isinstance(node, ast.Name) else set()
                    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lib"):
                        for alias in node.names:
                            known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        for cell in cells:
            if cell.cell_type == "markdown":
                unknown = unknown_names(cell.source, known) + unknown_modules(cell.source, names)
                wrong += [f"{path.stem}: {name}" for name in unknown]
    assert not wrong
