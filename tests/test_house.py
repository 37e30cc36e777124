"""The rules of CONTRIBUTING that a program can check: layout, names, docstrings, glossary."""

import ast
import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "lib").rglob("*.py"))
BELOW = ("studies", "course", "cli")
LONGEST_FILE = 500
NAMES_WITHOUT_A_NOUN = {"table", "tables", "load", "rows", "row", "fill", "told", "as_text"}
CIRCUMLOCUTIONS = re.compile(r"(What|Which|Whose|Of|Whether|How)\b")


@pytest.fixture(scope="module")
def definitions():
    """List (file, node, public) of every module, class and function of lib."""
    return list(parsed())


def parsed():
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield path, tree, True
        for parent in ast.walk(tree):
            for node in ast.iter_child_nodes(parent):
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    top = isinstance(parent, ast.Module)
                    yield path, node, top and not node.name.startswith("_")


def place(path, node):
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def test_files_are_one_idea():
    long = {
        str(path.relative_to(ROOT)): n
        for path in FILES
        if (n := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE
    }
    assert not long


def test_public_functions_have_a_noun(definitions):
    assert not [
        f"{place(path, node)} {node.name}"
        for path, node, public in definitions
        if public and getattr(node, "name", "") in NAMES_WITHOUT_A_NOUN
    ]


def test_docstrings_begin_with_a_verb_or_a_noun(definitions):
    assert not [
        f"{place(path, node)} {text.splitlines()[0]}"
        for path, node, _ in definitions
        if (text := ast.get_docstring(node)) and CIRCUMLOCUTIONS.match(text)
    ]


def test_no_two_public_classes_of_one_name(definitions):
    classes = Counter(
        node.name for _, node, public in definitions if public and isinstance(node, ast.ClassDef)
    )
    assert not [name for name, count in classes.items() if count > 1]


def names_of_imports(tree):
    """Yield the modules that a file imports, also late, and the names it could import by text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            assert not node.level, "imports name their module in full"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_the_library_stands_without_studies_course_and_cli(definitions):
    below = re.compile(rf"lib\.({'|'.join(BELOW)})(\.\w+)*")
    above = 0
    for path, tree, _ in definitions:
        parts = path.relative_to(ROOT).with_suffix("").parts
        if isinstance(tree, ast.Module) and parts[1] not in BELOW:
            above += 1
            assert not [name for name in names_of_imports(tree) if below.fullmatch(name)], path
            importlib.import_module(".".join(parts).removesuffix(".__init__"))
    assert above > 100


def test_the_glossary_is_short_and_used():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## Glossary")[1].split("\n## ")[0]
    words = re.findall(r"^- \*\*(.+?)\*\*:", section, re.MULTILINE)
    assert 15 <= len(words) <= 30 and words == sorted(words, key=str.lower)
