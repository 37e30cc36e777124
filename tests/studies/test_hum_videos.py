"""The study of hums to videos: rows by hand, hums that find nothing, committed tables."""

import numpy as np
import pytest

from lib.datasets.tunes_videos import clip_score, hum_task
from lib.search.melody.hum_search import HumHit
from lib.studies import hum_videos as study


@pytest.fixture(scope="module")
def asked():
    hums = hum_task("test", "exact", n_queries=4)
    return hums, [*hums.task.queries[:3], None]


def perfect(hums, late):
    """Return a search that knows the clip of each hum, and is late by some seconds."""
    owner = {id(query): at for at, query in enumerate(hums.task.queries)}

    def find(query, k):
        at = owner[id(query)]
        clip = int(hums.clips[at])
        start = float(hums.moments(at, clip)[0]) + late
        return [HumHit(1, 1.0, clip, "", start=start, end=start + 8)]

    return find


def test_a_row_counts_clips_and_moments(asked):
    row = study.search_row(asked, perfect(asked[0], late=2.0))
    assert row["queries"] == 4 and row["hits"] == 3 and row["moment"] == 1.0
    assert row["MRR"] == row["R@1"] == 0.75  # nothing was heard of the fourth hum
    assert study.search_row(asked, perfect(asked[0], late=4.0))["moment"] < 1.0


def test_the_score_stage_is_the_melody_of_the_clip(asked):
    recipes = asked[0].task.gallery[:2]
    melodies = study.stage_melodies(study.SCORE, recipes)
    assert melodies[1] is clip_score(recipes[1]).melody


def test_random_answers_hold_no_clip_twice(asked):
    ids = study.random_ids(asked[0])
    assert all(np.unique(row).size == row.size for row in ids)


def test_the_committed_tables():
    table = study.STORE.table(study.TABLE)
    own = table[table["hums"] == study.SINGER].set_index(["stage", "level"])
    assert (table["queries"] >= 100).all() and (table["clips"] == 300).all()
    coded = own.loc[(study.CODED, "medium")]
    assert coded["MRR"] >= 0.6 and coded["moment"] >= 0.8
    for level in study.LEVELS:
        pictures, chance = own.loc[(study.PICTURES, level)], own.loc[(study.CHANCE, level)]
        assert pictures["MRR low"] <= chance["MRR high"] and pictures["MRR"] < 0.1
    methods = study.STORE.table(study.METHOD_TABLE).set_index("method")
    assert methods["raw_pitch"].idxmax() == "salience"
    assert len(study.format_stages()) == len(table)
    assert len(study.format_methods()) == len(methods)
    assert "chance is" in study.sentence_of_stages()
