"""The order of play: repeats, endings and parts by hand."""

import pytest

from lib.core.reading import DamagedFileError
from lib.datasets.tunes import parse_abc
from lib.datasets.tunes.abc_fields import FieldError
from lib.datasets.tunes.abc_order import part_order

LETTERS = {60: "C", 62: "D", 64: "E", 65: "F", 67: "G", 69: "A", 71: "B"}


def played(music, parts="", **choices):
    head = f"X:1\nL:1/4\n{parts}\nK:C\n" if parts else "X:1\nL:1/4\nK:C\n"
    (melody,) = parse_abc(head + music, **choices)
    return "".join(LETTERS[pitch] for pitch in melody.pitches.tolist())


@pytest.mark.parametrize(
    ("music", "order"),
    [
        ("C|D|", "CD"),
        ("|:C|D:|", "CDCD"),
        ("C|D:|E", "CDCDE"),
        ("C:|D:|", "CCDD"),  # back to the end of the last repeat
        ("|:C::D:|", "CCDD"),
        ("C:||:D:|", "CCDD"),
        ("C:|:D:|", "CCDD"),
        ("C||D:|", "CDD"),  # back to the double bar
        ("C|]D:|", "CDD"),
        ("C[|]D:|", "CDCD"),  # an invisible bar is none
        ("|:C||D:|", "CDCD"),  # a sign counts more than a double bar
        ("|:C|1D:|2E|]F", "CDCEF"),
        ("|:C[1D:|[2E||F:|", "CDCEFF"),
        ("|:C|1,3D:|2E:|F", "CDCECDF"),
        ("|:C|1-2D:|3E|]", "CDCDCE"),
        ("C|1D:|2E||F|1G:|2A|]", "CDCEFGFA"),
        ("C|1D:|E|]", "CDCE"),  # the second ending has no sign
        ("C|1D||E|]", "CDE"),  # an ending without a repeat
        ("|::C::|D", "CCCD"),
        ("C|\n:|", "CC"),
        ("C:|", "CC"),
        ("C|2D|", "CD"),
    ],
)
def test_repeats(music, order):
    assert played(music) == order


def test_written_notes_come_once():
    assert played("|:C|1D:|2E|]F:|", repeats=False) == "CDEF"


def test_parts():
    assert played("P:A\nC\nP:B\nD\n", "P:ABA") == "CDC"
    assert played("P:A\nC:|\nP:B\nD|]\n", "P:A2B") == "CCCCD"
    assert played("E\nP:A\n|:C:|\nP:B\n|:D:|\n", "P:AB") == "ECCDD"
    assert played("P:A\nC\nP:B\nD\n") == "CD"
    assert played("C|D", "P:AB") == "CD"  # without marks in the music there is no order
    voices = "P:A\n[V:1]C|\n[V:2]E|\nP:B\n[V:1]D|\n[V:2]F|\n"
    assert played(voices, "P:ABA") == "CDC"


def test_part_orders():
    assert part_order("A2(BC)2") == list("AABCBC")
    assert part_order("A.B (A(BC)2)2") == list("ABABCBCABCBC")
    assert part_order("") == []


@pytest.mark.parametrize("text", ["A(B", "A)B", "a b", "A;B", "((((A9)9)9)9)", "Verse"])
def test_orders_that_make_no_sense_are_refused(text):
    with pytest.raises(FieldError, match="order of parts"):
        part_order(text)


def test_a_part_that_is_not_marked_is_refused():
    with pytest.raises(DamagedFileError, match="asks for part 'C'"):
        played("P:A\nC\nP:B\nD\n", "P:ABC")


def test_a_tune_that_plays_without_end_is_refused():
    with pytest.raises(DamagedFileError, match="more than 100,000 notes"):
        played("P:A\n" + "C" * 10_000 + ":|\n", "P:A9A9")
