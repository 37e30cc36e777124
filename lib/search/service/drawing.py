"""Read what a client sends: an uploaded file as a picture, the strokes of a canvas as a drawing."""

import base64
import binascii
from collections.abc import Sequence

import numpy as np
from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.datasets.media.pictures import open_picture
from lib.datasets.strokes import Drawing

MAX_PIXELS = 1 << 25  # of an upload: 100 MB as RGB
MAX_STROKES, MAX_POINTS = 2_000, 50_000

Stroke = Sequence[tuple[float, float]]


def decode_upload(text: str) -> Image.Image:
    """Decode base64, also as a data URL, as a picture with transparency."""
    content = text.partition(",")[2] if text.startswith("data:") else text
    try:
        raw = base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RetrievalInputError(f"image must be a file in base64: {error}") from error
    if not raw:
        raise RetrievalInputError("image must be a file in base64, got nothing")
    return open_picture(raw, MAX_PIXELS, name="the image", mode="RGBA")


def read_strokes(strokes: Sequence[Stroke]) -> Drawing:
    """Read strokes of points (x, y) from 0 to 1 as a drawing; empty ones are left out."""
    n_points = sum(map(len, strokes))
    if not n_points:
        raise RetrievalInputError("strokes must hold at least one point")
    if len(strokes) > MAX_STROKES or n_points > MAX_POINTS:
        raise RetrievalInputError(
            f"strokes must be at most {MAX_STROKES:,} with {MAX_POINTS:,} points, got"
            f" {len(strokes):,} with {n_points:,}"
        )
    return Drawing(tuple(np.array(stroke) for stroke in strokes if len(stroke)))
