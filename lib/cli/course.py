"""`crossmodal course`: working copies of the notebooks, grading, and the page that listens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from lib.cli.output import print_rows, say

course = typer.Typer(
    no_args_is_help=True,
    help="Working copies of the notebooks; assignments, exams and their grading; a page that"
    " listens.",
)

Work = Annotated[
    Path | None, Option("--work", help="Folder of the working copies; work/ of the repository.")
]


@course.command()
def new(work: Work = None) -> None:
    """Copy the notebooks that the folder lacks, without the answers to their questions."""
    from lib.course.working_copies import (
        ADVICE,
        WORK,
        copy_status,
        make_copies,
        renumber_copies,
        short_name,
    )

    folder = work or WORK
    for old, now in renumber_copies(folder):
        say(f"{old} is {now} now: the notebook has a new number, and your work in it is kept")
    made, kept = make_copies(folder)
    say(f"{folder}: {len(made)} new working copies, {len(kept)} kept as they are")
    for status in copy_status(folder):
        reset = ADVICE.format(short_name(status.name))
        if status.state == "damaged":
            say(status.problem)
        elif status.newer:
            say(f"{status.name}: the course has a newer version; yours is kept. {reset}")
        if status.note:
            say(status.note)


@course.command("status")
def list_copies(work: Work = None) -> None:
    """List the notebooks: started, predictions made and right, exercises passed."""
    from lib.course.working_copies import WORK, copy_status

    folder = work or WORK
    found = copy_status(folder)
    rows = []
    for status in found:
        predictions = f"{status.made} of {status.asked}"
        predictions += f", {status.right} right" if status.made else ""
        row = {"notebook": status.name, "state": status.state, "predictions": predictions}
        row["exercises passed"] = f"{status.passed} of {status.exercises}"
        rows.append(row | {"course": "newer version" if status.newer else ""})
    print_rows(rows, f"working copies in {folder}")
    for status in found:
        for line in filter(None, (status.problem, status.note)):
            say(line)
    if all(status.state == "no copy" for status in found):
        say("`crossmodal course new` makes them, and `make lab` opens them")


@course.command()
def reset(
    name: Annotated[str, Argument(help="Beginning of the name of a notebook, such as 04.")],
    work: Work = None,
) -> None:
    """Move a working copy to another name, forget its predictions, and make a new copy."""
    from lib.course.working_copies import WORK, reset_copy

    folder = work or WORK
    stem, backup = reset_copy(name, folder)
    say(f"{stem}: a new working copy in {folder}; its predictions and exercises begin anew")
    if backup:
        say(f"the old one is kept as {backup.name}")


@course.command("hum-page")
def build_page(
    out: Annotated[Path, Option(help="Folder of the page.")] = Path("build/hum"),
) -> None:
    """Write a page that finds a folk tune by humming, wholly in the browser."""
    from lib.course.hum_page import build_hum_page

    path = build_hum_page(out)
    say(f"{path}: {path.stat().st_size / 1e6:.1f} MB. Open it in a browser; it needs no server")
