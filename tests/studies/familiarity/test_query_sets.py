"""The query sets: repeatable, apart from each other, and what they say they are."""

import numpy as np
import pytest

from lib.studies.familiarity import off_topic, query_sets
from lib.studies.familiarity.query_sets import (
    KEYBOARD,
    SPLITS,
    STRINGS,
    UNKNOWN,
    load_query_sets,
    random_strings,
    random_word,
)


def test_no_text_is_in_both_splits():
    validation, test = (set(load_query_sets(split).texts) for split in SPLITS)
    assert not validation & test and min(len(validation), len(test)) > 2_000


@pytest.mark.parametrize("split", SPLITS)
def test_each_kind_has_queries_and_each_concept_lies_in_one_split(split):
    sets = load_query_sets(split)
    counts = dict(zip(*np.unique(sets.kinds, return_counts=True), strict=True))
    assert min(counts.values()) >= 150 and set(UNKNOWN) < set(counts)
    other = load_query_sets(SPLITS[1 - SPLITS.index(split)])
    assert not set(sets.groups[sets.is_real]) & set(other.groups[other.is_real])


def test_strings_repeat_with_their_seed():
    names = ["alarm clock", "sun"]
    made = random_strings(names, 3)
    assert made == random_strings(names, 3) != random_strings(names, 4)
    (text,) = [text for text, kind in made if kind == STRINGS[-1]]
    assert [sorted(word) for word in text.split()] == [sorted("alarm"), sorted("clock")]


def test_keys_are_on_the_keyboard_and_consonants_have_no_vowel():
    rng = np.random.default_rng(0)
    assert set(random_word("keyboard", rng)) <= set("".join(KEYBOARD))
    words = [random_word("consonants", rng) for _ in range(50)]
    assert not set("aeiou") & set("".join(words)) and {len(word) for word in words} == set(
        range(4, 9)
    )


def test_sentences_are_plain():
    text = "A <b>first</b> sentence of six words.\n\nNot Any Of These. Four words are few.\nx = 1."
    assert list(off_topic.sentences_of(text)) == ["A first sentence of six words."]
    assert off_topic.phrase_of("The binding contract of it.") == "binding contract"
    assert off_topic.phrase_of("It is so.") is None


def test_the_committed_sentences_come_from_the_sources():
    rows = off_topic.load_off_topic()
    assert {row["source"] for row in rows} == {
        s for part in off_topic.SOURCES.values() for s in part
    }
    for row in rows:
        if row["kind"] == "sentences":
            assert list(off_topic.sentences_of(row["text"])) == [row["text"]]


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="split must be"):
        query_sets.load_query_sets("train")
