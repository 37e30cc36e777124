"""Pages: what they say, and glosses from files in WordNet's format."""

import numpy as np
import pytest

from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import emoji, sketches

INDEX = """  1 This software and database is being provided to you
alarm_clock n 1 1 @ 1 0 02694662
banana n 2 2 @ ~ 2 1 12353203 07753592
"""
DATA = """  1 This software and database is being provided to you
02694662 06 n 02 alarm_clock 0 alarm 0 001 @ 03046257 n 0000 | a clock that wakes a sleeper
12353203 20 n 01 banana 0 001 @ 12352287 n 0000 | any of several tropical plants; "a tall banana"
07753592 13 n 01 banana 1 001 @ 07705931 n 0000 | elongated yellow fruit
"""


@pytest.fixture
def wordnet(tmp_path):
    (tmp_path / "index.noun").write_text(INDEX)
    (tmp_path / "data.noun").write_text(DATA)
    return tmp_path


def places(*names):
    return np.array([emoji.load_emoji().names["en"].index(name) for name in names])


def test_a_page_by_hand():
    (page,) = sketches.load_pages(places("alarm clock"))
    assert page.title == "alarm clock" and page.code == "23F0"
    assert page.text.startswith("Group: travel places, time. Also called") is False
    assert page.text.startswith("Group: travel places, time. In other languages: ")
    assert "wecker" in page.text
    assert page.words.startswith("alarm clock. Group")
    np.testing.assert_array_equal(page.picture, emoji.load_emoji().color[places("alarm clock")[0]])


def test_a_gloss_stands_first_and_has_no_example(wordnet):
    clock, banana, grapes = sketches.load_pages(places("alarm clock", "banana", "grapes"), wordnet)
    assert clock.text.startswith("A clock that wakes a sleeper. Group:")
    assert banana.text.startswith("Any of several tropical plants. Group:")
    assert grapes.text.startswith("Group:")


def test_missing_and_damaged_files_of_wordnet(tmp_path, wordnet):
    with pytest.raises(MissingFileError, match="index.noun is missing. Give the folder"):
        sketches.read_glosses(tmp_path / "elsewhere")
    (wordnet / "index.noun").write_text("alarm_clock n 1 1 @ 1 0 99999999\n")
    with pytest.raises(DamagedFileError, match="no file of WordNet"):
        sketches.read_glosses(wordnet)
