"""The data of the page without a server, by hand, and what its file may hold."""

import base64
import re

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.course.hum_page import build_hum_page, packed_tunes
from lib.datasets.tunes import Melody
from tests.cli.conftest import run  # noqa: F401
from tests.search.service.hums import TUNES


def entries(packed):
    pitches = np.frombuffer(base64.b64decode(packed["pitches"]), np.int8)
    lengths = np.frombuffer(base64.b64decode(packed["lengths"]), np.uint8)
    return list(zip(pitches.tolist(), lengths.tolist()))


def test_notes_rests_and_long_notes_by_hand():
    # The median note of one quarter lasts 0.3 s: 30 hundredths. The third begins a quarter late,
    # and the last lasts 2.7 s, more than one byte holds.
    tune = Melody(
        [0, 1, 3, 4, 4.5], [1, 1, 1, 0.5, 9], [60, 62, 64, 65, 67], "A", "airdsAirs/b#1", "G"
    )
    packed = packed_tunes([tune])
    wanted = [(60, 30), (62, 30), (0, 30), (64, 30), (65, 15), (67, 255), (-1, 15)]
    assert entries(packed) == wanted
    assert packed["tunes"] == [["A", "airdsAirs/b#1", "G", 7]]
    assert packed["books"]["airdsAirs"].startswith("Aird")


def test_rounding_does_not_add_up():
    onsets = np.arange(90) / 3.0  # triplets of 0.1 s where the median note is longer
    durations = np.full(90, 1 / 3)
    onsets, durations = np.append(onsets, 30 + np.arange(91)), np.append(durations, np.ones(91))
    packed = packed_tunes([Melody(onsets, durations, np.full(181, 60))])
    assert sum(length for _, length in entries(packed)) == 3630


def test_it_is_one_file_that_names_no_address(tmp_path, run):  # noqa: F811
    path = build_hum_page(tmp_path / "hum", TUNES)
    assert list(path.parent.iterdir()) == [path] and path.name == "index.html"
    text = path.read_text("utf-8")
    assert set(re.findall(r"https?://[^\s\"'`<]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert "connect-src" not in text and "default-src 'none'" in text
    assert not re.search(r"^(import|export) ", text, re.MULTILINE)
    build_hum_page(path.parent, TUNES[:3])
    assert len(path.read_text("utf-8")) < len(text)
    with pytest.raises(RetrievalInputError, match="at least one tune"):
        build_hum_page(tmp_path, [])


def test_the_command_says_where_the_page_is(tmp_path, run, monkeypatch):  # noqa: F811
    monkeypatch.setattr("lib.course.hum_page.build.load_tunes", lambda: TUNES)
    code, out, err = run("course", "hum-page", "--out", str(tmp_path / "hum"))
    assert code == 0, err
    assert "it needs no server" in " ".join(out.split())
    assert (tmp_path / "hum" / "index.html").is_file()
