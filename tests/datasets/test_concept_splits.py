"""Concept splits: groups by shared keys, splits by hash, spellings that meet."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.datasets.concept_splits import (
    TEST_BELOW,
    VALIDATION_BELOW,
    concept_spellings,
    group_by_keys,
    singular_of,
    split_of,
)


def test_a_key_falls_into_the_same_split_for_ever():
    keys = ("alarm", "eye", "zebra", "abacus")
    assert [split_of(key) for key in keys] == ["train", "test", "train", "train"]


def test_shares_of_the_splits_are_what_the_thresholds_say():
    shares = Counter(split_of(f"key-{i}") for i in range(20_000))
    assert shares["test"] / 20_000 == pytest.approx(TEST_BELOW / 1000, abs=0.01)
    assert shares["validation"] / 20_000 == pytest.approx(
        (VALIDATION_BELOW - TEST_BELOW) / 1000, abs=0.01
    )


def test_groups_by_hand():
    # 0 and 2 share a; 2 and 4 share c, so 0, 2 and 4 are one group; 3 has no key.
    keys = [["a"], ["b"], ["a", "c"], [], ["c"]]
    assert group_by_keys(keys).tolist() == [0, 1, 0, 2, 0]
    assert group_by_keys([[], []]).tolist() == [0, 1]


@given(st.lists(st.lists(st.integers(0, 8), max_size=3), min_size=1, max_size=12))
def test_groups_are_the_smallest_that_keep_shared_keys_together(keys):
    groups = group_by_keys(keys)
    # Grow the set of items that can be reached from each item, one shared key at a time.
    for start in range(len(keys)):
        reached = {start}
        while True:
            known = {key for item in reached for key in keys[item]}
            more = {item for item in range(len(keys)) if known & set(keys[item])} | reached
            if more == reached:
                break
            reached = more
        assert set(np.flatnonzero(groups == groups[start])) == reached
    assert groups[0] == 0 and (np.diff(np.maximum.accumulate(groups)) <= 1).all()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("clocks", "clock"), ("boxes", "box"), ("berries", "berry"), ("glasses", "glass"),
        ("bus", "bus"), ("glass", "glass"), ("gas", "gas"), ("dishes", "dish"), ("pie", "pie"),
        ("axis", "axis"), ("ties", "tie"), ("pieces", "piece"), ("chess", "chess"),
    ],
)  # fmt: skip
def test_singular_by_hand(word, expected):
    assert singular_of(word) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alarm clock", "Alarm clocks"),
        ("light bulb", "lightbulb"),
        ("clock, alarm", "alarm clock"),
        ("t-shirt", "t shirt"),
        ("woman's hat", "womans hat"),  # codespell:ignore
        ("alarm light", "alarm"),  # light is a style
    ],
)
def test_spellings_of_one_concept_meet(one, other):
    assert concept_spellings(one, {"light"}) & concept_spellings(other, {"light"})


@pytest.mark.parametrize(("one", "other"), [("cat", "cat face"), ("alarm", "clock"), ("!", "?")])
def test_spellings_of_two_concepts_do_not_meet(one, other):
    assert not concept_spellings(one) & concept_spellings(other)


def test_a_name_of_style_words_alone_keeps_them():
    assert concept_spellings("light", {"light"}) == {"light"}
