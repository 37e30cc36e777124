"""The `crossmodal` command."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from lib.checks import RetrievalInputError, check_choice
from lib.files import CHECKSUM_SUFFIX, DamagedFileError, MissingFileError, artifacts_dir, verify

# Late imports inside the commands: `crossmodal --help` should not wait for torch.
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
bench = typer.Typer(no_args_is_help=True, help="Measures this library beside others, on this machine.")
app.add_typer(bench, name="bench")
console = Console()

SEARCH = ("faiss-cpu", "scann", "h5py")
PACKAGES = ("torch", "open_clip_torch", "timm", *SEARCH, "numpy", "pillow", "qtawesome", "umap-learn")


@app.callback()
def describe() -> None:
    """Cross-modal retrieval, measured: search, inspect and train what the notebooks teach."""


@app.command()
def search(
    query: Annotated[str | None, typer.Argument(help='In quotes, for example "red alarm clock".')] = None,
    image: Annotated[Path | None, typer.Option(help="Search by a drawing instead of words.")] = None,
    k: Annotated[int, typer.Option("-k", help="How many icons to return.")] = 12,
    out: Annotated[Path, typer.Option(help="Contact sheet to write, a PNG.")] = Path("hits.png"),
) -> None:
    """Finds icons by words or by a drawing; prints a table and writes a contact sheet."""
    if (query is None) == (image is None):
        raise RetrievalInputError("give either words or --image FILE")
    check_choice(out.suffix.lower(), (".png",), "the suffix of --out")
    from lib.datasets import icons
    from lib.plots import contact_sheet, save
    from lib.retrieval import icon_retriever, read_drawing

    drawing = None if image is None else read_drawing(image)
    retriever, corpus = icon_retriever(), icons.load()
    hits = retriever.by_text(query, k) if drawing is None else retriever.by_image(drawing, k)
    table = Table("rank", "cosine", "name", "family", "split", title=escape(query or str(image)))
    for hit in hits:
        family, split = corpus.families[hit.position], str(corpus.splits[hit.position])
        table.add_row(str(hit.rank), f"{hit.score:.3f}", hit.label, family, split)
    console.print(table)
    drawings = [255 - corpus.images[hit.position] for hit in hits]  # ink dark, as on paper
    save(contact_sheet(drawings, [hit.label for hit in hits]), out)
    console.print(f"contact sheet: {out}", markup=False, highlight=False, soft_wrap=True)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not found under this name"  # conda names some packages differently


@app.command()
def info() -> None:
    """Prints versions, threads, BLAS kernels, artifacts and their checksums."""
    import faiss  # noqa: F401  loaded so that its own BLAS shows up below
    import threadpoolctl
    import torch

    versions = Table("package", "version", title="versions")
    versions.add_row("python", platform.python_version())
    for package in PACKAGES:
        versions.add_row(package, _version(package))
    console.print(versions)

    pools = Table("library", "kernel", "threads", "version", title="threads and kernels")
    pools.add_row("torch intra-op", torch.backends.cpu.get_cpu_capability(), str(torch.get_num_threads()), "")
    for pool in threadpoolctl.threadpool_info():
        library = f"{pool['internal_api']} ({Path(pool['filepath']).parent.name})"
        kernel, version = pool.get("architecture") or "", pool.get("version") or ""
        pools.add_row(library, kernel, str(pool["num_threads"]), version)
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
    console.print(files if files.row_count else f"no artifacts in {artifacts_dir()}; crossmodal train --all")


@app.command()
def results() -> None:
    """Prints the results table of the README, as Markdown, from the committed embeddings."""
    from lib.benchmarks import dual_encoders

    print(dual_encoders.markdown(dual_encoders.table()))


@bench.command("metrics")
def bench_metrics(
    queries: Annotated[int, typer.Option(help="How many queries.")] = 10_000,
    candidates: Annotated[int, typer.Option(help="How many scored items each has.")] = 1_000,
    repeats: Annotated[int, typer.Option(help="Timed runs of each library; medians are printed.")] = 3,
    disagreements: Annotated[
        bool, typer.Option("--disagreements", help="What they answer instead of what they cost.")
    ] = False,
) -> None:
    """Ranking metrics by five libraries: seconds and memory, or where their answers differ."""
    from lib.benchmarks import metric_disagreements, metrics

    if disagreements:
        peers = metric_disagreements.versions()
        title = "same input, " + ", ".join(f"{name} {version}" for name, version in peers.items())
        _print_rows(metric_disagreements.as_text(metric_disagreements.table()), title)
        return
    with console.status("each library in a process of its own, one thread"):
        rows = metrics.table(queries, candidates, repeats=repeats)
        _print_rows(
            metrics.as_text(rows), f"{queries:,} queries x {candidates:,} items, one thread, processor time"
        )
    with console.status("COCO-5K from embeddings"):
        rows = metrics.coco_table(repeats=repeats)
        _print_rows(metrics.as_text(rows), "COCO-5K from embeddings, one thread, processor time")


@bench.command("losses")
def bench_losses(
    batch_size: Annotated[
        list[int] | None, typer.Option(help="Pairs per batch; give it several times. 1k to 32k by default.")
    ] = None,
    dim: Annotated[int, typer.Option(help="Coordinates of an embedding.")] = 512,
    repeats: Annotated[int, typer.Option(help="Timed runs of each; medians are printed.")] = 5,
    limit: Annotated[float, typer.Option(help="Seconds that one run may take.")] = 120.0,
) -> None:
    """Contrastive losses by four libraries, forward and backward: seconds and peak memory."""
    from lib.benchmarks import loss_cost

    with console.status("each loss in a process of its own, one thread") as status:
        rows = loss_cost.table(
            batch_size or loss_cost.BATCH_SIZES,
            dim=dim,
            repeats=repeats,
            limit_s=limit,
            progress=status.update,
        )
    _print_rows(loss_cost.as_text(rows), f"d = {dim}, float32, one thread, processor time")


@bench.command("maxsim")
def bench_maxsim(
    queries: Annotated[int, typer.Option(help="Queries.")] = 1_000,
    documents: Annotated[int, typer.Option(help="Documents.")] = 10_000,
    length: Annotated[int, typer.Option(help="Tokens of each.")] = 32,
    dim: Annotated[int, typer.Option(help="Coordinates of a token.")] = 128,
    repeats: Annotated[int, typer.Option(help="Timed runs of each; medians are printed.")] = 3,
) -> None:
    """Late-interaction scores, ours and sentence-transformers': seconds and peak memory."""
    from lib.benchmarks import maxsim_cost

    with console.status("each system in a process of its own, one thread") as status:
        rows = maxsim_cost.table(
            queries, documents, length=length, dim=dim, repeats=repeats, progress=status.update
        )
    title = f"{queries:,} queries x {documents:,} documents, {length} tokens of {dim} x float32, one thread"
    _print_rows(maxsim_cost.as_text(rows), f"{title}, processor time")


@bench.command("loss-quality")
def bench_loss_quality(
    part: Annotated[list[str] | None, typer.Option(help="heads, full or damage; all by default.")] = None,
) -> None:
    """Trains every loss with equal budgets and writes the comparison (hours; goes on where it stopped)."""
    from lib.benchmarks import loss_trials

    parts = [check_choice(name, loss_trials.PARTS, "part") for name in part or loss_trials.PARTS]
    if part:
        console.print("a part alone is run but not written: the table is written whole")
    loss_trials.fill(parts, log=lambda line: console.print(line, markup=False, soft_wrap=True))
    if not part:
        loss_trials.collect()


@bench.command("ann")
def bench_ann(
    corpus: Annotated[
        str | None,
        typer.Option(
            help="icons, scenes or a file of vectors. Without it both, and the tables are committed."
        ),
    ] = None,
    size: Annotated[int | None, typer.Option(help="Base vectors; 100,000 scenes by default.")] = None,
    queries: Annotated[Path | None, typer.Option(help="File of queries for a file of vectors.")] = None,
    metric: Annotated[str | None, typer.Option(help="Of a file: cosine, inner_product or l2.")] = None,
    families: Annotated[
        list[str] | None, typer.Option("--family", "--families", help="Index types; all by default.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Neighbours.")] = 10,
    threads: Annotated[int, typer.Option(help="Of build and search.")] = 1,
    repeats: Annotated[int, typer.Option(help="Timed passes; every one is kept.")] = 3,
    target: Annotated[float, typer.Option(help="Recall that settings are chosen for.")] = 0.95,
    out: Annotated[Path | None, typer.Option(help="Folder for tables and ann-benchmarks files.")] = None,
) -> None:
    """Indexes asked with images and with texts: recall, work, bytes, speed (goes on where it stopped)."""
    from lib.benchmarks.ann import committed, exchange, store, summary
    from lib.benchmarks.ann.configs import standard
    from lib.report.timing import environment_line

    if corpus is None and (size, queries, metric, families, out) != (None,) * 5:
        raise RetrievalInputError("name the --corpus; without one the committed tables are written whole")
    how = {"k": k, "repeats": repeats, "threads": threads}
    with _progress() as bar:

        def log(line: str) -> None:
            bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

        if corpus is None:
            tables = committed.collect(log, **how)
        else:
            row = bar.add_task("encoding", total=None, visible=corpus == "scenes")
            data = exchange.open_corpus(
                corpus, size=size, queries=queries, metric=metric, progress=lambda n: bar.advance(row, n)
            )
            wanted = None if families is None else ["Flat", *families]
            grid = standard(len(data), data.dim, wanted)
            found = list(bar.track(store.fill(data, grid, log=log, **how), len(grid), description="indexes"))
            tables = store.tables(found)
            if out is not None:
                store.write(out, found)
                for one in found:
                    exchange.write_results(out / "results", one)
    every = summary.settings(tables["quality"], tables["timings"])
    for (name, n), rows in every.groupby(["corpus", "n"], sort=False):
        _print_rows(
            summary.as_text(rows), f"{name}, {n:,} vectors: speed is of single queries, over exact search"
        )
        _print_rows(
            summary.reaching_as_text(rows, target), f"{name}: the fastest with recall@{k} >= {target}"
        )
    console.print(environment_line(), markup=False, highlight=False, soft_wrap=True)


@bench.command("faiss")
def bench_faiss(
    repeats: Annotated[int, typer.Option(help="Timed runs of each; medians are printed.")] = 3,
) -> None:
    """Exact search and building of product quantisers, ours and faiss's (ten minutes: its strings anneal)."""
    from lib.benchmarks.ann import faiss_cost

    with console.status("each system in a process of its own, one thread") as status:
        rows = faiss_cost.table(repeats=repeats, progress=status.update)
    _print_rows(
        faiss_cost.as_text(rows), "search 100,000 x 256, build 20,000 x 128, one thread, processor time"
    )


@bench.command("architectures")
def bench_architectures() -> None:
    """Quality and cost of every architecture, written (ten minutes; goes on where it stopped)."""
    from lib.benchmarks import architecture_sample, architectures

    def log(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    architectures.fill(log)
    architectures.collect()
    architecture_sample.collect(log)
    _print_rows(architectures.as_text(architectures.committed()), "architectures, 95% intervals by item")


@bench.command("rerank")
def bench_rerank() -> None:
    """The cross-encoder reads the dual encoder's answers on the hard split; writes its logits (a minute)."""
    from lib.benchmarks import rerank_depth, rerank_readings

    rerank_readings.collect(lambda line: console.print(line, markup=False, soft_wrap=True))
    rows = rerank_depth.curve(rerank_readings.cross_on_hard(), [0, 1, 2, 5, 10, 20, 50])
    texts = [
        {key: f"{value:.1f}" if isinstance(value, float) else str(value) for key, value in row.items()}
        for row in rows
    ]
    _print_rows(texts, "R@1 in percent on the hard split, by depth of the cross-encoder's rerank")


def _progress() -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)


def _print_rows(rows: list[dict], title: str) -> None:
    """Rows of texts as a table, a column per key; what was said of the same subject is not said again."""
    first = next(iter(rows[0]))
    table = Table(*rows[0], title=escape(title))
    before: dict[str, str] = {}
    for row in rows:
        again = row[first] == before.get(first)
        if not again:
            table.add_section()
        said = [key for key in (first, "why") if again and row.get(key) == before.get(key)]
        table.add_row(*("" if key in said else escape(cell) for key, cell in row.items()))
        before = row
    console.print(table)


@app.command()
def plan(
    vectors: Annotated[str, typer.Option(help="How many, for example 5.85e9.")] = "5.85e9",
    dim: Annotated[int, typer.Option(help="Coordinates of a vector.")] = 512,
    recall: Annotated[float, typer.Option(help="Recall wanted, compared with published figures.")] = 0.95,
    qps: Annotated[float, typer.Option(help="Queries a second.")] = 1000.0,
    ram: Annotated[float, typer.Option(help="Memory of a machine for the index, GB.")] = 192.0,
    cores: Annotated[int, typer.Option(help="Cores of a machine.")] = 16,
    bandwidth: Annotated[float, typer.Option(help="Memory bandwidth of a machine, GB/s.")] = 100.0,
    ssd: Annotated[float, typer.Option(help="Disk of a machine for the index, TB.")] = 8.0,
    replicas: Annotated[int, typer.Option(help="Copies of the index, each able to serve alone.")] = 1,
    nprobe: Annotated[int, typer.Option(help="Cells of an inverted file that a query looks into.")] = 64,
    checks: Annotated[
        bool, typer.Option("--checks", help="The byte formulas beside published sizes instead.")
    ] = False,
) -> None:
    """What an index of billions of vectors takes: bytes, work and machines for every family."""
    from lib.benchmarks import billions
    from lib.index.planner import Machine
    from lib.index.planner import plan as rows_of

    if checks:
        _print_rows(billions.checks_text(billions.published_checks()), "byte formulas and published sizes")
        return
    n = billions.whole_number(vectors, "vectors")
    machine = Machine(ram_gb=ram, cores=cores, bandwidth_gb_s=bandwidth, ssd_tb=ssd)
    rows = rows_of(n, dim, recall=recall, qps=qps, machine=machine, replicas=replicas, nprobe=nprobe)
    title = f"{n:,} vectors x {dim}, {qps:,g} queries a second, machines of {ram:g} GB and {cores} cores"
    _print_rows(billions.as_text(rows), title)
    for line in billions.notes(rows):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


@app.command()
def train(
    names: Annotated[list[str] | None, typer.Argument(help="Artifacts to rebuild.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Rebuild every artifact.")] = False,
) -> None:
    """Trains the committed models again (some two hours on one core). Stop and start it as you like."""
    from lib.recipes import RECIPES, build

    if everything == bool(names):
        raise RetrievalInputError(f"name what to train ({', '.join(RECIPES)}) or pass --all")
    chosen = [check_choice(name, RECIPES, "artifact") for name in (RECIPES if everything else names)]
    with _progress() as bar:
        for name in chosen:
            row = bar.add_task(name, total=None)

            def progress(step: int, steps: int, row: TaskID = row) -> None:
                bar.update(row, completed=step, total=steps)

            build(
                name,
                log=lambda line: bar.console.print(line, markup=False, soft_wrap=True),
                progress=progress,
            )


def main() -> None:
    """Entry point: what the user can mend is one line on stderr and exit code 2, not a traceback."""
    try:
        app()
    except (RetrievalInputError, DamagedFileError, OSError, FloatingPointError) as error:
        message = f"[bold red]error:[/] {escape(' '.join(str(error).split()))}"
        Console(stderr=True).print(message, highlight=False, soft_wrap=True)
        raise SystemExit(2) from error
