"""Command line of the book."""

import argparse
import os
import sys
from pathlib import Path

from lib.core.checks import RetrievalInputError
from lib.course.book import BookFailed, build_book
from lib.course.book.checks import browser_problems, link_problems
from lib.course.notebooks import NotebookFailed
from lib.course.slides.pdf import why_no_browser


def main(arguments: list[str] | None = None) -> int:
    """Build the book and check its pages; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lib.course.book", description=__doc__)
    parser.add_argument("--notebooks", default="notebooks", type=Path, help="their folder")
    parser.add_argument("--build", default="build", type=Path, help="folder for the book")
    parser.add_argument("--jobs", default=2, type=int, help="processes")
    options = parser.parse_args(arguments)
    try:
        first = build_book(options.notebooks, options.build, options.jobs)
    except (BookFailed, NotebookFailed, RetrievalInputError) as error:
        print(error, file=sys.stderr)
        return 1
    problems = link_problems(first.parent)
    if reason := why_no_browser():
        seen = f"no page was shown in a browser: {reason}"
        if os.environ.get("CROSSMODAL_BROWSER") == "required":
            problems.append(seen)
    else:
        problems += browser_problems(first.parent, options.jobs)
        seen = "every page was shown in Chromium, at two widths, light and dark"
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    print(f"{len(problems)} problems of links and pages; {seen}")
    print(f"The book: {first}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
