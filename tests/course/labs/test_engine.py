"""The engine of the labs: points, messages, limits, refusals, and what is kept."""

import dataclasses
import time

import numpy as np
import pytest

from lib import course
from lib.core.checks import RetrievalInputError
from lib.course.cases import expect
from lib.course.labs import engine
from lib.course.labs.engine import Criterion, Lab, Measured
from lib.course.progress import PROGRESS
from lib.datasets import icons

TRUTH = {"validation": 3.0, "test": 4.0}


def measure(answer, split):
    value = answer(2.0)
    expect(np.isfinite(value), "it is not finite | Look for a division by 0.")
    return Measured(
        {"closeness": 10 - abs(value - TRUTH[split])}, {"closeness": (1, 9)}, {"reads": 7}
    )


LAB = Lab(
    "toy",
    "Return a number.",
    measure,
    (
        Criterion("close", 4, "closeness", 9, 6, "Come closer."),
        Criterion("cheap", 2, "reads", 5, 10),
        Criterion("why", 3, "", "a reason", "a sentence", none="nothing"),
    ),
    limit_s=1.0,
)


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setattr(engine, "all_labs", lambda: {"toy": LAB})


def test_points_with_halves_and_what_earns_the_next():
    result = engine.grade("toy", lambda x: 3.0, "validation")
    assert (result.points, result.of, result.by_person) == (5, 6, 3)
    assert result.marks[1] == ("cheap", 1.0, 2, "reads is 7; the next points are at 5. ")
    assert engine.grade("toy", lambda x: 7.0).points == 3
    assert (
        "the next points are at 6. Come closer." in engine.grade("toy", lambda x: 9.0).marks[0][3]
    )


def test_practice_and_test_have_other_queries():
    assert engine.grade("toy", lambda x: 3.0, "validation").score[0] == 10
    assert engine.grade("toy", lambda x: 3.0, "test").score[0] == 9


def stop(x):
    raise SystemExit


def endless(x):
    while True:
        time.sleep(0.01)


SOME_TASK = icons.task


def reads_a_task(x):
    return len(SOME_TASK("test").queries)


def imports_a_task(x):
    from lib.datasets import icons as hidden

    return len(hidden.task("test").queries)


def helper(x):
    return SOME_TASK("test")


def asks_a_helper(x):
    return helper(x)


def looks_behind(x):
    return measure.__globals__["TRUTH"]["test"]


def enclosing():
    qrels = icons.task("validation").qrels
    return lambda x: qrels.shape[0]


REFUSED = [
    (stop, "SystemExit"),
    (lambda x: 1 / 0, "ZeroDivisionError"),
    (lambda x: float("nan"), "it is not finite"),
    pytest.param(endless, "stopped after 1 seconds", marks=pytest.mark.slow),
    (None, "raised TypeError"),
    (reads_a_task, "uses `SOME_TASK`, which holds or loads the answers"),
    (imports_a_task, "uses `lib.datasets`, a way to"),
    (asks_a_helper, "uses `SOME_TASK`"),
    (looks_behind, "uses `__globals__`, a way to"),
    (enclosing(), "uses `qrels`"),
    (lambda x, hidden=SOME_TASK: 1.0, "which holds or loads"),
]


@pytest.mark.parametrize(("answer", "phrase"), REFUSED)
def test_answers_that_earn_nothing(answer, phrase, capsys):
    result = course.submit("toy", answer, name="Ada")
    assert result.measured is None and result.points == 0 and phrase in result.problem
    assert "is no submission" in capsys.readouterr().out


def test_a_submission_is_kept_and_counted(tmp_path, monkeypatch, capsys):
    (tmp_path / "labs").mkdir()
    (tmp_path / PROGRESS).write_text("{}")
    monkeypatch.chdir(tmp_path / "labs")
    course.submit("toy", lambda x: 8.0, name="Bo")
    course.submit("toy", lambda x: 9.0, name="Ada")
    assert "Place 2 of 2 in leaderboard.csv, submission 1 of Ada." in capsys.readouterr().out
    course.submit("toy", lambda x: 4.0, name="Ada")
    printed = " ".join(capsys.readouterr().out.split())
    assert "Place 1 of 2 in leaderboard.csv, submission 2 of Ada." in printed
    assert "looks at the test" in printed
    assert len((tmp_path / "leaderboard.csv").read_text().splitlines()) == 4
    course.leaderboard("toy")
    assert capsys.readouterr().out.startswith("  1. Ada")


def test_a_damaged_leaderboard_costs_no_score(tmp_path, capsys):
    (tmp_path / "b.csv").write_text("x")
    result = course.submit("toy", lambda x: 4.0, name="Ada", board=tmp_path / "b.csv")
    printed = " ".join(capsys.readouterr().out.split())
    assert result.points == 5 and "Not kept:" in printed and "Mend the file" in printed


def test_outside_of_working_copies_nothing_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    course.submit("toy", lambda x: 4.0, name="Ada")
    assert "`make lab` opens them" in capsys.readouterr().out and not list(tmp_path.iterdir())


def test_names_are_checked_before_the_work():
    with pytest.raises(RetrievalInputError, match="name must be"):
        course.submit("toy", stop, name="")
    with pytest.raises(RetrievalInputError, match="toy"):
        course.practise("toys", stop)


def test_what_an_answer_prints_is_cut(capsys):
    course.practise("toy", lambda x: print("x" * 100_000) or 3.0)
    assert len(capsys.readouterr().out) < 10_000


def test_rubric_rows():
    rows = course.rubric("toy", by="machine") + course.rubric("toy", by="person")
    assert rows[0]["full"] == "closeness at least 9" and rows[1]["half"] == "at most 10"
    assert rows[2] == rows[2] | {"points": "3", "none": "nothing"}
    assert dataclasses.replace(LAB.criteria[0]).share(6) == 0.5
