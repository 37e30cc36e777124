"""Command line of the notebook runner."""

import argparse
import sys
from pathlib import Path

from lib.core.checks import RetrievalInputError
from lib.course.notebooks import NotebookFailed, find_notebooks, refresh_notebooks, run_notebooks


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m lib.course.notebooks", description=__doc__)
    parser.add_argument(
        "command", choices=("run", "refresh"), help="run into --build, or refresh outputs in place"
    )
    parser.add_argument("names", nargs="*", help="beginnings of notebook names; all by default")
    parser.add_argument(
        "--notebooks", default="notebooks", type=Path, help="folder of the notebooks"
    )
    parser.add_argument("--build", default="build", type=Path, help="folder for HTML and report")
    options = parser.parse_intermixed_args(arguments)
    names = tuple(options.names)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        if not find_notebooks(options.notebooks, names):
            print(f"there are no notebooks in {options.notebooks}", file=sys.stderr)
            return 1
        if options.command == "refresh":
            refresh_notebooks(options.notebooks, names=names)
            return 0
        executions = run_notebooks(options.notebooks, options.build, names=names)
    except (NotebookFailed, RetrievalInputError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the notebooks that had run before are reported", file=sys.stderr)
        return 130
    return 1 if any(execution.error for execution in executions) else 0


if __name__ == "__main__":
    sys.exit(main())
