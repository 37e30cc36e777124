"""Make the stored pictures of a notebook small: a palette instead of four bytes a pixel."""

import base64
import io

import nbformat
import numpy as np
from PIL import Image, UnidentifiedImageError

COLOURS = 256
LARGE_ERROR = 16  # of 255, in any channel; less is not seen in a small area
FEW = 0.001  # share of the pixels that may have a large error
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
    """Write a PNG with a palette of at most 256 colours, if it looks the same with it.

    A chart has few colours and thousands of mixtures at the edges of its lines; the palette needs
    about a quarter of the bytes. A picture with more colours than that is written without its alpha
    channel, if it is opaque everywhere. Looking the same means: of a thousand pixels at most one
    moves by more than 16 of 255 in a channel. The smallest of the candidates is returned, so the
    result is never larger than `png`.
    """
    try:
        picture = Image.open(io.BytesIO(png))
    except UnidentifiedImageError:  # a cell may show any bytes
        return png
    if picture.mode == "P" or (picture.has_transparency_data and not _is_opaque(picture)):
        return png
    whole = picture.convert("RGB")
    palette = _with_palette(whole)
    moved = np.abs(np.asarray(palette.convert("RGB"), int) - np.asarray(whole, int)).max(axis=2)
    kept = [palette, whole] if (moved > LARGE_ERROR).mean() <= FEW else [whole]
    return min([png, *map(_as_png, kept)], key=len)


def _with_palette(whole: Image.Image) -> Image.Image:
    """Choose 256 colours, each the most frequent of those it stands for: white stays white."""
    palette = whole.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    pixels = np.asarray(whole, np.uint32) @ np.array([2**16, 2**8, 1], np.uint32)
    _, first, counts = np.unique(pixels, return_index=True, return_counts=True)
    places = np.asarray(palette).ravel()[first]
    chosen = np.zeros((COLOURS, 3), np.uint8)
    rising = np.argsort(counts, kind="stable")  # of equal places the last assignment stays
    chosen[places[rising]] = np.asarray(whole).reshape(-1, 3)[first[rising]]
    palette.putpalette(chosen.tobytes())
    return palette


def _is_opaque(picture: Image.Image) -> bool:
    return picture.convert("RGBA").getchannel("A").getextrema()[0] == 255


def _as_png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()
