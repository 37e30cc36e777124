"""Helpers of the command's tests: a call as in a shell, and the form of an error."""

import sys
from functools import cache

import pytest
import typer.main

from lib import cli
from lib.cli import output

# A call in a process of its own makes the tree of all commands once; so do all tests together.
tree_of = cache(typer.main.get_command)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command as in a shell, in an empty folder; return (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")  # of help and errors
    monkeypatch.setattr(typer.main, "get_command", tree_of)
    monkeypatch.setattr(
        output.console, "width", output.PIPE_WIDTH
    )  # of tables, also in a worker of xdist

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["crossmodal", *arguments])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return exit_.value.code or 0, out, err

    return call


def one_line(err):
    assert err.startswith("error: ") and err.count("\n") == 1, err
    return err
