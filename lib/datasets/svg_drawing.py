"""Drawing of simple SVG files, with numpy alone: the subset that icon and emoji files use.

Read: `path`, `circle`, `ellipse`, `rect`, `line`, `polyline`, `polygon`, groups, transforms, flat
colours, strokes, opacity of a shape, fill rules, the attribute `style`. Left out, because it shows
nothing: titles, descriptions, metadata, definitions, elements of other namespaces. Refused: style
sheets, gradients, clipping, masks, filters, text, opacity of a group, document types and entities,
references to anything. `outlines.py` turns lines into pixels.
"""

import re
from collections.abc import Iterator, Sequence
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
MOST_CHARACTERS = 4_000_000
MOST_POINTS = 200_000  # of all flattened lines
MOST_LINES = 20_000  # of all shapes, and elements of a file: about 2 s
TOO_MANY = f"it has more than {MOST_LINES:,} lines"
TOO_LONG = f"its lines have more than {MOST_POINTS:,} points"
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
    "svg": {"viewBox", "version", "width", "height"},
}
SHOWS_NOTHING = {"title", "desc", "metadata", "defs"}
# Attributes without any effect on a picture of these elements.
IGNORED = {"id", "class", "clip-rule", "color", "stop-color"}
COMMON = {*INHERITED, *IGNORED, "transform", "display", "opacity"}
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
CALL = re.compile(r"\b(\w+)\s*\(([^()]*)\)")  # without \b, a long word takes minutes
IDENTITY = np.eye(3)


@dataclass(frozen=True)
class PaintedShape:
    """One element of a drawing, in the units of the view box.

    Args:
        group: the id of the outermost group that holds the shape, `""` without one.
        lines: the middle of its outline, one line for each subpath.
        stroked: whether a pen draws the lines; otherwise they bound a filled area.
        layers: `((edges, rule, red-green-blue 0..1, opacity), ...)` in the order of painting.
    """

    group: str
    lines: tuple[Line, ...]
    stroked: bool
    layers: tuple[tuple[np.ndarray, str, tuple[float, float, float], float], ...]


@dataclass(frozen=True)
class SvgDrawing:
    """A parsed file: its shapes, bottom first, and the box that it shows."""

    shapes: tuple[PaintedShape, ...]
    view_box: tuple[float, float, float, float]  # x, y, width, height


@dataclass
class _FlatPen(BasePen):
    """Collect the subpaths of a path as lines of straight pieces."""

    scale: float
    lines: list[Line] = field(default_factory=list)
    n_points: int = 0

    def __post_init__(self):
        super().__init__()

    def _moveTo(self, point):
        self.pieces = []
        self._append(np.array([point]))

    def _lineTo(self, point):
        self._append(np.array([point]))

    def _append(self, points: np.ndarray) -> None:
        self.n_points += len(points)
        if self.n_points > MOST_POINTS:
            raise ValueError(TOO_LONG)
        self.pieces.append(points)

    def _curveToOne(self, control, other, end):
        p = np.array([self._getCurrentPoint(), control, other, end])
        bend = np.abs(np.diff(p, 2, axis=0)).max() * self.scale
        steps = int(np.clip(np.ceil(np.sqrt(0.75 * bend / FLATNESS)), 1, 64))
        t = (np.arange(1, steps + 1) / steps)[:, None]
        s = 1 - t
        self._append(s**3 * p[0] + 3 * s**2 * t * p[1] + 3 * s * t**2 * p[2] + t**3 * p[3])

    def _closePath(self):
        self._finish(closed=True)

    def _endPath(self):
        self._finish()

    def _finish(self, closed: bool = False) -> None:
        if len(self.lines) == MOST_LINES:
            raise ValueError(TOO_MANY)
        self.lines.append(Line(np.concatenate(self.pieces), closed))


def _numbers(text: str) -> list[float]:
    return [float(number) for number in NUMBER.findall(text)]


def parse_transform(text: str) -> np.ndarray:
    """Return the 3 x 3 matrix of an SVG transform list, for column vectors (x, y, 1)."""
    result = IDENTITY
    rest = CALL.sub("", text)
    if rest.strip(" ,\t\n"):
        raise ValueError(f"transform {text!r:.60} is not understood")
    for name, arguments in CALL.findall(text):
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
            raise ValueError(f"transform {text!r:.60} is not understood")
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


def _shape(
    tag: str, attributes: dict[str, str], style: dict[str, str], matrix: np.ndarray
) -> tuple[tuple[Line, ...], bool, tuple]:
    """Return the lines of one element, whether a pen draws them, and its painted layers."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    opacity = float(attributes.get("opacity", 1))
    pen = _FlatPen(scale)
    parse_path(_path_data(tag, attributes), pen)
    layers, stroked = [], False
    check_choice(style["fill-rule"], RULES, "fill-rule")
    fill, stroke = _colour(style["fill"]), _colour(style["stroke"])
    alpha = opacity * float(style["fill-opacity"])
    if fill is not None and alpha > 0:
        edges = ring_edges([line.points for line in pen.lines if len(line.points) > 2])
        layers.append((_moved(edges, matrix), style["fill-rule"], fill, alpha))
    width, alpha = _length(style["stroke-width"]), opacity * float(style["stroke-opacity"])
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
        stroked = len(edges) > 0
        layers.append((_moved(edges, matrix), "nonzero", stroke, alpha))
    if style["paint-order"].startswith("stroke"):
        layers.reverse()
    moved = matrix[:2, :2].T
    lines = tuple(Line(line.points @ moved + matrix[:2, 2], line.closed) for line in pen.lines)
    return lines, stroked, tuple(layer for layer in layers if len(layer[0]))


def _attributes(element) -> dict[str, str]:
    """Return the attributes of SVG itself; those in `style` overrule the others."""
    attributes = {name: value for name, value in element.attrib.items() if name[0] != "{"}
    for declaration in attributes.pop("style", "").split(";"):
        name, colon, value = (part.strip() for part in declaration.partition(":"))
        if name and not colon:
            raise ValueError(f"style {declaration!r} is not understood")
        if name and not name.startswith("-"):  # of one program
            attributes[name] = value
    return attributes


def _shapes(
    element, group: str, style: dict[str, str], matrix: np.ndarray
) -> Iterator[PaintedShape]:
    """Walk the tree; yield the shapes of an element and of what it holds."""
    tag = element.tag.removeprefix(NAMESPACE)
    if tag in SHOWS_NOTHING or tag[0] == "{":
        return
    if tag not in GEOMETRY:
        raise ValueError(f"element <{tag}> cannot be drawn")
    known = GEOMETRY[tag] | COMMON
    attributes = _attributes(element)
    unknown = [name for name in attributes if name not in known]
    if unknown:
        raise ValueError(f"attribute {unknown[0]} of <{tag}> cannot be drawn")
    if attributes.get("display") == "none":
        return
    style = style | {name: attributes[name].strip() for name in INHERITED if name in attributes}
    if "transform" in attributes:
        matrix = matrix @ parse_transform(attributes["transform"])
    if tag not in ("g", "svg"):
        lines, stroked, layers = _shape(tag, attributes, style, matrix)
        if layers:
            yield PaintedShape(group, lines, stroked, layers)
        return
    if float(attributes.get("opacity", 1)) != 1:
        raise ValueError("opacity of a group cannot be drawn")
    for child in element:
        own = attributes.get("id", "") if tag == "g" else ""
        yield from _shapes(child, group or own, style, matrix)


def _length(text: str) -> float:
    return float(text.removesuffix("px"))


def _view_box(root) -> tuple[float, ...]:
    box = tuple(_numbers(root.get("viewBox", "")))
    if "viewBox" not in root.attrib and {"width", "height"} <= set(root.attrib):
        box = (0.0, 0.0, _length(root.get("width")), _length(root.get("height")))
    if len(box) != 4 or not (np.isfinite(box).all() and min(box[2:]) > 0):
        raise ValueError(f"viewBox must hold x, y, width, height, got {root.get('viewBox')!r}")
    return box


def parse_drawing(text: str, name: str = "the drawing", *, advice: str = ADVICE) -> SvgDrawing:
    """Read an SVG text as shapes.

    Args:
        text: the content of the file. A document type or an entity is refused.
        name: names the file in messages.
        advice: what to do about a file that is refused, for messages.

    Returns:
        The shapes, bottom first, with curves as straight pieces.
    """
    # What overflows is refused below, as a coordinate.
    quiet = np.errstate(over="ignore", divide="ignore", invalid="ignore")
    with reading(name, "no drawing that can be read", advice), quiet:
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise DamagedFileError(f"{name} must not declare a document type. {advice}")
        if "<?xml-stylesheet" in text:
            raise DamagedFileError(f"{name} must not refer to a style sheet. {advice}")
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"it has more than {MOST_CHARACTERS:,} characters")
        root = ElementTree.fromstring(text)
        if root.tag != f"{NAMESPACE}svg":
            raise ValueError(f"the root must be <svg>, got <{root.tag}>")
        if sum(1 for _ in root.iter()) > MOST_LINES:
            raise ValueError(f"it has more than {MOST_LINES:,} elements")
        box = _view_box(root)
        shapes: list[PaintedShape] = []
        try:
            n_points = n_lines = 0
            for shape in _shapes(root, "", INHERITED, IDENTITY):
                n_points += sum(len(line.points) for line in shape.lines)
                n_lines += len(shape.lines)
                if n_points > MOST_POINTS or n_lines > MOST_LINES:
                    raise ValueError(TOO_LONG if n_points > MOST_POINTS else TOO_MANY)
                shapes.append(shape)
        except RetrievalInputError as error:  # of a stroke; it does not name the file
            raise ValueError(str(error)) from error
        for shape in shapes:
            for edges, *_ in shape.layers:
                if not (np.abs(edges) <= LARGEST).all():  # refuses nan too
                    raise ValueError(f"a coordinate is not a number up to {LARGEST:,.0f}")
        return SvgDrawing(tuple(shapes), box)


def read_drawing(path: str | Path, *, advice: str = ADVICE) -> SvgDrawing:
    """Read an SVG file as shapes, see `parse_drawing`."""
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path} is missing. {advice}")
    with reading(path, "no drawing that can be read", advice), open(path, encoding="utf-8") as file:
        return parse_drawing(file.read(MOST_CHARACTERS + 1), str(path), advice=advice)


def paint_drawing(
    drawing: SvgDrawing, size: int, groups: Sequence[str] | None = None
) -> np.ndarray:
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
