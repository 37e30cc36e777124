"""Rates of the committed run: they predict other builds of that run."""

import pandas as pd
import pytest

from lib.core.checks import RetrievalInputError
from lib.index.capacity.building import plan_building
from lib.index.capacity.index_choices import index_choices
from lib.index.capacity.machines import Machine
from lib.studies.ann import build_rates
from lib.studies.ann.corpora import STORE

TIMINGS = STORE.table("timings.csv")


def seconds(n, config):
    rows = TIMINGS.query("corpus == 'scenes' and n == @n and config == @config and stage == 'add'")
    return float(rows["seconds"].iloc[0])


@pytest.mark.parametrize(
    ("option", "n", "nlist", "config"),
    [
        ("IVF, int8", 1_000_000, 2048, "IVF2048"),
        ("HNSW, 32 links", 1_000_000, None, "HNSW16"),
        ("Flat, float32", 1_000_000, None, "Flat"),
    ],
)
def test_rates_predict_builds_of_the_run(option, n, nlist, config):
    (chosen,) = [one for one in index_choices(n, 256, nlist=nlist) if one.name == option]
    plan = plan_building(chosen, n, 256, build_rates.measured_rates(), Machine(cores=1))
    assert plan.add_hours * 3600 == pytest.approx(seconds(n, config), rel=0.25)


def test_notes_name_the_rates():
    text = " ".join(build_rates.rate_notes(build_rates.measured_rates()))
    assert "1,000,000 vectors" in text and "GFLOP/s" in text and "Not measured" in text


def test_a_run_without_a_build_says_so(monkeypatch):
    monkeypatch.setattr(
        type(STORE), "table", lambda self, file: TABLES[file].query("config != 'HNSW16'")
    )
    with pytest.raises(RetrievalInputError, match="no add of HNSW16 over 1,000,000 vectors; run"):
        build_rates.measured_rates()


TABLES: dict[str, pd.DataFrame] = {
    name: STORE.table(name) for name in ("timings.csv", "quality.csv")
}
