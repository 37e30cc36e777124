"""MIR-QBSH on a miniature in its layout."""

import shutil

import numpy as np
import pytest

from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.tunes.mir_qbsh import load_mir_qbsh, read_pitch_labels, read_titles

pytest.importorskip("mido")
from tests.datasets.tunes.mir_qbsh_miniature import SONGS, write_corpus


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("qbsh") / "MIR-QBSH-corpus")


def test_songs_recordings_and_singers(root):
    corpus = load_mir_qbsh(root)
    assert [song.pitches.tolist() for song in corpus.songs] == list(SONGS.values())
    assert [song.title for song in corpus.songs] == ["Twinkle", "兩隻老虎", "00014"]
    assert corpus.song_ids == tuple(SONGS) and corpus.song_of.tolist() == [0, 2, 0, 1]
    assert corpus.singers == ("year2003a/person00001",) * 2 + ("year2004/person00017",) * 2
    assert len(corpus) == 4 and not corpus.is_whole
    assert corpus.describe() == (
        "MIR-QBSH: 4 recordings by 2 singers, 4 with labelled pitch, of 3 songs"
        " (published: 4,431 recordings of 48 songs)"
    )


def test_labels_are_pitches_and_pauses(root):
    corpus = load_mir_qbsh(root)
    pitches = read_pitch_labels(corpus.labels[0])
    assert np.isnan(pitches[:6]).all()  # the first 0.2 s
    at = np.rint((0.2 + 0.2 + np.arange(14) * 0.4) / 0.032).astype(int)
    assert np.diff(pitches[at]) == pytest.approx(np.diff(SONGS["00001"]), abs=0.5)


def test_the_labels_may_be_missing(root, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    next(copy.glob("waveFile/*/*/00007.pv")).unlink()
    corpus = load_mir_qbsh(copy)
    assert [path is None for path in corpus.labels] == [False, False, False, True]
    (copy / "midiFile" / "00014.mid").unlink()
    with pytest.raises(DamagedFileError, match=r"00014.wav is named after no song"):
        load_mir_qbsh(copy)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"60\n61x\n", "no .pv file"),
        (b"", "1 to 20,000 numbers, got 0"),
        (b"60\n-1\n", "number 2, must lie in 0..127, got -1"),
        (b"60\nnan\n", "number 2, must lie in 0..127, got nan"),
        (b"\xff\xfe", "no .pv file"),
        (b"0\n" * 20_001, "got 20,001"),
    ],
)
def test_files_that_hold_no_labels_are_refused(tmp_path, content, message):
    path = tmp_path / "a.pv"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=message):
        read_pitch_labels(path)


def test_missing_folders_are_told(root, tmp_path):
    with pytest.raises(MissingFileError, match="midiFile holds no .mid file"):
        load_mir_qbsh(tmp_path)
    shutil.copytree(root / "midiFile", tmp_path / "midiFile")
    with pytest.raises(MissingFileError, match="waveFile holds no"):
        load_mir_qbsh(tmp_path)
    with pytest.raises(MissingFileError, match="a.pv is missing"):
        read_pitch_labels(tmp_path / "a.pv")
    assert read_titles(tmp_path / "none.txt") == {}
