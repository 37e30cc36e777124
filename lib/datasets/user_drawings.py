"""Drawings of the user: any picture becomes an icon and can be a query."""

from pathlib import Path

import numpy as np
from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.datasets import icons
from lib.datasets.media.pictures import open_picture

FAINT = 32  # of 255; a smaller difference from the page is noise, not ink
SPAN = 44  # of 64 pixels; the longer side of the median icon


def read_drawing(path: str | Path) -> np.ndarray:
    """Read any image file as an icon, uint8 (64, 64), see `as_icon`."""
    return as_icon(open_picture(path, mode="RGBA"), str(path))


def as_icon(picture: Image.Image, name: str = "the picture") -> np.ndarray:
    """Turn any picture into an icon: ink bright on black, uint8 (64, 64), centred.

    Ink differs from the border: a dark drawing on a light page is inverted, and transparency counts
    as page. The strongest stroke becomes 255 after scaling, because shrinking a large sketch makes
    its lines faint. `name` is shown in errors.
    """
    picture = picture.convert("RGBA")
    ink = _ink_of(picture, "white")
    if ink.max() < FAINT:
        ink = _ink_of(picture, "black")  # white ink on a transparent page
    if ink.max() < FAINT:
        raise RetrievalInputError(f"{name} is blank: no ink stands out from its border")
    rows, columns = (np.flatnonzero(ink.max(axis=axis) >= FAINT) for axis in (1, 0))
    drawn = Image.fromarray(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    scale = SPAN / max(drawn.size)
    size = [max(1, round(length * scale)) for length in drawn.size]
    drawn = drawn.resize(size, Image.Resampling.BILINEAR)
    pixels = np.asarray(drawn)
    icon = np.zeros((icons.SIZE, icons.SIZE), dtype=np.uint8)
    top, left = ((icons.SIZE - length) // 2 for length in pixels.shape)
    icon[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels * (255 / pixels.max())
    return icon


def _ink_of(picture: Image.Image, page: str) -> np.ndarray:
    """Difference of each pixel from the colour of the border, on a page; float32."""
    backed = Image.alpha_composite(Image.new("RGBA", picture.size, page), picture)
    gray = np.asarray(backed.convert("L"), dtype=np.float32)
    return np.abs(gray - np.median(np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])))
