"""Pictures from files: opened one by one, bounded in size, always RGB."""

from __future__ import annotations

import io
import struct
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from lib.checks import RetrievalInputError
from lib.datasets.media.files import MediaFiles
from lib.files import DamagedFileError, MissingFileError

# 201 MB as RGB. The largest COCO picture has 640 x 640 pixels; a file of a few kB can claim 50,000 x 50,000.
MAX_PIXELS = 1 << 26
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")  # what the corpora hold; Pillow has parsers for many more


def open_picture(
    source: str | Path | bytes, max_pixels: int = MAX_PIXELS, *, name: str | None = None
) -> Image.Image:
    """Reads one picture as RGB, after its header has shown that it is not too large.

    The pixels are those stored: transparency is dropped and EXIF orientation ignored, as in the published
    evaluations.

    Args:
        source: a path, or the bytes of a file (a member of an archive).
        max_pixels: the largest width times height that is decoded.
        name: what messages call it; the path by itself.

    Returns:
        A loaded picture of mode RGB; no file stays open.

    Raises:
        MissingFileError: no file at the path.
        RetrievalInputError: more than `max_pixels` (a decompression bomb).
        DamagedFileError: no picture, one of a format that no corpus here has, or one that ends early.
    """
    shown = name or ("the picture" if isinstance(source, bytes) else str(source))
    stream = io.BytesIO(source) if isinstance(source, bytes) else Path(source)
    try:
        with Image.open(stream, formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise RetrievalInputError(_too_large(shown, f"{width:,} x {height:,}", max_pixels))
            return picture.convert("RGB")
    except Image.DecompressionBombError as error:  # Pillow's own limit comes first for the largest
        raise RetrievalInputError(_too_large(shown, str(error), max_pixels)) from error
    except FileNotFoundError as error:
        raise MissingFileError(f"{shown} is missing") from error
    except UnidentifiedImageError as error:
        raise DamagedFileError(f"{shown} is none of {', '.join(FORMATS)}. Fetch it again") from error
    except (OSError, SyntaxError, EOFError, struct.error) as error:  # what Pillow's decoders raise
        raise DamagedFileError(f"{shown} cannot be decoded: {error}. Fetch it again") from error


def _too_large(shown: str, size: str, max_pixels: int) -> str:
    return (
        f"{shown} is too large: {size} pixels, at most {max_pixels:,} are decoded. Pass a larger max_pixels "
        f"if it is meant to be so large"
    )


class PictureFiles(MediaFiles):
    """Pictures under one root, by name; `[i]` is one RGB picture, a slice is `PictureFiles` again."""

    kind = "pictures"

    def open(self, path: Path) -> Image.Image:
        return open_picture(path)
