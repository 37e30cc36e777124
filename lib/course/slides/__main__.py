"""Write the slides of the notebooks as HTML, and as PDF where Chromium is installed."""

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path

from lib.core.checks import RetrievalInputError
from lib.course.notebooks import NotebookFailed, find_notebooks
from lib.course.slides import (
    build_deck,
    deck_paths,
    open_browser,
    photograph,
    print_pdf,
    why_no_browser,
)
from lib.course.slides.stored import StoredNotebook


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m lib.course.slides", description=__doc__)
    parser.add_argument("names", nargs="*", help="beginnings of deck names; all by default")
    parser.add_argument("--notebooks", default="notebooks", type=Path, help="folder of notebooks")
    parser.add_argument("--build", default="build/slides", type=Path, help="folder of the slides")
    parser.add_argument("--no-pdf", action="store_true", help="write HTML alone")
    parser.add_argument(
        "--png", action="store_true", help="write a picture of each slide instead of the PDF"
    )
    parser.add_argument(
        "--pieces", action="store_true", help="write nothing; list what a deck may name"
    )
    options = parser.parse_args(arguments)
    names = tuple(options.names)
    try:
        if options.pieces:
            for path in find_notebooks(options.notebooks, names):
                print(path.name, *StoredNotebook(path).pieces(), sep="\n")
            return 0
        paths = deck_paths(options.notebooks / "instructor" / "slides", names)
    except RetrievalInputError as error:
        print(error, file=sys.stderr)
        return 1
    reason = "" if options.no_pdf else why_no_browser()
    with nullcontext() if reason or options.no_pdf else open_browser() as browser:
        written = sum(_write(path, options, browser) for path in paths)
    if reason:
        print(f"No {'PNG' if options.png else 'PDF'} was written: {reason}.")
    print(f"{written} of {len(paths)} decks were written to {options.build}")
    return 0 if paths and written == len(paths) else 1


def _write(path: Path, options: argparse.Namespace, browser) -> bool:
    """Write one deck, and say what it lacks if it cannot be written."""
    try:
        page = build_deck(path, options.notebooks / f"{path.stem}.ipynb", options.build)
    except (RetrievalInputError, NotebookFailed) as error:
        print(error, file=sys.stderr)
        return False
    if browser is not None:
        page = (photograph if options.png else print_pdf)(page, browser)
    print(page)
    return True


if __name__ == "__main__":
    sys.exit(main())
