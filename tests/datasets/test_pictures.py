"""Pictures: icons and emoji in one corpus without a leak, and tasks equal to those of its parts."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets import emoji, icon_terms, icons, pictures
from lib.datasets.pictures import GALLERIES, HELD_OUT, LINES, SPLITS, STORED, TEST_B


@pytest.fixture(scope="module")
def corpus():
    return pictures.load_pictures()


def names_of(corpus, positions):
    return [corpus.captions[position][0] for position in positions]


# ---- the corpus


def test_counts_of_the_datasheet(corpus):
    found = Counter(zip(corpus.splits.tolist(), corpus.sources.tolist(), strict=True))
    assert found == {
        ("train", "icons"): 13461, ("train", "emoji"): 1607, ("train", LINES): 1345,
        ("validation", "icons"): 789, ("validation", "emoji"): 101, ("validation", LINES): 80,
        ("test", "icons"): 1449, ("test", "emoji"): 169, ("test", LINES): 142,
        ("test_b", "icons"): 847, ("test_b", "emoji"): 16, ("test_b", LINES): 15,
        ("aside", "emoji"): 21, ("aside", LINES): 21,
    }  # fmt: skip
    assert corpus.n_dropped == 609


def test_pictures_of_a_source_are_those_of_its_corpus(corpus):
    drawn, coloured = icons.load_icons(), emoji.load_emoji()
    places = {source: corpus.places[corpus.sources == source] for source in STORED}
    np.testing.assert_array_equal(places["icons"], np.arange(len(drawn)))
    np.testing.assert_array_equal(places["emoji"], np.arange(len(coloured)))
    np.testing.assert_array_equal(places[LINES], np.flatnonzero(coloured.telling))
    assert names_of(corpus, corpus.positions(sources=["icons"])) == [
        icons.phrase_of(name) for name in drawn.names
    ]
    lines, colour = (corpus.positions("train", [source]) for source in (LINES, "emoji"))
    captions = {corpus.places[p]: corpus.captions[p] for p in colour}
    assert all(corpus.captions[p] == captions[corpus.places[p]] for p in lines)


def test_captions_are_the_name_then_the_terms_or_aliases(corpus):
    house = next(
        i
        for i, (family, name) in enumerate(
            zip(icons.load_icons().families, icons.load_icons().names, strict=True)
        )
        if (family, name) == ("fontawesome-solid", "house")
    )
    assert corpus.captions[house][0] == "house"
    assert set(corpus.captions[house]) <= {"house", *icon_terms.load_terms()[house]}
    assert "residence" in corpus.captions[house]
    assert all(text == text.lower() for captions in corpus.captions for text in captions)
    assert all(len(set(captions)) == len(captions) for captions in corpus.captions)


def test_pixels_are_dark_ink_on_white(corpus):
    drawn, coloured = icons.load_icons(), emoji.load_emoji()
    first = {source: int(corpus.positions(sources=[source])[3]) for source in STORED}
    chosen = np.array([first["emoji"], first[LINES], first["icons"], first["emoji"]])
    found = corpus.pixels(chosen)
    assert found.shape == (4, 64, 64, 3) and found.dtype == np.uint8
    np.testing.assert_array_equal(found[0], coloured.color[3])
    np.testing.assert_array_equal(found[3], coloured.color[3])
    line = corpus.places[first[LINES]]
    for channel in range(3):
        np.testing.assert_array_equal(found[1, :, :, channel], 255 - coloured.line[line])
        np.testing.assert_array_equal(found[2, :, :, channel], 255 - drawn.images[3])
    np.testing.assert_array_equal(corpus.pixels(slice(3, 4))[0], found[2])
    assert (found[:, 0, 0] == 255).all()


def test_the_corpus_holds_no_pixels_of_its_own(corpus):
    arrays = (corpus.sources, corpus.places, corpus.groups, corpus.splits)
    assert sum(array.nbytes for array in arrays) < 3e6
    with pytest.raises(ValueError, match="read-only"):
        corpus.splits[0] = "test"


# ---- splits


def test_splits_of_icons_and_of_held_out_emoji_stay(corpus):
    ours = corpus.splits[corpus.sources == "icons"]
    stored = icons.load_icons().splits
    np.testing.assert_array_equal(np.where(ours == TEST_B, "train", ours), stored)
    assert 0.05 < (ours == TEST_B).sum() / (stored == "train").sum() < 0.07
    ours = corpus.splits[corpus.sources == "emoji"]
    changed = Counter(zip(emoji.load_emoji().splits.tolist(), ours.tolist(), strict=True))
    assert {pair for pair in changed if pair[0] != pair[1]} == {
        ("train", TEST_B), ("train", "aside")
    }  # fmt: skip


def test_a_group_lies_in_one_split_and_joins_both_corpora(corpus):
    used = corpus.splits != pictures.ASIDE
    pairs = set(zip(corpus.groups[used].tolist(), corpus.splits[used].tolist(), strict=True))
    assert len(pairs) == len(set(corpus.groups[used].tolist()))
    groups = {source: set(corpus.groups[corpus.sources == source]) for source in STORED}
    assert len(groups["icons"] & groups["emoji"]) > 300
    assert groups[LINES] <= groups["emoji"]


def test_an_emoji_and_the_icon_of_its_name_share_a_group(corpus):
    at = {source: corpus.positions(sources=[source]) for source in GALLERIES}
    icon_of = dict(zip(names_of(corpus, at["icons"]), at["icons"].tolist(), strict=True))
    both = [
        (position, icon_of[name])
        for name, position in zip(names_of(corpus, at["emoji"]), at["emoji"].tolist(), strict=True)
        if name in icon_of and corpus.splits[position] != pictures.ASIDE
    ]
    assert len(both) > 100
    a, b = np.array(both).T
    np.testing.assert_array_equal(corpus.groups[a], corpus.groups[b])
    np.testing.assert_array_equal(corpus.splits[a], corpus.splits[b])


def held_out_phrases(corpus):
    """Names and concepts of all pictures that are not trained on, as their own corpora tell."""
    drawn, coloured = icons.load_icons(), emoji.load_emoji()
    names = [
        drawn.names[corpus.places[position]]
        for split in HELD_OUT
        for position in corpus.positions(split, ["icons"])
    ]
    phrases = {icons.phrase_of(name) for name in names}
    phrases |= {icons.phrase_of(icons.concept_of(name)) for name in names}
    for split in HELD_OUT:
        for position in corpus.positions(split, ["emoji"]):
            name = coloured.names["en"][corpus.places[position]].lower()
            phrases |= {name, emoji.concept_of(name)}
    return phrases


def test_no_training_caption_is_the_name_of_a_held_out_concept(corpus):
    held_out = held_out_phrases(corpus)
    assert len(held_out) > 2000
    for position in corpus.positions("train"):
        assert not set(corpus.captions[position]) & held_out, corpus.captions[position]


def test_no_further_caption_of_training_is_another_spelling_of_a_held_out_concept(corpus):
    held_out = set().union(*map(pictures.spellings_of, held_out_phrases(corpus)))
    for position in corpus.positions("train"):
        for text in corpus.captions[position][1:]:
            assert not pictures.spellings_of(text) & held_out, text


def test_drop_held_out_by_hand():
    captions = [
        ("alarm bell", "bells", "siren"),  # another spelling of the bell
        ("light bulb", "alarm-bell", "lamp"),
        ("bell", "ring", "bells"),  # held out: keeps all
        ("bell curve",),
    ]
    held_out = pictures.spellings_of("bell") | pictures.spellings_of("bell-outline")
    kept, dropped = pictures.drop_held_out(captions, np.array([1, 1, 0, 1], bool), held_out)
    assert dropped == 1
    assert kept == (("alarm bell", "siren"), *map(tuple, captions[1:]))


# ---- tasks


@pytest.mark.parametrize("direction", icons.DIRECTIONS)
@pytest.mark.parametrize("split", ["validation", "test"])
def test_tasks_of_one_source_are_those_of_its_corpus(split, direction):
    for source, module in (("icons", icons), ("emoji", emoji)):
        ours, theirs = pictures.task(split, direction, source), module.task(split, direction)
        assert ours.qrels == theirs.qrels and ours.hit_grade == theirs.hit_grade
        np.testing.assert_array_equal(ours.query_groups, theirs.query_groups)
        for side, modality in (
            ("queries", ours.query_modality),
            ("gallery", ours.gallery_modality),
        ):
            found, expected = getattr(ours, side), getattr(theirs, side)
            if modality == "text":
                assert found == expected
            elif source == "icons":
                np.testing.assert_array_equal(found, np.stack([255 - expected] * 3, axis=-1))
            else:
                np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("source", GALLERIES)
def test_test_b_is_apart_from_every_other_split(source, corpus):
    task = pictures.task(TEST_B, source=source)
    positions = corpus.positions(TEST_B, [source])
    np.testing.assert_array_equal(task.gallery, corpus.pixels(positions))
    assert {query.lower() for query in task.queries} == set(names_of(corpus, positions))
    assert (task.qrels.at_least(3).counts > 0).all()
    others = corpus.splits != TEST_B
    assert not set(corpus.groups[positions]) & set(corpus.groups[others].tolist())


@pytest.mark.parametrize("split", SPLITS[1:])
def test_the_joint_task_keeps_the_grades_of_both_and_joins_their_concepts(split, corpus):
    joint = pictures.task(split)
    positions = corpus.positions(split, GALLERIES)
    np.testing.assert_array_equal(joint.gallery[:50], corpus.pixels(positions[:50]))
    assert list(joint.queries) == list(dict.fromkeys(names_of(corpus, positions)))
    row = {query: i for i, query in enumerate(joint.queries)}
    grades = joint.qrels.grades_of(np.tile(np.arange(len(positions)), (len(row), 1)))
    start = 0
    for source in GALLERIES:
        part = pictures.task(split, source=source)
        n = len(part.gallery)
        own = part.qrels.grades_of(np.tile(np.arange(n), (len(part.queries), 1)))
        rows = [row[query.lower()] for query in part.queries]
        assert (grades[rows, start : start + n] >= own).all()
        start += n
    groups = corpus.groups[positions]
    assert (grades[joint.query_groups[:, None] == groups] >= 2).all()
    names = np.array(names_of(corpus, positions))
    assert (grades[np.array(joint.queries)[:, None] == names] == 3).all()
    turned = pictures.task(split, "image_to_text")
    assert turned.qrels == joint.qrels.T and turned.gallery == joint.queries
    np.testing.assert_array_equal(turned.query_groups, groups)


def test_a_name_of_an_icon_and_of_an_emoji_finds_both(corpus):
    positions = corpus.positions("test", GALLERIES)
    joint, names = pictures.task("test"), names_of(corpus, positions)
    sources = corpus.sources[positions]
    common = [
        query
        for query in joint.queries
        if {s for s, name in zip(sources, names, strict=True) if name == query} == set(GALLERIES)
    ]
    assert common
    for query in common:
        items, grades = joint.qrels.row(joint.queries.index(query))
        assert set(sources[items[grades == 3]]) == set(GALLERIES)


def test_in_colour_takes_drawings_on_either_side():
    task = icon_terms.task("validation", "image_to_text")
    coloured = pictures.in_colour(task)
    np.testing.assert_array_equal(coloured.queries[..., 1], 255 - task.queries)
    assert coloured.gallery == task.gallery and coloured.qrels is task.qrels
    with pytest.raises(RetrievalInputError, match=r"must be uint8 \(n, 64, 64\), got .* 64, 3\)"):
        pictures.in_colour(coloured)
    with pytest.raises(RetrievalInputError, match="got float32"):
        pictures.in_colour(replace(task, queries=task.queries.astype(np.float32)))


@pytest.mark.parametrize(
    "arguments", [("dev",), ("test", "text_to_text"), ("test", "text_to_image", "emojis")]
)
def test_unknown_choices_list_the_known(arguments):
    with pytest.raises(RetrievalInputError, match="must be one of|Did you mean"):
        pictures.task(*arguments)


def test_positions_refuse_unknown_splits_and_sources(corpus):
    with pytest.raises(RetrievalInputError, match="test_b"):
        corpus.positions("aside")
    with pytest.raises(RetrievalInputError, match="emoji lines"):
        corpus.positions("train", ["lines"])
