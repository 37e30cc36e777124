"""The engine: what is printed, when, and that it is the same every time."""

import threading
import time

import numpy as np
import pytest

from lib import course
from lib.core.checks import RetrievalInputError
from lib.course import engine, predictions
from lib.course.cases import Exercise, Wrong, as_number, call


@pytest.fixture(autouse=True)
def fresh_state(monkeypatch):
    monkeypatch.setattr(engine, "_HINTS_SHOWN", {})
    monkeypatch.setattr(predictions, "_PREDICTIONS", {})
    monkeypatch.setattr(engine, "_EXERCISES", course.all_exercises())


def double(function):
    result = as_number(call(function, np.array([2.0])), meaning="one number")
    if result != 4.0:
        raise Wrong(f"it returns {result:g}", "Twice 2 is 4.")


def negative(function):
    if as_number(call(function, np.array([-1.0])), meaning="one number") != -2.0:
        raise Wrong("the sign is lost", "Twice -1 is -2.")


@pytest.fixture
def doubling():
    course.register(
        Exercise(
            "test.double",
            "Return twice x.",
            (double, negative),
            "- Add it to itself.\n- Two times.",
            "Good.",
        )
    )
    return "test.double"


def said(capsys) -> str:
    return capsys.readouterr().out


def test_right_answer(doubling, capsys):
    assert course.check(doubling, lambda x: 2 * x)
    assert said(capsys) == "OK test.double: all 2 checks passed. Good.\n"


def test_wrong_answer_says_what_and_hints(doubling, capsys):
    verdict = course.check(doubling, lambda x: 3 * x)
    assert not verdict
    assert (
        said(capsys)
        == "test.double: not yet.\n  What is wrong: it returns 6.\n  Hint: Twice 2 is 4.\n"
        '  More help: course.hint("test.double")\n'
    )


@pytest.mark.parametrize(
    ("function", "phrase"),
    [
        (lambda x: None, "not started, it returns None.\n  Task: Return twice x."),
        (lambda x: 4.0 if x > 0 else None, "returned None for one of the cases"),
        (lambda x: 1 / 0, "it raised ZeroDivisionError: division by zero"),
        (lambda x: x.__imul__(2), "changed its input"),
        (lambda x: "4", "the result is '4', not a number"),
        (lambda x: [1, 2], "has 2 values"),
        (lambda x: float("nan"), "not finite"),
        (lambda x: 2 * abs(x), "the sign is lost"),
        (lambda: 4.0, "it raised TypeError"),
        (4.0, "pass the function itself, without calling it; this is 4.0"),
    ],
)
def test_says_what_is_wrong_with_this_answer(doubling, function, phrase):
    verdict = course.check(doubling, function)
    assert not verdict and phrase in verdict.message


def leaves():
    raise SystemExit(3)


class Odd:
    """An object that raises whatever it is asked for."""

    def __getattr__(self, name):
        raise RuntimeError(name)


class Leaves:
    def __array__(self, *_, **__):
        raise SystemExit(3)


class NoName(type):
    def __getattribute__(cls, name):
        raise ValueError(name)


class Unnamed(metaclass=NoName):
    pass


def never_ends(x):
    while True:
        pass


def never_ends_and_catches(x):
    while True:
        try:
            x = abs(x)
        except BaseException:
            continue


@pytest.mark.parametrize(
    ("function", "phrase"),
    [
        (lambda x: leaves(), "it raised SystemExit: 3"),
        (
            lambda x: (2 * value for value in x),
            "it returns a generator, which has computed nothing yet",
        ),
        (lambda x: np.ma.array(2 * x, mask=True), "an array with masked places"),
        (lambda x: [[1, 2], [3]], "cannot be read as an array"),
        (lambda x: np.float16(2.001 * x), "has half precision, three digits"),
        (lambda x: Odd(), "What is wrong:"),
        (lambda x: Leaves(), "the result cannot be read: it raised SystemExit: 3"),
        (lambda x: Unnamed(), "What is wrong:"),
    ],
)
def test_says_why_it_is_no_answer(doubling, function, phrase):
    verdict = course.check(doubling, function)
    assert not verdict and phrase in " ".join(verdict.message.split())


@pytest.mark.parametrize("function", [never_ends, never_ends_and_catches])
def test_an_endless_function_is_stopped(doubling, function, monkeypatch):
    monkeypatch.setattr(engine, "TIME_LIMIT_S", 0.2)
    verdict = course.check(doubling, function)
    assert not verdict and "it was stopped after 0.2 seconds" in verdict.message
    assert course.check(doubling, lambda x: 2 * x)


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="no clock of a thread here")
def test_a_busy_machine_stops_no_answer_and_a_function_that_only_waits_is_stopped(
    doubling, monkeypatch
):
    def waits(x):
        time.sleep(0.3)  # the processor does something else
        return 2 * x

    def never_comes(x):
        while True:
            time.sleep(0.01)

    monkeypatch.setattr(engine, "TIME_LIMIT_S", 0.2)
    assert course.check(doubling, waits)
    assert "was stopped" in course.check(doubling, never_comes).message


def test_a_check_leaves_no_thread_and_works_in_any(doubling, monkeypatch):
    monkeypatch.setattr(engine, "TIME_LIMIT_S", 0.2)
    verdicts, before = [], threading.active_count()
    thread = threading.Thread(target=lambda: verdicts.append(course.check(doubling, never_ends)))
    thread.start()
    thread.join()
    assert "was stopped" in verdicts[0].message and threading.active_count() == before


def test_what_the_function_prints_is_cut(doubling, capsys):
    def flood(x):
        print("word " * 10_000)
        return 2 * x

    assert course.check(doubling, flood)
    printed = said(capsys)
    assert len(printed) < engine.MAX_PRINTED + 200
    assert "is cut here" in printed and "OK test.double" in printed


def test_not_implemented_is_not_started(doubling):
    def stub(x):
        raise NotImplementedError

    assert "not started" in course.check(doubling, stub).message


def test_verdict_shows_nothing_more_in_a_notebook(doubling, capsys):
    verdict = course.check(doubling, lambda x: 2 * x)
    said(capsys)
    verdict._ipython_display_()
    assert said(capsys) == ""


def test_hints_come_one_at_a_time_and_end(doubling, capsys):
    for _ in range(3):
        course.hint(doubling)
    assert said(capsys).splitlines() == [
        "test.double, hint 1 of 2: Add it to itself.",
        "test.double, hint 2 of 2: Two times.",
        "test.double: that was the last hint. The solutions folder holds a worked answer.",
    ]


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(RetrievalInputError, match="'start.top_k'"):
        course.check("start.topk", len)
    with pytest.raises(RetrievalInputError, match="Did you mean 'start.top_k'"):
        course.hint("start.topk")


def test_a_name_is_registered_once(doubling):
    with pytest.raises(RetrievalInputError, match="registered already"):
        course.register(course.all_exercises()[doubling])


def test_every_exercise_is_complete():
    offenders = []
    for name, exercise in course.all_exercises().items():
        texts = (exercise.task, exercise.insight, *exercise.hint_list)
        if len(exercise.hint_list) < 2 or len(exercise.checks) < 2:
            offenders.append(f"{name} has too few hints or checks")
        offenders += [text for text in texts if not text.endswith((".", "?", "!"))]
    assert offenders == []


def test_prediction_then_result(capsys):
    options = ["the trained model", "the untrained model"]
    course.predict("gap", "Whose gap is wider?", options, yours="b")
    assert (
        said(capsys) == "Whose gap is wider?\n  a) the trained model\n  b) the untrained model\n"
        "Your prediction: b) the untrained model\n"
    )
    course.reveal("gap", observed="the trained model", because="It stays open.")
    assert (
        said(capsys)
        == "Observed: a) the trained model\nYou predicted b) the untrained model.\nWhy: It stays"
        " open.\n"
    )
    course.reveal("gap", observed="b")
    assert said(capsys) == "Observed: b) the untrained model\nYou predicted it.\n"


def test_no_prediction_is_said_kindly(capsys):
    course.predict("gap", "Which?", ["x", "y"])
    assert "none yet" in said(capsys)
    course.reveal("gap", observed="a")
    assert "You made no prediction" in said(capsys)


@pytest.mark.parametrize("yours", ["B", " b", "b)", "B) "])
def test_letters_are_read_generously(yours, capsys):
    course.predict("gap", "Which?", ["x", "y"], yours=yours)
    assert "Your prediction: b) y" in said(capsys)


def test_predictions_refuse():
    with pytest.raises(RetrievalInputError, match="2 to 6 options, got 1"):
        course.predict("gap", "Which?", ["x"])
    with pytest.raises(RetrievalInputError, match="yours must be one of 'a', 'b'; got 'c'"):
        course.predict("gap", "Which?", ["x", "y"], yours="c")
    with pytest.raises(RetrievalInputError, match="no prediction 'other'"):
        course.reveal("other", observed="a")
    course.predict("gap", "Which?", ["x", "y"])
    with pytest.raises(RetrievalInputError, match="observed must be one of"):
        course.reveal("gap", observed="c")
