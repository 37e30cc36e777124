"""The `crossmodal` command, a file for each part of it."""

import os
import sys

import typer
from rich.console import Console
from rich.markup import escape

from lib.cli import bench, data, encode, eval, info, plan, search, train
from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError

# Commands import what they need when they run: `crossmodal --help` should not wait for torch.
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def describe() -> None:
    """Cross-modal retrieval, measured: search, inspect and train what the notebooks teach."""


for command in (
    search.search,
    info.info,
    info.results,
    plan.plan,
    train.train,
    encode.encode,
    eval.compare,
):
    app.command()(command)
app.command("eval")(eval.evaluate)
app.add_typer(bench.bench, name="bench")
app.add_typer(data.data, name="data")


def main() -> None:
    """Entry point: what the user can mend is one line on stderr and exit code 2, not a
    traceback.
    """
    os.environ["MPLBACKEND"] = "Agg"  # figures are files here, whatever the shell asks for
    for stream in (sys.stdout, sys.stderr):  # a name of a file may hold what a terminal cannot show
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except (
        RetrievalInputError,
        DamagedFileError,
        OSError,
        FloatingPointError,
        MemoryError,
    ) as error:
        message = (
            f"[bold red]error:[/] {escape(' '.join((str(error) or type(error).__name__).split()))}"
        )
        Console(stderr=True).print(message, highlight=False, soft_wrap=True)
        raise SystemExit(2) from error
