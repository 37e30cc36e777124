"""Systems for hums as notes: rows on a few tunes, bytes by stages, the committed tables."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
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


def test_each_stage_has_a_row(task):
    system = matchers.make_system("learned", TUNES)
    learned, staged, mixed = matchers.matcher_rows(task, "learned", system)
    names = ["learned", "learned, then DTW", "learned, then DTW mixed with it"]
    assert [row["system"] for row in (learned, staged, mixed)] == names
    assert staged["MRR"] > 0.7 and mixed["queries"] == staged["queries"] == 4
    assert mixed["products a query"] == staged["products a query"]
    run = system.search(system.encode(task.queries, "hum"), 1)
    assert np.mean(run.ids[:, 0] == np.arange(4)) == mixed["R@1"]
    for row in (learned, staged, mixed):
        assert row["MRR low"] <= row["MRR"] <= row["MRR high"]
    work = system.first.work(task.queries, np.tile(np.arange(len(TUNES)), (4, 1)))
    assert learned["products a query"] == round(work.products / 4)
    assert staged["products a query"] > learned["products a query"]
    assert staged["bytes"] == learned["bytes"] + system.second.stored_bytes


def test_linear_scaling_answers_the_first_queries(task):
    system = matchers.make_system(matchers.LINEAR, TUNES)
    (row,) = matchers.matcher_rows(task, matchers.LINEAR, system, n_linear=2)
    assert row["system"] == matchers.LINEAR and row["queries"] == 2
    assert row["bytes"] == system.stored_bytes


def test_a_time_row_names_both_stages(task):
    system = matchers.make_system("contour vectors", TUNES)
    row = matchers.time_row(task, "contour vectors", system, n=2)
    assert row["system"] == "contour vectors, then DTW mixed with it" and row["queries"] == 2
    assert 0 < row["median ms"] <= row["largest ms"]
    assert matchers.format_times([row | {"build s": 1.2}])[0]["built in"] == "1 s"
    with pytest.raises(RetrievalInputError, match="name must be one of"):
        matchers.make_system("guess", TUNES)


def test_other_hums_are_those_of_the_singer_and_of_other_lengths():
    tasks = matchers.other_tasks("hard", essen=False)
    assert list(tasks) == [matchers.SINGER, *matchers.OTHER_LENGTHS]
    sung = tasks[matchers.SINGER]
    assert len(sung.queries) == sung.qrels.shape[0] == len(sung.query_groups) == 100
    short, long = (
        np.median([one.seconds for one in tasks[name].queries]) for name in matchers.OTHER_LENGTHS
    )
    assert 5 < short < 7 and 9.5 < long < 12.5


def test_the_committed_tables():
    table = matchers.STORE.table(matchers.TABLE)
    assert set(table["level"]) == set(matchers.LEVELS) and set(table["tunes"]) == {4433, 12941}
    staged = table[table["system"] == "learned, then DTW mixed with it"]
    assert len(staged) and (staged["queries"] >= matchers.N_QUERIES).all()
    for level, promised in {"medium": 0.90, "hard": 0.65}.items():
        assert (staged[staged["level"] == level]["MRR"] >= promised).all()
    assert (staged["bytes"] < 200e6).all()
    other = matchers.STORE.table(matchers.OTHER)
    assert set(other["hums"]) == {matchers.SINGER, *matchers.OTHER_LENGTHS}
    times = matchers.STORE.table(matchers.TIMES)
    assert (times[times["system"] != matchers.LINEAR]["median ms"] < 500).all()
    assert len(matchers.format_others()) == len(other)
    assert len(matchers.format_matchers()) == len(table)
    assert len(matchers.format_times()) == len(times)
