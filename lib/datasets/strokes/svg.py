"""Strokes of SVG files, for example of the line drawings of OpenMoji.

Each subpath of a visible shape is one stroke, in the order of the file: that is the order of
painting, bottom first, and not the order in which a person would draw. A subpath that is closed
returns to its first point. Where a path moves without drawing, a new stroke begins; strokes whose
ends touch are not joined. Curves become straight pieces, at most 0.02 units from the curve. A shape
that is filled and not stroked, such as an eye, becomes its outline or is left out.
`lib.datasets.svg_drawing` reads the file and says what it refuses.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.datasets.outlines import Line
from lib.datasets.strokes.drawing import Drawing
from lib.datasets.svg_drawing import ADVICE, SvgDrawing, parse_drawing, read_drawing

FILLS = ("outline", "omit")


def svg_strokes(
    drawing: SvgDrawing, groups: Sequence[str] | None = None, fills: str = "outline"
) -> Drawing:
    """Return the strokes of a parsed SVG drawing, in the units of its view box.

    Args:
        drawing: the parsed file.
        groups: outermost groups to use, all by default.
        fills: "outline" draws the outline of filled shapes, "omit" leaves out a shape without a
            stroke of its own.
    """
    check_choice(fills, FILLS, "fills")
    strokes = [
        _stroke(line)
        for shape in drawing.shapes
        if (groups is None or shape.group in groups) and (shape.stroked or fills == "outline")
        for line in shape.lines
    ]
    if not strokes:
        among = "" if groups is None else f" in its groups {list(groups)}"
        raise RetrievalInputError(f"the SVG drawing must have a visible line{among}, got none")
    return Drawing(tuple(strokes))


def parse_svg_strokes(text: str, name: str = "the drawing") -> Drawing:
    """Read strokes from SVG text, see `svg_strokes`; `name` is shown in errors."""
    return svg_strokes(parse_drawing(text, name))


def read_svg_strokes(
    path: str | Path, groups: Sequence[str] | None = None, *, advice: str = ADVICE
) -> Drawing:
    """Read the strokes of an SVG file, see `svg_strokes`; `advice` is for messages."""
    return svg_strokes(read_drawing(path, advice=advice), groups)


def _stroke(line: Line) -> np.ndarray:
    """The points of a line, each once in a row, back to the first one if it is closed."""
    points = np.vstack([line.points, line.points[:1]]) if line.closed else line.points
    moves = (np.diff(points, axis=0) != 0).any(axis=1)
    return points[np.concatenate([[True], moves])]
