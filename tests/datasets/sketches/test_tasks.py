"""Tasks of sketches: a concept lies in one split, grades are as defined, seeds are fixed."""

from collections import Counter

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets import emoji, pictures, sketches
from lib.datasets.sketches.drawings import emoji_groups, emoji_places
from lib.datasets.sketches.tasks import judge_emoji, judge_icons
from lib.datasets.strokes import Hand


@pytest.fixture(scope="module")
def names():
    return emoji.load_emoji().names["en"]


def place_of(names, name):
    return names.index(name)


@pytest.mark.parametrize(
    ("split", "direction", "sizes"),
    [
        ("test", "sketch_to_picture", (142, 169)),
        ("test", "sketch_to_icon", (43, 1449)),
        ("test", "sketch_to_document", (142, 169)),
        ("validation", "sketch_to_picture", (80, 101)),
        ("test_b", "sketch_to_icon", (15, 847)),
    ],
)
def test_sizes_of_the_datasheet(split, direction, sizes):
    task = sketches.task(split, direction)
    assert task.qrels.shape == sizes
    assert task.queries.shape == (sizes[0], 64, 64, 3) and task.queries.dtype == np.uint8
    assert (task.qrels.at_least(task.hit_grade).counts >= 1).all()
    places = sketches.query_places(split, direction)
    np.testing.assert_array_equal(task.query_groups, emoji_groups()[places])


def test_a_concept_lies_in_one_split():
    groups = {split: set(emoji_groups()[emoji_places(split)]) for split in pictures.SPLITS}
    icons = pictures.load_pictures()
    for split, own in groups.items():
        own |= set(icons.groups[icons.positions(split, ["icons"])])
    assert sum(map(len, groups.values())) == len(set().union(*groups.values()))


def test_grades_of_pictures_by_hand(names):
    drawn = [place_of(names, name) for name in ("woman artist", "banana")]
    shown = [
        place_of(names, name)
        for name in ("banana", "man artist", "woman artist", "grapes", "alarm clock")
    ]
    grades = judge_emoji(np.array(drawn), np.array(shown))
    table = np.zeros(grades.shape, int)
    table[grades.query_index, grades.items] = grades.grades
    # woman artist: her own picture 3, the man 2; banana: itself 3, grapes (a fruit) 1.
    np.testing.assert_array_equal(table, [[0, 2, 3, 0, 0], [3, 0, 0, 1, 0]])


def test_grades_of_icons_by_hand(names):
    corpus = pictures.load_pictures()
    wanted = ["alarm", "alarm bell", "bell", "house"]
    positions = np.array([corpus.names.index(name) for name in wanted])
    drawn = place_of(names, "bell")
    grades = judge_icons(np.array([drawn]), positions)
    assert dict(zip(grades.items.tolist(), grades.grades.tolist(), strict=True)) == {2: 3}
    assert corpus.groups[positions[2]] == emoji_groups()[drawn]


def test_the_same_sketch_in_every_task_and_another_one_for_another_variant():
    one = sketches.task("test", "sketch_to_picture", gallery="all").queries
    again = sketches.task("test", "sketch_to_document").queries
    other = sketches.task("test", "sketch_to_picture", variant=1).queries
    plain = sketches.task("test", "sketch_to_picture", deformed=False).queries
    np.testing.assert_array_equal(one, again)
    assert (one != other).any(axis=(1, 2, 3)).all()
    assert (one != plain).any(axis=(1, 2, 3)).all()
    assert (one.min(axis=(1, 2, 3)) < 40).all() and (one.max(axis=(1, 2, 3)) == 255).all()


def test_the_seed_of_a_drawing_does_not_depend_on_the_others():
    places = emoji_places("test", drawn=True)[:5]
    together = sketches.sketch_strokes(places)
    alone = sketches.sketch_strokes(places[3:4])[0]
    np.testing.assert_array_equal(together[3].points, alone.points)


def test_a_plain_hand_keeps_the_lines():
    place = int(emoji_places("test", drawn=True)[0])
    (kept,) = sketches.sketch_strokes([place], sketches.PLAIN)
    assert kept is sketches.emoji_strokes()[place]
    assert Hand() == sketches.PLAIN


def test_training_by_drawing_sees_the_test_concepts():
    test = set(emoji_places("test", drawn=True).tolist())
    assert not test & set(sketches.training_places().tolist())
    assert test <= set(sketches.training_places("drawing").tolist())
    assert len(sketches.training_places()) == 1345


def test_icons_find_pages_that_another_artist_drew():
    task = sketches.task("test", "sketch_to_document", queries="icon")
    assert task.qrels.shape == (186, 169) and task.hit_grade == 2
    assert set(task.qrels.grades.tolist()) <= {2, 3}
    groups = emoji_groups()[emoji_places("test")]
    np.testing.assert_array_equal(
        groups[task.qrels.items], task.query_groups[task.qrels.query_index]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"direction": "picture_to_sketch"}, "direction"),
        ({"split": "dev"}, "split"),
        ({"gallery": "icons"}, "gallery"),
        ({"queries": "icon"}, "queries"),
        ({"deformed": "no"}, "deformed"),
        ({"variant": -1}, "variant"),
    ],
)
def test_wrong_choices_are_named(arguments, message):
    with pytest.raises(RetrievalInputError, match=message):
        sketches.task(**arguments)


def test_an_emoji_without_lines_of_its_own_is_refused(names):
    with pytest.raises(RetrievalInputError, match="line drawing of their own, got"):
        sketches.sketch_strokes([place_of(names, "flag: France")])


def test_words_of_groups():
    corpus = emoji.load_emoji()
    words = {group: sketches.category_word(group) for group in set(corpus.subgroups)}
    assert words["food-drink, food-fruit"] == "fruit"
    assert words["food-drink, food-asian"] == "food"
    assert words["smileys-emotion, face-sleepy"] == "face"
    assert words["travel-places, sky-weather"] == "weather"
    assert all(word.isalpha() for word in words.values())
    pages = sketches.load_pages(np.arange(len(corpus)))
    for page, group in zip(pages, corpus.subgroups, strict=True):
        assert words[group] in page.text
    assert Counter(type(page) for page in pages) == {sketches.Page: 1914}
