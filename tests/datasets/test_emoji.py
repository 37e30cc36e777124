"""Emoji: groups, splits without leaks here and against icons, grades, languages, tasks."""

import re
from collections import Counter

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.datasets import emoji, icon_terms, icons
from lib.datasets.concept_splits import SPLITS, concept_spellings, singular_of
from lib.datasets.emoji_files import EmojiEntry, read_entries


@pytest.fixture(scope="module")
def corpus():
    return emoji.load_emoji()


@pytest.fixture(scope="module")
def texts():
    """Name, concept and aliases of each emoji."""
    return [emoji.english_texts(entry) for entry in read_entries()]


@pytest.fixture(scope="module")
def icon_splits():
    """Splits of icons by each spelling of their concepts."""
    corpus, splits = icons.load_icons(), {}
    for name, split in zip(corpus.names, corpus.splits.tolist(), strict=True):
        for spelling in spellings(icons.phrase_of(name)):
            splits.setdefault(spelling, set()).add(split)
    return splits


def spellings(text):
    return concept_spellings(text, icons.STYLE_WORDS)


def at(corpus, name):
    return corpus.names["en"].index(name)


def group(corpus, name):
    return {
        corpus.names["en"][i]
        for i in np.flatnonzero(corpus.groups == corpus.groups[at(corpus, name)])
    }


# ---- concepts


@pytest.mark.parametrize(
    ("name", "concept"),
    [
        ("woman artist", "artist"),
        ("artist", "artist"),
        ("man red hair", "man red hair"),  # nothing else is said
        ("red heart", "red heart"),  # no word of a person, so red is meant
        ("person running", "running"),
        ("family man woman boy", "family"),
        ("men's room", "men's room"),
        ("flag: Isle of Man", "flag isle of"),
    ],
)
def test_concept_of_a_name(name, concept):
    assert emoji.concept_of(name) == concept


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1F468-200D-1F3A8", "1F9D1-200D-1F3A8"),  # man artist, artist
        ("1F3C3-200D-2640-FE0F-200D-27A1-FE0F", "1F3C3"),  # woman running to the right
        ("1F469-200D-1F9B0", "1F9D1"),  # woman with red hair, person
        ("2764-FE0F", "2764"),
    ],
)
def test_code_of_a_concept(one, other):
    assert emoji.concept_points(one) == emoji.concept_points(other)


def test_signs_alone_are_concepts():
    assert emoji.concept_points("2640-FE0F") == (0x2640,) != emoji.concept_points("2642-FE0F")


def test_groups_by_hand(corpus):
    assert group(corpus, "artist") == {"artist", "man artist", "woman artist"}
    assert group(corpus, "prince") == {"prince", "princess", "person with crown"}
    assert group(corpus, "flag: France") >= {"flag: France", "flag: St. Martin"}  # same drawing
    assert group(corpus, "cat") == {"cat", "cat face"}  # `cat` is another name of both
    assert group(corpus, "red heart") == {"red heart"}
    assert len(group(corpus, "family")) == 30
    assert np.bincount(corpus.groups).max() == 30


def test_groups_share_neither_text_nor_pixels(corpus, texts):
    owner = {}
    for own, picture, number in zip(texts, corpus.color, corpus.groups.tolist(), strict=True):
        for key in (picture.tobytes(), *(text.lower() for text in own)):
            assert owner.setdefault(key, number) == number


# ---- size


def test_counts(corpus):
    assert len(corpus) == len(corpus.color) == len(corpus.line) == len(set(corpus.codes)) == 1914
    assert corpus.color.shape == (1914, 64, 64, 3) and corpus.line.shape == (1914, 64, 64)
    assert corpus.color.dtype == corpus.line.dtype == np.uint8
    assert len(np.unique(corpus.groups)) == 1663
    assert Counter(corpus.splits.tolist()) == {
        "train": 1632, "validation": 101, "test": 169, "aside": 12,
    }  # fmt: skip
    assert [len(corpus.positions(s, "line")) for s in SPLITS] == [1369, 80, 142]
    assert sum(map(bool, corpus.aliases)) == 941 and sum(map(len, corpus.aliases)) == 1354


def test_names_are_unique_in_every_language(corpus):
    assert len(corpus.names) == 14
    for names in corpus.names.values():
        assert len(set(names)) == len(names) == len(corpus)


def test_arrays_are_read_only_and_shared(corpus):
    assert emoji.load_emoji() is corpus
    for array in (corpus.color, corpus.line, corpus.groups, corpus.splits, corpus.telling):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[1]


def test_line_drawings_that_tell_are_the_drawing_of_one_group(corpus):
    groups_of = {}
    for drawing, number in zip(corpus.line, corpus.groups.tolist(), strict=True):
        groups_of.setdefault(drawing.tobytes(), set()).add(number)
    for position, drawing in enumerate(corpus.line):
        alone = len(groups_of[drawing.tobytes()]) == 1 and drawing.max() > 0
        assert corpus.telling[position] == alone
    assert not corpus.telling[at(corpus, "flag: Kenya")]
    assert corpus.telling[at(corpus, "cat")]
    assert Counter(corpus.subgroups[i].split(",")[0] for i in np.flatnonzero(~corpus.telling))[
        "flags"
    ] == 261  # fmt: skip


# ---- splits


def test_splits_share_neither_group_nor_text_nor_picture(corpus, texts):
    seen = {}
    for split in SPLITS:
        positions = corpus.positions(split)
        seen[split] = (
            set(corpus.groups[positions].tolist()),
            {text.lower() for i in positions for text in texts[i]},
            {corpus.color[i].tobytes() for i in positions},
            {corpus.line[i].tobytes() for i in corpus.positions(split, "line")},
        )
    for a, b in (("train", "validation"), ("train", "test"), ("validation", "test")):
        for ours, theirs in zip(seen[a], seen[b], strict=True):
            assert ours.isdisjoint(theirs)


def test_no_emoji_of_a_split_is_an_icon_of_another_split(corpus, texts, icon_splits):
    shared = 0
    for own, split in zip(texts, corpus.splits.tolist(), strict=True):
        for text in own:
            for spelling in spellings(text):
                found = icon_splits.get(spelling, set())
                shared += bool(found)
                assert split == "aside" or found <= {split}, (text, split, found)
    assert shared > 500  # else the loop has compared nothing


def test_no_icon_of_a_split_is_an_emoji_of_another_split(corpus, texts):
    emoji_splits = {}
    for own, split in zip(texts, corpus.splits.tolist(), strict=True):
        for text in own:
            for spelling in spellings(text):
                emoji_splits.setdefault(spelling, set()).add(split)
    corpus = icons.load_icons()
    for name, split in zip(corpus.names, corpus.splits.tolist(), strict=True):
        for spelling in spellings(icons.phrase_of(name)):
            assert emoji_splits.get(spelling, set()) <= {split, "aside"}


def test_concepts_set_aside_are_icons_of_several_splits(corpus, texts, icon_splits):
    for number in set(corpus.groups[corpus.splits == "aside"].tolist()):
        own = [text for i in np.flatnonzero(corpus.groups == number) for text in texts[i]]
        found = [icon_splits.get(spelling, set()) for text in own for spelling in spellings(text)]
        assert len(set().union(*found)) > 1
    assert corpus.splits[at(corpus, "paperclip")] == "aside"
    for split in SPLITS:
        assert at(corpus, "paperclip") not in corpus.positions(split)


def parts_of(text):
    """The words of a text, and every shorter run of them."""
    words = tuple(map(singular_of, re.findall(r"[^\W_]+", text.lower().replace("'", ""))))
    runs = {words[i:j] for i in range(len(words)) for j in range(i + 1, len(words) + 1)}
    return words, runs - {words}


def test_softer_overlaps_are_those_of_the_datasheet(corpus, texts):
    test, train = corpus.positions("test"), corpus.positions("train")
    concepts = {"train": set(), "test": set(), "validation": set()}
    of_icons = icons.load_icons()
    for name, split in zip(of_icons.names, of_icons.splits.tolist(), strict=True):
        concepts[split].add(parts_of(icons.phrase_of(icons.concept_of(name)))[0])
    names = corpus.names["en"]
    assert sum(bool(parts_of(names[i])[1] & concepts["train"]) for i in test) == 67
    in_training = set().union(*(parts_of(text)[1] for i in train for text in texts[i]))
    assert (len(concepts["test"] & in_training), len(concepts["test"])) == (30, 709)
    terms = icon_terms.load_terms()
    trained = {term for i in of_icons.positions("train") for term in terms[i]}
    searched = set().union(*map(spellings, trained))
    assert sum(any(spellings(text) & searched for text in texts[i]) for i in test) == 38
    known = {word for i in train for word in parts_of(names[i])[0]}
    unseen = [i for i in test if not known.issuperset(parts_of(names[i])[0])]
    assert len(unseen) == 120


def entry(code, name, aliases=()):
    return EmojiEntry(code, {"en": name}, tuple(aliases), ("g", "s"))


def test_splits_by_hand():
    entries = [
        entry("1F600", "alarm clocks"),  # the icon `alarm-clock-outline`
        entry("1F601", "zebra"),  # no icon: by hash, see test_concept_splits
        entry("1F602", "eye"),
        entry("1F603", "gadget", ["phone"]),  # the icon `phone`, by an alias
        entry("1F604", "gift", ["wrapped"]),  # icons of two splits
        entry("1F605", "sort up"),
        entry("1F606", "sort down", ["alarm clock"]),  # in the group of `sort up`
    ]
    groups = np.array([0, 1, 2, 3, 4, 5, 5])
    names = ["alarm-clock-outline", "phone-fill", "gift", "gifts", "sort-up-light"]
    of_icons = ["test", "validation", "train", "test", "test"]
    assert emoji.split_entries(entries, groups, names, of_icons).tolist() == [
        "test", "train", "test", "validation", "aside", "test", "test",
    ]  # fmt: skip


def test_groups_of_entries_by_hand():
    entries = [
        entry("1F468-200D-1F3A8", "man artist"),
        entry("1F600", "grin"),
        entry("1F3A8", "palette", ["Artist"]),  # a text of the first
        entry("1F601", "beam"),
        entry("1F602", "joy"),
    ]
    pictures = np.array([[0], [1], [2], [3], [1]], np.uint8)  # the last looks like the second
    assert emoji.group_entries(entries, pictures).tolist() == [0, 1, 0, 2, 1]


def test_drawings_that_tell_by_hand():
    drawings = np.array([[[1]], [[2]], [[2]], [[3]], [[3]], [[0]]], np.uint8)
    groups = np.array([0, 1, 1, 2, 3, 4])
    telling = emoji.mark_telling(drawings, groups)
    assert telling.tolist() == [True, True, True, False, False, False]


# ---- grades


@pytest.mark.parametrize(
    ("query", "name", "expected"),
    [
        ("detective", "detective", 3),
        ("detective", "woman detective", 2),
        ("woman detective", "man detective", 2),
        ("crying face", "angry face", 0),  # subgroups face-concerned, face-negative
        ("bacon", "cheese wedge", 1),
        ("bacon", "balloon", 0),
    ],
)
def test_grades_by_hand(corpus, query, name, expected):
    qrels = emoji.judge([query], corpus, np.array([at(corpus, name)]))
    assert qrels == Qrels.from_ids({0: {0: expected} if expected else {}}, [0], [0])


def test_equal_pictures_bear_each_others_names(corpus):
    gallery = np.array([at(corpus, "flag: France"), at(corpus, "flag: Kenya")])
    # St. Martin is not in the gallery: its picture is known to be in the group of France.
    qrels = emoji.judge(["flag: St. Martin"], corpus, gallery)
    assert qrels == Qrels.from_ids({0: {0: 2, 1: 1}}, [0], [0, 1])
    gallery = np.array([at(corpus, "flag: France"), at(corpus, "flag: St. Martin")])
    assert emoji.judge(["flag: St. Martin"], corpus, gallery).grades.tolist() == [3, 3]


def test_grades_follow_the_definition_for_every_pair(corpus):
    task = emoji.task("test")
    positions = corpus.positions("test")
    names = [corpus.names["en"][p] for p in positions]
    pixels = [corpus.color[p].tobytes() for p in positions]
    for query, name in enumerate(task.queries):
        own = names.index(name)
        expected = [
            3 if pixels[item] == pixels[own]
            else 2 if corpus.groups[position] == corpus.groups[positions[own]]
            else 1 if corpus.subgroups[position] == corpus.subgroups[positions[own]]
            else 0
            for item, position in enumerate(positions)
        ]  # fmt: skip
        items, grades = task.qrels.row(query)
        found = np.zeros(len(positions), dtype=int)
        found[items] = grades
        assert found.tolist() == expected


def test_refuses_a_text_that_no_emoji_bears(corpus):
    with pytest.raises(RetrievalInputError, match=r"queries\[1\] is 'blue cow', which no emoji"):
        emoji.judge(["cat", "blue cow"], corpus, np.arange(3))
    with pytest.raises(RetrievalInputError, match="which no emoji is called"):
        emoji.judge(["cat"], corpus, np.arange(3), language="de")


# ---- tasks


@pytest.mark.parametrize(
    "choice", [{}, {"style": "line"}, {"captions": "aliases"}, {"language": "ja"}]
)
def test_directions_are_transposes(choice):
    forward = emoji.task("validation", **choice)
    backward = emoji.task("validation", "image_to_text", **choice)
    assert backward.qrels == forward.qrels.T and backward.gallery == forward.queries
    np.testing.assert_array_equal(backward.queries, forward.gallery)
    for task in (forward, backward):
        assert (task.qrels.at_least(3).counts >= 1).all() and task.hit_grade == 3
        assert len(set(map(str, forward.queries))) == len(forward.queries)


def test_task_is_complete(corpus):
    task = emoji.task()
    assert (task.name, task.split, task.direction, task.datasheet) == (
        "emoji", "test", "text_to_image", "emoji",
    )  # fmt: skip
    assert len(task.queries) == len(task.gallery) == 169 and task.gallery.shape[1:] == (64, 64, 3)
    group_of = dict(zip(corpus.names["en"], corpus.groups.tolist(), strict=True))
    assert task.query_groups.tolist() == [group_of[query] for query in task.queries]
    backward = emoji.task("test", "image_to_text")
    assert backward.query_groups.tolist() == corpus.groups[corpus.positions("test")].tolist()


def test_the_languages_ask_for_the_same_pictures():
    english = emoji.task("test")
    for language in emoji.LANGUAGES[1:]:
        other = emoji.task("test", language=language)
        assert other.name == f"emoji, {language}" and other.qrels == english.qrels
        assert len(set(other.queries) & set(english.queries)) < 20  # proper nouns, loan words
        np.testing.assert_array_equal(other.gallery, english.gallery)
    german = emoji.task("test", language="de")
    assert german.queries[english.queries.index("bacon")] == "bacon"
    assert german.queries[english.queries.index("hospital")] == "krankenhaus"


def test_line_drawings_are_a_task_of_their_own(corpus):
    task = emoji.task("test", style="line")
    assert task.name == "emoji, line" and task.gallery.shape == (142, 64, 64)
    assert not any(query.startswith("flag: ") for query in task.queries)


def test_aliases_are_queries_of_the_pictures_that_have_some(corpus):
    task = emoji.task("test", captions="aliases")
    positions = [p for p in corpus.positions("test") if corpus.aliases[p]]
    assert task.name == "emoji, aliases" and len(task.gallery) == len(positions) == 84
    bearers = [[alias in corpus.aliases[p] for p in positions] for alias in task.queries]
    same_pixels = task.qrels.at_least(3)
    for query, row in enumerate(bearers):
        assert set(np.flatnonzero(row)) <= set(same_pixels.row(query)[0].tolist())


def test_a_larger_picture_is_the_same_task(corpus, monkeypatch):
    # A stand-in for the drawing of all emoji at 96 pixels, which takes half a minute.
    shape = (len(corpus), 96, 96)
    large = {"color": np.zeros((*shape, 3), np.uint8), "line": np.zeros(shape, np.uint8)}
    monkeypatch.setattr(emoji, "cached_pictures", lambda codes, size: large)
    try:
        task = emoji.load_emoji.__wrapped__(96)
    finally:
        emoji.load_emoji.cache_clear()
    assert task.color.shape[1:] == (96, 96, 3)
    np.testing.assert_array_equal(task.groups, corpus.groups)
    np.testing.assert_array_equal(task.splits, corpus.splits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "aside"}, "split must be one of 'train', 'validation', 'test'; got 'aside'"),
        ({"direction": "text_to_text"}, "direction must be one of"),
        ({"language": "english"}, "language must be one of 14 names|language must be one of 'en'"),
        ({"style": "colour"}, "style must be one of 'color', 'line'.*Did you mean 'color'"),
        ({"captions": "tags"}, "captions must be one of 'names', 'aliases'"),
        ({"captions": "aliases", "language": "de"}, "language must be 'en' for captions 'aliases'"),
        ({"size": 65}, "size must be 64 or 96 pixels, got 65"),
        ({"size": "64"}, "size must be 64 or 96 pixels, got '64'"),
    ],
)
def test_bad_choices_are_refused(options, message):
    with pytest.raises(RetrievalInputError, match=message):
        emoji.task(**options)
