"""The notes of 300 tunes beside those of abc2midi; `abc2midi_notes.py` made the file."""

import shutil

import pytest

from lib.datasets.csv_files import read_table
from lib.datasets.tunes.abc_files import read_tune
from tests.datasets.tunes import abc2midi_notes as oracle

# abc2midi goes back to the start or does not repeat; the standard names the latest double bar, or
# the end of the last repeat.
UNMARKED_REPEAT = {
    "airdsAirs/book2.abc#0271",
    "airdsAirs/book2.abc#0323",
    "airdsAirs/book2.abc#0332",
    "oneills1850/1625-1700.abc#1640",
}


@pytest.fixture(scope="module")
def rows():
    return [row for _, row in read_table(oracle.FIXTURE, oracle.COLUMNS)]


@pytest.fixture(scope="module")
def tunes():
    return oracle.sampled_tunes()


def test_the_file_holds_the_sample(rows, tunes):
    assert len(rows) == len(tunes) == 300
    assert [row["tune"] for row in rows] == list(tunes)


def test_written_notes_are_those_of_abc2midi(rows, tunes):
    different = []
    for row in rows:
        melody = read_tune(tunes[row["tune"]], row["tune"], repeats=False)
        if (len(melody), oracle.digest_of(melody)) != (int(row["notes"]), row["written"]):
            different.append(row["tune"])
    assert different == []


def test_played_notes_are_those_of_abc2midi_but_for_repeats_without_a_start(rows, tunes):
    different = {
        row["tune"]
        for row in rows
        if oracle.digest_of(read_tune(tunes[row["tune"]], "", repeats=True)) != row["played"]
    }
    assert different == UNMARKED_REPEAT


@pytest.mark.skipif(shutil.which("abc2midi") is None, reason="abc2midi is not installed")
def test_abc2midi_itself_plays_what_the_file_says(rows, tunes):
    for row in rows[::60]:
        text = oracle.sounding_text(tunes[row["tune"]], plain_bars=False)
        assert oracle.digest(oracle.midi_notes(text)) == row["played"], row["tune"]
