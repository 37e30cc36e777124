"""Pictures from files: opened one by one, bounded in size, upright, with all their grey levels."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lib.core.checks import RetrievalInputError
from lib.core.files import DamagedFileError, MissingFileError
from lib.datasets.media.files import MediaFiles

# 201 MB as RGB. The largest COCO picture has 640 x 640 pixels; a file of a few kB can claim 50,000
# x 50,000.
MAX_PIXELS = 1 << 26
# JPEG and GIF end there. PNG does not, and a row takes memory of its own: 1 x 60,000,000 pixels
# took 2 GB.
MAX_SIDE = 65_535
# Pillow has parsers for many more, some of which start other programs (EPS runs Ghostscript).
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
# First bytes of what people also have, and what to do with such a file.
_OTHERS = (
    (4, (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypheim", b"ftypmif1", b"ftypmsf1"), "HEIC"),
    (0, (b"\xff\x0a", b"\0\0\0\x0cJXL "), "JPEG XL"),
    (0, (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"), "JPEG 2000"),
    (0, (b"8BPS",), "Photoshop"),
    (0, (b"%PDF",), "PDF"),
    (0, (b"%!PS", b"\xc5\xd0\xd3\xc6"), "PostScript"),
    (0, (b"<svg", b"<?xml"), "SVG or XML"),
)


def open_picture(
    source: str | Path | bytes,
    max_pixels: int = MAX_PIXELS,
    *,
    name: str | None = None,
    mode: str = "RGB",
) -> Image.Image:
    """Open one picture as RGB, after its header has shown that it is not too large.

    The orientation that a camera writes into EXIF is applied. 16 bits a channel are scaled to 8 (v
    / 257). Of an animation the first frame is read. Transparency is dropped in mode RGB.

    Args:
        source: a path, or the bytes of a file (a member of an archive).
        max_pixels: the largest width times height that is decoded.
        name: what messages call it; the path by itself.
        mode: "RGB", or "RGBA" to keep transparency.

    Returns:
        A loaded picture of that mode; no file stays open.

    Raises:
        MissingFileError: no file at the path.
        RetrievalInputError: more than `max_pixels` (a decompression bomb) or `MAX_SIDE`, a file
            that may not be read, or a pipe or a device.
        DamagedFileError: not a picture, not one of FORMATS, or not decodable.
    """
    shown = name or ("the picture" if isinstance(source, bytes) else str(source))
    stream = io.BytesIO(source) if isinstance(source, bytes) else Path(source)
    if isinstance(stream, Path) and stream.exists() and not (stream.is_file() or stream.is_dir()):
        raise RetrievalInputError(
            f"{shown} is a pipe or a device; expected a file. Save its content first"
        )
    try:
        with Image.open(stream, formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise RetrievalInputError(
                    _too_large(shown, f"{width:,} x {height:,} pixels", max_pixels)
                )
            if max(width, height) > MAX_SIDE:
                raise RetrievalInputError(
                    f"{shown} is too long: {width:,} x {height:,} pixels, at most {MAX_SIDE:,} a"
                    " side are decoded. Cut it into parts, or leave it out"
                )
            eight_bits = _eight_bits(picture, shown)
            return ImageOps.exif_transpose(eight_bits).convert(mode)
    except Image.DecompressionBombError as error:  # Pillow's own limit comes first for the largest
        limit = f"more than Pillow's limit of {2 * Image.MAX_IMAGE_PIXELS:,} pixels"
        raise RetrievalInputError(_too_large(shown, limit, max_pixels)) from error
    except FileNotFoundError as error:
        raise MissingFileError(f"{shown} is missing") from error
    except UnidentifiedImageError as error:
        raise DamagedFileError(_unknown(source, shown)) from error
    except (RetrievalInputError, DamagedFileError):
        raise
    except MemoryError as error:  # not called damaged: a file that is whole would be left out
        raise MemoryError(
            f"{shown} takes more memory to decode than there is. Free some"
        ) from error
    except (PermissionError, IsADirectoryError) as error:
        raise RetrievalInputError(
            f"{shown} cannot be opened ({error.strerror}); expected a file you may read"
        ) from error
    except (
        Exception
    ) as error:  # decoders of damaged files raise ValueError, AssertionError, IndexError, ...
        text = str(error) or type(error).__name__
        raise DamagedFileError(
            f"{shown} cannot be decoded: {text}. Get the file again, or leave it out"
        ) from error


def _eight_bits(picture: Image.Image, shown: str) -> Image.Image:
    """Scale grey of 16 bits, integers or floats to 8 bits; every other mode stays as it is.

    Full scale is 65,535 for 16 bits and for integers (mode I). Floats (mode F) do not say their
    full scale: it is the smallest of 1, 255 and 65,535 that holds the brightest pixel.
    """
    if not picture.mode.startswith("I") and picture.mode != "F":
        return picture
    pixels = np.asarray(picture, dtype=np.float32)
    low, high = float(pixels.min()), float(pixels.max())
    scales = (1.0, 255.0, 65_535.0) if picture.mode == "F" else (65_535.0,)
    full = next((scale for scale in scales if high <= scale), None)
    if full is None or not low >= 0:  # NaN is not >= 0
        raise DamagedFileError(
            f"{shown} has grey values from {low:g} to {high:g}; expected 0 to {scales[-1]:g}. "
            "Save it with 8 or 16 bits a channel"
        )
    grey = Image.fromarray(np.rint(pixels * (255 / full)).astype(np.uint8))
    grey.getexif().update(picture.getexif())
    return grey


def _unknown(source: str | Path | bytes, shown: str) -> str:
    """The message for a file that is in none of FORMATS; names the format where the first bytes
    tell it.
    """
    if isinstance(source, bytes):
        head = source[:64]
    else:
        with open(source, "rb") as stream:
            head = stream.read(64)
    for at, starts, kind in _OTHERS:
        if head[at:].lstrip().startswith(starts) or head[at:].startswith(starts):
            advice = "Save it as JPEG or PNG"
            if kind == "HEIC":
                advice += " (the package pillow-heif converts it: pip install pillow-heif)"
            return f"{shown} is a {kind} file, which is not read here. {advice}"
    what = "is empty" if not head else "is not a picture that can be read"
    return (
        f"{shown} {what}; expected one of {', '.join(FORMATS)}. Get the file again, or leave it out"
    )


def _too_large(shown: str, size: str, max_pixels: int) -> str:
    return (
        f"{shown} is too large: {size}, at most {max_pixels:,} are decoded. Pass a larger"
        " max_pixels if it is meant to be so large"
    )


class PictureFiles(MediaFiles):
    """Pictures under one root, by name; `[i]` is one RGB picture, a slice is `PictureFiles`
    again.
    """

    kind = "pictures"

    def open(self, path: Path) -> Image.Image:
        return open_picture(path)
