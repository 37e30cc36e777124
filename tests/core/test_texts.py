import pytest

from lib.core.reading import DamagedFileError
from lib.core.texts import decode_text, text_encoding

TEXT = "größer, 猫 🙂"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_text_comes_back_without_its_mark(encoding):
    assert decode_text(TEXT.encode(encoding), "a.txt") == TEXT


def test_marks_by_hand():
    assert decode_text(b"\xfe\xff\x00a\x00\xe9", "a.txt") == "aé"
    assert decode_text(b"\xff\xfea\x00\xe9\x00", "a.txt") == "aé"
    assert decode_text(b"\x00\x00\xfe\xff\x00\x00\x00a", "a.txt") == "a"
    assert (
        text_encoding(b"\xff\xfe\x00\x00") == "utf-32" and text_encoding(b"\xff\xfea") == "utf-16"
    )
    assert decode_text(b"", "a.txt") == "" and text_encoding(b"a") == "utf-8"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("größer".encode("latin-1"), "a.txt is no text in UTF-8: byte 2 cannot be read"),
        (b"\xff\xfea", "byte 2 cannot be read .truncated data."),
        (b"\xff\xfe\x00\xd8a\x00", "cannot be read .illegal UTF-16 surrogate."),
        ("abc".encode("utf-16-le"), "it holds zero bytes. Save it as UTF-8"),
        (b"GIF89a\x00\x01", "it holds zero bytes"),
    ],
)
def test_what_is_no_text_is_told(content, problem):
    with pytest.raises(DamagedFileError, match=problem):
        decode_text(content, "a.txt")
