"""The command: what it prints, what it writes, and that every mistake is one line and exit code
2.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from lib.cli import info
from lib.core.writing import save_arrays
from lib.datasets import icons
from lib.index import VectorSearchIndex
from lib.search import Hit
from lib.training import RECIPES
from tests.cli.conftest import one_line


class FakeRetriever:
    """Answers without a model, and remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def hits(self, query, k):
        self.asked.append(query)
        names = icons.load_icons().names
        return [
            Hit(rank, 1 - rank / 10, rank * 100, icons.phrase_of(names[rank * 100]))
            for rank in range(1, k + 1)
        ]

    by_text = by_image = hits


@pytest.fixture
def fake(monkeypatch):
    import lib.search

    retriever = FakeRetriever()
    monkeypatch.setattr(lib.search, "icon_retriever", lambda: retriever)
    return retriever


# ---- starting


COMMANDS = (
    *("search", "train", "info", "results", "plan", "encode", "eval", "compare"),
    *("bench metrics", "bench losses", "bench maxsim", "bench loss-quality", "bench architectures"),
    *("bench rerank", "bench ann", "bench faiss", "bench shards", "bench gpu"),
    *("data list", "data check", "data fixture", "data download"),
)


def test_help_comes_without_waiting_for_torch():
    """In one process of its own, where nothing has been imported yet."""
    code = f"""
import sys
from lib import cli
for command in {("", *COMMANDS)!r}:
    sys.argv = ["crossmodal", *command.split(), "--help"]
    try:
        cli.main()
    except SystemExit as exit_:
        assert not exit_.code, (command, exit_.code)
    heavy = {{"torch", "open_clip", "faiss", "matplotlib", "scipy"}} & set(sys.modules)
    assert not heavy, (command, heavy)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage") == 1 + len(COMMANDS)


def test_help_lists_the_commands(run):
    code, out, _ = run("--help")
    assert code == 0 and all(command in out for command in ("search", "info", "train", "data"))


def test_without_a_command_shows_help(run):
    code, out, err = run()
    assert code == 2 and "Usage" in out + err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serch", "cat"], "No such command 'serch'"),
        (["search", "--imgae", "x.png"], "No such option: --imgae"),
        (["search", "cat", "-k", "many"], "'-k'"),
        (["search", "red", "alarm", "clock"], "unexpected extra argument"),
        (["search", "cat", "--out"], "requires an argument"),
    ],
)
def test_usage_errors_are_shown_with_exit_code_2(run, arguments, message):
    code, _, err = run(*arguments)
    assert code == 2 and message in " ".join(err.split())


# ---- search


def test_search_prints_a_table_and_writes_a_sheet(run, fake, tmp_path):
    code, out, _ = run("search", "red alarm clock", "-k", "3")
    assert code == 0 and fake.asked == ["red alarm clock"]
    corpus = icons.load_icons()
    for position in (100, 200, 300):
        assert icons.phrase_of(corpus.names[position]) in out and corpus.families[position] in out
    assert "0.900" in out and "contact sheet: hits.png" in out
    with Image.open(tmp_path / "hits.png") as sheet:
        assert sheet.format == "PNG" and sheet.width > 200
    assert [path.name for path in tmp_path.iterdir()] == ["hits.png"]  # no temporary file is left


def test_search_by_image_reads_the_drawing(run, fake, tmp_path):
    image = 255 - icons.load_icons().images[5000]
    Image.fromarray(image).save(tmp_path / "sketch.png")
    code, out, _ = run("search", "--image", "sketch.png", "-k", "2")
    assert code == 0 and "sketch.png" in out
    assert fake.asked[0].shape == (64, 64) and fake.asked[0].dtype == np.uint8


def test_a_query_with_brackets_is_printed_as_it_is(run, fake):
    code, out, _ = run("search", "[/red] [bold]", "-k", "1")
    assert code == 0 and "[/red] [bold]" in out


@pytest.mark.parametrize("name", ["sheets/today.png", "hits.PNG"])
def test_out_chooses_folder_and_name(run, fake, tmp_path, name):
    code, _, _ = run("search", "cat", "-k", "1", "--out", name)
    assert code == 0 and (tmp_path / name).stat().st_size > 500


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search"], "give either words or --image FILE"),
        (["search", "cat", "--image", "x.png"], "give either words or --image FILE"),
        (["search", "--image", "none.png"], "none.png is missing"),
        (["search", "--image", "."], ". cannot be opened (Is a directory)"),
        (["search", "cat", "--out", "hits"], "the suffix of --out must be one of '.png'; got ''"),
        (["search", "cat", "--out", "hits.webm"], "got '.webm'"),
    ],
)
def test_mistakes_in_a_search_are_told_before_the_model_loads(run, monkeypatch, arguments, message):
    import lib.search

    monkeypatch.setattr(lib.search, "icon_retriever", lambda: pytest.fail("loaded the model"))
    code, out, err = run(*arguments)
    assert code == 2 and out == "" and message in one_line(err)


def test_a_missing_artifact_names_the_command(run, monkeypatch, tmp_path):
    icons.load_icons()
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    code, _, err = run("search", "cat")
    assert code == 2 and "crossmodal train icons" in one_line(err)


def test_a_folder_that_cannot_be_written_is_one_line(run, fake, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run("search", "cat", "-k", "1", "--out", "file/hits.png")
    assert code == 2 and "file" in one_line(err)


def test_search_end_to_end(run, tmp_path):
    code, out, _ = run("search", "alarm clock", "-k", "5")
    assert code == 0 and (tmp_path / "hits.png").stat().st_size > 5000
    assert sum(split in out for split in icons.SPLITS) >= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["", "-k", "3"], "no letter or digit"),
        (["cat", "-k", "0"], "k must be at least 1"),
        (["cat", "-k", "99999"], "16546"),
    ],
)
def test_bad_queries_and_depths_are_one_line(run, arguments, message):
    code, _, err = run("search", *arguments)
    assert code == 2 and message in one_line(err)


# ---- info


def test_info_prints_versions_threads_and_artifacts(run, monkeypatch, tmp_path):
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    save_arrays(tmp_path / "artifacts" / "toy" / "whole.npz", x=np.zeros(3))
    damaged = tmp_path / "artifacts" / "toy" / "damaged.npz"
    save_arrays(damaged, x=np.zeros(3))
    damaged.write_bytes(b"other bytes")
    digest = save_arrays(tmp_path / "artifacts" / "toy" / "lost.npz", x=np.zeros(3))
    (tmp_path / "artifacts" / "toy" / "lost.npz").unlink()
    code, out, _ = run("info")
    assert code == 0
    for text in ("python", "torch", "faiss-cpu", "qtawesome", "torch intra-op", digest[:12], "ok"):
        assert text in out
    assert "DamagedFileError" in out and "MissingFileError" in out


def test_info_without_artifacts_says_how_to_make_them(run, monkeypatch, tmp_path):
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    code, out, _ = run("info")
    assert code == 0 and "crossmodal train --all" in out


def test_info_survives_a_package_with_another_name(run, monkeypatch):
    monkeypatch.setattr(info, "PACKAGES", ("numpy", "no-such-package"))
    code, out, _ = run("info")
    assert code == 0 and "not found under this name" in out


# ---- train


@pytest.fixture
def builds(monkeypatch):
    """Records what would be trained and reports progress like a real run."""
    import lib.training

    calls = []

    def train_model(name, *, log, progress, folder=None):
        calls.append(name)
        for step in (1, 2, 3):
            progress(step, 3)
        log(f"step 3/3 of {name} [ok]")

    monkeypatch.setattr(lib.training, "train_model", train_model)
    return calls


@pytest.mark.parametrize(
    ("arguments", "trained"),
    [
        (["icons"], ["icons"]),
        (["scenes", "icons"], ["scenes", "icons"]),
        (["--all"], list(RECIPES)),
    ],
)
def test_train_builds_what_was_named(run, builds, arguments, trained):
    code, out, _ = run("train", *arguments)
    assert code == 0 and builds == trained
    for name in trained:
        assert f"step 3/3 of {name} [ok]" in out
    assert "3/3" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name what to train (icons, scenes"),
        (["icons", "--all"], "or pass --all"),
        (["icons", "scens"], "Did you mean 'scenes'?"),
    ],
)
def test_train_refuses_before_it_starts(run, builds, arguments, message):
    code, _, err = run("train", *arguments)
    assert code == 2 and builds == [] and message in one_line(err)


def test_a_diverged_run_is_one_line(run, monkeypatch):
    import lib.training

    def train_model(name, **options):
        raise FloatingPointError("the loss is nan at step 7; lower the rate")

    monkeypatch.setattr(lib.training, "train_model", train_model)
    code, _, err = run("train", "icons")
    assert code == 2 and "the loss is nan at step 7" in one_line(err)


def test_an_interrupted_run_exits_with_130(run, monkeypatch):
    import lib.training

    def train_model(name, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(lib.training, "train_model", train_model)
    assert run("train", "icons")[0] == 130


def test_errors_of_other_rooms_keep_their_brackets(run, monkeypatch):
    import lib.search

    def fail():
        VectorSearchIndex(3, "[bold]")

    monkeypatch.setattr(lib.search, "icon_retriever", fail)
    code, _, err = run("search", "cat")
    assert code == 2 and "[bold]" in one_line(err)


# ---- bench


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
    from lib.studies.peers import metrics

    sides = {"images": np.zeros(2), "captions": np.zeros(10)}
    monkeypatch.setattr(metrics, "coco_inputs", lambda *_: sides)
    code, out, _ = run(
        "bench", "metrics", "--queries", "30", "--candidates", "20", "--repeats", "2"
    )
    assert code == 0 and "30 queries x 20 items" in out and "COCO-5K" in out
    assert all(name in out for name in metrics.SYSTEMS) and "2.250" in out
    assert measured[0] == ("ours, from scores", (30, 20), 2)
    assert measured[-1] == ("COCO-5K from embeddings, both", (2,), 2)


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
    from lib.studies.peers import faiss, losses, maxsim, metrics

    sides = {"images": np.zeros(2), "captions": np.zeros(10)}
    monkeypatch.setattr(metrics, "coco_inputs", lambda *_: sides)
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
        "3/3": lambda progress: metrics.coco_cost_table(progress=progress),
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


def test_plan_prints_options_and_what_is_not_known(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = run(
        "plan",
        "--vectors",
        "5.85e9",
        "--dim",
        "512",
        "--recall",
        "0.95",
        "--qps",
        "1000",
        "--ram",
        "192",
    )
    assert code == 0 and not err
    assert "5,850,000,000 vectors x 512" in out and "HNSW, 32 links" in out and "Not known" in out


def test_plan_shows_how_its_formulas_were_checked(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run("plan", "--checks")
    assert code == 0 and "bigann1B" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--vectors", "many"],
            "vectors must be a whole number up to 1e18, such as 1000000 or 5.85e9, got",
        ),
        (["--recall", "95"], "recall must be between 0 and 1 (not 0), got 95.0"),
        (["--ram", "0"], "ram_gb must be between 1e-18 and 1e+18, got 0.0"),
        (["--dim", "0"], "d must be at least 1, got 0"),
    ],
)
def test_plans_that_cannot_be_are_one_line(run, arguments, message):
    code, _, err = run("plan", *arguments)
    assert code == 2 and message in one_line(err)


# ---- bench ann


def test_bench_faiss_says_how_many_times_as_fast(run, monkeypatch, measured):
    from lib.studies.peers import faiss

    for name in ("search_inputs", "build_inputs"):
        monkeypatch.setattr(faiss, name, lambda n, n_queries: {})
    code, out, _ = run("bench", "faiss", "--repeats", "2")
    assert code == 0 and "exact search" in out and "IVF-PQ build" in out and "4.0" in out
    assert len(measured) == 6 and all(job[2] == 2 for job in measured)


@pytest.fixture
def small_grid(monkeypatch, tmp_path):
    """Few configs and short timings, in a data folder of their own."""
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
    asked = [
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
    code, out, _ = run("bench", "ann", *asked, "--out", "found", "--target", "0.99")
    assert code == 0 and "mine, last 30 held out, 270 vectors" in out and "recall@5 >= 0.99" in out
    assert "nprobe 4" in out and "cores" in out
    written = {path.name for path in (tmp_path / "found").iterdir()}
    assert {"quality.csv", "timings.csv", "environment.json", "results"} <= written
    assert len(list((tmp_path / "found" / "results").rglob("*.hdf5"))) == 3
    again = run("bench", "ann", *asked)[1]
    assert "2 of 2 results are kept" in again


def test_bench_ann_without_a_corpus_writes_the_committed_tables(run, small_grid, tmp_path):
    code, out, _ = run("bench", "ann", "--repeats", "1")
    assert code == 0 and "toy, 400 vectors" in out and "recall, text" in out
    assert (tmp_path / "data" / "artifacts" / "ann" / "quality.csv.sha256").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "1000"], "name the --corpus"),
        (["--corpus", "icon"], "corpus, where it is no file, must be one of 'icons', 'scenes'"),
        (["--corpus", "icons", "--size", "10"], "icons comes with its own size"),
        (["--corpus", "scenes", "--metric", "l2"], "scenes comes with its own metric"),
        (["--corpus", "scenes", "--size", "10"], "size must be at least 1,000"),
        (["--corpus", "missing.npy"], "missing.npy is missing"),
        (["--corpus", "icons", "--family", "IFV"], "family must be one of"),
    ],
)
def test_bench_ann_says_what_it_cannot_measure(run, arguments, message):
    code, _, err = run("bench", "ann", *arguments)
    assert code == 2 and message in one_line(err)


@pytest.mark.slow
def test_an_ascii_terminal_and_an_unknown_backend_are_no_tracebacks(tmp_path):
    code = "import sys; sys.argv[0] = 'crossmodal'; from lib.cli import main; main()"
    options = ["search", "alarm clock", "--out", tmp_path / "größe.png"]
    setting = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "MPLBACKEND": "nonsense"}
    done = subprocess.run(
        [sys.executable, "-c", code, *options],
        env=os.environ | setting,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert "gr\\xf6\\xdfe.png" in done.stdout and (tmp_path / "größe.png").exists()
