"""`crossmodal bench`: measure this library and others on this machine."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from lib.cli.options import Families, Ram, bytes_of, counts_of
from lib.cli.output import console, counted, print_rows, progress_bar, say
from lib.core import checks
from lib.core.checks import RetrievalInputError, check_choice

if TYPE_CHECKING:
    from lib.index.tuning.rows import VectorRows
    from lib.studies.ann.choosing import IndexSetting
    from lib.studies.ann.corpora import AnnCorpus

bench = typer.Typer(no_args_is_help=True, help="Measure this library and others on this machine.")
Repeats = Annotated[int, Option(help="Timed runs of each; medians are printed.")]


@contextmanager
def measuring() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar of measurements, which are cached; the function takes name, done and total."""
    from lib.studies.peers.harness import cached_costs

    with progress_bar() as bar, cached_costs(say):
        row = bar.add_task("each in a process of its own, one thread", total=None)
        yield lambda name, done, total: bar.update(
            row, description=name, completed=done, total=total
        )
        bar.update(row, completed=bar.tasks[0].total)


def print_costs(measure: Callable, columns: Sequence[str], title: str) -> None:
    """Measure the rows of a cost table and print some of its columns."""
    from lib.studies.peers.harness import format_costs

    with measuring() as progress:
        rows = measure(progress=progress)
    print_rows(format_costs(rows, columns), f"{title}, one thread, processor time")


@bench.command("metrics")
def bench_metrics(
    queries: Annotated[int, Option(help="Number of queries.")] = 10_000,
    candidates: Annotated[int, Option(help="Scored items per query.")] = 1_000,
    repeats: Repeats = 3,
    large: Annotated[
        int | None, Option(min=50, help="Only n texts x n images; 200000 takes minutes.")
    ] = None,
    disagreements: Annotated[
        bool, Option("--disagreements", help="Compare answers instead of costs.")
    ] = False,
) -> None:
    """Measure ranking metrics of six libraries (seconds, memory), or compare their answers."""
    from lib.studies.metrics import disagreements as metric_disagreements
    from lib.studies.peers import embedding_metrics, metrics

    if disagreements:
        peers = metric_disagreements.peer_versions()
        title = "same input, " + ", ".join(f"{name} {version}" for name, version in peers.items())
        print_rows(metric_disagreements.format_answers(metric_disagreements.answer_rows()), title)
        return
    if large is None:
        measure = partial(metrics.metric_cost_table, queries, candidates, repeats=repeats)
        print_costs(measure, metrics.SHOWN, f"{queries:,} queries x {candidates:,} items")
        measure, title = embedding_metrics.coco_cost_table, "COCO-5K from embeddings"
    else:
        measure = partial(embedding_metrics.large_cost_table, large)
        title = f"{large:,} texts x {large:,} images from embeddings"
    print_costs(partial(measure, repeats=repeats), embedding_metrics.SHOWN, title)


@bench.command("losses")
def bench_losses(
    batch_size: Annotated[
        list[int] | None,
        Option(min=2, help="Pairs per batch; repeat for more. 1k to 32k by default."),
    ] = None,
    dim: Annotated[int, Option(help="Dimension of an embedding.")] = 512,
    repeats: Repeats = 5,
    limit: Annotated[float, Option(help="Largest seconds of one run.")] = 120.0,
    ranks: Annotated[
        int, Option(min=0, help="Only check the losses over this many gloo processes.")
    ] = 0,
) -> None:
    """Measure contrastive losses of four libraries, forward and backward: seconds, peak memory."""
    from lib.studies.peers import losses

    if ranks:
        if batch_size and len(batch_size) > 1:
            raise RetrievalInputError("--ranks takes one --batch-size; run it once for each")
        rows = losses.distributed_check_table(ranks, *(batch_size or [])[:1], dim=dim)
        print_rows(rows, f"{ranks} processes beside one with the whole batch, d = {dim}, float64")
        return
    options = {"dim": dim, "repeats": repeats, "limit_s": limit}
    measure = partial(losses.loss_cost_table, batch_size or losses.BATCH_SIZES, **options)
    print_costs(measure, losses.SHOWN, f"d = {dim}, float32")


@bench.command("maxsim")
def bench_maxsim(
    queries: Annotated[int, Option(help="Number of queries.")] = 1_000,
    documents: Annotated[int, Option(help="Number of documents.")] = 10_000,
    length: Annotated[int, Option(help="Tokens of each.")] = 32,
    dim: Annotated[int, Option(help="Dimension of a token.")] = 128,
    repeats: Repeats = 3,
) -> None:
    """Measure late-interaction scores, ours and sentence-transformers': seconds, peak memory."""
    from lib.studies.peers import maxsim

    options = {"length": length, "dim": dim, "repeats": repeats}
    measure = partial(maxsim.maxsim_cost_table, queries, documents, **options)
    sizes = f"{queries:,} queries x {documents:,} documents, {length} tokens of {dim} x float32"
    print_costs(measure, maxsim.SHOWN, sizes)


@bench.command("faiss")
def bench_faiss(repeats: Repeats = 3) -> None:
    """Measure exact search and training of product quantisers, ours and faiss's (ten minutes)."""
    from lib.studies.peers import faiss

    measure = partial(faiss.faiss_cost_table, repeats=repeats)
    print_costs(measure, faiss.SHOWN, "search 100,000 x 256, build 20,000 x 128")


@bench.command("shards")
def bench_shards(
    shards: Annotated[int, Option(help="Number of shards; the middle one is cut.")] = 10,
    pictures: Annotated[int, Option(help="Images per shard.")] = 1_000,
) -> None:
    """Measure the encoding of shards by the scenes model: images per second, peak memory."""
    from lib.studies.peers import shard_throughput
    from lib.studies.peers.harness import format_costs

    with console.status("") as status:
        rows = shard_throughput.shard_throughput_table(shards, pictures, progress=status.update)
    title = "shards of 64 x 64 JPEGs, model scenes, one thread, processor time"
    print_rows(format_costs(rows, shard_throughput.SHOWN), title)


@bench.command("loss-quality")
def bench_loss_quality(
    part: Annotated[list[str] | None, Option(help="heads, full or damage; all by default.")] = None,
) -> None:
    """Train every loss with equal budgets and write the table (hours; a stopped run continues)."""
    from lib.studies.losses import trial_grid

    parts = [check_choice(name, trial_grid.PARTS, "part") for name in part or trial_grid.PARTS]
    if part:
        console.print("these trials are only cached: the table is written when all parts run")
    with progress_bar() as bar:
        trial_grid.run_trials(parts, log=say, progress=counted(bar, "trials"))
    if not part:
        trial_grid.write_committed()


@bench.command("locked-text")
def bench_locked_text() -> None:
    """Train locked, unlocked and fresh text towers; write the table (ten minutes)."""
    from lib.studies import locked_text

    with progress_bar() as bar:
        results = locked_text.run_trials(log=say, progress=counted(bar, "trials"))
    locked_text.write_committed(results)


@bench.command("ann")
def bench_ann(
    corpus: Annotated[
        str | None,
        Option(
            help="icons, scenes or a file of vectors; by default both, for the committed tables."
        ),
    ] = None,
    size: Annotated[int | None, Option(help="Base vectors; 100,000 scenes by default.")] = None,
    queries: Annotated[
        list[str] | None,
        Option(help="File of queries for a file of vectors, or KIND=FILE; twice for two kinds."),
    ] = None,
    metric: Annotated[str | None, Option(help="Of a file: cosine, inner_product or l2.")] = None,
    families: Families = None,
    k: Annotated[int, Option("-k", help="Number of neighbours.")] = 10,
    threads: Annotated[int, Option(help="Threads of build and search.")] = 1,
    repeats: Annotated[int, Option(help="Timed passes; all are stored.")] = 3,
    target: Annotated[float, Option(help="Recall for the choice of settings.")] = 0.95,
    ram: Ram = None,
    save: Annotated[Path | None, Option(help="Folder for the chosen index.")] = None,
    out: Annotated[
        Path | None, Option(help="Folder for tables, pareto.png and ann-benchmarks files.")
    ] = None,
    cache: Annotated[Path | None, Option(help="Folder of kept measurements.")] = None,
) -> None:
    """Measure indexes with image and text queries: recall, work, bytes, speed (can be resumed)."""
    from lib.core.result_store import ResultStore
    from lib.report.timing import environment_line
    from lib.studies.ann import ann_benchmarks_io, choosing, committed_run, harness, speed_tables
    from lib.studies.ann.configs import check_families, standard_configs

    if corpus is None and any((size, queries, metric, families, ram, save, out, cache)):
        raise RetrievalInputError(
            "give --corpus with these options; without it the committed tables are written whole"
        )
    # Checked before the work, which can take hours.
    settings = {"k": checks.check_count(k, "k"), "repeats": checks.check_count(repeats, "repeats")}
    settings["threads"] = checks.check_threads(threads)
    checks.check_number(target, "target", 0, 1, above=True)
    most = None if ram is None else bytes_of(ram, "--ram")
    check_families(families or [])
    if save is not None and save.exists():
        raise RetrievalInputError(f"--save must be a new folder, {save} exists")
    with progress_bar() as bar:
        if corpus is None:
            tables = committed_run.collect(say, counted(bar, "indexes of a corpus"), **settings)
        else:
            row = bar.add_task("encoding", total=None, visible=corpus == "scenes")
            options = {"size": size, "queries": query_files(queries), "metric": metric}
            options["progress"] = lambda n: bar.advance(row, n)
            data = ann_benchmarks_io.open_corpus(corpus, **options)
            chosen = None if families is None else ["Flat", *families]
            grid = standard_configs(len(data), data.dim, chosen)
            fitting = choosing.within(grid, data, most)
            if left_out := [config.name for config in grid if config not in fitting]:
                say(f"not built, more than {ram}: {', '.join(left_out)}")
            settings |= {"log": say, "progress": counted(bar, "indexes"), "grow_until": target}
            settings["store"] = ResultStore("ann", "crossmodal bench ann", cache=cache)
            results = list(harness.measure_configs(data, fitting, **settings))
            tables = harness.result_tables(results)
            if out is not None:
                harness.save_results(ResultStore("ann", "crossmodal bench ann", out), results)
                for result in results:
                    ann_benchmarks_io.write_results(out / "results", result)
    table = speed_tables.speed_table(tables["quality"], tables["timings"])
    for (name, n), rows in table.groupby(["corpus", "n"], sort=False):
        title = f"{name}, {n:,} vectors: speed of single queries, relative to exact search"
        print_rows(speed_tables.format_settings(rows), title)
        if corpus is None:
            title = f"{name}: the fastest with recall@{k} >= {target}"
            print_rows(speed_tables.format_reaching(rows, target), title)
    if corpus is not None:
        best = choosing.choose(choosing.settings_of(data, fitting, results, k), target)
        print_rows(choosing.format_choices(best, target), f"{data.name}: the least work first")
        say(
            f"Settings are chosen by recall@{k} >= {target} with every kind of query, on one half"
            " of the queries; the recall shown is that of the other half."
        )
        if out is not None:
            from lib.plots import save as save_figure

            say(f"figure: {save_figure(choosing.pareto_figure(table), out / 'pareto.png')}")
        if save is not None:
            say(_saved(save, best, ann_benchmarks_io.rows_to_index(corpus, data, size), data))
    say(environment_line())


def query_files(texts: Sequence[str] | None) -> dict[str, str]:
    """Read `KIND=FILE` or FILE: one file is "queries", of several each has its name as kind."""
    files: dict[str, str] = {}
    for text in texts or ():
        kind, equals, path = text.partition("=")
        if not equals:
            kind, path = "queries" if len(texts) == 1 else Path(text).stem, text
        if not kind or kind in files:
            raise RetrievalInputError(f"--queries must be KIND=FILE, each kind once, got {text!r}")
        files[kind] = path
    return files


def _saved(folder: Path, best: "list[IndexSetting]", rows: "VectorRows", data: "AnnCorpus") -> str:
    """Build the first of the chosen indexes over all rows, save it, and say so."""
    from lib.index.tuning.trials import build

    if not best:
        return "nothing is saved: no index reaches the target"
    index = build(best[0].config, rows, data.metric).index
    index.set_search(**best[0].setting)
    index.save(folder)
    return f"{best[0].config.name} of {index.ntotal:,} vectors saved in {folder}"


@bench.command("gpu")
def bench_gpu(
    device: Annotated[str, Option(help="cuda; cpu runs the same code at tiny sizes.")] = "cuda",
    budget: Annotated[float, Option(help="Total seconds; later cases are left out.")] = 330.0,
) -> None:
    """Run the tests marked gpu, then measure losses, MaxSim, encoding and search on GPU and CPU."""
    import time

    from lib.report.timing import environment_line
    from lib.studies import gpu

    start, sizes, passed = time.monotonic(), gpu.sizes_for(device), True
    if device == "cuda":
        passed = gpu.run_gpu_tests(say, limit_s=min(gpu.TESTS_S, budget))
    say(gpu.device_line(device))
    say(environment_line())
    remaining_s = max(0.0, budget - (time.monotonic() - start))
    for row in gpu.measure_cases(device, sizes, budget_s=remaining_s):
        say(gpu.format_case_line(row))
    if not passed:
        say("tests marked gpu failed: see above")
        raise typer.Exit(1)


@bench.command("architectures")
def bench_architectures() -> None:
    """Write quality and cost of every architecture (half an hour; a stopped run continues)."""
    from lib.studies.architectures import rerank_runs, results

    with progress_bar() as bar:
        results.run_systems(say, counted(bar, "searches"))
        results.write_committed()
        rerank_runs.write_exhaustive_logits(say, counted(bar, "parts of the pairs"))
    rows = results.format_results(results.committed_table())
    print_rows(rows, "architectures, 95% intervals by item")


@bench.command("rerank")
def bench_rerank() -> None:
    """Rerank the dual encoder's answers of the hard split by the cross-encoder; write logits."""
    from lib.studies.architectures import rerank_depth, rerank_runs

    with progress_bar() as bar:
        rerank_runs.write_hard_logits(say, counted(bar, "parts of the pairs"))
    rows = rerank_depth.depth_rows(rerank_runs.cross_on_hard(), [0, 1, 2, 5, 10, 20, 50])
    formatted = [
        {key: f"{x:.1f}" if isinstance(x, float) else str(x) for key, x in row.items()}
        for row in rows
    ]
    title = "R@1 in percent on the hard split, by depth of the cross-encoder's rerank"
    print_rows(formatted, title)


@bench.command("everyday")
def bench_everyday(
    out: Annotated[Path, Option(help="PNG file of the sheet of pictures.")] = Path("everyday.png"),
) -> None:
    """Judge forty everyday queries by the tags of pictures, before and after, and draw a sheet."""
    check_choice(out.suffix.lower(), (".png",), "the suffix of --out")
    from lib.plots import save
    from lib.studies import everyday_queries

    print_rows(everyday_queries.format_systems(), "everyday queries, percent, 95% intervals")
    print_rows(everyday_queries.format_queries(), "rank of the first right picture")
    save(everyday_queries.queries_sheet(), out)
    say(f"sheet of pictures: {out}")


@bench.command("near-equal")
def bench_near_equal(
    out: Annotated[Path, Option(help="PNG file of pairs next to the threshold.")] = Path(
        "near_equal.png"
    ),
) -> None:
    """Evaluate test names with and without a nearly equal training icon; draw pairs (a minute)."""
    check_choice(out.suffix.lower(), (".png",), "the suffix of --out")
    from lib.plots import save
    from lib.studies import near_equal

    rows = near_equal.near_equal_rows()
    print_rows(near_equal.format_rows(rows), "icons, text to image, percent, 95% intervals")
    say(near_equal.sentence_of(rows, near_equal.count_shared_words()))
    save(near_equal.pairs_sheet(), out)
    say(f"pairs: {out}")


@bench.command("encode-rate")
def bench_encode_rate() -> None:
    """Measure how fast a core encodes pictures, and store the rate that `plan` reads (a minute)."""
    from lib.studies import encode_rate

    encode_rate.write_committed()
    say(encode_rate.rate_note(encode_rate.measured_rate()))


@bench.command("familiarity")
def bench_familiarity(
    collect: Annotated[
        bool, Option("--collect", help="Collect the off-topic sentences of installed packages too.")
    ] = False,
) -> None:
    """Calibrate when a query is unknown and write its tables (minutes; a stopped run continues)."""
    from lib.studies.familiarity import off_topic, scores

    if collect:
        off_topic.write_off_topic()
    scores.write_committed(say)
    for file, title in scores.TABLES.items():
        print_rows(scores.format_shares(off_topic.STORE.table(file)), title)


@bench.command("serve")
def bench_serve(
    sizes: Annotated[
        str | None, Option(help="Vectors of each collection: 16000,100000,1000000 by default.")
    ] = None,
    concurrency: Annotated[
        str | None, Option(help="Requests at one time: 1,2,4,8,16,32,64 by default.")
    ] = None,
    requests: Annotated[int | None, Option(help="Of each point; 1,000 by default.")] = None,
) -> None:
    """Measure `crossmodal serve` under load, and databases beside it (twelve minutes).

    Without options the committed tables are written. Points that are known are not measured again.
    """
    from lib.report.timing import environment_line
    from lib.studies.serving import results

    whole = sizes is None and concurrency is None and requests is None
    chosen = {"reloads": whole, "databases": whole}
    if sizes is not None:
        chosen["sizes"] = counts_of(sizes, "--sizes")
    if concurrency is not None:
        chosen["concurrency"] = counts_of(concurrency, "--concurrency")
    if requests is not None:
        chosen["requests"] = requests
    plan = results.LoadPlan(**chosen)
    say(others := results.others_line())
    client = results.client_limit()
    say(
        "closed loop: each connection sends its next request when it has an answer. The client and"
        f" the service share this machine; against a process that answers at once the client makes"
        f" {client.per_second:,.0f} requests a second, {client.concurrency} at once"
    )
    rows = []
    for table, row in results.measured_rows(plan, say):
        rows.append((table, row))
        say(results.format_row(table, row))
    for promise in results.promises(rows):
        say(promise.describe())
    beside = [row for table, row in rows if table == "databases"]
    if beside:
        print_rows(results.format_databases(beside), "the same vectors in databases, called here")
    if whole:
        results.write_committed(rows, client, others)
    say(environment_line())


@bench.command("hum")
def bench_hum(
    root: Annotated[
        Path | None, Option(help="Folder of MIR-QBSH: print MIREX's numbers on its recordings.")
    ] = None,
    source: Annotated[
        str, Option(help="With --root: sound, or labels (the pitch that people labelled).")
    ] = "sound",
    noise: Annotated[
        int, Option(help="With --root: tunes in the gallery beside the songs.")
    ] = 2000,
    essen: Annotated[
        bool, Option("--essen", help="With --root: songs of Essen, as MIREX (non-commercial).")
    ] = False,
    matchers: Annotated[
        bool, Option("--matchers", help="Only the matchers, on hums as notes (needs no sound).")
    ] = False,
    show: Annotated[bool, Option("--show", help="Only print the committed tables.")] = False,
) -> None:
    """Measure hums as notes and from their sound, or the recorded hums of MIR-QBSH as MIREX does.

    Without --root the committed tables are written (half an hour; Festival must be installed).
    """
    from lib.studies import hums

    if root is not None:
        with progress_bar() as bar:
            heard = counted(bar, "recordings heard")
            result = hums.evaluate_recordings(
                root, source=source, n_noise=noise, essen=essen, progress=heard
            )
        say(result.corpus.describe())
        n = result.evaluation.n_queries
        print_rows(result.format_rows(), f"{n:,} recordings, {result.gallery}; intervals by singer")
        for path, why in list(result.refused.items())[:5]:
            say(f"not heard: {path}: {why}")
        if result.refused:
            say(f"{len(result.refused):,} recordings were not heard; they count as not found")
        return
    if not show:
        hums.lengths.write_committed(say)
        hums.matchers.write_committed(say)
    title = "the search of `crossmodal hum` on hums as notes; intervals by family of tunes"
    print_rows(hums.format_lengths(), title)
    print_rows(hums.format_search_times(), "one hum, processor time on one thread, by this build")
    print_rows(hums.format_matchers(), "matchers on hums of eight seconds as notes")
    print_rows(hums.format_others(), "hums that are not of eight seconds, or not notes")
    print_rows(hums.format_times(), "one hum as notes, processor time on one thread, by this build")
    if matchers:
        return
    if not show:
        hums.write_committed(say)
    n = f"{hums.N_QUERIES} hums a level"
    print_rows(hums.format_search(), f"{n}, learned then DTW; intervals by family of tunes")
    print_rows(hums.format_accuracy(), f"swift-f0 on {n}, means over hums")
    say("Festival's glides are not known: its raw pitch is a lower bound.")
    say("These voices are synthetic. On recorded singers MUSART's systems had an MRR of 0.13-0.27.")
