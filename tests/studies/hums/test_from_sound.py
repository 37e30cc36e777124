"""From notes to sound and back, on a few tunes; the committed table and contours."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask
from lib.datasets.tunes import LEVELS, SungNotes, hum, hum_task
from lib.metrics import evaluate
from lib.models.pitch import swift
from lib.search.melody import HumSearch
from lib.studies.hums import from_sound
from lib.studies.hums.from_sound import AS_NOTES, found_ids, packed_contours, sound_rows
from tests.search.melody.tunes import random_tunes

TUNES = random_tunes(12, shortest=30, longest=40)


def small_task(n=3):
    draw = np.random.default_rng(0)
    hums = [hum(tune, LEVELS["clean"], draw) for tune in TUNES[:n]]
    qrels = Qrels.from_pairs(np.arange(n), np.arange(n), shape=(n, len(TUNES)))
    return RetrievalTask("tunes", "test", "hum_to_melody", hums, TUNES, qrels, np.arange(n))


@pytest.mark.skipif(not swift.available(), reason="swift-f0 must be installed")
def test_hums_are_found_by_their_notes_and_by_their_sound():
    task = small_task()
    rows = dict(zip(("notes", "sound"), sound_rows(task, HumSearch(TUNES), (AS_NOTES, "child"))))
    notes, heard = rows["notes"]
    assert notes["MRR"] == 1 and notes["R@10"] == 1 and heard == [None] * 3
    assert "raw_pitch" not in notes
    sound, heard = rows["sound"]
    assert sound["MRR"] == 1 and sound["refused"] == 0 and sound["queries"] == 3
    assert sound["raw_pitch"] > 0.95 and sound["raw_pitch low"] <= sound["raw_pitch"]
    assert [len(one.contour) > 30 for one in heard] == [True] * 3


def test_queries_that_were_refused_find_nothing():
    task = small_task(2)
    ids = found_ids(HumSearch(TUNES), [None, task.queries[1]], 5)
    assert (ids[0] == -1).all() and ids[1, 0] == 1
    assert (found_ids(HumSearch(TUNES), [None], 5) == -1).all()


def test_contours_are_packed_and_read_again(tmp_path, monkeypatch):
    contours = [
        SungNotes([0, 0.1, 0.4], [0.1] * 3, [60.123, 61.0, 59.999]),
        None,
        SungNotes([0], [0.1], [47.5]),
    ]
    store = from_sound.ResultStore("hum", "x", tmp_path)
    store.save_arrays(from_sound.CONTOURS, **packed_contours("medium", contours))
    monkeypatch.setattr(from_sound, "STORE", store)
    first, refused, last = from_sound.held_out_hums("medium")
    assert first.onsets == pytest.approx([0, 0.1, 0.4]) and refused is None
    assert first.pitches == pytest.approx([60.12, 61, 60]) and last.pitches == pytest.approx([47.5])
    with pytest.raises(RetrievalInputError, match="level must be one of medium, hard"):
        from_sound.held_out_hums("clean")


def test_the_committed_table_and_hums_belong_together():
    table = from_sound.STORE.table(from_sound.TABLE)
    assert set(table["level"]) == set(from_sound.LEVELS)
    assert (table["queries"] == from_sound.N_QUERIES).all()
    for level in from_sound.LEVELS:
        rows = table[table["level"] == level].set_index("voice")
        assert list(rows.index) == [AS_NOTES, *from_sound.VOICES]
        hums = from_sound.held_out_hums(level)
        assert len(hums) == from_sound.N_QUERIES
        assert sum(one is None for one in hums) == rows.loc[from_sound.FESTIVAL, "refused"]
        for voice in from_sound.VOICES[:3]:  # those whose true pitch is known at each sample
            assert rows.loc[voice, "raw_pitch"] > 0.95
    assert len(from_sound.format_search()) == len(from_sound.format_accuracy()) + 2


@pytest.mark.slow
@pytest.mark.parametrize("level", from_sound.LEVELS)
def test_the_committed_hums_find_what_the_table_says(level):
    task = hum_task("test", level, n_queries=from_sound.N_QUERIES)
    retriever = HumSearch(task.gallery)
    ids = found_ids(retriever, from_sound.held_out_hums(level), from_sound.DEPTH)
    found = evaluate(ids, task.qrels, metrics=("R@10", "MRR"), hit_grade=task.hit_grade)
    table = from_sound.STORE.table(from_sound.TABLE)
    row = table[(table["level"] == level) & (table["voice"] == from_sound.FESTIVAL)].iloc[0]
    # Pitches are stored in cents, which may exchange tunes that are equally good.
    for metric in ("MRR", "R@10"):
        assert found.mean(metric) == pytest.approx(row[metric], abs=0.02)
