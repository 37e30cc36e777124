"""MIREX's numbers on the miniature of MIR-QBSH."""

import shutil

import pytest
from scipy.io import wavfile

from lib.core.checks import RetrievalInputError
from lib.datasets.media.decoding import available as can_decode
from lib.models.pitch import swift
from lib.studies.hums import evaluate_recordings, recordings

pytest.importorskip("mido")
from tests.datasets.tunes.mir_qbsh_miniature import write_corpus
from tests.search.melody.tunes import random_tunes


@pytest.fixture(autouse=True)
def few_tunes(monkeypatch):
    """Generated tunes instead of the corpus, which takes seconds to read."""
    tunes = tuple(random_tunes(30, shortest=20))
    monkeypatch.setattr(recordings, "load_tunes", lambda collections=None: tunes)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("qbsh") / "MIR-QBSH-corpus")


def test_labels_find_the_songs_that_were_sung(root):
    result = evaluate_recordings(root, source="labels", n_noise=30)
    assert result.evaluation.mean("R@10") == 1 and result.evaluation.mean("MRR") == 1
    assert not result.refused and result.gallery == "3 songs and 30 free tunes"
    rows = result.format_rows()
    assert [row["metric"] for row in rows] == ["top-10 hit rate", "MRR over the first 20"]
    assert rows[0]["value"] == "1.000"


@pytest.mark.skipif(
    not (swift.available() and can_decode()), reason="swift-f0 and PyAV must be installed"
)
def test_sounds_find_them_too_and_silence_finds_nothing(root, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    silent = sorted(copy.glob("waveFile/*/*/*.wav"))[1]
    rate, samples = wavfile.read(silent)
    wavfile.write(silent, rate, samples * 0 + 128)
    seen = []
    result = evaluate_recordings(copy, n_noise=30, progress=lambda *done: seen.append(done))
    assert result.evaluation.mean("MRR") == 0.75
    assert list(result.refused) == [silent] and "louder" in result.refused[silent]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_bad_requests_are_refused(root, tmp_path):
    with pytest.raises(RetrievalInputError, match="source must be one of"):
        evaluate_recordings(root, source="pv")
    with pytest.raises(RetrievalInputError, match="n_noise must be at most 30"):
        evaluate_recordings(root, source="labels", n_noise=5000)
