"""Draw layouts as pictures of pages: lines of words, noise for pictures, black rules."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lib.datasets.page_layouts import LINE, PICTURE, Layout

WORDS = ("the", "page", "shows", "where", "its", "text", "and", "pictures", "stand,", "between")
PER_LINE = 32  # words; what does not fit is cut off
PITCH, LETTERS = 14, 11  # pixels from line to line, size of the font


def render_page(layout: Layout, size: tuple[int, int] = (750, 1000), seed: int = 0, paper="white"):
    """Draw a layout; each text box is filled with lines from its top to its bottom."""
    rng = np.random.default_rng(seed)
    page = Image.new("RGB", size, paper)
    draw, scale = ImageDraw.Draw(page), size[1] / 1000
    font = ImageFont.load_default(LETTERS * scale)
    pixels = np.rint(layout.boxes * np.tile(size, 2)).astype(int).tolist()
    for kind, (left, top, right, bottom) in zip(layout.kinds, pixels, strict=True):
        if kind == LINE:
            draw.rectangle((left, top, right - 1, max(bottom - 1, top)), "black")
        elif kind == PICTURE:
            noise = rng.integers(20, 220, (bottom - top, right - left, 3), dtype=np.uint8)
            page.paste(Image.fromarray(noise), (left, top))
        else:
            n_lines = max(1, round((bottom - top) / (PITCH * scale)))
            for y in np.linspace(top, bottom, n_lines + 1)[:-1]:
                words = " ".join(rng.choice(WORDS, PER_LINE))
                ink = Image.new("RGB", (right - left, bottom - int(y)), paper)
                ImageDraw.Draw(ink).text((0, 0), words, "black", font)
                page.paste(ink, (left, int(y)))
    return page
