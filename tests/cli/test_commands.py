"""The command: help, usage errors, and one line for every mistake."""

import os
import subprocess
import sys

import pytest

from lib.cli import output
from lib.index import VectorSearchIndex
from tests.cli.conftest import one_line

COMMANDS = (
    *("search", "train", "info", "results", "plan", "encode", "eval", "compare"),
    *("bench metrics", "bench losses", "bench maxsim", "bench loss-quality", "bench architectures"),
    *("bench rerank", "bench ann", "bench faiss", "bench shards", "bench gpu", "bench familiarity"),
    *("bench locked-text", "bench everyday", "bench near-equal", "bench hand", "bench layouts"),
    *("course new", "course status", "course reset", "course hum-page"),
    *("index", "serve", "collection info", "collection failures", "collection verify"),
    *(
        "data list",
        "data rows",
        "data numbers",
        "data check",
        "data fixture",
        "data download",
        "data filter",
    ),
)


def test_help_comes_without_waiting_for_torch():
    """Run in a new process, where nothing is imported yet."""
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
        (["serch", "cat"], "No such command 'serch'"),  # codespell:ignore
        (["search", "--imgae", "x.png"], "No such option: --imgae"),
        (["search", "cat", "-k", "many"], "'-k'"),
        (["search", "red", "alarm", "clock"], "unexpected extra argument"),
        (["search", "cat", "--out"], "requires an argument"),
    ],
)
def test_usage_errors_are_shown_with_exit_code_2(run, arguments, message):
    code, _, err = run(*arguments)
    assert code == 2 and message in " ".join(err.split())


def test_errors_of_other_rooms_keep_their_brackets(run, monkeypatch):
    import lib.search

    def fail():
        VectorSearchIndex(3, "[bold]")

    monkeypatch.setattr(lib.search, "picture_retriever", lambda *given: fail())
    code, _, err = run("search", "cat")
    assert code == 2 and "[bold]" in one_line(err)


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


@pytest.mark.parametrize(
    ("columns", "width"),
    [("0", output.PIPE_WIDTH), ("x", output.PIPE_WIDTH), ("-5", output.PIPE_WIDTH), ("90", None)],
)
def test_a_width_that_is_none_hides_nothing(monkeypatch, columns, width):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(output.sys, "stdout", None)  # closed by the shell: `>&-`
    assert output.console_width() == width
