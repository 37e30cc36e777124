"""Pictures: what is opened, what is refused, and what is left closed."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.media.pictures import FORMATS, open_picture


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int, height: int, pixels: bytes, bits: int = 8, colour: int = 2, extra: bytes = b""
) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + extra + body


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims the size."""
    return png(width, height, b"\0" * 100)


def saved(picture: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


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


@pytest.mark.parametrize("size", [(1, 70_000), (70_000, 1)])
def test_a_picture_of_endless_sides_is_refused(root, size):
    (root / "line.png").write_bytes(bomb(*size))
    with pytest.raises(
        RetrievalInputError, match=r"line\.png must have sides of at most 65,535 pixels, got"
    ):
        open_picture(root / "line.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_not_waited_for(root):
    os.mkfifo(root / "pipe.png")
    with pytest.raises(RetrievalInputError, match=r"pipe\.png must be a file"):
        open_picture(root / "pipe.png")


def test_a_lack_of_memory_names_the_picture(root, monkeypatch):
    def without_memory(*_):
        raise MemoryError

    monkeypatch.setattr("lib.datasets.media.pictures._eight_bits", without_memory)
    with pytest.raises(MemoryError, match=r"grey\.png needs more memory"):
        open_picture(root / "grey.png")


def test_damage(root):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "noise.jpg")
    whole = (root / "noise.jpg").read_bytes()
    with pytest.raises(DamagedFileError, match=r"shard 3: 7\.jpg cannot be decoded"):
        open_picture(whole[: len(whole) // 2], name="shard 3: 7.jpg")
    for junk in (b"", b"<html>not found</html>"):
        (root / "junk.jpg").write_bytes(junk)
        with pytest.raises(
            DamagedFileError, match=r"junk\.jpg is (empty|not a picture).*one of JPEG"
        ):
            open_picture(root / "junk.jpg")
    with pytest.raises(MissingFileError, match=r"none\.jpg"):
        open_picture(root / "none.jpg")


@pytest.mark.filterwarnings("ignore")  # Pillow warns of odd tags
def test_whatever_a_decoder_raises_the_picture_is_damaged():
    """Pillow raises ValueError, AssertionError, SyntaxError and more for these."""
    text = chunk(b"zTXt", b"c\0\0" + zlib.compress(b"a" * 2_000_000))
    profile = chunk(b"iCCP", b"p\0\0" + zlib.compress(b"a" * 5_000_000))
    for extra in (text, profile):
        with pytest.raises(DamagedFileError, match="the picture cannot be decoded.*leave it out"):
            open_picture(png(1, 1, b"\0\1\2\3", extra=extra))
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8))
    others = [noise.rotate(90), noise.rotate(180)]
    files = [saved(noise, kind) for kind in FORMATS]
    files += [
        saved(noise, kind, save_all=True, append_images=others)
        for kind in ("PNG", "GIF", "WEBP", "TIFF")
    ]
    rng, leaked = np.random.default_rng(1), []
    for data in files:
        for trial in range(150):
            mutant = bytearray(data)
            if trial % 3 == 0:  # cut
                del mutant[rng.integers(len(data)) :]
            else:  # bytes of the header, or anywhere
                for at in rng.integers(64 if trial % 3 == 1 else len(data), size=3):
                    mutant[at % len(mutant)] = rng.integers(256)
            try:
                open_picture(bytes(mutant))
            except (DamagedFileError, RetrievalInputError):
                pass
            except Exception as error:
                leaked.append(repr(error))
    assert not leaked, leaked[:5]


def test_sixteen_bits_are_scaled_to_eight():
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    ramp = levels * 257
    rgb = np.repeat(ramp[..., None], 3, axis=2).astype(">u2")
    files = {
        "16-bit grey PNG": saved(Image.fromarray(ramp), "PNG"),
        "16-bit grey TIFF": saved(Image.fromarray(ramp), "TIFF"),
        "16-bit big-endian TIFF": saved(
            Image.frombytes("I;16B", (16, 16), ramp.astype(">u2").tobytes()), "TIFF"
        ),
        "32-bit integers": saved(Image.fromarray(ramp.astype(np.int32)), "TIFF"),
        "floats to 1": saved(Image.fromarray((levels / 255).astype(np.float32)), "TIFF"),
        "floats to 255": saved(Image.fromarray(levels.astype(np.float32)), "TIFF"),
        "floats to 65,535": saved(Image.fromarray(ramp.astype(np.float32)), "TIFF"),
        "16-bit PGM": b"P5 16 16 65535\n" + ramp.astype(">u2").tobytes(),
        "16-bit RGB PNG": png(16, 16, b"".join(b"\0" + row.tobytes() for row in rgb), bits=16),
    }
    for name, data in files.items():
        assert np.array_equal(np.asarray(open_picture(data))[..., 0], levels), name
    for wrong in (np.nan, -1.0, 70_000.0):
        picture = Image.fromarray(np.full((2, 2), wrong, dtype=np.float32))
        with pytest.raises(DamagedFileError, match="expected 0 to 65535"):
            open_picture(saved(picture, "TIFF"))


def test_the_camera_orientation_is_applied():
    left_red = Image.new("RGB", (4, 2), (0, 0, 255))
    left_red.paste((255, 0, 0), (0, 0, 2, 2))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned 90 degrees clockwise: left becomes top
    for kind in ("PNG", "WEBP", "TIFF"):
        upright = open_picture(
            saved(left_red, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
        )
        assert upright.size == (2, 4), kind
        assert upright.getpixel((0, 0)) == (255, 0, 0) and upright.getpixel((0, 3)) == (
            0,
            0,
            255,
        ), kind
    grey = Image.fromarray(np.zeros((2, 4), dtype=np.uint16))
    assert open_picture(saved(grey, "PNG", exif=exif)).size == (2, 4)


def test_other_formats_are_named_with_advice():
    heads = {
        b"\0\0\0\x0cjP  \r\n\x87\n": "is a JPEG 2000 file",
        b"%PDF-1.7": "is a PDF file",
        b"  <svg xmlns='x'/>": "is a SVG or XML file",
    }
    for head, message in heads.items():
        with pytest.raises(DamagedFileError, match=message):
            open_picture(head, name="it")


def test_a_folder_is_no_picture(root):
    with pytest.raises(RetrievalInputError, match="a cannot be opened"):
        open_picture(root / "a")
