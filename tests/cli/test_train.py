"""`crossmodal train`: chosen artifacts, refusals and interrupted runs."""

import pytest

from lib.training import RECIPES
from tests.cli.conftest import one_line


@pytest.fixture
def builds(monkeypatch):
    """Record the names to train, and report progress like a real run."""
    import lib.training

    calls = []

    def train_model(name, *, log, progress, device):
        assert device == "cpu"
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
