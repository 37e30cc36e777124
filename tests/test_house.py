"""The rules of CONTRIBUTING that a program can check: layout, names, docstrings, glossary."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "lib").rglob("*.py"))
BELOW = ("studies", "course", "cli")
LONGEST_FILE = 500
NAMES_WITHOUT_A_NOUN = {"table", "tables", "load", "rows", "row", "fill", "told", "as_text"}
CIRCUMLOCUTIONS = re.compile(r"(What|Which|Whose|Of|Whether|How)\b")


def definitions():
    """Yield (file, node, public) of every module, class and function of lib."""
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


def test_public_functions_have_a_noun():
    assert not [
        f"{place(path, node)} {node.name}"
        for path, node, public in definitions()
        if public and getattr(node, "name", "") in NAMES_WITHOUT_A_NOUN
    ]


def test_docstrings_begin_with_a_verb_or_a_noun():
    assert not [
        f"{place(path, node)} {text.splitlines()[0]}"
        for path, node, _ in definitions()
        if (text := ast.get_docstring(node)) and CIRCUMLOCUTIONS.match(text)
    ]


def test_no_two_public_classes_of_one_name():
    classes = Counter(
        node.name for _, node, public in definitions() if public and isinstance(node, ast.ClassDef)
    )
    assert not [name for name, count in classes.items() if count > 1]


def test_the_library_stands_without_studies_course_and_cli():
    code = f"""
import importlib, pkgutil, sys
for name in {BELOW!r}:
    sys.modules["lib." + name] = None  # importing it raises ImportError
import lib
for module in pkgutil.walk_packages(lib.__path__, "lib."):
    if module.name.split(".")[1] not in {BELOW!r}:
        importlib.import_module(module.name)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stderr[-500:]


def test_the_glossary_is_short_and_used():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## Glossary")[1].split("\n## ")[0]
    words = re.findall(r"^- \*\*(.+?)\*\*:", section, re.MULTILINE)
    assert 15 <= len(words) <= 30 and words == sorted(words, key=str.lower)
