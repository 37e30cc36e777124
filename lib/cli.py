"""The `crossmodal` command."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lib.checks import RetrievalInputError
from lib.files import DamagedFileError, MissingFileError, artifacts_dir, atomic_path

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console()


@app.callback()
def describe() -> None:
    """Cross-modal retrieval, measured: search, inspect and train what the notebooks teach."""


@app.command()
def search(
    query: Annotated[str | None, typer.Argument(help='What to look for, for example "red alarm clock".')] = None,
    image: Annotated[Path | None, typer.Option(help="Search by a drawing instead of words.")] = None,
    k: Annotated[int, typer.Option("-k", help="How many icons to return.")] = 12,
    out: Annotated[Path, typer.Option(help="Where to write the contact sheet.")] = Path("hits.png"),
) -> None:
    """Finds icons by words or by a drawing; prints a table and writes a contact sheet."""
    if (query is None) == (image is None):
        raise RetrievalInputError("give either words or --image FILE")
    from lib.datasets import icons  # late imports: `crossmodal --help` should not load torch
    from lib.plots import contact_sheet
    from lib.retrieval import icon_retriever, read_drawing

    retriever = icon_retriever()
    hits = retriever.by_text(query, k) if image is None else retriever.by_image(read_drawing(image), k)
    corpus = icons.load()
    table = Table("rank", "cosine", "name", "family", "split", title=query or str(image))
    for hit in hits:
        position = hit.position
        table.add_row(
            str(hit.rank), f"{hit.score:.3f}", hit.label, corpus.families[position], str(corpus.splits[position])
        )
    console.print(table)
    figure = contact_sheet([corpus.images[hit.position] for hit in hits], [hit.label for hit in hits])
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=110)
    console.print(f"contact sheet: {out}")


@app.command()
def info() -> None:
    """Prints versions, threads, BLAS kernels, artifacts and their checksums."""
    import importlib.metadata

    import threadpoolctl
    import torch

    from lib.files import CHECKSUM_SUFFIX, verify

    versions = Table("package", "version", title="versions")
    versions.add_row("python", platform.python_version())
    for package in ("torch", "open_clip_torch", "timm", "faiss-cpu", "numpy", "pillow", "qtawesome", "umap-learn"):
        versions.add_row(package, importlib.metadata.version(package))
    console.print(versions)

    import faiss  # noqa: F401  loaded so that its own BLAS shows up below

    pools = Table("library", "kernel", "threads", "version", title="threads and kernels")
    pools.add_row("torch intra-op", torch.backends.cpu.get_cpu_capability(), str(torch.get_num_threads()), "")
    for pool in threadpoolctl.threadpool_info():
        library = f"{pool['internal_api']} ({Path(pool['filepath']).parent.name})"
        pools.add_row(library, pool.get("architecture") or "", str(pool["num_threads"]), pool.get("version") or "")
    console.print(pools)

    files = Table("artifact", "MB", "sha256", "state", title="artifacts")
    for sidecar in sorted(artifacts_dir().rglob("*" + CHECKSUM_SUFFIX)):
        path = sidecar.with_name(sidecar.name.removesuffix(CHECKSUM_SUFFIX))
        try:
            verify(path, rebuild="Restore it with git.")
            state, size = "ok", f"{path.stat().st_size / 1e6:.2f}"
        except (MissingFileError, DamagedFileError) as error:
            state, size = type(error).__name__, ""
        files.add_row(str(path.relative_to(artifacts_dir())), size, sidecar.read_text()[:12], state)
    console.print(files)


@app.command()
def train(
    names: Annotated[list[str] | None, typer.Argument(help="Artifacts to rebuild.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Rebuild every artifact.")] = False,
) -> None:
    """Trains the committed models again (under an hour on two cores). Stop and start it as you like."""
    from lib.recipes import RECIPES, build
    from lib.training_progress import watched

    if everything == bool(names):
        raise RetrievalInputError(f"name what to train ({', '.join(RECIPES)}) or pass --all")
    for name in RECIPES if everything else names:
        watched(build, name, console)


def main() -> None:
    """Entry point: input errors are one line on stderr and exit code 2, not a traceback."""
    try:
        app(standalone_mode=False)
    except (RetrievalInputError, DamagedFileError, MissingFileError) as error:
        Console(stderr=True).print(f"[bold red]error:[/] {error}", highlight=False)
        raise SystemExit(2) from error
    except typer.Exit as exit_:
        raise SystemExit(exit_.exit_code) from exit_
    except typer.Abort as abort:
        raise SystemExit(130) from abort
