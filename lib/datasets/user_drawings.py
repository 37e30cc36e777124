"""Drawings of the user: any picture becomes an icon, or a picture in colour, and can be a query."""

from functools import reduce
from pathlib import Path

import numpy as np
from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.datasets import icons
from lib.datasets.media.pictures import on_page, open_picture

FAINT = 32  # of 255; a smaller difference from the page is noise, not ink
SPAN = 44  # of 64 pixels; the longer side of the median icon
COLOUR_SPAN = 54  # of 64 pixels; the longer side of the median emoji
COLOURFUL = 60  # of 255, difference of the channels of a pixel in colour
MOST_PIXELS = 512  # a side of a larger picture is shrunk to it first
COLOUR_SHARE = 0.02  # of the ink in colour, for the picture to be one in colour


def read_drawing(path: str | Path) -> np.ndarray:
    """Read any image file as an icon, uint8 (64, 64), see `as_icon`."""
    return as_icon(open_picture(path, mode="RGBA"), str(path))


def read_picture(path: str | Path) -> np.ndarray:
    """Read any image file as an input of the model `pictures`, see `as_picture`."""
    return as_picture(open_picture(path, mode="RGBA"), str(path))


def as_picture(picture: Image.Image, name: str = "the picture") -> np.ndarray:
    """Turn any picture into an input of the model `pictures`: uint8 (64, 64, 3) on white.

    A picture in colour keeps its colours and is centred; one without is drawn as an icon, dark ink
    on white, see `as_icon`. `name` is shown in errors.
    """
    picture = picture.convert("RGBA")
    if max(picture.size) > MOST_PIXELS:
        picture.thumbnail((MOST_PIXELS, MOST_PIXELS), Image.Resampling.BILINEAR)
    page = on_page(picture)
    pixels = np.asarray(page)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    channels = [np.ascontiguousarray(pixels[..., c], dtype=np.int16) for c in range(3)]
    # Three planes are compared several times faster than the last axis of three.
    ink = (
        reduce(np.maximum, (np.abs(c - m) for c, m in zip(channels, np.median(border, axis=0))))
        >= FAINT
    )
    colourful = reduce(np.maximum, channels) - reduce(np.minimum, channels) >= COLOURFUL
    if (colourful & ink).sum() <= COLOUR_SHARE * ink.sum():
        return np.repeat(255 - as_icon(picture, name)[..., None], 3, axis=2)
    drawn = _scaled(page.crop(_box_of(ink)), COLOUR_SPAN)
    return np.asarray(_centred(drawn, Image.new("RGB", (icons.SIZE, icons.SIZE), "white")))


def as_sketch(picture: Image.Image, name: str = "the sketch") -> np.ndarray:
    """Turn a picture of lines into an input of the sketch tower: uint8 (64, 64, 3), ink on white.

    As `as_icon`, but in the size of the sketches that it was trained on.
    """
    ink = as_icon(picture, name, span=COLOUR_SPAN)
    return np.repeat(255 - ink[..., None], 3, axis=2)


def as_icon(picture: Image.Image, name: str = "the picture", *, span: int = SPAN) -> np.ndarray:
    """Turn any picture into an icon: ink bright on black, uint8 (64, 64), centred.

    Ink differs from the border: a dark drawing on a light page is inverted, and transparency counts
    as page. The strongest stroke becomes 255 after scaling, because shrinking a large sketch makes
    its lines faint. `name` is shown in errors; `span` is the longer side in pixels.
    """
    picture = picture.convert("RGBA")
    ink = _ink_of(picture, "white")
    if ink.max() < FAINT:
        ink = _ink_of(picture, "black")  # white ink on a transparent page
    if ink.max() < FAINT:
        raise RetrievalInputError(f"{name} is blank: no ink stands out from its border")
    pixels = np.asarray(_scaled(Image.fromarray(ink).crop(_box_of(ink >= FAINT)), span))
    drawn = Image.fromarray((pixels * (255 / pixels.max())).astype(np.uint8))
    return np.asarray(_centred(drawn, Image.new("L", (icons.SIZE, icons.SIZE))))


def _box_of(ink: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the true pixels."""
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _scaled(drawn: Image.Image, span: int) -> Image.Image:
    """Scale a drawing so that its longer side has `span` pixels."""
    scale = span / max(drawn.size)
    size = [max(1, round(length * scale)) for length in drawn.size]
    return drawn.resize(size, Image.Resampling.BILINEAR)


def _centred(drawn: Image.Image, page: Image.Image) -> Image.Image:
    """Put a drawing in the middle of a page."""
    page.paste(drawn, [(whole - part) // 2 for whole, part in zip(page.size, drawn.size)])
    return page


def _ink_of(picture: Image.Image, page: str) -> np.ndarray:
    """Difference of each pixel from the colour of the border, on a page; float32."""
    gray = np.asarray(on_page(picture, page).convert("L"), dtype=np.float32)
    return np.abs(gray - np.median(np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])))
