"""The `crossmodal` command, a file for each part of it."""

from __future__ import annotations

import os
import sys

import typer
from rich.console import Console
from rich.markup import escape

from lib.cli.bench import bench
from lib.cli.data import data
from lib.cli.encode import encode
from lib.cli.eval import compare, evaluate
from lib.cli.info import info, results
from lib.cli.plan import plan
from lib.cli.search import search
from lib.cli.train import train
from lib.core.checks import RetrievalInputError
from lib.core.files import DamagedFileError

# Commands import what they need when they run: `crossmodal --help` should not wait for torch.
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def describe() -> None:
    """Cross-modal retrieval, measured: search, inspect and train what the notebooks teach."""


for command in (search, info, results, plan, train, encode, compare):
    app.command()(command)
app.command("eval")(evaluate)
app.add_typer(bench, name="bench")
app.add_typer(data, name="data")


def main() -> None:
    """Entry point: what the user can mend is one line on stderr and exit code 2, not a traceback."""
    os.environ["MPLBACKEND"] = "Agg"  # figures are files here, whatever the shell asks for
    for stream in (
        sys.stdout,
        sys.stderr,
    ):  # names of files need not be text that a terminal can show
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
