"""Make the stored pictures of a notebook small: a palette instead of four bytes a pixel."""

import base64
import io

import nbformat
import numpy as np
from PIL import Image, UnidentifiedImageError

COLOURS = 256
LARGEST_ERROR = 16  # of 255, in any channel of any pixel; less than an eye sees in a small area
PNG = "image/png"


def pack_figures(notebook: nbformat.NotebookNode) -> None:
    """Replace each PNG among the outputs by a smaller one that looks the same, see `packed_png`."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if PNG in data:
                packed = packed_png(base64.b64decode(data[PNG]))
                data[PNG] = base64.b64encode(packed).decode("ascii")


def packed_png(png: bytes) -> bytes:
    """Write a PNG with a palette of at most 256 colours, if no channel moves by more than 16.

    A chart has few colours and thousands of mixtures at the edges of its lines; the palette needs
    about a third of the bytes. A picture with more colours than that is written without its alpha
    channel, if it is opaque everywhere. The smallest of the candidates is returned, so the result
    is never larger than `png`.
    """
    try:
        picture = Image.open(io.BytesIO(png))
    except UnidentifiedImageError:  # a cell may show any bytes
        return png
    if picture.mode == "P" or (picture.has_transparency_data and not _is_opaque(picture)):
        return png
    whole = picture.convert("RGB")
    palette = whole.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    error = np.abs(np.asarray(palette.convert("RGB"), int) - np.asarray(whole, int)).max()
    kept = [palette, whole] if error <= LARGEST_ERROR else [whole]
    return min([png, *map(_as_png, kept)], key=len)


def _is_opaque(picture: Image.Image) -> bool:
    return picture.convert("RGBA").getchannel("A").getextrema()[0] == 255


def _as_png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()
