"""`crossmodal bench`: tables, progress, committed results and refusals."""

import shutil

import numpy as np
import pytest

from tests.cli.conftest import one_line


@pytest.fixture
def measured(monkeypatch):
    """Make up costs; list their jobs, shapes of the first input, and repeats."""
    from lib.studies.peers import harness

    jobs = []

    def measure(module, key, arrays, *, repeats, limit_s):
        jobs.append((key, next(iter(arrays.values()), np.zeros(0)).shape, repeats))
        names = ("R@10", "recall@10", "MRR", "MAP", "nDCG@10", "loss", "mean", "recall")
        seconds = 2.0 if key.startswith("ours") or key.endswith("ours") else 8.0
        values = dict.fromkeys(names, 0.5)
        return harness.Cost([0.25] * repeats, [seconds] * repeats, 12_000_000, values)

    monkeypatch.setattr(harness, "measure_alone", measure)
    monkeypatch.setattr(harness.Job, "is_installed", True)
    monkeypatch.setenv("COLUMNS", "220")
    return jobs


def test_bench_metrics_prints_both_tables(run, monkeypatch, measured):
    from lib.studies.peers import embedding_metrics, metrics

    sides = {"images": np.zeros(2), "captions": np.zeros(10)}
    monkeypatch.setattr(embedding_metrics, "coco_inputs", lambda *_: sides)
    code, out, _ = run(
        "bench", "metrics", "--queries", "30", "--candidates", "20", "--repeats", "2"
    )
    assert code == 0 and "30 queries x 20 items" in out and "COCO-5K" in out
    assert all(name in out for name in metrics.SYSTEMS) and "2.250" in out
    assert measured[0] == ("ours, from scores", (30, 20), 2)
    assert measured[-1] == ("clip-benchmark, both", (2,), 2)
    assert "3.7" in out.splitlines()[-2], "the peer beside ours"
    measured.clear()
    code, out, _ = run("bench", "metrics", "--large", "50")
    assert code == 0 and "50 texts x 50 images from embeddings, one thread" in out
    assert [job[0] for job in measured] == [
        "ours, both",
        "ours, both, all metrics",
        "clip-benchmark, both",
    ]


def test_bench_disagreements_prints_what_ours_says(run, monkeypatch):
    from lib.studies.metrics import disagreements

    monkeypatch.setattr(disagreements, "PEERS", {})
    monkeypatch.setenv("COLUMNS", "220")
    code, out, _ = run("bench", "metrics", "--disagreements")
    assert (
        code == 0 and "0.6289" in out and "0.3333 to 1.0000" in out and "refuses: grade -1" in out
    )


def test_bench_losses_prints_a_row_per_system_and_size(run, measured):
    from lib.studies.peers.losses import JOBS

    sizes = ("--batch-size", "32", "--batch-size", "16")
    code, out, _ = run("bench", "losses", *sizes, "--dim", "8", "--repeats", "2", "--limit", "99")
    assert code == 0 and "d = 8, float32, one thread" in out
    assert all(name in out for name in JOBS) and "8.000" in out
    assert len(measured) == 2 * len(JOBS) and measured[0][:2] == ("open_clip ClipLoss", (16, 8))


def test_bench_losses_over_processes_equal_one_process(run, monkeypatch):
    from lib.losses import distributed_check

    rows = [
        {"loss": "sigmoid", "loss_difference": 2e-16, "gradient_difference": 0.0}
        | {"gathered_bytes": 0, "neighbour_bytes": 131072}
    ]
    calls = []

    def compare(**options):
        calls.append(options)
        return rows

    monkeypatch.setattr(distributed_check, "compare_with_one_process", compare)
    monkeypatch.setenv("COLUMNS", "220")
    code, out, _ = run("bench", "losses", "--ranks", "2", "--batch-size", "128", "--dim", "64")
    assert code == 0 and "2 processes beside one" in out and "2e-16" in out and "131.1" in out
    assert calls == [{"ranks": 2, "n_per_process": 64, "dim": 64}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["2", "--batch-size", "5"], "a batch of 5 pairs cannot be shared equally by 2"),
        (["2", "--batch-size", "4", "--batch-size", "8"], "--ranks takes one --batch-size"),
        (["2", "--dim", "100000000"], "dim must be at most 4,096"),
        (["100"], "ranks must be at most 64"),
        (["3", "--batch-size", "3"], "n_per_process must be at least 2"),
    ],
)
def test_processes_that_cannot_share_a_batch_are_refused(run, arguments, message):
    code, _, err = run("bench", "losses", "--ranks", *arguments)
    assert code == 2 and message in one_line(err), err


def test_bench_maxsim_prints_a_row_per_library_and_kind_of_input(run, measured):
    sizes = ("--queries", "3", "--documents", "4", "--length", "5", "--dim", "6", "--repeats", "2")
    code, out, _ = run("bench", "maxsim", *sizes)
    assert code == 0 and "3 queries x 4 documents, 5 tokens of 6 x float32" in out
    assert "all tokens count" in out and "half is padding" in out and "0.25" in out
    assert [job[1:] for job in measured] == 4 * [((3, 5, 6), 2)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--candidates", "9"], "n_candidates must be at least 10 for metrics at 10, got 9"),
        (["--queries", "0"], "n_queries must be at least 1"),
        (["--queries", "5", "--candidates", "12", "--repeats", "0"], "repeats must be at least 1"),
    ],
)
def test_bench_refuses_sizes_that_measure_nothing(run, arguments, message):
    code, _, err = run("bench", "metrics", *arguments)
    assert code == 2 and message in err


def test_bench_loss_quality_runs_parts_and_writes_only_the_whole(run, monkeypatch):
    from lib.studies.losses import trial_grid

    ran, written = [], []
    monkeypatch.setattr(
        trial_grid,
        "run_trials",
        lambda parts, log, progress: ran.extend(parts) or log("heads 1/1: icons"),
    )
    monkeypatch.setattr(trial_grid, "write_committed", lambda: written.append(True))
    code, out, _ = run("bench", "loss-quality", "--part", "heads")
    assert code == 0 and ran == ["heads"] and not written and "heads 1/1: icons" in out
    assert run("bench", "loss-quality")[0] == 0 and ran[1:] == list(trial_grid.PARTS) and written
    code, _, err = run("bench", "loss-quality", "--part", "tails")
    assert code == 2 and "heads" in err


def test_bench_locked_text_runs_and_writes(run, monkeypatch):
    from lib.studies import locked_text

    written = []
    monkeypatch.setattr(
        locked_text, "run_trials", lambda log, progress: log("1/12: locked") or ["a result"]
    )
    monkeypatch.setattr(locked_text, "write_committed", written.append)
    code, out, _ = run("bench", "locked-text")
    assert code == 0 and "1/12: locked" in out and written == [["a result"]]


def test_bench_architectures_fills_collects_and_prints(run, monkeypatch):
    from lib.studies.architectures import rerank_runs, results

    done = []
    monkeypatch.setattr(
        results, "run_systems", lambda log, progress: log("scenes: dual encoder, part 1 of 1")
    )
    monkeypatch.setattr(results, "write_committed", lambda: done.append("table"))
    monkeypatch.setattr(
        rerank_runs, "write_exhaustive_logits", lambda log, progress: done.append("sample")
    )
    code, out, _ = run("bench", "architectures")
    assert code == 0 and done == ["table", "sample"] and "part 1 of 1" in out
    assert "architectures, 95% intervals by item" in out


def test_steps_of_many_minutes_have_a_time_left():
    from lib.cli.output import counted, progress_bar

    clock, bar = [0.0], progress_bar()
    bar.get_time = lambda: clock[0]
    tell = counted(bar, "trials")
    tell(40, 50)  # were there already: they say nothing of the time that the others take
    for done in (41, 42):
        clock[0] += 700
        tell(done, 50)
    assert bar.tasks[0].time_remaining == 8 * 700


def test_measurements_are_counted_on_a_bar_that_ends_full(monkeypatch, measured):
    import io

    from rich.console import Console

    from lib.cli import output
    from lib.cli.bench import measuring
    from lib.studies.peers import embedding_metrics, faiss, losses, maxsim, metrics

    sides = {"images": np.zeros(2), "captions": np.zeros(10)}
    monkeypatch.setattr(embedding_metrics, "coco_inputs", lambda *_: sides)
    for name in ("search_inputs", "build_inputs"):
        monkeypatch.setattr(faiss, name, lambda n, n_queries: {})
    tables = {
        "6/6": lambda progress: faiss.faiss_cost_table(progress=progress),
        "4/4": lambda progress: maxsim.maxsim_cost_table(2, 2, length=2, dim=2, progress=progress),
        f"{2 * len(losses.JOBS)}/": lambda progress: losses.loss_cost_table(
            [2, 4], dim=2, progress=progress
        ),
        f"{len(metrics.SYSTEMS)}/": lambda progress: metrics.metric_cost_table(
            5, 12, progress=progress
        ),
        "5/5": lambda progress: embedding_metrics.coco_cost_table(progress=progress),
    }
    for full, make_table in tables.items():
        terminal = Console(file=io.StringIO(), force_terminal=True, width=120)
        monkeypatch.setattr(output, "console", terminal)
        steps = []
        with measuring() as progress:
            make_table(
                lambda *step, steps=steps, progress=progress: steps.append(step) or progress(*step)
            )
        done = [step[1] for step in steps]
        assert done == list(range(steps[0][2]))
        assert full in terminal.file.getvalue()


def test_bench_faiss_says_how_many_times_as_fast(run, monkeypatch, measured):
    from lib.studies.peers import faiss

    for name in ("search_inputs", "build_inputs"):
        monkeypatch.setattr(faiss, name, lambda n, n_queries: {})
    code, out, _ = run("bench", "faiss", "--repeats", "2")
    assert code == 0 and "exact search" in out and "IVF-PQ build" in out and "4.0" in out
    assert len(measured) == 6 and all(job[2] == 2 for job in measured)


@pytest.fixture
def small_grid(monkeypatch, tmp_path):
    """Use few configs and short timings, in a separate data folder."""
    from lib.studies.ann import committed_run, configs, harness
    from tests.studies.ann.toy import IVF, toy

    grid = {"Flat": lambda n, d: [configs.Config("Flat", "Flat")], "IVF": lambda n, d: [IVF]}
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(configs, "GRID", grid)
    monkeypatch.setattr(
        committed_run,
        "PARTS",
        [committed_run.Part(toy, configs.standard_configs, has_remedies=True)],
    )
    monkeypatch.setattr(
        committed_run, "REMEDIES", {"remedies": lambda corpus: [{"corpus": corpus.name}]}
    )
    monkeypatch.setattr(committed_run, "TABLES", ("quality", "timings", "remedies"))
    monkeypatch.setattr(harness, "LEAST_SINGLE", 2)
    monkeypatch.setenv("COLUMNS", "250")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--target", "nan", "target must be between 0 and 1"),
        ("-k", "0", "k must"),
        ("--repeats", "0", "repeats must"),
    ],
)
def test_bench_ann_refuses_numbers_before_the_work(run, option, value, message, monkeypatch):
    monkeypatch.setattr(
        "lib.studies.ann.ann_benchmarks_io.open_corpus", lambda *_, **__: pytest.fail("began")
    )
    code, _, err = run("bench", "ann", "--corpus", "icons", option, value)
    assert code == 2 and message in err


def test_bench_ann_measures_a_file_and_writes_what_it_found(run, small_grid, tmp_path):
    rows = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    np.save(tmp_path / "mine.npy", rows)
    call = [
        "--corpus",
        "mine.npy",
        "--families",
        "IVF",
        "--repeats",
        "1",
        "-k",
        "5",
        "--metric",
        "l2",
    ]
    code, out, _ = run("bench", "ann", *call, "--out", "found", "--target", "0.99")
    assert code == 0 and "mine, 30 drawn rows held out, 270 vectors" in out
    assert "recall@5 >= 0.99 with every kind of query" in out
    assert "nprobe 4" in out and "cores" in out
    written = {path.name for path in (tmp_path / "found").iterdir()}
    assert {"quality.csv", "timings.csv", "environment.json", "results", "pareto.png"} <= written
    assert len(list((tmp_path / "found" / "results").rglob("*.hdf5"))) == 3
    again = run("bench", "ann", *call, "--target", "0.99")[1]
    assert "2 of 2 results are kept" in again
    (kept,) = {path.parent for path in tmp_path.rglob("mine_*.npz")}
    shutil.rmtree(kept)
    for says in ("2/2: ", "2 of 2 results are kept in own"):
        code, out, _ = run("bench", "ann", *call, "--target", "0.99", "--cache", "own")
        assert code == 0 and says in out
    assert not kept.exists(), "with --cache nothing goes to the folder of the project"


def test_bench_ann_chooses_by_two_files_within_memory_and_saves(run, small_grid, tmp_path):
    from lib.index import VectorSearchIndex

    rows = np.random.default_rng(0).standard_normal((340, 8)).astype(np.float32)
    for name, part in {"mine": rows[:300], "a": rows[300:320], "b": rows[320:]}.items():
        np.save(tmp_path / f"{name}.npy", part)
    call = ["bench", "ann", "--corpus", "mine.npy", "--repeats", "1", "-k", "5"]
    call += ["--queries", "image=a.npy", "--queries", "text=b.npy", "--target", "0.7"]
    code, out, _ = run(*call, "--ram", "15kB", "--save", "chosen")
    assert code == 0 and "not built, more than 15kB: Flat" in out
    assert "recall, image" in out and "recall, text" in out and "nan" not in out
    assert "IVF4 of 300 vectors saved in chosen" in out
    index = VectorSearchIndex.load(tmp_path / "chosen")
    assert index.search_options == {"nprobe": 4} and index.search(rows[:9], 1).ids[
        :, 0
    ].tolist() == list(range(9))
    code, _, err = run(*call, "--save", "chosen")
    assert code == 2 and "--save must be a new folder" in one_line(err)
    code, _, err = run(*call, "--ram", "1kB")
    assert code == 2 and "bytes hold none of these indexes; the smallest, IVF4, needs" in one_line(
        err
    )


def test_bench_ann_saves_all_rows_of_a_file(run, small_grid, tmp_path):
    from lib.index import VectorSearchIndex

    rows = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    np.save(tmp_path / "mine.npy", rows)
    call = ["bench", "ann", "--corpus", "mine.npy", "--repeats", "1", "-k", "5"]
    code, out, _ = run(*call, "--target", "1", "--save", "chosen")
    assert code == 0 and "of 300 vectors saved in chosen" in out
    index = VectorSearchIndex.load(tmp_path / "chosen")
    assert index.search(rows, 1).ids[:, 0].tolist() == list(range(300))


def test_bench_ann_without_a_corpus_writes_the_committed_tables(run, small_grid, tmp_path):
    code, out, _ = run("bench", "ann", "--repeats", "1")
    assert code == 0 and "toy, 400 vectors" in out and "recall, text" in out
    assert (tmp_path / "data" / "artifacts" / "ann" / "quality.csv.sha256").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "1000"], "give --corpus with these options"),
        (["--corpus", "icon"], "corpus, where it is no file, must be one of 'icons', 'scenes'"),
        (["--corpus", "icons", "--size", "10"], "icons comes with its own size"),
        (["--corpus", "scenes", "--metric", "l2"], "scenes comes with its own metric"),
        (["--corpus", "scenes", "--size", "10"], "size must be at least 1,000"),
        (["--corpus", "missing.npy"], "missing.npy is missing"),
        (["--corpus", "icons", "--family", "IFV"], "family must be one of"),
        (["--corpus", "icons", "--queries", "a.npy"], "icons comes with its own queries"),
        (
            ["--corpus", "a.npy", "--queries", "x=a", "--queries", "x=b"],
            "each kind once, got 'x=b'",
        ),
        (["--corpus", "icons", "--ram", "much"], "--ram must be a size such as 4GB"),
        (["--ram", "1GB"], "give --corpus with these options"),
    ],
)
def test_bench_ann_says_what_it_cannot_measure(run, arguments, message):
    code, _, err = run("bench", "ann", *arguments)
    assert code == 2 and message in one_line(err)


@pytest.fixture
def service(monkeypatch):
    """Make up measurements of the service; list the plans and what is written."""
    from lib.studies.serving import load, results
    from tests.studies.serving.test_results import DATABASE, PARTS, START, load_row

    done = []

    def rows(plan, log):
        done.append(plan)
        return iter([START, PARTS, load_row(), *([DATABASE] if plan.databases else [])])

    client = load.Load(64, 2.0, np.full(10, 0.001), 0)
    monkeypatch.setattr(results, "client_limit", lambda: client)
    monkeypatch.setattr(results, "measured_rows", rows)
    monkeypatch.setattr(results, "write_committed", lambda rows, *_: done.append(len(rows)))
    return done


def test_bench_serve_measures_what_is_asked_and_writes_only_the_whole(run, service):
    from lib.studies.serving.results import LoadPlan

    code, out, _ = run(
        "bench", "serve", "--sizes", "16000", "--concurrency", "1,8", "--requests", "200"
    )
    assert code == 0 and service == [LoadPlan([16_000], [1, 8], 200, False, False)]
    assert "closed loop" in out and "5 requests a second, 64 at once" in out
    assert "text queries, 8 at once: 123 a second" in out and "start, at most 5 s: 5.5 s" in out
    code, out, _ = run("bench", "serve")
    assert code == 0 and service[1:] == [LoadPlan(), 4]
    assert "LanceDB" in out and "clip-retrieval" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sizes", "16k"], "--sizes must be whole numbers from 1, such as 1,8, got '16k'"),
        (["--concurrency", "0"], "--concurrency must be whole numbers from 1"),
        (["--requests", "10"], "requests must be at least 64, got 10"),
        (["--sizes", "10"], "sizes must be at least 1000, got 10"),
    ],
)
def test_bench_serve_refuses_what_measures_nothing(run, service, arguments, message):
    code, _, err = run("bench", "serve", *arguments)
    assert code == 2 and message in one_line(err) and not service


def test_bench_layouts_of_a_folder_writes_nothing(run, tmp_path, monkeypatch):
    from lib.studies import page_layouts

    row = {"pages": 12, "model": "grid", "metric": "R@1", "value": 0.5, "low": 0.4, "high": 0.6}
    rows = [row, {**row, "metric": "R@10"}, {**row, "metric": "nDCG@10"}]  # as wide as real ones
    monkeypatch.setattr(page_layouts, "folder_rows", lambda folder: rows)
    monkeypatch.setattr(page_layouts, "write_committed", None)
    code, out, _ = run("bench", "layouts", "--pages", str(tmp_path))
    assert code == 0 and "50.0 [40.0, 60.0]" in out and "12 pages" in out


def test_bench_layouts_needs_pages(run, tmp_path):
    code, _, err = run("bench", "layouts", "--pages", str(tmp_path))
    assert code == 2 and "holds no .png, .jpg or .jpeg" in one_line(err)
