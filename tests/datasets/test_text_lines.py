"""Lines of text and of JSON: nothing is changed but the ends, and damage is named."""

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.text_lines import read_json_lines, read_lines

# What Python's splitlines takes for the end of a line, apart from the real ends.
INSIDE = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\r"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("lines") / "lines.txt"


def test_only_line_feeds_end_a_line(path):
    texts = [f"a{mark}b" for mark in INSIDE]
    path.write_bytes("\n".join(texts).encode())
    assert list(read_lines(path)) == texts


def test_letters_stay_in_the_form_of_the_file(path):
    composed, decomposed = "vàng é", unicodedata.normalize("NFD", "vàng é")
    marked = "قلب\u200f: أحمر; ستاره\u200c; ０ｗ; נַעַר"
    path.write_bytes("\r\n".join([composed, decomposed, marked, " a  "]).encode("utf-8-sig"))
    assert list(read_lines(path)) == [composed, decomposed, marked, " a  "]
    assert composed != decomposed


@settings(max_examples=25)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\ufeff"))))
def test_what_was_written_is_read(path, texts):
    path.write_bytes("".join(text + "\n" for text in texts).encode())
    assert list(read_lines(path)) == texts
    path.write_bytes("".join(json.dumps([text]) + "\n" for text in texts).encode())
    if texts:
        with pytest.raises(RetrievalInputError, match="line 1 must be a JSON object"):
            list(read_json_lines(path))


def test_objects_and_their_places(path):
    path.write_bytes('{"a": "é"}\n\n  \n{"a": "\\u00e9"}'.encode())
    found = list(read_json_lines(path))
    assert found == [(f"{path}, line 1", {"a": "é"}), (f"{path}, line 4", {"a": "é"})]


@pytest.mark.parametrize("line", [b"{", b'{"a": 1}}', b"[" * 100_000, b"nul", b'{"a": "\xff"}'])
def test_damage_is_named(path, line):
    path.write_bytes(b'{"a": 1}\n' + line + b"\n")
    with pytest.raises(DamagedFileError, match=r"lines\.txt.* is not (JSON|UTF-8 text)"):
        list(read_json_lines(path))


def test_a_missing_file(tmp_path):
    with pytest.raises(MissingFileError, match=r"none\.txt is missing"):
        list(read_lines(tmp_path / "none.txt"))


def test_the_line_of_a_letter_in_another_encoding_is_named(path):
    path.write_bytes(b"ein Hund\n" * 2000 + "grün\n".encode("latin-1"))
    with pytest.raises(DamagedFileError, match=r"line 2001 has the byte 0xfc.*Latin-1.*as UTF-8"):
        list(read_lines(path))


def test_a_key_that_is_there_twice_is_refused(path):
    path.write_bytes(b'{"a": 1}\n{"b": {"a": 1, "a": 2}}\n')
    with pytest.raises(RetrievalInputError, match="line 2: the key 'a' is there twice"):
        list(read_json_lines(path))
