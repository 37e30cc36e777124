"""The book: all notebooks with their stored outputs as one site that needs no network.

python -m lib.course.book               what `make book` does

Sphinx makes the pages from sources that are written to the build folder: the notebooks with
numbered formulas and figures and links, and pages that are generated from them.
"""

import subprocess
import sys
from pathlib import Path

from lib.core.checks import RetrievalInputError
from lib.course.book.indexes import HUM_PAGE
from lib.course.book.sources import write_sources
from lib.course.hum_page import build_hum_page

FOLDER = Path(__file__).parent
JOBS = 2


class BookFailed(RuntimeError):
    """Sphinx gave a warning or an error."""


def build_book(notebooks_dir: str | Path, build_dir: str | Path, jobs: int = JOBS) -> Path:
    """Build the book from the stored outputs of the notebooks; nothing is executed.

    Args:
        notebooks_dir: folder of the notebooks, with the labs in `labs/`.
        build_dir: the pages are written to `book/html/` in it, their sources beside them.
        jobs: processes of Sphinx.

    Returns:
        The first page of the book.
    """
    notebooks, build = Path(notebooks_dir), Path(build_dir)
    if not notebooks.is_dir():
        raise RetrievalInputError(
            f"`notebooks_dir` must be a folder of notebooks, got {notebooks}. Name it."
        )
    book = build / "book"
    sources, pages = book / "sources", book / "html"
    write_sources(notebooks, sources)
    command = [sys.executable, "-m", "sphinx", "--builder", "html", "--quiet"]
    command += ["--fail-on-warning", "--jobs", str(jobs), "--conf-dir", str(FOLDER)]
    command += ["--doctree-dir", str(book / "doctrees"), str(sources), str(pages)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BookFailed(f"the book has warnings:\n{done.stdout}{done.stderr}".rstrip())
    build_hum_page(pages / HUM_PAGE)
    return pages / "index.html"
