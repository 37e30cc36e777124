"""`crossmodal index` and `crossmodal collection`: your own pictures."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.markup import escape
from rich.table import Table
from typer import Argument, Option, Typer

from lib.cli.collection_copy import copy
from lib.cli.options import (
    BatchSize,
    Device,
    Families,
    Precision,
    Pretrained,
    Prompt,
    QueryKinds,
    Ram,
    Recall,
    bytes_of,
    given_path,
)
from lib.cli.output import console, progress_bar, say, shown
from lib.core.checks import RetrievalInputError, check_count
from lib.core.workers import HERE

if TYPE_CHECKING:
    from lib.core.workers import Workers
    from lib.search.collection import Collection, IndexWish
    from lib.search.collection.files import StoredIndex

SHOWN = 10  # failures that are printed
LONGEST = 2_000  # characters of a failure; a name can hold any character
collection = Typer(no_args_is_help=True, help="Look into a collection that `index` made.")
collection.command()(copy)
WorkerCount = Annotated[
    int | None, Option(help="Worker processes on this machine; without it, this process.")
]
Scheduler = Annotated[
    str | None, Option(help="Dask scheduler whose workers do the work: tcp://HOST:PORT.")
]
Folder = Annotated[Path, Argument(parser=given_path, help="Folder of the collection.")]


def index(
    sources: Annotated[
        list[Path], Argument(parser=given_path, help="Folders, pictures, and shards (.tar).")
    ],
    out: Annotated[
        Path,
        Option(
            parser=given_path, help="Folder of the collection; a second run brings it up to date."
        ),
    ],
    model: Annotated[
        str, Option(help="pictures (symbols and drawings, offline), or one of open_clip.")
    ] = "pictures",
    pretrained: Pretrained = None,
    columns: Annotated[
        Path | None,
        Option(help="Table with a column path or file, and more: .csv, .json, .jsonl, .parquet."),
    ] = None,
    precision: Precision = "fp32",
    device: Device = "cpu",
    prompt: Prompt = "",
    batch_size: BatchSize = 64,
    recall: Recall = None,
    ram: Ram = None,
    queries: QueryKinds = None,
    families: Families = None,
    workers: WorkerCount = None,
    scheduler: Scheduler = None,
) -> None:
    """Index your pictures: encode what is new, keep what is known, drop what is gone.

    Up to 50,000 pictures are searched exactly. More get an index that finds 0.95 of the true best
    ones; --recall, --ram, --queries and --family ask for another. With --workers or --scheduler
    many processes encode and build, and the collection is the same.
    """
    from lib.models.encoder import load_encoder
    from lib.search.collection import Columns, build_collection, model_of, update_index
    from lib.search.collection.sources import count_files, roots_of

    wish = _wish(recall, ram, queries, families)
    _check_cluster(workers, scheduler)
    table = None if columns is None else Columns.read(columns)
    total = count_files(roots_of(sources))
    settings = {"precision": precision, "device": device, "prompt": prompt}
    encoder = load_encoder(model, pretrained, batch_size=batch_size, **settings)
    with _cluster(workers, scheduler) as cluster:
        if cluster is not HERE:
            say(f"{cluster.n_workers:,} workers of the Dask scheduler {cluster.address}")
        with progress_bar() as bar:
            row = bar.add_task(_work_of(cluster), total=total)
            report = build_collection(
                sources, out, encoder, model_of(model, pretrained), columns=table,
                batch_size=batch_size, cluster=cluster, progress=lambda n: bar.advance(row, n),
            )  # fmt: skip
        say(report.describe())
        for failure in report.failures[:SHOWN]:
            left_out = "" if failure.is_caption else "left out: "
            say(f"  {left_out}{shown(failure.sentence, LONGEST)}")
        if len(report.failures) > SHOWN:
            n_more = len(report.failures) - SHOWN
            say(f"  and {n_more:,} more; all of them: crossmodal collection failures {out}")
        if table is not None and (unused := table.unused()):
            say(f"{len(unused):,} rows of {columns} belong to no picture, such as {unused[0]!r}")
        with console.status("index"):
            say(update_index(out, wish, cluster=cluster, log=lambda line: say(f"  {line}")))
    say(f'next: crossmodal search "..." --collection {out}, or crossmodal serve {out}')


@collection.command("tune")
def tune(
    folder: Folder,
    recall: Recall = 0.95,
    ram: Ram = None,
    queries: QueryKinds = "both",
    families: Families = None,
    workers: WorkerCount = None,
    scheduler: Scheduler = None,
) -> None:
    """Choose the index of a collection by measured recall, memory and work, and store it.

    With --workers or --scheduler many processes share the building of each index; the choice is the
    same.
    """
    from lib.search.collection import tune_index

    wish = _wish(recall, ram, queries, families)
    _check_cluster(workers, scheduler)
    with _cluster(workers, scheduler) as cluster, console.status("index"):
        say(tune_index(folder, wish, cluster=cluster, log=lambda line: say(f"  {line}")))


def _check_cluster(workers: int | None, scheduler: str | None) -> None:
    if workers is not None:
        check_count(workers, "--workers")
        if scheduler is not None:
            raise RetrievalInputError(
                f"give --workers {workers} for this machine or --scheduler {scheduler}, not both"
            )


def _cluster(workers: int | None, scheduler: str | None):
    """Return the workers that the user asks for, as a context."""
    from lib.search.cluster import connect_cluster, local_cluster

    if scheduler is not None:
        return connect_cluster(scheduler)
    return nullcontext(HERE) if workers is None else local_cluster(workers)


def _work_of(cluster: "Workers") -> str:
    return "pictures" if cluster is HERE else f"pictures, {cluster.n_workers:,} workers"


def _wish(
    recall: float | None, ram: str | None, queries: str | None, families: list[str] | None
) -> "IndexWish | None":
    """Return what the user asks of the index; None where nothing is asked."""
    from lib.search.collection import IndexWish

    size = None if ram is None else bytes_of(ram, "--ram")
    given = {"recall": recall, "ram": size, "queries": queries, "families": families}
    given = {name: value for name, value in given.items() if value is not None}
    return IndexWish(**given) if given else None


@collection.command()
def info(folder: Folder) -> None:
    """Show what a collection holds: model, pictures, columns, sources, index."""
    from lib.search.collection import Collection

    opened = Collection(folder)
    table = Table("what", "is")
    for name, value in _facts(opened):
        table.add_row(name, escape(shown(value, LONGEST)))
    console.print(table)


def _facts(opened: "Collection") -> list[tuple[str, str]]:
    from lib.search.collection.building import unread_of

    manifest = opened.manifest
    pretrained = manifest.model["pretrained"]
    stored = manifest.index
    failures = opened.folder.consistently(opened.folder.failures)
    search = "exact" if stored is None else _index_text(stored)
    return [
        ("pictures", f"{len(opened):,}"),
        ("could not be read", unread_of(failures).replace(" could not be read", "")),
        ("model", f"{manifest.model['name']}" + (f", {pretrained}" if pretrained else "")),
        ("dimension", f"{manifest.dim}"),
        ("search", search),
        ("last run", "came to its end" if manifest.finished else "was stopped; index again"),
        ("columns", ", ".join(opened.columns)),
        *(
            ("source", str(opened.folder.root_folder(root)))
            for root in manifest.roots
            if root.files != ()  # one that lies in another source
        ),
    ]


def _index_text(stored: "StoredIndex") -> str:
    """Say what an index is, and what it reached when it was tuned."""
    chosen = stored.chosen
    settings = ", ".join(f"{name} {value}" for name, value in stored.settings.items())
    config = chosen.get("config", {}).get("name", stored.index_type)
    text = f"{config} {settings}".rstrip() + f" over {stored.rows:,} pictures"
    recalls = [f"{kind} {mean:.3f}" for kind, (mean, *_) in chosen.get("recall", {}).items()]
    return f"{text}; recall@{chosen['k']} when tuned: {', '.join(recalls)}" if recalls else text


@collection.command()
def failures(folder: Folder) -> None:
    """List every picture and every caption that could not be read, with its reason."""
    from lib.search.collection.building import unread_of
    from lib.search.collection.files import CollectionFolder

    opened = CollectionFolder(folder)
    found = opened.consistently(opened.failures)
    for failure in found:
        say(shown(failure.sentence, LONGEST))
    say(f"pictures: {unread_of(found)}")


@collection.command()
def verify(folder: Folder) -> None:
    """Check every byte of a collection against its checksums."""
    from lib.search.collection import Collection

    opened = Collection(folder, verify=True)
    n_parts = len(opened.manifest.parts)
    parts = "1 part" if n_parts == 1 else f"{n_parts:,} parts"
    say(f"{len(opened):,} pictures in {parts}: all bytes are as written")
