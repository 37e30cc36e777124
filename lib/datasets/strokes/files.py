"""Read a sketch from a file of any of its formats: strokes where the file has them, or a picture.

SVG and QuickDraw's JSON become strokes. What a scanner, a camera or a drawing program saved as
pixels stays a picture.
"""

import re
from pathlib import Path

from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError, reading
from lib.datasets.media.pictures import open_picture
from lib.datasets.strokes.drawing import Drawing
from lib.datasets.strokes.quickdraw import MOST_CHARACTERS, parse_json_drawing
from lib.datasets.strokes.svg import read_svg_strokes

LINES, JSON, SVG = ".ndjson", ".json", ".svg"
WITH_LINE = re.compile(rf"(?P<path>.+{re.escape(LINES)}):(?P<line>\d{{1,9}})")
ADVICE = "Draw the sketch again and save it as plain SVG, as PNG, or on the page with Save drawing"


def read_sketch(path: str | Path) -> Drawing | Image.Image:
    """Read one sketch.

        .svg                 its lines as strokes, see `svg_strokes`
        .json                QuickDraw's list of strokes, or a record that holds one
        .ndjson              a file of one record; `FILE.ndjson:12` names the 12th line of a longer
        .png, .jpg, ...      a picture, RGBA

    Args:
        path: the file; its ending tells the format.
    """
    chosen = WITH_LINE.fullmatch(str(path))
    number = int(chosen["line"]) if chosen else None
    path = Path(chosen["path"] if chosen else path)
    ending = path.suffix.lower()
    if ending not in (LINES, JSON, SVG):
        return open_picture(path, mode="RGBA")
    if not path.is_file():
        raise MissingFileError(f"{path} is missing. Name a sketch: .svg, .json, .ndjson or .png")
    if ending == SVG:
        try:
            return read_svg_strokes(path, advice=ADVICE)
        except RetrievalInputError as error:  # it does not name the file
            raise RetrievalInputError(f"{path}: {error}. {ADVICE}") from error
    if ending == JSON:
        with reading(path, "no drawing", ADVICE), open(path, encoding="utf-8") as stream:
            text = stream.read(MOST_CHARACTERS + 1)
        return parse_json_drawing(text, str(path), advice=ADVICE)
    text, number = _line(path, number)
    return parse_json_drawing(text, f"{path}, line {number},", advice=ADVICE)


def _line(path: Path, number: int | None) -> tuple[str, int]:
    """Return one line of a file, the only one by default, and its number."""
    wanted, at, found = 1 if number is None else number, 0, ""
    with reading(path, "no file of drawings", ADVICE), open(path, encoding="utf-8") as stream:
        while at < wanted and (line := stream.readline(MOST_CHARACTERS + 1)):
            at, found = at + 1, line
        whole = found.endswith("\n")  # a line that is too long is refused where it is parsed
        more = number is None and whole and stream.readline(MOST_CHARACTERS).strip()
    if more:
        raise RetrievalInputError(
            f"{path} holds more than one drawing. Name one by its line, as in {path}:1"
        )
    if at < wanted or wanted < 1:
        raise RetrievalInputError(
            f"the line must be between 1 and {at} (the lines of {path}), got {wanted}"
        )
    return found, wanted
