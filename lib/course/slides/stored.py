"""Read pieces of an executed notebook: figures, sentences, values, tables, code, predictions."""

import base64
import io
import re
import string
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image, ImageChops

from lib.core.checks import RetrievalInputError
from lib.course.notebooks import read_notebook
from lib.course.notebooks.pages import describe_figures, payload_outputs
from lib.course.predictions import PREDICTION_MIME
from lib.report import METRICS_MIME

PNG = "image/png"
MARGIN = 6  # pixels of white that stay around a figure


@dataclass(frozen=True)
class Figure:
    """A stored figure as PNG, with its size in pixels and the sentence that describes it."""

    png: bytes
    width: int
    height: int
    sentence: str


@dataclass(frozen=True)
class Table:
    """A stored table as the notebook shows it."""

    title: str
    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Prediction:
    """A question of the notebook as text, and what it says when the answer is revealed."""

    question: str
    answer: str


class StoredNotebook:
    """The stored outputs of one notebook, by the ids of its cells."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        notebook = read_notebook(self.path)
        describe_figures(notebook)
        self.cells = {cell.id: cell for cell in notebook.cells}
        sources = (cell.source for cell in notebook.cells if cell.cell_type == "code")
        self.source = "\n".join(sources)
        self._figures: dict[tuple, Figure] = {}  # a deck is checked, and then written

    def figure(self, cell_id: str, number: int = 1, crop: str = "") -> Figure:
        """Return a figure without its white margin.

        Args:
            cell_id: of the cell that draws it.
            number: of the figure, where the cell draws several.
            crop: the part to show, `left top right bottom` in percent of the width and height.
        """
        key = cell_id, number, crop
        if key not in self._figures:
            self._figures[key] = self._figure(*key)
        return self._figures[key]

    def _figure(self, cell_id: str, number: int, crop: str) -> Figure:
        outputs = [output for output in self._outputs(cell_id) if PNG in output.get("data", {})]
        if not 1 <= number <= len(outputs):
            raise self._error(cell_id, f"has {len(outputs)} figures, {number} was asked for")
        output = outputs[number - 1]
        picture = Image.open(io.BytesIO(base64.b64decode(output["data"][PNG]))).convert("RGB")
        if crop:
            picture = picture.crop(self._box(crop, picture.size, cell_id))
        picture = _trimmed(picture)
        stream = io.BytesIO()
        picture.save(stream, "PNG")  # `optimize` is slow, and saves a few percent
        sentence = output["metadata"].get(PNG, {}).get("alt", "")
        return Figure(stream.getvalue(), *picture.size, sentence)

    def sentence(self, cell_id: str) -> str:
        """Return the sentence that a cell prints with `report.sentence`."""
        for output in self._payloads(cell_id, "sentence"):
            return output["data"]["text/plain"]
        raise self._error(cell_id, "prints no sentence")

    def value(self, cell_id: str, key: str) -> str:
        """Return a value of a sentence, formatted as the sentence formats it."""
        known = []
        for output in self._payloads(cell_id, "sentence"):
            payload = output["data"][METRICS_MIME]
            known += payload["values"]
            if key in payload["values"]:
                fields = string.Formatter().parse(payload["template"])
                formats = {name: form for _, name, form, _ in fields if name}
                return format(payload["values"][key], formats.get(key, ""))
        raise self._error(cell_id, f"has no value {key!r}; it has: {', '.join(known) or 'none'}")

    def table(self, cell_id: str, number: int = 1) -> Table:
        """Return a table of `report.quality` with its numbers as they are shown."""
        outputs = list(self._payloads(cell_id, "quality"))
        if not 1 <= number <= len(outputs):
            raise self._error(cell_id, f"has {len(outputs)} tables, {number} was asked for")
        markup = "".join(outputs[number - 1]["data"]["text/html"]).replace("<br>", "<br/>")
        root = ElementTree.fromstring(f"<div>{markup}</div>")
        title = "; ".join(
            "".join(part.itertext()) for tag in ("strong", "span") for part in root.iter(tag)
        )
        columns = ["".join(cell.itertext()) for cell in root.iter("th")]
        rows = [["".join(cell.itertext()) for cell in row.iter("td")] for row in root.iter("tr")]
        return Table(title, columns, [row for row in rows if row])

    def entry(self, cell_id: str, row: str, column: str, number: int = 1) -> str:
        """Return one entry of a table, by the first cell of its row and the head of its column."""
        table = self.table(cell_id, number)
        place = self.column(cell_id, table, column)
        found = [cells for cells in table.rows if _same_start(cells, row)]
        if len(found) != 1:
            names = "; ".join(" / ".join(cells[:2]) for cells in table.rows)
            raise self._error(cell_id, f"has {len(found)} rows {row!r}; its rows: {names}")
        return found[0][place]

    def column(self, cell_id: str, table: Table, name: str) -> int:
        """Return the place of a column; ` [low, high]` may be left out of its name."""
        names = [column.removesuffix(" [low, high]") for column in table.columns]
        wanted = name.removesuffix(" [low, high]")
        if names.count(wanted) != 1:
            raise self._error(cell_id, f"has no column {name!r}; it has: {'; '.join(names)}")
        return names.index(wanted)

    def code(self, cell_id: str, lines: str = "") -> str:
        """Return the source of a cell, or some of its lines: `1-3, 6`, counted from 1."""
        return _lines(self._cell(cell_id).source, lines)

    def printed(self, cell_id: str, lines: str = "") -> str:
        """Return what a cell prints, or some of its lines."""
        texts = [output["text"] for output in self._outputs(cell_id) if "text" in output]
        if not texts:
            raise self._error(cell_id, "prints no text")
        return _lines("".join(texts).rstrip("\n"), lines)

    def predictions(self) -> dict[str, Prediction]:
        """Return question and stored answer of each prediction by its key."""
        texts: dict[str, list[str]] = {}
        for cell in self.cells.values():
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                if key := data.get(PREDICTION_MIME, {}).get("key"):
                    texts.setdefault(key, []).append(data["text/plain"])
        return {
            key: Prediction(_without(found[0], "Your prediction:"), _without(found[1], "You made"))
            for key, found in texts.items()
            if len(found) == 2
        }

    def pieces(self) -> Iterator[str]:
        """Yield a line for each stored piece that a deck may name, with the id of its cell."""
        for cell_id, cell in self.cells.items():
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                payload = data.get(METRICS_MIME, {})
                if PNG in data:
                    figure = self.figure(cell_id)
                    yield f"{{{{figure {cell_id}}}}} {figure.width} x {figure.height}"
                if payload.get("kind") == "sentence":
                    yield f"{{{{sentence {cell_id}}}}} {data['text/plain']}"
                    for key in payload["values"]:
                        yield f"    {{{{value {cell_id} {key}}}}} {self.value(cell_id, key)}"
                if payload.get("kind") == "quality":
                    yield f"{{{{table {cell_id}}}}}\n{_indented(data['text/plain'])}"
                if "text" in output:
                    yield f"{{{{printed {cell_id}}}}}\n{_indented(output['text'])}"
        for key, prediction in self.predictions().items():
            yield f"{{{{question {key}}}}} and {{{{answer {key}}}}}"
            yield _indented(f"{prediction.question}\n{prediction.answer}")

    def holds(self, setting: str) -> bool:
        """Tell whether a piece of code stands in a code cell."""
        return _squeezed(setting) in _squeezed(self.source)

    def _cell(self, cell_id: str):
        if cell_id not in self.cells:
            raise RetrievalInputError(f"{self.path.name} has no cell {cell_id!r}")
        return self.cells[cell_id]

    def _outputs(self, cell_id: str) -> list:
        return self._cell(cell_id).get("outputs", [])

    def _payloads(self, cell_id: str, kind: str) -> Iterator[dict]:
        for output in payload_outputs(self._cell(cell_id)):
            if output["data"][METRICS_MIME]["kind"] == kind:
                yield output

    def _box(self, crop: str, size: tuple[int, int], cell_id: str) -> tuple[int, ...]:
        try:
            left, top, right, bottom = (float(part) / 100 for part in crop.split())
        except ValueError:
            left = top = right = bottom = -1.0
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise self._error(cell_id, f"crop {crop!r} is not `left top right bottom` in percent")
        width, height = size
        return tuple(map(round, (left * width, top * height, right * width, bottom * height)))

    def _error(self, cell_id: str, what: str) -> RetrievalInputError:
        return RetrievalInputError(f"{self.path.name}, cell {cell_id}: {what}")


def _trimmed(picture: Image.Image) -> Image.Image:
    """Cut a white margin off, all but a few pixels."""
    inked = ImageChops.difference(picture, Image.new("RGB", picture.size, "white")).getbbox()
    if inked is None:
        return picture
    left, top, right, bottom = inked
    width, height = picture.size
    low = (max(0, left - MARGIN), max(0, top - MARGIN))
    return picture.crop((*low, min(width, right + MARGIN), min(height, bottom + MARGIN)))


def _same_start(cells: list[str], row: str) -> bool:
    """Tell whether a row begins with the given cells: `icons / R@10` names two."""
    wanted = [part.strip() for part in row.split(" / ")]
    return cells[: len(wanted)] == wanted


def _lines(text: str, lines: str) -> str:
    """Choose lines, `1-3, 6`, and take off the space before all of them."""
    whole = text.split("\n")
    chosen = chosen_parts(whole, lines, "lines") if lines else whole
    return textwrap.dedent("\n".join(chosen))


def chosen_parts(parts: list, wanted: str, name: str) -> list:
    """Choose items of a list by their numbers from 1 on: `1-3, 6`."""
    chosen = []
    for piece in wanted.split(","):
        bounds = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", piece)
        first, last = (int(bounds[1]), int(bounds[2] or bounds[1])) if bounds else (0, 0)
        if not 1 <= first <= last <= len(parts):
            raise RetrievalInputError(
                f"{name} {wanted!r} must be numbers as in `1-3, 6`, between 1 and {len(parts)}"
            )
        chosen += parts[first - 1 : last]
    return chosen


def _without(text: str, beginning: str) -> str:
    """Drop the line that speaks of the student's own prediction."""
    return "\n".join(line for line in text.split("\n") if not line.startswith(beginning))


def _squeezed(code: str) -> str:
    return re.sub(r"\s+", "", code)


def _indented(text: str) -> str:
    return textwrap.indent(text.rstrip("\n"), "    ")
