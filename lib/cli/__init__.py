"""The `crossmodal` command, one file per subcommand."""

import os
import sys
import warnings

import typer
from rich.console import Console
from rich.markup import escape

from lib.cli import (
    bench,
    bench_hum_videos,
    bench_sketches,
    collection,
    compare,
    course,
    course_grade,
    data,
    encode,
    eval,
    hum,
    info,
    plan,
    search,
    serve,
    train,
)
from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError

USER_ERRORS = (RetrievalInputError, DamagedFileError, OSError, FloatingPointError, MemoryError)
# Commands import their modules when they run: `crossmodal --help` must not wait for torch.
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def describe() -> None:
    """Search, train, evaluate and measure cross-modal retrieval, as in the notebooks."""


for command in (
    search.search,
    hum.hum,
    collection.index,
    serve.serve,
    info.info,
    info.results,
    plan.plan,
    train.train,
    encode.encode,
):
    app.command()(command)
app.command("compare")(compare.compare_saved)
app.command("eval")(eval.evaluate)
bench.bench.command("hum-videos")(bench_hum_videos.bench_hum_videos)
bench.bench.command("hand")(bench_sketches.bench_hand)
bench.bench.command("sketches")(bench_sketches.bench_sketches)
bench.bench.command("layouts")(bench_sketches.bench_layouts)
for command in (course_grade.release, course_grade.exam, course_grade.grade):
    course.course.command()(command)
app.add_typer(bench.bench, name="bench")
app.add_typer(collection.collection, name="collection")
app.add_typer(course.course, name="course")
app.add_typer(data.data, name="data")


def _sentence_of(error: Exception) -> str:
    """Return the text of an error; one of the system about rights gets advice."""
    if type(error) is not PermissionError or not error.filename:
        return str(error)
    why = error.strerror or "Permission denied"
    return f"{error.filename} cannot be opened: {why}. Have the rights changed, or use another"


def main() -> None:
    """Run the command; an error of the user is one line on stderr and exit code 2."""
    os.environ["MPLBACKEND"] = "Agg"  # figures are files here
    # Pillow's warnings of large pictures and odd EXIF; what cannot be read is our own error.
    warnings.filterwarnings("ignore", module="PIL")
    for stream in (sys.stdout, sys.stderr):  # file names can hold bytes that no terminal shows
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except USER_ERRORS as error:
        text = " ".join((_sentence_of(error) or type(error).__name__).split())
        message = f"[bold red]error:[/] {escape(text)}"
        Console(stderr=True).print(message, highlight=False, soft_wrap=True)
        raise SystemExit(2) from error
