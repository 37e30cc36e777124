"""HEIC: read with pillow-heif, upright once, within the limits; without it the extra is named."""

import io

import numpy as np
import pytest
from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError
from lib.datasets.media import pictures
from lib.datasets.media.pictures import open_picture
from lib.search.collection import Collection
from tests.search.collection.conftest import build, encoder  # noqa: F401

HEAD = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def heic(picture: Image.Image, orientation: int = 1) -> bytes:
    """Write a HEIC file; another orientation than 1 becomes a rotation in the file."""
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.info["exif"] = exif.tobytes()
    stream = io.BytesIO()
    picture.save(stream, "HEIF", quality=95)
    return stream.getvalue()


def left_red(mode: str = "RGB") -> Image.Image:
    picture = Image.new(mode, (40, 24), "blue")
    picture.paste("red", (0, 0, 12, 24))
    return picture


def is_red(pixel) -> bool:
    return pixel[0] > 200 and pixel[2] < 60


def test_a_picture_is_turned_once():
    content = heic(left_red(), 6)  # to be turned 90 degrees clockwise: left becomes top
    assert b"irot" in content
    upright = open_picture(content)
    assert upright.size == (24, 40) and upright.mode == "RGB"
    assert is_red(upright.getpixel((12, 3))) and not is_red(upright.getpixel((12, 36)))
    plain = open_picture(heic(left_red()))
    assert plain.size == (40, 24) and is_red(plain.getpixel((3, 12)))
    assert not is_red(plain.getpixel((36, 12)))


def test_transparency_is_kept_on_request(tmp_path):
    picture = left_red("RGBA")
    picture.putalpha(Image.fromarray(np.tile(np.uint8([255, 0] * 20), (24, 1))))
    (tmp_path / "a.heic").write_bytes(heic(picture))
    assert open_picture(tmp_path / "a.heic", mode="RGBA").getextrema()[3][0] < 60
    assert open_picture(tmp_path / "a.heic").mode == "RGB"


def test_sizes_are_checked_before_anything_is_decoded(monkeypatch):
    content = heic(Image.new("RGB", (40, 24)))
    with pytest.raises(RetrievalInputError, match="it is too large: 40 x 24 pixels"):
        open_picture(content, 959, name="it")
    # The coded image may be larger than the crop that is shown: its own size counts.
    at = content.index(b"ispe") + 8
    large = content[:at] + (9_000).to_bytes(4, "big") * 2 + content[at + 8 :]
    with pytest.raises(RetrievalInputError, match="too large: 9,000 x 9,000 pixels"):
        open_picture(large)
    with pytest.raises(DamagedFileError, match="it states no size"):
        open_picture(content.replace(b"ispe", b"free"), name="it")


@pytest.mark.parametrize("length", [24, 100, 300, -20])
def test_a_damaged_file_is_our_error(length):
    content = heic(left_red())[:length]
    with pytest.raises(DamagedFileError, match="it (is a HEIC file that|cannot|states)"):
        open_picture(content, name="it")


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    with pytest.raises(DamagedFileError, match=r"pip install 'crossmodal-retrieval\[heic\]'"):
        open_picture(HEAD, name="it")


def test_a_collection_takes_heic_and_says_why_it_cannot(build, tmp_path, monkeypatch):  # noqa: F811
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "IMG_1.HEIC").write_bytes(heic(left_red(), 6))
    with monkeypatch.context() as patch:
        patch.setattr(pictures, "find_spec", lambda name: None)
        report = build(tmp_path / "pictures")
    assert report.rows == 0 and "[heic]" in report.failures[0].reason
    assert build(tmp_path / "pictures").rows == 1  # tried again, though the file is the same
    row = Collection(tmp_path / "collection").item(0)
    assert (row["width"], row["height"], row["format"]) == (24, 40, "HEIF")
