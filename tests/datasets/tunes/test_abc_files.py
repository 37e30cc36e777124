"""ABC files: tunes of a file, heads, tempo, faults and damaged files."""

import random

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.tunes import parse_abc, read_abc

TWO = """% a comment
L:1/4

X:1
T:First
T:Another name
M:3/4
Q:1/4=90
K:G
GAB|c3|

some words between the tunes

X: 7
T:Second % really
L:1/8
K:Em
e2\\
f|
"""


def test_two_tunes(tmp_path):
    path = tmp_path / "two.abc"
    path.write_text(TWO.replace("\n", "\r\n"), encoding="utf-8-sig", newline="")
    first, second = read_abc(path)
    assert (first.title, first.key, first.tempo) == ("First", "G", 90)
    assert first.source == f"{path}#1"
    assert first.pitches.tolist() == [67, 69, 71, 72]
    assert first.durations.tolist() == [1, 1, 1, 3]  # the unit length of the file
    assert (second.title, second.key, second.tempo) == ("Second", "Em", None)
    assert second.durations.tolist() == [1, 0.5]  # its own
    assert second.pitches.tolist() == [76, 78]


def test_tunes_need_no_empty_line_between_them():
    assert len(parse_abc("X:1\nK:C\nA\nX:2\nK:C\nB\n")) == 2


@pytest.mark.parametrize(
    ("text", "tempo"),
    [('1/4=120 "Allegro"', 120), ("3/8=80", 120), ("1/2=60", 120), ("1/4 1/8=40", 60), ("100", 100),
     ("C=100", 50), ("C3=40", 60), ('"Slowly"', None), ("1/4=62.5", 62.5)],
)  # fmt: skip
def test_tempo(text, tempo):
    (melody,) = parse_abc(f"X:1\nL:1/8\nQ:{text}\nK:C\nA")
    assert melody.tempo == tempo


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "text has no tune"),
        ("A B c", "text has no tune"),
        ("X:1\nT:no key\n", "line 2: the tune has no K: field"),
        ("X:1\nhello\nK:C\nA", "line 2: a field like 'K:' must stand here, got 'hello'"),
        ("X:1\nK:Z\nA", "line 2: the key must be like"),
        ("X:1\nM:4\nK:C\nA", "line 3: the meter must be like"),
        ("X:1\nL:1/0\nK:C\nA", "L: must be a fraction"),
        ("X:1\nQ:fast\nK:C\nA", "the tempo must be like"),
        ("X:1\nQ:0\nK:C\nA", "the tempo must be above 0"),
        ("X:1\nK:C\nA\n\nX:2\nK:C\n\n", "line 6: the tune has no note"),
    ],
)
def test_faulty_texts(text, message):
    with pytest.raises(DamagedFileError, match=message):
        parse_abc(text)


def test_faults_can_be_collected():
    faults = []
    tunes = parse_abc("X:1\nK:C\nA$\n\nX:2\nK:C\nB\n", name="mine.abc", faults=faults)
    assert [tune.source for tune in tunes] == ["mine.abc#2"]
    assert faults == ["mine.abc, line 3: '$' is not ABC music"]


def test_files_that_are_none(tmp_path):
    with pytest.raises(MissingFileError, match="is missing"):
        read_abc(tmp_path / "none.abc")
    (tmp_path / "binary.abc").write_bytes(b"X:1\nK:C\n\xff\xfe")
    with pytest.raises(DamagedFileError, match="no text in UTF-8"):
        read_abc(tmp_path / "binary.abc")
    with open(tmp_path / "long.abc", "wb") as stream:
        stream.truncate(2**24 + 1)
    with pytest.raises(DamagedFileError, match="must have at most"):
        read_abc(tmp_path / "long.abc")


def test_damaged_texts_are_read_or_refused():
    draw = random.Random(0)
    base = TWO + 'X:3\nP:AB\nK:D\nP:A\n|:(3ABc [DF]2>A "Am"d{e}f- f|1 g/:|2 a3/2||\nP:B\nz2 B::c:|'
    signs = "\0|:[](){}<>\"'!+-=^_,/%&123ZzX\n\\:K:P:L:V:Aé９"
    refused = 0
    for _ in range(1500):
        text = list(base)
        for _ in range(draw.randint(1, 6)):
            place = draw.randrange(len(text))
            text[place : place + draw.randint(0, 3)] = draw.choices(signs, k=draw.randint(0, 4))
        try:
            parse_abc("".join(text))
        except (DamagedFileError, RetrievalInputError):
            refused += 1
    assert 300 < refused < 1500


@pytest.mark.parametrize(
    "sign", ["[", "(", '"', "{", "!", "+", "|", ":", "-", "A>", "[K:", "(9", "\\"]
)
def test_long_lines_of_one_sign_take_no_long_time(sign):
    text = "X:1\nK:C\nA" + sign * 200_000
    with pytest.raises(DamagedFileError):
        parse_abc(text + "$")
