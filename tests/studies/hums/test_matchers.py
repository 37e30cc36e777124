"""Systems for hums as notes: rows on a few tunes, bytes by stages, the committed tables."""

import numpy as np
import pytest

from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask
from lib.datasets.tunes import LEVELS, hum
from lib.studies.hums import matchers
from tests.search.melody.tunes import random_tunes

TUNES = random_tunes(12, shortest=40, longest=50)


@pytest.fixture(scope="module")
def task():
    draw = np.random.default_rng(0)
    hums = [hum(tune, LEVELS["clean"], draw) for tune in TUNES[:4]]
    qrels = Qrels.from_pairs(np.arange(4), np.arange(4), shape=(4, len(TUNES)))
    return RetrievalTask("tunes", "test", "hum_to_melody", hums, TUNES, qrels, np.arange(4))


@pytest.fixture(scope="module")
def made():
    return matchers.systems(TUNES)


def test_each_system_has_a_row(task, made):
    rows = list(matchers.matcher_rows(task, made, n_linear=2))
    assert [row["system"] for row in rows] == list(made)
    by_name = {row["system"]: row for row in rows}
    assert by_name["learned, then DTW"]["MRR"] == 1
    assert by_name[matchers.LINEAR]["queries"] == 2 and by_name["learned"]["queries"] == 4
    for row in rows:
        assert row["MRR low"] <= row["MRR"] <= row["MRR high"]
    learned, staged = by_name["learned"], by_name["learned, then DTW"]
    assert learned["products a query"] == made["learned"].starts.values.size
    assert staged["products a query"] > learned["products a query"]
    assert staged["bytes"] == learned["bytes"] + made["learned, then DTW"].second.stored_bytes


def test_times_leave_out_linear_scaling(task, made):
    rows = matchers.time_rows(task, made, n=2)
    assert [row["system"] for row in rows] == [name for name in made if name != matchers.LINEAR]
    assert all(0 < row["median ms"] <= row["largest ms"] and row["queries"] == 2 for row in rows)
    assert matchers.format_times(rows)[0]["hums"] == 2


def test_the_committed_tables():
    table = matchers.STORE.table(matchers.TABLE)
    assert set(table["level"]) == set(matchers.LEVELS) and set(table["tunes"]) == {4433, 12941}
    staged = table[table["system"] == "learned, then DTW"]
    assert (staged["queries"] >= matchers.N_QUERIES).all()
    assert (staged["bytes"] < 200e6).all()
    times = matchers.STORE.table(matchers.TIMES)
    assert (times["median ms"] < 500).all()
    assert len(matchers.format_matchers()) == len(table)
    assert len(matchers.format_times()) == len(times)
