"""`crossmodal bench`: this library beside others, on this machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from lib.cli.output import console, counted, print_rows, progress_bar, say
from lib.core.checks import (
    RetrievalInputError,
    check_choice,
    check_count,
    check_number,
    check_threads,
)

bench = typer.Typer(
    no_args_is_help=True, help="Measures this library beside others, on this machine."
)


@contextmanager
def measuring() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for measurements, which are told as they come and kept; it takes the next one and its
    number.
    """
    from lib.studies.peers.harness import cached_costs

    with progress_bar() as bar, cached_costs(say):
        row = bar.add_task("each in a process of its own, one thread", total=None)
        yield lambda what, done, total: bar.update(
            row, description=what, completed=done, total=total
        )
        bar.update(row, completed=bar.tasks[0].total)


@bench.command("metrics")
def bench_metrics(
    queries: Annotated[int, typer.Option(help="How many queries.")] = 10_000,
    candidates: Annotated[int, typer.Option(help="How many scored items each has.")] = 1_000,
    repeats: Annotated[
        int, typer.Option(help="Timed runs of each library; medians are printed.")
    ] = 3,
    disagreements: Annotated[
        bool, typer.Option("--disagreements", help="What they answer instead of what they cost.")
    ] = False,
) -> None:
    """Ranking metrics by five libraries: seconds and memory, or where their answers differ."""
    from lib.studies.metrics import disagreements as metric_disagreements
    from lib.studies.peers import metrics
    from lib.studies.peers.harness import format_costs

    if disagreements:
        peers = metric_disagreements.peer_versions()
        title = "same input, " + ", ".join(f"{name} {version}" for name, version in peers.items())
        print_rows(metric_disagreements.format_answers(metric_disagreements.answer_rows()), title)
        return
    with measuring() as progress:
        rows = metrics.metric_cost_table(queries, candidates, repeats=repeats, progress=progress)
    print_rows(
        format_costs(rows, metrics.SHOWN),
        f"{queries:,} queries x {candidates:,} items, one thread, processor time",
    )
    with measuring() as progress:
        rows = metrics.coco_cost_table(repeats=repeats, progress=progress)
    print_rows(
        format_costs(rows, metrics.COCO_SHOWN),
        "COCO-5K from embeddings, one thread, processor time",
    )


@bench.command("losses")
def bench_losses(
    batch_size: Annotated[
        list[int] | None,
        typer.Option(min=2, help="Pairs per batch; give several. 1k to 32k by default."),
    ] = None,
    dim: Annotated[int, typer.Option(help="Coordinates of an embedding.")] = 512,
    repeats: Annotated[int, typer.Option(help="Timed runs of each; medians are printed.")] = 5,
    limit: Annotated[float, typer.Option(help="Seconds that one run may take.")] = 120.0,
    ranks: Annotated[
        int, typer.Option(min=0, help="Check the losses over so many gloo processes instead.")
    ] = 0,
) -> None:
    """Contrastive losses by four libraries, forward and backward: seconds and peak memory."""
    from lib.studies.peers import losses
    from lib.studies.peers.harness import format_costs

    if ranks:
        rows = losses.distributed_check_table(ranks, *(batch_size or [])[:1], dim=dim)
        print_rows(rows, f"{ranks} processes beside one with the whole batch, d = {dim}, float64")
        return
    sizes = batch_size or losses.BATCH_SIZES
    with measuring() as progress:
        rows = losses.loss_cost_table(
            sizes, dim=dim, repeats=repeats, limit_s=limit, progress=progress
        )
    print_rows(format_costs(rows, losses.SHOWN), f"d = {dim}, float32, one thread, processor time")


@bench.command("maxsim")
def bench_maxsim(
    queries: Annotated[int, typer.Option(help="Queries.")] = 1_000,
    documents: Annotated[int, typer.Option(help="Documents.")] = 10_000,
    length: Annotated[int, typer.Option(help="Tokens of each.")] = 32,
    dim: Annotated[int, typer.Option(help="Coordinates of a token.")] = 128,
    repeats: Annotated[int, typer.Option(help="Timed runs of each; medians are printed.")] = 3,
) -> None:
    """Late-interaction scores, ours and sentence-transformers': seconds and peak memory."""
    from lib.studies.peers import maxsim
    from lib.studies.peers.harness import format_costs

    with measuring() as progress:
        rows = maxsim.maxsim_cost_table(
            queries, documents, length=length, dim=dim, repeats=repeats, progress=progress
        )
    title = (
        f"{queries:,} queries x {documents:,} documents, {length} tokens of {dim} x float32, one"
        " thread"
    )
    print_rows(format_costs(rows, maxsim.SHOWN), f"{title}, processor time")


@bench.command("loss-quality")
def bench_loss_quality(
    part: Annotated[
        list[str] | None, typer.Option(help="heads, full or damage; all by default.")
    ] = None,
) -> None:
    """Trains every loss with equal budgets and writes the comparison (hours; goes on where it
    stopped).
    """
    from lib.studies.losses import trial_grid

    parts = [check_choice(name, trial_grid.PARTS, "part") for name in part or trial_grid.PARTS]
    if part:
        console.print("a part alone is run but not written: the table is written whole")
    with progress_bar() as bar:
        trial_grid.run_trials(parts, log=say, progress=counted(bar, "trials"))
    if not part:
        trial_grid.write_committed()


@bench.command("ann")
def bench_ann(
    corpus: Annotated[
        str | None,
        typer.Option(
            help=(
                "icons, scenes or a file of vectors. Without it both, and the tables are committed."
            )
        ),
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Base vectors; 100,000 scenes by default.")
    ] = None,
    queries: Annotated[
        Path | None, typer.Option(help="File of queries for a file of vectors.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="Of a file: cosine, inner_product or l2.")
    ] = None,
    families: Annotated[
        list[str] | None,
        typer.Option("--family", "--families", help="Index types; all by default."),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Neighbours.")] = 10,
    threads: Annotated[int, typer.Option(help="Of build and search.")] = 1,
    repeats: Annotated[int, typer.Option(help="Timed passes; every one is kept.")] = 3,
    target: Annotated[float, typer.Option(help="Recall that settings are chosen for.")] = 0.95,
    out: Annotated[
        Path | None, typer.Option(help="Folder for tables and ann-benchmarks files.")
    ] = None,
) -> None:
    """Indexes asked with images and with texts: recall, work, bytes, speed (goes on where it
    stopped).
    """
    from lib.core.result_store import ResultStore
    from lib.report.timing import environment_line
    from lib.studies.ann import ann_benchmarks_io, committed_run, harness, speed_tables
    from lib.studies.ann.configs import standard_configs

    if corpus is None and (size, queries, metric, families, out) != (None,) * 5:
        raise RetrievalInputError(
            "name the --corpus; without one the committed tables are written whole"
        )
    # Before the work, which may take hours: what is too large for a corpus is told when it is read.
    how = {"k": check_count(k, "k"), "repeats": check_count(repeats, "repeats")}
    how["threads"] = check_threads(threads)
    check_number(target, "target", 0, 1, above=True)
    with progress_bar() as bar:
        if corpus is None:
            tables = committed_run.collect(say, counted(bar, "indexes of a corpus"), **how)
        else:
            row = bar.add_task("encoding", total=None, visible=corpus == "scenes")
            data = ann_benchmarks_io.open_corpus(
                corpus,
                size=size,
                queries=queries,
                metric=metric,
                progress=lambda n: bar.advance(row, n),
            )
            wanted = None if families is None else ["Flat", *families]
            grid = standard_configs(len(data), data.dim, wanted)
            measured = harness.measure_configs(
                data, grid, log=say, progress=counted(bar, "indexes"), **how
            )
            results = list(measured)
            tables = harness.result_tables(results)
            if out is not None:
                harness.save_results(ResultStore("ann", "crossmodal bench ann", out), results)
                for result in results:
                    ann_benchmarks_io.write_results(out / "results", result)
    every = speed_tables.speed_table(tables["quality"], tables["timings"])
    for (name, n), rows in every.groupby(["corpus", "n"], sort=False):
        print_rows(
            speed_tables.format_settings(rows),
            f"{name}, {n:,} vectors: speed is of single queries, over exact search",
        )
        print_rows(
            speed_tables.format_reaching(rows, target),
            f"{name}: the fastest with recall@{k} >= {target}",
        )
    say(environment_line())


@bench.command("faiss")
def bench_faiss(
    repeats: Annotated[int, typer.Option(help="Timed runs of each; medians are printed.")] = 3,
) -> None:
    """Exact search and building of product quantisers, ours and faiss's (ten minutes: its strings
    anneal).
    """
    from lib.studies.peers import faiss
    from lib.studies.peers.harness import format_costs

    with measuring() as progress:
        rows = faiss.faiss_cost_table(repeats=repeats, progress=progress)
    print_rows(
        format_costs(rows, faiss.SHOWN),
        "search 100,000 x 256, build 20,000 x 128, one thread, processor time",
    )


@bench.command("gpu")
def bench_gpu(
    device: Annotated[
        str, typer.Option(help="cuda; cpu runs the same code at tiny sizes.")
    ] = "cuda",
    budget: Annotated[
        float, typer.Option(help="Seconds of all; what is not begun by then is left out.")
    ] = 330.0,
) -> None:
    """Tests marked gpu, then losses, MaxSim, encoding and exact search on a GPU, the CPU and by
    peers.
    """
    import time

    from lib.report.timing import environment_line
    from lib.studies import gpu

    start, sizes, passed = time.monotonic(), gpu.sizes_for(device), True
    if device == "cuda":
        passed = gpu.run_gpu_tests(say, limit_s=min(gpu.TESTS_S, budget))
    say(gpu.device_line(device))
    say(environment_line())
    for row in gpu.measure_cases(
        device, sizes, budget_s=max(0.0, budget - (time.monotonic() - start))
    ):
        say(gpu.format_case_line(row))
    if not passed:
        say("tests marked gpu failed: see above")
        raise typer.Exit(1)


@bench.command("architectures")
def bench_architectures() -> None:
    """Quality and cost of every architecture, written (half an hour; goes on where it stopped)."""
    from lib.studies.architectures import rerank_runs, results

    with progress_bar() as bar:
        results.run_systems(say, counted(bar, "searches"))
        results.write_committed()
        rerank_runs.write_exhaustive_logits(say, counted(bar, "parts of the pairs"))
    print_rows(
        results.format_results(results.committed_table()), "architectures, 95% intervals by item"
    )


@bench.command("rerank")
def bench_rerank() -> None:
    """The cross-encoder reads the dual encoder's answers on the hard split; writes its logits (a
    minute).
    """
    from lib.studies.architectures import rerank_depth, rerank_runs

    with progress_bar() as bar:
        rerank_runs.write_hard_logits(say, counted(bar, "parts of the pairs"))
    rows = rerank_depth.depth_rows(rerank_runs.cross_on_hard(), [0, 1, 2, 5, 10, 20, 50])
    texts = [
        {
            key: f"{value:.1f}" if isinstance(value, float) else str(value)
            for key, value in row.items()
        }
        for row in rows
    ]
    print_rows(texts, "R@1 in percent on the hard split, by depth of the cross-encoder's rerank")
