"""The leaderboard: counted, ranked, written by one process at a time, refused when damaged."""

import multiprocessing
import os
import signal
import time

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError
from lib.course.labs import leaderboard


def row(name="Ada", lab="losses", score=30.0, points=9.0):
    numbers = {"score": score, "low": score - 2, "high": score + 2, "points": points, "of": 14.0}
    return {"when": "2026-01-01 10:00:00", "name": name, "lab": lab, **numbers, "costs": "reads 5"}


def test_rows_come_back_and_are_ranked(tmp_path):
    path = tmp_path / "board.csv"
    for each in (
        row(),
        row("Bo", points=14),
        row("Cy", score=31),
        row("Bo", "other"),
        row(score=33),
    ):
        rows = leaderboard.append_row(path, each)
    assert leaderboard.read_rows(path) == rows and len(rows) == 5
    found = [(r["name"], r["submissions"]) for r in leaderboard.ranked(rows, "losses")]
    assert found == [("Bo", 1), ("Ada", 2), ("Cy", 1)]


def test_a_name_may_hold_commas_quotes_and_other_letters(tmp_path):
    for name in ('Ada, "the first"', "Zoë 李"):
        assert leaderboard.append_row(tmp_path / "b.csv", row(name))[-1]["name"] == name
    assert [r["name"] for r in leaderboard.read_rows(tmp_path / "b.csv")][1] == "Zoë 李"


@pytest.mark.parametrize("name", ["", "  ", "=1+1", "@x", "a\nb", "x" * 41, None, 7])
def test_names_that_are_refused(name):
    with pytest.raises(RetrievalInputError, match='for example name="Ada"'):
        leaderboard.check_name(name)


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("a,b\n1,2\n", "its first line must be"),
        (",".join(leaderboard.COLUMNS) + "\nx,Ada,losses,1,1,1\n", "line 2 must have 9 cells"),
        (",".join(leaderboard.COLUMNS) + "\nx,Ada,losses,ten,1,1,1,1,c\n", "must be numbers"),
        (",".join(leaderboard.COLUMNS) + "\nx,Ada,losses,nan,1,1,1,1,c\n", "not finite"),
        ("\x00\x01", "no leaderboard"),
    ],
)
def test_a_damaged_file_is_refused_with_advice_and_stays(tmp_path, text, phrase):
    path = tmp_path / "board.csv"
    path.write_text(text)
    with pytest.raises(DamagedFileError, match="move it to another name") as error:
        leaderboard.append_row(path, row())
    assert phrase in str(error.value) and path.read_text() == text


def add_many(path, name, n):
    for _ in range(n):
        leaderboard.append_row(path, row(name))


def test_two_writers_lose_no_row(tmp_path):
    path = tmp_path / "board.csv"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=add_many, args=(path, name, 15)) for name in ("Ada", "Bo")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert sorted(r["name"] for r in leaderboard.read_rows(path)) == ["Ada"] * 15 + ["Bo"] * 15


def test_a_killed_writer_leaves_whole_rows_and_no_lock(tmp_path):
    path = tmp_path / "board.csv"
    context = multiprocessing.get_context("fork")
    for pause in (0.02, 0.05, 0.11):
        writer = context.Process(target=add_many, args=(path, "Ada", 10_000))
        writer.start()
        time.sleep(pause)
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        before = len(leaderboard.read_rows(path))
        assert len(leaderboard.append_row(path, row("Bo"))) == before + 1


def test_more_looks_mean_more_luck():
    assert leaderboard.luck_of_the_best(10, 14, 1) == 0
    assert (
        1 < leaderboard.luck_of_the_best(10, 14, 2) < leaderboard.luck_of_the_best(10, 14, 20) < 3
    )
