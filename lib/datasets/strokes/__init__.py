"""Hand-drawn strokes: formats, geometry, pictures.

Every format is read into a `Drawing`. `data/README.md` says where drawings come from.
"""

from lib.datasets.strokes.drawing import Drawing, pack_drawings, unpack_drawings
from lib.datasets.strokes.files import read_sketch
from lib.datasets.strokes.geometry import (
    fit_box,
    quickdraw_simplified,
    resample,
    resample_to,
    simplify,
    subdivide,
)
from lib.datasets.strokes.hand import (
    Hand,
    deform,
    deform_drawings,
    measured_hand,
    pen_widths,
)
from lib.datasets.strokes.quickdraw import (
    QuickDrawRecord,
    from_lists,
    parse_json_drawing,
    read_binary,
    read_ndjson,
    to_lists,
    write_binary,
    write_ndjson,
)
from lib.datasets.strokes.rendering import render_drawing, render_drawings
from lib.datasets.strokes.stroke_arrays import from_stroke3, from_stroke5, to_stroke3, to_stroke5
from lib.datasets.strokes.svg import parse_svg_strokes, read_svg_strokes, svg_strokes
