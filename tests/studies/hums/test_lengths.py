"""The search on hums of several lengths: times of a few tunes, the committed tables."""

import numpy as np
import pytest

from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask
from lib.datasets.tunes import LEVELS as ERRORS
from lib.datasets.tunes import hum
from lib.models.pitch import swift
from lib.search.melody import HumSearch
from lib.studies.hums import lengths, matchers
from tests.search.melody.tunes import random_tunes

TUNES = random_tunes(8, shortest=40, longest=50)


@pytest.mark.skipif(not swift.available(), reason="swift-f0 must be installed")
def test_times_are_of_notes_and_of_sounds():
    draw = np.random.default_rng(0)
    hums = [hum(tune, ERRORS["clean"], draw) for tune in TUNES[:2]]
    qrels = Qrels.from_pairs(np.arange(2), np.arange(2), shape=(2, len(TUNES)))
    task = RetrievalTask("tunes", "test", "hum_to_melody", hums, TUNES, qrels, np.arange(2))
    rows = list(lengths.time_rows(task, HumSearch(TUNES), n=2))
    assert [row["from"] for row in rows] == ["notes", "sound"]
    assert all(0 < row["median ms"] <= row["largest ms"] for row in rows)
    shown = lengths.format_times([row | {"build s": 1.2, "bytes": 2e6} for row in rows])
    assert shown[0]["hums"] == "2 as notes" and shown[1]["kept"] == "2 MB"


def test_cells_are_measured_once(monkeypatch, tmp_path):
    monkeypatch.setattr(matchers.STORE, "cache_path", lambda key: tmp_path / "cell.npz")
    made = []

    def hums(split, level, **options):
        made.append((level, options["seconds"]))
        draw = np.random.default_rng(0)
        queries = [hum(tune, ERRORS[level], draw) for tune in TUNES[:3]]
        qrels = Qrels.from_pairs(np.arange(3), np.arange(3), shape=(3, len(TUNES)))
        return RetrievalTask("tunes", "test", "hum_to_melody", queries, TUNES, qrels, np.arange(3))

    monkeypatch.setattr(matchers, "hum_task", hums)
    options = {"seconds": 8.0, "essen": False}
    system = HumSearch(TUNES).stages
    first = matchers.learned_rows("medium", system=lambda gallery: system, **options)
    again = matchers.learned_rows("medium", system=None, **options)
    assert first == again and made == [("medium", 8.0)]
    assert [row["system"] for row in first][-1] == "learned, then DTW mixed with it"
    assert all(row["tunes"] == 8 and row["level"] == "medium" for row in first)


def test_the_committed_tables_keep_the_promises():
    table = lengths.STORE.table(lengths.TABLE)
    assert set(table["seconds"]) <= set(lengths.SECONDS) and (table["queries"] >= 500).all()
    mixed = table[(table["system"] == "learned, then DTW mixed with it") & (table["seconds"] == 8)]
    assert set(mixed["tunes"]) == {4433, 12941} and set(mixed["level"]) == set(lengths.LEVELS)
    for level, promised in {"medium": 0.90, "hard": 0.65}.items():
        assert (mixed[mixed["level"] == level]["MRR"] >= promised).all()
    times = lengths.STORE.table(lengths.TIMES)
    assert (times["median ms"] < 500).all() and (times["bytes"] < 200e6).all()
    assert (times["build s"] < 180).all()
    assert len(lengths.format_lengths()) == len(table)
    assert len(lengths.format_times()) == len(times)
