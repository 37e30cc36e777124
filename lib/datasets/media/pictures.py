"""Open pictures from untrusted files: with size limits, upright, and with all grey levels."""

import io
import re
import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError

# 201 MB as RGB. The largest COCO picture has 640 x 640 pixels. A file of a few kB can claim
# 50,000 x 50,000.
MAX_PIXELS = 1 << 26
# The limit of JPEG and GIF. PNG has none, and each row needs extra memory: 1 x 60,000,000 pixels
# took 2 GB.
MAX_SIDE = 65_535
# Pillow has parsers for many more formats. Some start other programs (EPS runs Ghostscript).
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
# HEIC and its relatives, read by the package pillow-heif: the brands at bytes 8 to 12.
_HEIF_BRANDS = (
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1",
)  # fmt: skip
# Other common formats, recognised by their first bytes: (offset, first bytes, name).
_OTHERS = (
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
    """Open one picture as RGB; the size in its header is checked before anything is decoded.

    The EXIF orientation is applied. 16-bit channels are scaled to 8 bits (v / 257). Of an
    animation, the first frame is read. In mode RGB, transparency is dropped. HEIC is read where the
    package pillow-heif is installed (extra `heic`). `format` of the result is that of the file.

    Args:
        source: a path, or the bytes of a file (a member of an archive).
        max_pixels: the largest width times height that is decoded.
        name: of the picture in errors; by default the path.
        mode: "RGB", or "RGBA" to keep transparency.
    """
    shown = name or ("the picture" if isinstance(source, bytes) else str(source))
    stream = io.BytesIO(source) if isinstance(source, bytes) else Path(source)
    if isinstance(stream, Path) and stream.exists() and not (stream.is_file() or stream.is_dir()):
        raise RetrievalInputError(f"{shown} must be a file, got a pipe or a device")
    try:
        is_heif = _is_heif(_head_of(source)) and _reads_heif()
        formats = (*FORMATS, "HEIF") if is_heif else FORMATS
        with Image.open(stream, formats=formats) as picture:
            _check_size(shown, *picture.size, max_pixels)
            if picture.format == "HEIF":
                for size in _heif_sizes(source, shown):
                    _check_size(shown, *size, max_pixels)
            # pillow-heif turns a picture itself, and sets the orientation in its EXIF to upright.
            upright = ImageOps.exif_transpose(_eight_bits(picture, shown)).convert(mode)
            upright.format = picture.format
            return upright
    except Image.DecompressionBombError as error:  # Pillow's own limit, for the largest pictures
        limit = f"more than Pillow's limit of {2 * Image.MAX_IMAGE_PIXELS:,} pixels"
        raise RetrievalInputError(_too_large(shown, limit, max_pixels)) from error
    except FileNotFoundError as error:
        raise MissingFileError(f"{shown} is missing") from error
    except UnidentifiedImageError as error:
        raise DamagedFileError(_unknown_format(source, shown)) from error
    except (RetrievalInputError, DamagedFileError):
        raise
    except MemoryError as error:  # not "damaged": users would leave out a good file
        raise MemoryError(f"{shown} needs more memory than is free. Free some") from error
    except (PermissionError, IsADirectoryError) as error:
        raise RetrievalInputError(
            f"{shown} cannot be opened ({error.strerror}); expected a file you may read"
        ) from error
    except Exception as error:  # decoders raise ValueError, AssertionError, IndexError, ...
        text = str(error) or type(error).__name__
        advice = "Get the file again, or leave it out"
        raise DamagedFileError(f"{shown} cannot be decoded: {text}. {advice}") from error


def on_page(picture: Image.Image, colour: str = "white") -> Image.Image:
    """Put an RGBA picture on a page of one colour; the result is RGB."""
    page = Image.new("RGBA", picture.size, colour)
    return Image.alpha_composite(page, picture).convert("RGB")


def _check_size(shown: str, width: int, height: int, max_pixels: int) -> None:
    size = f"{width:,} x {height:,} pixels"
    if width * height > max_pixels:
        raise RetrievalInputError(_too_large(shown, size, max_pixels))
    if max(width, height) > MAX_SIDE:
        raise RetrievalInputError(
            f"{shown} must have sides of at most {MAX_SIDE:,} pixels, got {size}. Cut it into"
            " parts, or leave it out"
        )


def _too_large(shown: str, size: str, max_pixels: int) -> str:
    advice = "Make the picture smaller; in Python, a larger max_pixels is possible"
    return f"{shown} is too large: {size}, at most {max_pixels:,} are decoded. {advice}"


def _eight_bits(picture: Image.Image, shown: str) -> Image.Image:
    """Scale grey of 16 bits, integers or floats to 8 bits; other modes are returned unchanged.

    Full scale is 65,535 for 16 bits and for integers (mode I). Floats (mode F) do not state
    theirs: it is the smallest of 1, 255 and 65,535 that the brightest pixel does not exceed.
    """
    if not picture.mode.startswith("I") and picture.mode != "F":
        return picture
    pixels = np.asarray(picture, dtype=np.float32)
    low, high = float(pixels.min()), float(pixels.max())
    scales = (1.0, 255.0, 65_535.0) if picture.mode == "F" else (65_535.0,)
    full_scale = next((scale for scale in scales if high <= scale), None)
    if full_scale is None or not low >= 0:  # NaN is not >= 0
        raise DamagedFileError(
            f"{shown} has grey values from {low:g} to {high:g}; expected 0 to {scales[-1]:g}. "
            "Save it with 8 or 16 bits a channel"
        )
    grey = Image.fromarray(np.rint(pixels * (255 / full_scale)).astype(np.uint8))
    grey.getexif().update(picture.getexif())
    return grey


def _head_of(source: str | Path | bytes) -> bytes:
    """Return the first bytes of a file; none of what is no file."""
    if isinstance(source, bytes):
        return source[:64]
    if not Path(source).is_file():
        return b""
    with open(source, "rb") as stream:
        return stream.read(64)


def _is_heif(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS


def _reads_heif() -> bool:
    """Let Pillow read HEIF; False where the package is not installed."""
    if find_spec("pillow_heif") is None:
        return False
    from pillow_heif import register_heif_opener

    register_heif_opener()
    return True


def _heif_sizes(source: str | Path | bytes, shown: str) -> list[tuple[int, int]]:
    """Return width and height of all images in a HEIF file, as its boxes `ispe` state them.

    A crop (box `clap`) can show few pixels of an image that is decoded whole, and tiles make one.
    """
    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    at, sizes = 0, []
    while at + 16 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        size = struct.unpack_from(">Q", content, at + 8)[0] if size == 1 else size or len(content)
        if kind == b"meta":
            sizes += re.findall(rb"ispe.{4}(.{8})", content[at : at + size], re.DOTALL)
        at += max(size, 8)
    if not sizes:
        raise DamagedFileError(f"{shown} states no size. Get the file again, or leave it out")
    return [struct.unpack(">II", one) for one in sizes]


def _unknown_format(source: str | Path | bytes, shown: str) -> str:
    """Return the message for a file in none of FORMATS; it names the format if that is known."""
    head = _head_of(source)
    if _is_heif(head):
        if _reads_heif():
            return (
                f"{shown} is a HEIC file that cannot be read. Get the file again, or leave it out"
            )
        return (
            f"{shown} is a HEIC file, which needs the package pillow-heif. Run: pip install"
            " 'crossmodal-retrieval[heic]', or save it as JPEG or PNG"
        )
    for offset, starts, kind in _OTHERS:
        if head[offset:].lstrip().startswith(starts) or head[offset:].startswith(starts):
            return f"{shown} is a {kind} file, which is not read here. Save it as JPEG or PNG"
    problem = "is not a picture that can be read" if head else "is empty"
    expected = f"expected one of {', '.join(FORMATS)}"
    return f"{shown} {problem}; {expected}. Get the file again, or leave it out"
