"""Drawing of simple SVG files, with numpy alone: the subset that icon and emoji files use.

Read: `path`, `circle`, `ellipse`, `rect`, `line`, `polyline`, `polygon`, groups, transforms, flat
colours, strokes, opacity of a shape, fill rules. Refused: style sheets, gradients, clipping, masks,
filters, text, opacity of a group. `outlines.py` turns lines into pixels.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from fontTools.pens.basePen import BasePen
from fontTools.svgLib.path import parse_path
from PIL import ImageColor

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.core.reading import DamagedFileError, MissingFileError, reading
from lib.datasets.outlines import RULES, Line, Pen, count_coverage, ring_edges, stroke_rings

NAMESPACE = "{http://www.w3.org/2000/svg}"
FLATNESS = 0.02  # largest distance of a flattened curve from the curve, in units of the view box
LARGEST = 1e6  # coordinate
ADVICE = "Install the version of its package that constraints.txt names."
INHERITED = {
    "fill": "black",
    "stroke": "none",
    "stroke-width": "1",
    "stroke-linecap": "butt",
    "stroke-linejoin": "miter",
    "stroke-miterlimit": "4",
    "stroke-dasharray": "none",
    "fill-rule": "nonzero",
    "fill-opacity": "1",
    "stroke-opacity": "1",
    "paint-order": "normal",
}
GEOMETRY = {
    "path": {"d"},
    "circle": {"cx", "cy", "r"},
    "ellipse": {"cx", "cy", "rx", "ry"},
    "rect": {"x", "y", "width", "height", "rx", "ry"},
    "line": {"x1", "y1", "x2", "y2"},
    "polyline": {"points"},
    "polygon": {"points"},
    "g": set(),
    "svg": {"viewBox", "version"},
}
# Attributes without any effect on a picture of these elements.
IGNORED = {"id", "class", "clip-rule", "color", "stop-color"}
COMMON = {*INHERITED, *IGNORED, "transform", "display", "opacity"}
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
IDENTITY = np.eye(3)


@dataclass(frozen=True)
class PaintedShape:
    """One element of a drawing, in the units of the view box.

    Args:
        group: the id of the outermost group that holds the shape, `""` without one.
        layers: `((edges, rule, red-green-blue 0..1, opacity), ...)` in the order of painting.
    """

    group: str
    layers: tuple[tuple[np.ndarray, str, tuple[float, float, float], float], ...]


@dataclass(frozen=True)
class Drawing:
    """A parsed file: its shapes, bottom first, and the box that it shows."""

    shapes: tuple[PaintedShape, ...]
    view_box: tuple[float, float, float, float]  # x, y, width, height


@dataclass
class _FlatPen(BasePen):
    """Collect the subpaths of a path as lines of straight pieces."""

    scale: float
    lines: list[Line] = field(default_factory=list)

    def __post_init__(self):
        super().__init__()

    def _moveTo(self, point):
        self.pieces = [np.array([point])]

    def _lineTo(self, point):
        self.pieces.append(np.array([point]))

    def _curveToOne(self, control, other, end):
        p = np.array([self._getCurrentPoint(), control, other, end])
        bend = np.abs(np.diff(p, 2, axis=0)).max() * self.scale
        steps = int(np.clip(np.ceil(np.sqrt(0.75 * bend / FLATNESS)), 1, 64))
        t = (np.arange(1, steps + 1) / steps)[:, None]
        s = 1 - t
        self.pieces.append(s**3 * p[0] + 3 * s**2 * t * p[1] + 3 * s * t**2 * p[2] + t**3 * p[3])

    def _closePath(self):
        self.lines.append(Line(np.concatenate(self.pieces), closed=True))

    def _endPath(self):
        self.lines.append(Line(np.concatenate(self.pieces)))


def _numbers(text: str) -> list[float]:
    return [float(number) for number in NUMBER.findall(text)]


def parse_transform(text: str) -> np.ndarray:
    """Return the 3 x 3 matrix of an SVG transform list, for column vectors (x, y, 1)."""
    result = IDENTITY
    rest = re.sub(r"(\w+)\s*\(([^()]*)\)", "", text)
    if rest.strip(" ,\t\n"):
        raise ValueError(f"transform {text!r} is not understood")
    for name, arguments in re.findall(r"(\w+)\s*\(([^()]*)\)", text):
        values = _numbers(arguments)
        matrix = np.eye(3)
        if name == "matrix" and len(values) == 6:
            matrix[:2] = np.reshape(values, (3, 2)).T
        elif name == "translate" and len(values) in (1, 2):
            matrix[:2, 2] = [*values, 0][:2]
        elif name == "scale" and len(values) in (1, 2):
            matrix[0, 0], matrix[1, 1] = values[0], values[-1]
        elif name == "rotate" and len(values) in (1, 3):
            angle = np.deg2rad(values[0])
            matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
            centre = np.array([*values[1:], 0, 0][:2])
            matrix[:2, 2] = centre - matrix[:2, :2] @ centre
        else:
            raise ValueError(f"transform {text!r} is not understood")
        result = result @ matrix
    return result


def _rounded_rect(x: float, y: float, width: float, height: float, rx: float, ry: float) -> str:
    if rx == 0 or ry == 0:
        return f"M{x},{y}H{x + width}V{y + height}H{x}Z"
    arc = f"A{rx},{ry},0,0,1"
    right, bottom = x + width, y + height
    return (
        f"M{x + rx},{y}H{right - rx}{arc},{right},{y + ry}V{bottom - ry}{arc},{right - rx},{bottom}"
        f"H{x + rx}{arc},{x},{bottom - ry}V{y + ry}{arc},{x + rx},{y}Z"
    )


def _path_data(tag: str, attributes: dict[str, str]) -> str:
    """Write a basic shape as path data, as the SVG standard defines it."""

    def value(name: str, default: float = 0.0) -> float:
        return float(attributes.get(name, default))

    if tag == "path":
        return attributes.get("d", "")
    if tag == "line":
        return f"M{value('x1')},{value('y1')}L{value('x2')},{value('y2')}"
    if tag in ("polyline", "polygon"):
        numbers = _numbers(attributes.get("points", ""))
        if len(numbers) % 2:
            raise ValueError("points must hold pairs of numbers")
        points = [f"{x},{y}" for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
        return f"M{' L'.join(points)}{'Z' if tag == 'polygon' else ''}" if points else ""
    if tag == "rect":
        width, height = value("width"), value("height")
        rx = value("rx", value("ry"))
        ry = value("ry", rx)
        rx, ry = min(rx, width / 2), min(ry, height / 2)
        return (
            _rounded_rect(value("x"), value("y"), width, height, rx, ry) if width * height else ""
        )
    rx, ry = (value("r"),) * 2 if tag == "circle" else (value("rx"), value("ry"))
    cx, cy = value("cx"), value("cy")
    if rx * ry == 0:
        return ""
    quarters = ((cx, cy + ry), (cx - rx, cy), (cx, cy - ry), (cx + rx, cy))
    arcs = [f"A{rx},{ry},0,0,1,{x},{y}" for x, y in quarters]
    return f"M{cx + rx},{cy}{''.join(arcs)}Z"


def _colour(text: str) -> tuple[float, float, float] | None:
    if text == "none":
        return None
    red, green, blue = ImageColor.getrgb(text)[:3]
    return red / 255, green / 255, blue / 255


def _moved(edges: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply a matrix to both ends of each edge."""
    points = edges.reshape(-1, 2) @ matrix[:2, :2].T + matrix[:2, 2]
    return points.reshape(-1, 4)


def _layers(tag: str, attributes: dict[str, str], style: dict[str, str], matrix: np.ndarray):
    """Outline the fill and the stroke of one element."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    opacity = float(attributes.get("opacity", 1))
    pen = _FlatPen(scale)
    parse_path(_path_data(tag, attributes), pen)
    layers = []
    check_choice(style["fill-rule"], RULES, "fill-rule")
    fill, stroke = _colour(style["fill"]), _colour(style["stroke"])
    alpha = opacity * float(style["fill-opacity"])
    if fill is not None and alpha > 0:
        edges = ring_edges([line.points for line in pen.lines if len(line.points) > 2])
        layers.append((_moved(edges, matrix), style["fill-rule"], fill, alpha))
    width, alpha = float(style["stroke-width"]), opacity * float(style["stroke-opacity"])
    if stroke is not None and alpha > 0 and width > 0:
        dashes = style["stroke-dasharray"]
        nib = Pen(
            width,
            style["stroke-linecap"],
            style["stroke-linejoin"],
            float(style["stroke-miterlimit"]),
            () if dashes == "none" else tuple(_numbers(dashes)),
        )
        edges = ring_edges(stroke_rings(pen.lines, nib))
        layers.append((_moved(edges, matrix), "nonzero", stroke, alpha))
    if style["paint-order"].startswith("stroke"):
        layers.reverse()
    return tuple(layer for layer in layers if len(layer[0]))


def _collect(element, group: str, style: dict[str, str], matrix: np.ndarray, shapes: list) -> None:
    """Walk the tree; append the shapes of an element and of what it holds."""
    tag = element.tag.removeprefix(NAMESPACE)
    if tag not in GEOMETRY:
        raise ValueError(f"element <{tag}> cannot be drawn")
    known = GEOMETRY[tag] | COMMON
    attributes = {name: value for name, value in element.attrib.items() if name[0] != "{"}
    unknown = [name for name in attributes if name not in known]
    if unknown:
        raise ValueError(f"attribute {unknown[0]} of <{tag}> cannot be drawn")
    if attributes.get("display") == "none":
        return
    style = style | {name: attributes[name].strip() for name in INHERITED if name in attributes}
    if "transform" in attributes:
        matrix = matrix @ parse_transform(attributes["transform"])
    if tag not in ("g", "svg"):
        layers = _layers(tag, attributes, style, matrix)
        if layers:
            shapes.append(PaintedShape(group, layers))
        return
    if float(attributes.get("opacity", 1)) != 1:
        raise ValueError("opacity of a group cannot be drawn")
    for child in element:
        own = attributes.get("id", "") if tag == "g" else ""
        _collect(child, group or own, style, matrix, shapes)


def parse_drawing(text: str, name: str = "the drawing") -> Drawing:
    """Read an SVG text as shapes.

    Args:
        text: the content of the file. A document type or an entity is refused.
        name: names the file in messages.

    Returns:
        The shapes, bottom first, with curves as straight pieces.
    """
    with reading(name, "no drawing that can be read", ADVICE):
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise DamagedFileError(f"{name} must not declare a document type. {ADVICE}")
        root = ElementTree.fromstring(text)
        if root.tag != f"{NAMESPACE}svg":
            raise ValueError(f"the root must be <svg>, got <{root.tag}>")
        box = tuple(_numbers(root.get("viewBox", "")))
        if len(box) != 4 or min(box[2:]) <= 0:
            raise ValueError(f"viewBox must hold x, y, width, height, got {root.get('viewBox')!r}")
        shapes: list[PaintedShape] = []
        try:
            _collect(root, "", INHERITED, IDENTITY, shapes)
        except RetrievalInputError as error:  # of a stroke; it does not name the file
            raise ValueError(str(error)) from error
        for shape in shapes:
            for edges, *_ in shape.layers:
                if not (np.abs(edges) <= LARGEST).all():  # refuses nan too
                    raise ValueError(f"a coordinate is not a number up to {LARGEST:,.0f}")
        return Drawing(tuple(shapes), box)


def read_drawing(path: str | Path) -> Drawing:
    """Read an SVG file as shapes, see `parse_drawing`."""
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path} is missing. {ADVICE}")
    with reading(path, "no drawing that can be read", ADVICE):
        return parse_drawing(path.read_text(encoding="utf-8"), str(path))


def paint_drawing(drawing: Drawing, size: int, groups: Sequence[str] | None = None) -> np.ndarray:
    """Paint shapes on white.

    Args:
        drawing: the parsed file.
        size: width and height of the picture in pixels; the view box fills it.
        groups: outermost groups to paint, all by default.

    Returns:
        uint8 (size, size, 3).
    """
    size = check_count(size, "size")
    x, y, width, height = drawing.view_box
    canvas = np.ones((size, size, 3), dtype=np.float32)
    for shape in drawing.shapes:
        if groups is not None and shape.group not in groups:
            continue
        for edges, rule, colour, opacity in shape.layers:
            scaled = (edges - [x, y, x, y]) * (size / max(width, height))
            box, coverage = count_coverage(scaled, size, rule)
            alpha = (coverage * np.float32(min(opacity, 1)))[..., None]
            canvas[box] += alpha * (np.array(colour, np.float32) - canvas[box])
    return np.rint(canvas * 255).astype(np.uint8)
