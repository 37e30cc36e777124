"""Decks as markdown: slides, notes, minutes, and numbers that nobody read from a notebook."""

import pytest

from lib.core.checks import RetrievalInputError
from lib.course.slides.deck import directives, read_deck, settings_in, typed_numbers

TEXT = """# A title

A question?

Notes (3 min):
Say it.

## The `answer`

{{figure a1 | crop: 0 0 100 50 | side}}

Notes (4 min):
**Asked:** why? Because.
"""


@pytest.fixture
def deck_file(tmp_path):
    path = tmp_path / "07_topic.md"
    path.write_text(TEXT)
    return path


def test_a_deck_has_slides_with_notes_and_minutes(deck_file):
    deck = read_deck(deck_file)
    assert deck.title == "A title"
    assert [slide.minutes for slide in deck.slides] == [3, 4] and deck.minutes == 7
    assert deck.slides[0].body == "A question?"
    assert deck.slides[1].title == "The `answer`"
    assert deck.slides[1].notes == "**Asked:** why? Because."


def test_a_directive_has_an_argument_and_options(deck_file):
    (piece,) = directives(read_deck(deck_file).slides[1].body)
    assert (piece.name, piece.argument) == ("figure", "a1")
    assert piece.options == {"crop": "0 0 100 50", "side": ""}


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("", "must begin with its only"),
        ("words\n# Title\n\nNotes (1 min):\nx\n", "must begin with its only"),
        ("## Slide\n\nNotes (1 min):\nx\n", "must begin with its only"),
        (TEXT + "\n# Another\n\nNotes (1 min):\nx\n", "must begin with its only"),
        ("# Title\n\nbody without notes\n", "'Title'.*Notes"),
        ("# Title\n\nNotes (1 min):\n\n", "'Title'.*Notes"),
        ("# Title\n\nNotes (a min):\nx\n", "'Title'.*Notes"),
    ],
)
def test_what_is_no_deck_is_refused(tmp_path, text, complaint):
    path = tmp_path / "bad.md"
    path.write_text(text)
    with pytest.raises(RetrievalInputError, match=complaint):
        read_deck(path)


@pytest.mark.parametrize(
    "text, numbers",
    [
        ("R@10 is 43.6 percent", ["43.6"]),
        ("it gains +3 points [1.2, 4.8]", ["+3", "1.2,", "4.8"]),
        ("half a second, .5 of it", [".5"]),
        ("twice as good, by ten points", ["ten points"]),
        ("Notebook 05 and notebooks 13 to 17, section 4, exercise 2", []),
        ("Radford et al. 2021 trained ViT-B-32 on COCO-5K in float32", []),
        ("{{value a1 k}} of {{entry b2 | row: R@1, 3 | column: 5}}", []),
        ("a temperature of `temperature=0.07`", []),
        (r"$$\frac{1}{2} x_1$$ and $k = 3$", []),
        ("it is $43.6$", ["43.6"]),
        ("three encoders, two of them trained", []),
    ],
)
def test_numbers_that_are_typed_are_found(text, numbers):
    assert typed_numbers(text) == numbers


def test_code_with_numbers_is_a_setting():
    assert settings_in("`k=3`, `name`, and {{code `x=2`}}; `R@10`") == ["k=3"]
