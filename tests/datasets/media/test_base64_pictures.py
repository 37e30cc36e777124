"""Pictures in a table of base64: decoded by id, and damage named with the table."""

import base64

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.media import base64_pictures
from lib.datasets.media.base64_pictures import Base64Pictures, places_of_lines
from lib.datasets.media.files import find_damaged
from lib.datasets.miniatures.writing import jpeg_bytes

GREY = {name: jpeg_bytes(np.full((8, 8, 3), 40 * at, np.uint8)) for at, name in enumerate("abc")}


@pytest.fixture
def root(tmp_path):
    rows = [name.encode() + b"\t" + base64.b64encode(content) for name, content in GREY.items()]
    (tmp_path / "t.tsv").write_bytes(b"\r\n".join([*rows, b"", b"empty\t", b"bad\tb'/9j/4A=='"]))
    return tmp_path


def pictures(root, names):
    return Base64Pictures(root, names, "t.tsv")


def test_pictures_by_id(root):
    media = pictures(root, ["c", "a", "none", "empty"])
    grey = [int(np.asarray(media[at]).mean()) for at in (0, 1)]
    assert abs(grey[0] - 80) < 3 and grey[1] < 3 and media[0].mode == "RGB"
    assert media.present().tolist() == [True, True, False, False] and len(media) == 4
    for at in (2, 3):
        with pytest.raises(MissingFileError, match=r"t\.tsv, picture (none|empty) is missing"):
            media[at]
    part = media[1:]
    assert isinstance(part, Base64Pictures) and part.names == ("a", "none", "empty")


def test_a_mark_at_the_start_is_no_part_of_an_id(root):
    whole = (root / "t.tsv").read_bytes()
    (root / "t.tsv").write_bytes(b"\xef\xbb\xbf" + whole)
    media = pictures(root, ["a", "c"])
    assert media.present().all() and int(np.asarray(media[1]).mean()) == 80


def test_the_fingerprint_tells_ids_and_content(root):
    one, other = pictures(root, ["a", "b"]), pictures(root, ["b", "a"])
    assert one.fingerprint() == pictures(root, ["a", "b"]).fingerprint() != other.fingerprint()
    before = one.fingerprint()
    (root / "t.tsv").write_bytes((root / "t.tsv").read_bytes() + b"\n")
    assert one.fingerprint() != before


def test_damage_is_named(root):
    reasons = find_damaged(pictures(root, ["a", "bad", "b"]))
    assert list(reasons) == [1] and "t.tsv, picture bad must be base64" in reasons[1]
    content = base64.b64encode(b"no picture")
    (root / "t.tsv").write_bytes(b"a\t" + content)
    with pytest.raises(DamagedFileError, match=r"t\.tsv, picture a is not a picture"):
        pictures(root, ["a"])[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\tAAAA\na\tAAAA", r"t\.tsv, line 2: ids must be distinct, got 'a' twice"),
        (b"a\tAAAA\nAAAA\n", r"t\.tsv, line 2: expected an id, a tab and base64"),
        (b"\tAAAA\n", r"t\.tsv, line 1: expected an id"),
        (b"\xff\tAAAA\n", r"t\.tsv, line 1: expected an id"),
    ],
)
def test_wrong_tables(tmp_path, content, message):
    (tmp_path / "t.tsv").write_bytes(content)
    with pytest.raises(RetrievalInputError, match=message):
        places_of_lines(tmp_path / "t.tsv")


def test_lines_without_end_and_missing_tables(tmp_path, monkeypatch):
    monkeypatch.setattr(base64_pictures, "MAX_LINE", 100)
    (tmp_path / "t.tsv").write_bytes(b"a\t" + b"A" * 200)
    with pytest.raises(DamagedFileError, match="line 1 has more than 100 bytes"):
        places_of_lines(tmp_path / "t.tsv")
    with pytest.raises(MissingFileError, match=r"none\.tsv is missing"):
        places_of_lines(tmp_path / "none.tsv")
    with pytest.raises(RetrievalInputError, match="relative path inside"):
        Base64Pictures(tmp_path, ["a"], "../t.tsv")
