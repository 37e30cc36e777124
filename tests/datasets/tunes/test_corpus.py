"""The corpus of tunes: splits without shared families, and the task of variants."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.tunes import FREE, SAME, VARIANT, corpus, hum_task, load_corpus, load_tunes, task


@pytest.fixture(scope="module")
def tunes():
    return load_corpus()


def test_counts_of_collections():
    tunes = load_tunes()
    counts = {name: sum(tune.source.startswith(name) for tune in tunes) for name in FREE}
    assert counts == {
        "airdsAirs": 1180,
        "oneills1850": 2009,
        "ryansMammoth": 1059,
        "miscFolk": 185,
    }
    assert len({tune.source for tune in tunes}) == len(tunes) == 4433
    assert all(tune.title for tune in tunes)


def test_the_first_tune_by_hand():
    tune = load_tunes()[0]
    assert (tune.title, tune.key, tune.tempo) == ("The Ranting Highlandman.", "G", 224)
    assert tune.pitches[:9].tolist() == [69, 67, 71, 71, 71, 69, 67, 71, 71]  # AG|B2B2 B2AG|B2B2
    assert tune.onsets[:9].tolist() == [0, 0.5, 1, 2, 3, 4, 4.5, 5, 6]


def test_counts_of_splits(tunes):
    sizes = {split: len(tunes.positions(split)) for split in ("train", "validation", "test")}
    assert sizes == {"train": 2841, "validation": 455, "test": 1137}
    assert len(set(tunes.families.tolist())) == 3415
    assert np.bincount(tunes.families).max() == 12


def test_no_family_and_no_variant_lies_in_two_splits(tunes):
    for family in range(tunes.families.max() + 1):
        assert len(set(tunes.splits[tunes.families == family].tolist())) == 1
    pairs = tunes.shares.tocoo()
    a, b = (positions[pairs.data >= 0.1] for positions in pairs.coords)
    assert (tunes.splits[a] == tunes.splits[b]).all()


def test_kittys_wedding_is_smiths_reel(tunes):
    titles = [melody.title for melody in tunes.melodies]
    wedding, reel = titles.index("Kitty's Wedding"), titles.index("Smith's -- Reel")
    assert tunes.judge(np.array([wedding])).grades_of(np.array([[reel]])).item() == SAME


def test_task(tunes):
    found = task("validation")
    assert found.direction == "melody_to_melody" and found.hit_grade == VARIANT
    assert (len(found.queries), len(found.gallery)) == (455, 4433)
    own = found.qrels.grades_of(tunes.positions("validation")[:, None])
    assert (own == SAME).all()
    assert len(found.query_groups) == 455


def test_wrong_split():
    with pytest.raises(RetrievalInputError, match="split must be one of"):
        task("dev")


# ---- hums


def test_hum_task(tunes):
    hums = hum_task("validation", "hard", n_queries=600)
    positions = tunes.positions("validation")
    assert hums.direction == "hum_to_melody" and len(hums.queries) == 600
    assert hums.qrels.shape == (600, 4433)
    sources = [melody.source for melody in hums.gallery]
    own = np.array([sources.index(query.source) for query in hums.queries])
    assert set(own.tolist()) == set(positions.tolist())  # each of the 455 before one comes again
    assert (hums.qrels.grades_of(own[:, None]) == 3).all()
    easier = hum_task("validation", "exact", n_queries=5)
    assert [query.source for query in easier.queries] == [
        query.source for query in hums.queries[:5]
    ]


def test_wrong_hum_tasks():
    with pytest.raises(RetrievalInputError, match="level must be one of"):
        hum_task("test", "easy")
    with pytest.raises(RetrievalInputError, match="n_queries must be at most"):
        hum_task("validation", n_queries=10**6)


@pytest.mark.slow
def test_essen_adds_distractors_and_moves_no_split(tunes):
    larger = load_corpus(essen=True)
    assert len(larger) == 12_941
    assert (larger.splits[:4433] == tunes.splits).all()
    assert (larger.families[:4433] == tunes.families).all()
    assert set(larger.splits[4433:].tolist()) == {corpus.DISTRACTOR}
    assert larger.melodies[:4433] == tunes.melodies


def test_a_gallery_of_the_split_holds_every_hit_of_its_hums():
    every, own = (hum_task("test", "exact", n_queries=30, gallery=g) for g in ("all", "split"))
    assert len(own.gallery) == len(load_corpus().positions("test")) < len(every.gallery)
    assert (own.qrels.at_least(2).counts == every.qrels.at_least(2).counts).all()
    for query in range(30):
        titles = [
            {task.gallery[at].source for at in task.qrels.row(query)[0]} for task in (every, own)
        ]
        assert titles[0] == titles[1]
    with pytest.raises(RetrievalInputError, match="gallery='all'"):
        hum_task("test", gallery="split", essen=True)
    with pytest.raises(RetrievalInputError, match="gallery must be"):
        hum_task("test", gallery="test")
