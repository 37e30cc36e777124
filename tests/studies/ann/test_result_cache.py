"""A stopped run goes on, what was measured otherwise is measured again, and tables are written
whole.
"""

import dataclasses

import numpy as np
import pytest

from lib.studies.ann import harness, result_cache
from lib.studies.ann.configs import Config
from tests.studies.ann.toy import IVF, toy

FLAT = Config("Flat", "Flat")
HOW = {"repeats": 1, "single_queries": 10}


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """The configs that were really run, in a data folder of their own."""
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    done, run = [], harness.run

    def counted(corpus, config, *arguments, **options):
        done.append(config.name)
        return run(corpus, config, *arguments, **options)

    monkeypatch.setattr(harness, "run", counted)
    return done


def quiet(line):
    pass


def test_a_stopped_run_goes_on(runs):
    corpus = toy()
    going = result_cache.fill(corpus, [FLAT, IVF], 5, log=quiet, **HOW)
    first = next(going)
    going.close()
    said, done = [], []
    told = {"log": said.append, "progress": lambda *counts: done.append(counts)}
    second, other = result_cache.fill(corpus, [FLAT, IVF], 5, **told, **HOW)
    assert done == [(1, 2), (2, 2)]  # what was there counts before the clock of the others starts
    assert runs == ["Flat", "IVF4"] and said[0] == "Flat: from the cache"
    assert second.quality == first.quality and second.timings == first.timings
    for kept, made in zip(second.measured, first.measured, strict=True):
        assert np.array_equal(kept.ids, made.ids) and np.array_equal(kept.distances, made.distances)
    assert len(other.measured) == 4


def test_what_was_measured_otherwise_is_measured_again(runs):
    corpus = toy()
    result_cache.result(corpus, FLAT, 5, log=quiet, **HOW)
    result_cache.result(toy(), FLAT, 5, log=quiet, **HOW)
    assert len(runs) == 1
    result_cache.result(corpus, FLAT, 4, log=quiet, **HOW)
    result_cache.result(corpus, FLAT, 5, log=quiet, **HOW | {"repeats": 2})
    result_cache.result(corpus, dataclasses.replace(FLAT, seed=1), 5, log=quiet, **HOW)
    result_cache.result(toy("l2"), FLAT, 5, log=quiet, **HOW)
    assert len(runs) == 5


def test_a_family_that_has_changed_is_measured_again_and_no_other(runs, monkeypatch):
    for _ in range(2):
        for config in (FLAT, IVF):
            result_cache.result(toy(), config, 5, log=quiet, **HOW)
        monkeypatch.setitem(result_cache.FAMILIES, "IVF", result_cache.FORMAT + 1)
    assert runs == ["Flat", "IVF4", "IVF4"]


def test_a_damaged_result_is_measured_again(runs, tmp_path):
    result_cache.result(toy(), FLAT, 5, log=quiet, **HOW)
    (path,) = tmp_path.rglob("toy_400_Flat-*.npz")
    path.write_bytes(b"half")
    result_cache.result(toy(), FLAT, 5, log=quiet, **HOW)
    assert len(runs) == 2
