"""Remedies: each is compared with the plain index, at equal work."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lib.core.checks import RetrievalInputError
from lib.studies.ann import ood_remedies
from tests.studies.ann.toy import two_cones


@pytest.fixture(scope="module")
def cones():
    return two_cones(4000, 16, 1.0, n_queries=60, seed=2)


@pytest.fixture(scope="module")
def rows(cones):
    return pd.DataFrame(ood_remedies.remedy_table(cones))


def test_every_remedy_is_asked_with_both_kinds_of_query(rows):
    names = rows.groupby("family")["remedy"].unique()
    assert list(names["IVF"]) == [
        "none",
        "mixed training, 1% texts",
        "copies by texts",
    ]  # 60 of 4,060
    assert list(names["HNSW"]) == ["none", "texts as nodes", "links by texts"]
    assert (rows.groupby(["family", "remedy"])["queries"].nunique() == 2).all()


def test_work_and_recall_are_those_of_the_index(cones, rows):
    plain = rows[(rows["family"] == "IVF") & (rows["remedy"] == "none")]
    assert plain["gain"].isna().all() and (plain["stored"] == 1).all()
    for _, curve in plain.groupby("queries"):
        assert curve["work"].is_monotonic_increasing and curve["recall"].is_monotonic_increasing
    copies = rows[rows["remedy"] == "copies by texts"]
    assert (copies["stored"] > 1).all()
    nodes = rows[rows["remedy"] == "texts as nodes"]
    assert (nodes["stored"] == (len(cones) + len(cones.learn["text"])) / len(cones)).all()


def test_a_gain_lies_in_its_interval_and_is_a_difference_of_recalls(rows):
    known = rows.dropna(subset="gain")
    assert len(known) > 10
    assert known["gain"].between(known["gain_low"] - 1e-12, known["gain_high"] + 1e-12).all()
    one = known.iloc[0]
    plain = rows[(rows["family"] == one["family"]) & (rows["remedy"] == "none")]
    plain = plain[plain["queries"] == one["queries"]]
    expected = one["recall"] - np.interp(one["work"], plain["work"], plain["recall"])
    assert one["gain"] == pytest.approx(expected)


def test_tuning_takes_the_cheapest_setting_that_reaches_the_target(cones, rows):
    tuned = pd.DataFrame(ood_remedies.tuning_table(cones, 0.8))
    assert tuned["chosen_on"].tolist() == ["image queries", "training texts"] * 2
    at = tuned.iloc[0]
    assert at["image_recall"] >= 0.8
    curve = rows[
        (rows["family"] == "IVF") & (rows["remedy"] == "none") & (rows["queries"] == "image")
    ]
    first = curve[curve["recall"] >= 0.8].iloc[0]
    assert json.loads(at["search"]) == json.loads(first["search"])
    assert at["image_work"] == first["work"]


def test_what_cannot_be_done(cones):
    with pytest.raises(RetrievalInputError, match="no texts to learn from"):
        ood_remedies.remedy_table(replace(cones, learn={}))
    with pytest.raises(RetrievalInputError, match=r"no setting of IVF reaches 1.1"):
        ood_remedies.tuning_table(cones, 1.1)
