"""The chapters of the book, read once."""

from pathlib import Path

import nbformat
import pytest

from lib.course.book.notebook_text import read_chapter
from lib.course.notebooks import find_notebooks

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="package")
def chapters():
    """Read all notebooks and labs as stored; other tests validate them."""
    return [
        read_chapter(path, nbformat.v4.reads(path.read_text(encoding="utf-8")))
        for path in find_notebooks(ROOT / "notebooks")
    ]
