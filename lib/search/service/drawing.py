"""Turn what a client sends into a picture: an uploaded file, or the strokes of a drawing."""

import base64
import binascii
from collections.abc import Sequence

from PIL import Image, ImageDraw

from lib.core.checks import RetrievalInputError
from lib.datasets.media.pictures import open_picture

MAX_PIXELS = 1 << 25  # of an upload: 100 MB as RGB
SIDE = 512  # of a drawn page, pixels
PEN = 10  # default width of a stroke, pixels
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


def draw_strokes(strokes: Sequence[Stroke], width: float = PEN) -> Image.Image:
    """Draw strokes, points (x, y) from 0 to 1, in black on a white page."""
    n_points = sum(map(len, strokes))
    if not n_points:
        raise RetrievalInputError("strokes must hold at least one point")
    if len(strokes) > MAX_STROKES or n_points > MAX_POINTS:
        raise RetrievalInputError(
            f"strokes must be at most {MAX_STROKES:,} with {MAX_POINTS:,} points, got"
            f" {len(strokes):,} with {n_points:,}"
        )
    page = Image.new("RGBA", (SIDE, SIDE), "white")
    draw = ImageDraw.Draw(page)
    radius = width / 2
    for stroke in strokes:
        points = [(x * (SIDE - 1), y * (SIDE - 1)) for x, y in stroke]
        if len(points) > 1:
            draw.line(points, fill="black", width=round(width), joint="curve")
        for x, y in points:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill="black")
    return page
