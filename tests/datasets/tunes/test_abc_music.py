"""Notes of ABC music, each rule by hand."""

import numpy as np
import pytest

from lib.core.reading import DamagedFileError
from lib.datasets.tunes import parse_abc

C, D, E, F, G, A, B = 60, 62, 64, 65, 67, 69, 71


def read(music, key="C", **head):
    fields = {"X": "1", "M": "4/4", "L": "1/4", **head, "K": key}
    text = "".join(f"{letter}:{value}\n" for letter, value in fields.items()) + music + "\n"
    return parse_abc(text)[0]


def pitches(music, key="C", **head):
    return read(music, key, **head).pitches.tolist()


def lengths(music, **head):
    return read(music, **head).durations.tolist()


def test_pitches_and_octaves():
    assert pitches("C,, C, C c c' c''") == [36, 48, 60, 72, 84, 96]
    assert pitches("C D E F G A B c d e f g a b")[-7:] == [72, 74, 76, 77, 79, 81, 83]


@pytest.mark.parametrize(
    ("key", "letters"),
    [("G", "f"), ("D", "fc"), ("Bb", "be"), ("Em", "f"), ("D dorian", ""), ("A Mix", "fc"),
     ("F#m", "fcg"), ("Eb lydian", "be"), ("B locrian", ""), ("Hp", "fc"), ("none", ""),
     ("Cb", "fcgdaeb"), ("GMinor", "be"), ("D clef=bass", "fc"), ("C exp ^f", "f")],
)  # fmt: skip
def test_keys(key, letters):
    natural = pitches("c d e f g a b")
    changed = pitches("c d e f g a b", key)
    assert {letter for letter, a, b in zip("cdefgab", natural, changed) if a != b} == set(letters)


def test_a_key_shifts_by_octave_and_transpose():
    assert pitches("C", "C octave=-1") == [48]
    assert pitches("C", "C transpose=3") == [63]


def test_accidentals_hold_to_the_bar_in_every_octave():
    assert pitches("^F F f =f F | F") == [66, 66, 78, 77, 65, 65]
    assert pitches("^^F __B") == [67, 69]
    assert pitches("=F F | F", "G") == [65, 65, 66]


def test_a_tie_carries_the_accidental_over_the_bar():
    melody = read("^F2- | F F")
    assert melody.pitches.tolist() == [66, 65]
    assert melody.durations.tolist() == [3, 1]


def test_lengths():
    assert lengths("A A2 A/ A// A/4 A3/2 A3/") == [1, 2, 0.5, 0.25, 0.25, 1.5, 1.5]
    assert lengths("A2", L="1/8") == [1]
    assert lengths("A") == [1]


@pytest.mark.parametrize(("meter", "unit"), [("2/4", 0.25), ("3/4", 0.5), ("6/8", 0.5), ("C", 0.5)])
def test_the_meter_gives_the_unit_length(meter, unit):
    text = f"X:1\nM:{meter}\nK:C\nA"
    assert parse_abc(text)[0].durations.tolist() == [unit]


def test_broken_rhythm():
    assert lengths("A>B A<B A>>B") == [1.5, 0.5, 0.5, 1.5, 1.75, 0.25]
    assert lengths("A > B") == [1.5, 0.5]
    assert lengths("A>B/") == [1, 0.5]  # unequal notes stay as they are written
    assert read("A>z B").onsets.tolist() == [0, 2]


def test_tuplets():
    assert lengths("(3ABc d") == pytest.approx([2 / 3] * 3 + [1])
    assert lengths("(2AB") == [1.5, 1.5]
    assert lengths("(4ABcd") == [0.75] * 4
    assert lengths("(5ABcde") == pytest.approx([2 / 5] * 5)
    assert lengths("(5ABcde", M="6/8") == pytest.approx([3 / 5] * 5)
    assert lengths("(3:2:4ABcd e") == pytest.approx([2 / 3] * 4 + [1])
    assert lengths("(3::2AB c") == pytest.approx([2 / 3, 2 / 3, 1])
    assert lengths("((3A>Bc)") == pytest.approx([1, 1 / 3, 2 / 3])


def test_ties_join_equal_pitches_only():
    assert lengths("A-A A-B") == [2, 1, 1]
    assert lengths("A- | A") == [2]
    assert lengths("A -A") == [2]  # a space before the sign
    assert lengths("A{b}-A") == [2]
    assert lengths("A-zA") == [1, 1]


def test_the_melody_is_the_top_note_of_a_chord():
    assert pitches("[CEG] [c4E2]") == [67, 72]
    assert lengths("[C2E]2 [CE]/") == [4, 0.5]
    assert lengths("[CE-]- [CE]") == [2]


def test_what_has_no_sound_is_passed_over():
    music = 'A"Am"B{cd}c !trill!d +fermata+e .f ~g (ab) Tc uA`B y c % d e'
    assert pitches(music) == [69, 71, 72, 74, 76, 77, 79, 81, 83, 72, 69, 71, 72]


def test_rests():
    assert read("A z A z2 x A Z A").onsets.tolist() == [0, 2, 6, 11]
    assert read("zA").onsets.tolist() == [1]


def test_fields_within_the_music():
    assert pitches("F[K:G]F\nK:F\nB") == [65, 66, 70]
    assert lengths("A[L:1/8]A\nL:1/2\nA") == [1, 0.5, 2]
    assert lengths("(5ABcde[M:6/8](5ABcde") == pytest.approx([0.4] * 5 + [0.6] * 5)
    assert pitches("A\nw:some words\nN:A note\nB") == [69, 71]
    assert pitches("A|\ne:|", L="1/4") == [69, 76, 69, 76]  # no field, a note and a bar


def test_the_melody_is_the_first_voice():
    text = "V:1\nA\nV:2\n^C\nV:1\nB\n[V:2]C[V:1]c"
    assert pitches(text) == [69, 71, 72]
    assert pitches("V:1\nz4\nV:2\nCD") == [60, 62]  # the first one that has notes


def test_onsets_are_sums_of_lengths():
    melody = read("A>B (3cde f2 z g")
    ends = melody.onsets + melody.durations
    assert np.allclose(melody.onsets[1:-1], ends[:-2])
    assert melody.onsets[-1] == pytest.approx(ends[-2] + 1)


@pytest.mark.parametrize(
    ("music", "message"),
    [
        ("A & B", "is not ABC music"),
        ("A $", "is not ABC music"),
        ('A "open', "is not ABC music"),
        ("A {bc", "is not ABC music"),
        ("[CE", "not closed"),
        ("[C[E]]", "within a chord"),
        ("C]", "closes no chord"),
        ("[]", "closes no chord"),
        ("[>A]", "between two notes"),
        ("A0", "above 0"),
        ("A/0", "above 0"),
        ("A12345", "is not ABC music"),
        ("A''''''", "outside 0..127"),
        ("[K:Q]A", "the key must be like"),
        ("[L:8]A[L:1/0]", "L: must be"),
        ("[M:x]A", "the meter must be like"),
        ("A|1-", "ending"),
        ("A" + ":" * 12 + "|", "colons"),
        ("A" * 20_001, "more than 20,000 notes"),
        ("[M:none]AZ", "needs a meter"),
    ],
)
def test_faults_name_file_and_line(music, message):
    with pytest.raises(DamagedFileError, match=rf"text, line [67].*{message}"):
        read("A\n" + music)


def test_a_tune_of_rests_is_refused():
    with pytest.raises(DamagedFileError, match="text, line 5: the tune has no note"):
        read("z4|")
    with pytest.raises(DamagedFileError, match="'>' must stand between two notes"):
        read(">A")
