"""Predictions in a notebook, on a page and in a working copy."""

import errno
import json
import os
import re
from contextlib import contextmanager

import pytest

from lib import course
from lib.core.checks import RetrievalInputError
from lib.core.writing import UnwritableFileError
from lib.course import predictions, progress
from lib.course.predictions import PREDICTION_MIME
from tests.course.reference_answers import top_k

ASK = ("gap", "Is a < b?", ["yes, <b>always</b>", "no"])


@pytest.fixture(autouse=True)
def no_predictions(monkeypatch):
    monkeypatch.setattr(predictions, "_PREDICTIONS", {})


@pytest.fixture
def outputs(monkeypatch) -> list:
    """What the calls display, in order."""
    shown = []
    monkeypatch.setattr(predictions, "display", shown.append)
    return shown


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder of working copies as the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / progress.PROGRESS).write_text("{}")
    return tmp_path


def kept(work) -> dict:
    return json.loads((work / progress.PROGRESS).read_text())["predictions"]


def parts(box) -> tuple:
    """The buttons, the line for a reason and the state of a question."""
    row, state = box.children
    return row.children[:-1], row.children[-1], state


def test_an_answer_is_behind_a_click_until_it_was_predicted(outputs):
    course.predict(*ASK)
    course.reveal("gap", "b", "It is not.")
    course.predict(*ASK, yours="a")
    course.reveal("gap", "b", "It is not.")
    asked, folded, _, told = (output._repr_mimebundle_()["text/html"] for output in outputs)
    assert "Choose, and say why" in asked and "no</div>" in asked
    fold = re.search(r"<details><summary>Show what was measured</summary>(.*)</details>", folded)
    assert "b) no" in fold[1] and "It is not." in fold[1] and "b) no" not in folded[: fold.start()]
    assert "<details" not in told and "You predicted a)" in told


def test_markup_is_escaped_and_bundles_do_not_change(outputs):
    for _ in range(2):
        course.predict(*ASK)
        course.reveal("gap", "a", "Because 1 < 2 & so on.")
        course.tally()
    bundles = [output._repr_mimebundle_() for output in outputs]
    assert bundles[:3] == bundles[3:]
    page = "".join(bundle["text/html"] for bundle in bundles)
    assert "a &lt; b" in page and "<b>" not in page and "1 &lt; 2 &amp; so" in page
    assert all(set(bundle) == {"text/plain", "text/html", PREDICTION_MIME} for bundle in bundles)


@pytest.mark.parametrize("observed, why", [("a", "It grows."), ("b", "It falls."), ("no", "It f")])
def test_the_reason_is_chosen_by_the_outcome(observed, why, capsys):
    course.predict(*ASK)
    course.reveal("gap", observed, because={ASK[2][0]: "It grows.", "b": "It falls."})
    text = capsys.readouterr().out
    assert f"Why: {why}" in text and text.count("Why:") == 1


def test_an_outcome_without_a_reason_has_none(capsys):
    course.predict(*ASK)
    course.reveal("gap", "b", because={"a": "It grows."})
    assert "Why" not in capsys.readouterr().out
    with pytest.raises(RetrievalInputError, match="because must be one of 'a', 'b'; got 'maybe'"):
        course.reveal("gap", "b", because={"maybe": "It grows."})


def test_tally(capsys):
    with pytest.raises(RetrievalInputError, match="no prediction was asked"):
        course.tally()
    for key, yours, observed in (("one", "a", "a"), ("two", "a", "b"), ("three", None, "b")):
        course.predict(key, f"Question {key}?", ["x", "y"], yours=yours)
        course.reveal(key, observed)
    course.predict("four", "Question four?", ["x", "y"], yours="b")
    capsys.readouterr()
    course.tally()
    assert capsys.readouterr().out.splitlines() == [
        "Predictions: 3 of 4 made, 1 right.",
        "  Question one? right",
        "  Question two? you said a, measured b",
        "  Question four? not yet measured",
    ]


def test_a_click_is_kept_and_found_again(work, outputs):
    course.predict(*ASK)
    _, box = outputs
    buttons, reason, state = parts(box)
    assert [button.description for button in buttons] == ["a", "b"]
    buttons[0].click()
    buttons[1].click()
    reason.value = "it is small"
    assert kept(work) == {"gap": {"answer": "b", "because": "it is small", "observed": None}}
    assert "Your prediction: b) no" in state.value
    assert [button.button_style for button in buttons] == ["", "info"]
    predictions._PREDICTIONS.clear()  # a new kernel
    course.predict(*ASK)
    buttons, reason, state = parts(outputs[-1])
    assert reason.value == "it is small" and "b) no" in state.value


def test_after_the_reveal_an_answer_stays(work, outputs):
    course.predict(*ASK, yours="b")
    course.reveal("gap", "a")
    assert "You predicted b) no." in outputs[-1].text
    course.predict(*ASK, yours="a")
    buttons, reason, _ = parts(outputs[-1])
    assert all(button.disabled for button in buttons) and reason.disabled
    buttons[0].click()
    assert kept(work)["gap"]["answer"] == "b"


def test_a_student_who_ran_all_cells_can_still_choose(work, outputs):
    course.predict(*ASK)
    box = outputs[-1]
    course.reveal("gap", "a")
    assert "<details>" in outputs[-1].markup
    parts(box)[0][0].click()
    assert kept(work)["gap"] == {"answer": "a", "because": "", "observed": "a"}
    course.tally()
    assert "1 of 1 made, 1 right" in outputs[-1].text


def test_nothing_is_kept_outside_of_working_copies(tmp_path, monkeypatch, outputs):
    monkeypatch.chdir(tmp_path)
    course.predict(*ASK, yours="a")
    course.reveal("gap", "a")
    assert list(tmp_path.iterdir()) == [] and len(outputs) == 2


def test_a_passed_exercise_is_kept(work, capsys):
    course.check("start.top_k", lambda scores, k: None)
    assert progress.read_progress(work / progress.PROGRESS)["exercises"] == {}
    course.check("start.top_k", top_k)
    exercises = progress.read_progress(work / progress.PROGRESS)["exercises"]
    assert exercises == {"start.top_k": {"passed": True}}


DAMAGED = ['{"predictions": {"gap"', "[1]", '{"predictions": 3}', '{"exercises": {"x": 1}}', "\x00"]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_file_is_kept_aside(work, text, capsys):
    (work / progress.PROGRESS).write_text(text)
    course.predict(*ASK, yours="a")
    said = capsys.readouterr().out
    assert "progress.json was damaged. It is kept as progress.damaged.json" in said
    assert (work / "progress.damaged.json").read_text() == text
    assert kept(work)["gap"]["answer"] == "a"


def test_a_damaged_file_stays_where_nothing_can_be_written(work, capsys, monkeypatch):
    (work / progress.PROGRESS).write_text("{")

    @contextmanager
    def full(path):
        raise UnwritableFileError(f"{path} cannot be written: No space left on device")
        yield

    monkeypatch.setattr(progress, "atomic_path", full)
    monkeypatch.setattr(progress, "WAIT_S", 0)
    course.predict(*ASK, yours="a")
    assert "your progress is not kept: " in capsys.readouterr().out
    assert (work / progress.PROGRESS).read_text() == "{"
    assert [path.name for path in work.iterdir()] == [progress.PROGRESS]


def test_a_file_that_another_notebook_has_mended_is_not_put_aside(work, monkeypatch):
    path = work / progress.PROGRESS
    mended = json.dumps({"predictions": {"gap": {"answer": "b"}}})
    path.write_text("{")
    read, seen = progress._records, []

    def mended_after_the_first_reading(file):
        try:
            return read(file)
        finally:
            if not seen:
                seen.append(file)
                path.write_text(mended)

    monkeypatch.setattr(progress, "_records", mended_after_the_first_reading)
    progress.read_progress(path)
    assert kept(work)["gap"]["answer"] == "b"
    assert [file.name for file in work.iterdir()] == [progress.PROGRESS]


def test_an_unreadable_file_is_named_and_not_written(work, capsys, monkeypatch):
    def refused(*arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied", progress.PROGRESS)

    text = (work / progress.PROGRESS).read_text()
    with monkeypatch.context() as patched:
        patched.setattr(progress.Path, "read_text", refused)
        course.predict(*ASK, yours="a")
    said = capsys.readouterr().out
    assert "Your progress cannot be read: [Errno 13]" in said
    assert "Your progress is not kept: " in said
    assert (work / progress.PROGRESS).read_text() == text


def test_records_that_do_not_fit_are_left_aside(work, outputs):
    record = {"answer": "f", "because": None, "observed": 7}
    (work / progress.PROGRESS).write_text(json.dumps({"predictions": {"gap": record}}))
    course.predict(*ASK)
    assert "none yet" in outputs[0].text


def test_a_link_stays_a_link(work, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "mine.json"
    (work / progress.PROGRESS).rename(elsewhere)
    (work / progress.PROGRESS).symlink_to(elsewhere)
    course.predict(*ASK, yours="a")
    assert (work / progress.PROGRESS).is_symlink() and '"answer": "a"' in elsewhere.read_text()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_said(work, capsys):
    work.chmod(0o500)
    try:
        course.predict(*ASK, yours="a")
    finally:
        work.chmod(0o700)
    assert "Your progress is not kept: " in capsys.readouterr().out


def test_an_unwritable_place_is_said(work, capsys, monkeypatch):
    def refuse(path):
        raise progress.UnwritableFileError(28, "its disk is full")

    monkeypatch.setattr(progress, "atomic_path", refuse)
    course.predict(*ASK, yours="a")
    assert "Your progress is not kept: " in capsys.readouterr().out
