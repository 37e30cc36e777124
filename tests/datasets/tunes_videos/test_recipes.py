"""Recipes of clips: counts, splits by family, instruments that only test clips have."""

from collections import Counter

import pytest

from lib.datasets.tunes import load_corpus
from lib.datasets.tunes_videos import load_recipes
from lib.datasets.tunes_videos.recipes import FEWEST_NOTES, MELODIES, SECONDS, meter_of


def test_counts_of_clips_and_of_tunes_with_two():
    recipes = load_recipes()
    assert Counter(one.split for one in recipes) == {"test": 180, "validation": 60, "train": 60}
    assert [one.name for one in recipes] == [f"clip{at:03}" for at in range(300)]
    clips = Counter(Counter(one.tune for one in recipes).values())
    assert clips == {1: 100, 2: 100}


def test_a_family_has_one_tune_in_one_split():
    corpus, recipes = load_corpus(), load_recipes()
    assert len({one.family for one in recipes}) == len({one.tune for one in recipes}) == 200
    for one in recipes:
        assert one.split == corpus.splits[one.tune] and one.family == corpus.families[one.tune]
        assert one.source == corpus.melodies[one.tune].source
        assert len(one.melody) >= FEWEST_NOTES and 2 <= 4 * meter_of(one.melody).bar <= 4


def test_instruments_of_test_clips_are_in_no_other_split():
    programs = {split: set() for split in ("test", "validation", "train")}
    for one in load_recipes():
        programs[one.split].update(one.programs())
    assert programs["test"].isdisjoint(programs["validation"] | programs["train"])
    assert set(MELODIES["test"].values()) <= programs["test"]


def test_two_clips_of_a_tune_differ_and_values_lie_in_their_ranges():
    recipes = load_recipes()
    assert all(SECONDS[0] <= one.seconds <= SECONDS[1] for one in recipes)
    assert all(-5 <= one.key <= 6 and 0 <= one.balance <= 6 for one in recipes)
    first, second = [one for one in recipes if one.tune == recipes[0].tune]
    assert first.tempo != second.tempo and first.scenes != second.scenes


def test_recipes_are_those_that_the_tables_were_measured_on():
    one = load_recipes()[7]
    assert (one.source, one.first, one.seconds, one.key) == (
        "ryansMammoth/ComeToTheRaffleJig.abc#1",
        44,
        26,
        -4,
    )
    assert sum(one.tempo for one in load_recipes()) == pytest.approx(28717.33)
