"""Pictures: what is opened, what is refused, and what is left closed."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from lib.checks import RetrievalInputError
from lib.datasets.media.pictures import PictureFiles, open_picture
from lib.files import DamagedFileError, MissingFileError


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims the size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.fixture
def root(tmp_path):
    (tmp_path / "a").mkdir()
    Image.new("RGB", (4, 3), (255, 0, 0)).save(tmp_path / "a" / "red.png")
    Image.new("L", (2, 2), 7).save(tmp_path / "grey.png")
    return tmp_path


def test_open_gives_rgb(root):
    picture = open_picture(root / "grey.png")
    assert picture.mode == "RGB" and picture.getpixel((1, 1)) == (7, 7, 7)
    stream = io.BytesIO()
    Image.new("RGBA", (1, 1), (1, 2, 3, 0)).save(stream, "PNG")
    assert open_picture(stream.getvalue()).getpixel((0, 0)) == (1, 2, 3)  # transparency is dropped


@pytest.mark.parametrize("size", [(50_000, 50_000), (12_000, 12_000), (9_000, 9_000)])
def test_bombs_are_refused(root, size, recwarn):
    (root / "bomb.png").write_bytes(bomb(*size))
    with pytest.raises(RetrievalInputError, match=r"bomb\.png is too large"):
        open_picture(root / "bomb.png")


def test_pixel_limit(root):
    assert open_picture(root / "a" / "red.png", max_pixels=12).size == (4, 3)
    with pytest.raises(RetrievalInputError, match="4 x 3 pixels, at most 11"):
        open_picture(root / "a" / "red.png", max_pixels=11)


def test_damage(root):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "noise.jpg")
    whole = (root / "noise.jpg").read_bytes()
    with pytest.raises(DamagedFileError, match=r"shard 3: 7\.jpg cannot be decoded"):
        open_picture(whole[: len(whole) // 2], name="shard 3: 7.jpg")
    for junk in (b"", b"<html>not found</html>"):
        (root / "junk.jpg").write_bytes(junk)
        with pytest.raises(DamagedFileError, match=r"junk\.jpg is none of JPEG"):
            open_picture(root / "junk.jpg")
    with pytest.raises(MissingFileError, match=r"none\.jpg"):
        open_picture(root / "none.jpg")


def test_sequence(root):
    files = PictureFiles(root, ["a/red.png", "grey.png", "gone.png"])
    assert len(files) == 3 and files[0].size == (4, 3) and files[-2].size == (2, 2)
    assert files.present().tolist() == [True, True, False]
    part = files[1:]
    assert isinstance(part, PictureFiles) and part.names == ("grey.png", "gone.png")
    assert files.take([2, 0]).names == ("gone.png", "a/red.png")
    with pytest.raises(MissingFileError, match=r"gone\.png is missing \(item 2 of 3"):
        files[2]
    with pytest.raises(IndexError):
        files[3]
    assert [picture.size for picture in files[:2]] == [(4, 3), (2, 2)]


def test_empty_file_is_not_present(root):
    (root / "empty.jpg").touch()
    assert not PictureFiles(root, ["empty.jpg"]).present().any()


def test_fingerprint(root):
    names = ["a/red.png", "grey.png"]
    before = PictureFiles(root, names).fingerprint()
    assert before == PictureFiles(root, names).fingerprint()
    assert before != PictureFiles(root, names[::-1]).fingerprint()
    with open(root / "grey.png", "ab") as stream:
        stream.write(b"\0")
    assert before != PictureFiles(root, names).fingerprint()


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../../x", ""])
def test_names_stay_inside(root, name):
    with pytest.raises(RetrievalInputError):
        PictureFiles(root, [name])[0]
    with pytest.raises(RetrievalInputError):
        PictureFiles(root, [name]).present()


def test_link_that_leaves(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret.png"
    Image.new("RGB", (1, 1)).save(outside)
    (root / "link.png").symlink_to(outside)
    with pytest.raises(RetrievalInputError, match="link"):
        PictureFiles(root, ["link.png"])[0]
