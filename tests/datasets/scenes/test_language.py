"""Captions are grammatical, true of their scene, and say what the plan says they do.

The parser below shares no table with the code: it knows English, not the templates.
"""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.datasets import scenes
from lib.datasets.scenes.language import plan

SINGULAR = {
    "circle": "circle", "disc": "circle", "square": "square", "triangle": "triangle",
    "diamond": "diamond", "rhombus": "diamond", "star": "star", "cross": "cross", "plus": "cross",
    "heart": "heart", "moon": "moon", "crescent": "moon",
}  # fmt: skip
PLURAL = {word + ("es" if word.endswith("s") else "s"): shape for word, shape in SINGULAR.items()}
SIZE = {"small": "small", "little": "small", "large": "large", "big": "large"}
TEXTURE = {
    "solid": "solid", "plain": "solid", "striped": "striped", "stripy": "striped",
    "dotted": "dotted", "spotted": "dotted",
}  # fmt: skip
NUMBER = {"a": 1, "an": 1, "one": 1, "two": 2, "a pair of": 2, "three": 3, "a trio of": 3}
NOUNS = "|".join([*PLURAL, *SINGULAR])
NOUN = rf"(?:(?:a pair of|a trio of|an?|one|two|three) (?:\w+ ){{1,3}}?(?:{NOUNS}))"
RELATION = {
    "to the left of": "left of", "left of": "left of",
    "to the right of": "right of", "right of": "right of",
    "above": "above", "over": "above", "below": "below", "under": "below",
}  # fmt: skip
CONVERSE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
REL = "(?P<rel>" + "|".join(RELATION) + ")"
PLACE = {
    "on the left": "left of",
    "on the right": "right of",
    "at the top": "above",
    "at the bottom": "below",
}


def parse_noun(phrase: str) -> dict:
    number = re.match(r"a pair of|a trio of|\w+", phrase)[0]
    *adjectives, noun = phrase[len(number) :].split()
    if number in ("a", "an"):
        assert (number == "an") == (adjectives[0][0] in "aeiou"), phrase
    count = NUMBER[number]
    assert noun in (SINGULAR if count == 1 else PLURAL), phrase
    found: dict = {"count": count, "shape": (SINGULAR if count == 1 else PLURAL)[noun]}
    for kind, table in (
        ("size", SIZE),
        ("texture", TEXTURE),
        ("colour", {c: c for c in scenes.COLOURS}),
    ):
        values = [table[word] for word in adjectives if word in table]
        assert len(values) <= 1, phrase
        found[kind] = values[0] if values else None
    assert len(adjectives) == sum(
        found[kind] is not None for kind in ("size", "texture", "colour")
    ), phrase
    assert found["size"] is None or adjectives[0] in SIZE, phrase  # English wants the size first
    return found


def parse(text: str) -> tuple[dict, str, dict, bool]:
    """(first group, its relation to the second, second group, whether a word agrees with it)."""
    for pattern in (
        rf"(?:(?P<there>there) (?P<is>is|are) )?(?P<a>{NOUN}) {REL} (?P<b>{NOUN})",
        rf"(?P<a>{NOUN}) (?P<is>is|are) {REL} (?P<b>{NOUN})",
        rf"{REL} (?P<b>{NOUN}) (?P<is>is|are) (?P<a>{NOUN})",
        rf"(?P<a>{NOUN}) with (?P<b>{NOUN}) on (?P<pro>its|their) (?P<side>left|right)",
        rf"(?P<a>{NOUN}) with (?P<b>{NOUN}) (?P<side>above|below) (?P<pro>it|them)",
        (
            rf"(?P<a>{NOUN}) (?P<here>{'|'.join(PLACE)}) and (?P<b>{NOUN})"
            rf" (?P<other>{'|'.join(PLACE)})"
        ),
    ):
        match = re.fullmatch(pattern, text)
        if match:
            break
    else:
        raise AssertionError(f"not a sentence: {text}")
    part = match.groupdict()
    a, b = parse_noun(part["a"]), parse_noun(part["b"])
    if "here" in part:
        assert PLACE[part["other"]] == CONVERSE[PLACE[part["here"]]], text
        relation = PLACE[part["here"]]
    elif "side" in part:  # where b is
        side = part["side"] + " of" if part["side"] in ("left", "right") else part["side"]
        relation = CONVERSE[side]
    else:
        relation = RELATION[part["rel"]]
    agrees = part.get("is") or part.get("pro")
    if agrees:
        assert (agrees in ("is", "its", "it")) == (a["count"] == 1), text
        assert not part["a"].startswith(("a pair of", "a trio of", "one ")), text
    return a, relation, b


def truth(batch: scenes.SceneBatch, i: int, group: int) -> dict:
    return {
        "shape": scenes.SHAPES[batch.shape[i, group]],
        "colour": scenes.COLOURS[batch.colour[i, group]],
        "size": scenes.SIZES[batch.size[i, group]],
        "texture": scenes.TEXTURES[batch.texture[i, group]],
        "count": int(batch.count[i, group]),
    }


def test_every_caption_is_grammatical_true_and_as_planned() -> None:
    batch = scenes.sample("train", 1500, seed=11)
    told = plan(batch)
    for i, five in enumerate(scenes.captions(batch)):
        assert len(five) == 5
        for k, text in enumerate(five):
            first = int(told.first[i, k])
            a, relation, b = parse(text)
            real = scenes.RELATIONS[batch.relation[i]]
            assert relation == (CONVERSE[real] if first else real), text
            for said, group in ((a, first), (b, 1 - first)):
                fact = truth(batch, i, group)
                if not told.states_size[i, k, group]:
                    fact["size"] = None
                if not told.states_texture[i, k, group]:
                    fact["texture"] = None
                assert said == fact, text


def test_what_each_kind_states() -> None:
    told = plan(scenes.sample("test", 3000))
    sizes, textures = told.states_size.sum(axis=2), told.states_texture.sum(axis=2)  # (n, 5)
    assert (sizes == [2, 2, 1, 2, 0]).all() and (textures == [2, 2, 2, 1, 0]).all()
    assert (told.first[:, 0] == 0).all() and (told.first[:, 1] == 1).all()
    assert (np.abs(told.first[:, 2:].mean(axis=0) - 0.5) < 0.06).all()
    assert set(told.template[:, 4].tolist()) == {0, 1} and set(told.template[:, 0].tolist()) == set(
        range(6)
    )
    assert len(scenes.KINDS) == scenes.N_CAPTIONS == 5


def test_an_order_caption_and_its_twin_use_the_same_words() -> None:
    # Swapping the groups' places under the same wording leaves the bag of attribute words as it
    # was.
    batch = scenes.sample("test", 300)
    swapped = scenes.swap_relation(batch)
    attribute = {*SINGULAR, *PLURAL, *scenes.COLOURS, "two", "three", "one", "pair", "trio"}
    for five, other in zip(scenes.captions(batch), scenes.captions(swapped), strict=True):
        assert five[4] != other[4]
        bags = [
            sorted(word for word in text.split() if word in attribute)
            for text in (five[4], other[4])
        ]
        assert bags[0] == bags[1]


def test_words_is_exactly_the_vocabulary() -> None:
    batch = scenes.sample("train", 4000, seed=5)
    texts = [
        text for five in [*scenes.captions(batch), *scenes.clip_captions(batch)] for text in five
    ]
    assert {word for text in texts for word in text.split()} == set(scenes.words())
    assert scenes.words() == sorted(scenes.words()) and len(scenes.words()) == 77
    assert all(re.fullmatch("[a-z]+", word) for word in scenes.words())
    lengths = [len(text.split()) for five in scenes.captions(batch) for text in five]
    assert max(lengths) <= 21 and min(lengths) >= 7


def test_paraphrases_differ() -> None:
    five_each = scenes.captions(scenes.sample("test", 2000))
    assert np.mean([len(set(five)) == 5 for five in five_each]) > 0.97


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**63 - 1), st.lists(st.integers(0, 4), min_size=6, max_size=6))
def test_one_caption_each_is_a_choice_of_the_five(seed: int, which: list[int]) -> None:
    batch = scenes.sample("validation", 6, seed)
    expected = [five[k] for five, k in zip(scenes.captions(batch), which, strict=True)]
    assert scenes.caption_choice(batch, np.array(which)) == expected
    assert scenes.captions(batch[2:4]) == scenes.captions(batch)[2:4]  # alone or among others


def test_wording_changes_words_only() -> None:
    batch = scenes.sample("test", 200)
    other = replace(batch, wording=batch.wording[::-1])
    assert scenes.captions(other) != scenes.captions(batch)
    assert np.array_equal(scenes.render(other), scenes.render(batch))


def test_clip_captions_add_the_motion() -> None:
    batch = scenes.sample("test", 200)
    for still, clip, motion in zip(
        scenes.captions(batch), scenes.clip_captions(batch), batch.motion, strict=True
    ):
        for a, b in zip(still, clip, strict=True):
            assert re.fullmatch(f"{a} as everything (moves|drifts) {scenes.MOTIONS[motion]}", b)


@pytest.mark.parametrize("which", [[0, 5], [0], [[0, 1]], [0.0, 1.0], [-1, 0]])
def test_a_choice_outside_the_five_is_refused(which: list) -> None:
    with pytest.raises(
        RetrievalInputError, match=r"which must hold one of 0\.\.4 for each of the 2 scenes"
    ):
        scenes.caption_choice(scenes.sample("test", 2), np.array(which))
