"""Texts of figures: measured in inches, wrapped to a width, never read as formulas."""

import re
from functools import lru_cache

from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.text import Text
from matplotlib.textpath import TextToPath

from lib.plots.style import STYLE

POINTS_PER_INCH = 72
LINE_HEIGHT = 1.25  # of a line, in font sizes
UNKNOWN = "\u25a1"  # a box for the characters that the font lacks, such as emoji
CUT = "…"
PARTS = re.compile(r"[^\s-]*-+\s*|[^\s-]+\s*")  # words, and the parts of words with hyphens


def drawable(text: str) -> str:
    """Replace the characters that the font of the figures lacks, such as emoji, by a box."""
    known = get_font(findfont(STYLE["font.family"])).get_charmap()
    return "".join(c if c.isspace() or ord(c) in known else UNKNOWN for c in text)


@lru_cache(maxsize=4096)
def width_of(text: str, size: float, weight: str = "normal") -> float:
    """Measure one line of text in inches at a font size in points."""
    font = FontProperties(family=STYLE["font.family"], size=size, weight=weight)
    width, _, _ = TextToPath().get_text_width_height_descent(text, font, ismath=False)
    return width / POINTS_PER_INCH


def height_of(lines: int, size: float) -> float:
    """Measure lines of text in inches."""
    return lines * size * LINE_HEIGHT / POINTS_PER_INCH


def wrap_text(text: str, width: float, size: float, lines: int = 3, weight: str = "normal") -> str:
    """Wrap a text to a width in inches; what does not fit in `lines` lines is cut with an ellipsis.

    Lines break at spaces and after hyphens. A line break in the text stays one.
    """
    rows: list[str] = []
    for paragraph in drawable(text).split("\n"):
        rows.append("")
        for part in PARTS.findall(paragraph):
            joined = (rows[-1] + part).lstrip()
            if not rows[-1] or width_of(joined.rstrip(), size, weight) <= width:
                rows[-1] = joined
            else:
                rows.append(part.lstrip())
    if len(rows) > lines:
        rows = [*rows[: lines - 1], "".join(rows[lines - 1 :])]
    return "\n".join(_cut(row.rstrip(), width, size, weight) for row in rows)


def _cut(row: str, width: float, size: float, weight: str) -> str:
    if width_of(row, size, weight) <= width:
        return row
    while row and width_of(row + CUT, size, weight) > width:
        row = row[:-1]
    return row.rstrip() + CUT


def write_lines(
    ax: Axes, x: float, y: float, text: str, size: float, va: str = "center", **look
) -> list[Text]:
    """Write lines at even distances into axes in inches, and return them; dollars stay dollars.

    matplotlib moves lines with and without tall letters by different amounts.

    Args:
        va: "top", "center", "bottom", or "baseline" of the first line, is at `y`.
    """
    lines = text.split("\n")
    em = size / POINTS_PER_INCH
    step = height_of(1, size)
    below = {
        "top": 0.78 * em,
        "center": 0.36 * em - (len(lines) - 1) / 2 * step,
        "bottom": -0.24 * em - (len(lines) - 1) * step,
        "baseline": 0.0,
    }[va]  # of the first baseline, from y
    low, high = ax.get_ylim()
    down = -1 if low < high else 1
    look = {"ha": "center", "va": "baseline", "parse_math": False} | look
    return [
        ax.text(x, y + down * (below + i * step), line, fontsize=size, **look)
        for i, line in enumerate(lines)
    ]
