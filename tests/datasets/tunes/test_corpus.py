"""The corpus of tunes: splits without shared families, and the task of variants."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.tunes import SAME, VARIANT, corpus, load_corpus, task


@pytest.fixture(scope="module")
def tunes():
    return load_corpus()


def test_counts(tunes):
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


@pytest.mark.slow
def test_essen_adds_distractors_and_moves_no_split(tunes):
    larger = load_corpus(essen=True)
    assert len(larger) == 12_941
    assert (larger.splits[:4433] == tunes.splits).all()
    assert (larger.families[:4433] == tunes.families).all()
    assert set(larger.splits[4433:].tolist()) == {corpus.DISTRACTOR}
    assert larger.melodies[:4433] == tunes.melodies
