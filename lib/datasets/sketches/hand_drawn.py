"""Drawings recorded with a mouse: a test set of its own, on which nothing is trained.

Files `data/hand_drawn/*.ndjson` hold one JSON record a line, as QuickDraw's raw files do: `word`,
and `drawing`, a list of strokes `[[x, ...], [y, ...], [t, ...]]`; and beside these `concept`, the
code of an OpenMoji picture, and `drawer`, who drew.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lib.core.checks import RetrievalInputError
from lib.core.paths import data_dir
from lib.core.reading import DamagedFileError, MissingFileError, reading
from lib.datasets import emoji
from lib.datasets.strokes import Drawing, from_lists

FOLDER, FIELDS = "hand_drawn", ("word", "concept", "drawer")
MOST_CHARACTERS = 2**25  # of one record
ADVICE = "Restore the file with git, or record the drawing again"


@dataclass(frozen=True, eq=False)
class HandDrawn:
    """One recorded drawing.

    Args:
        drawing: its strokes, with times where they were recorded.
        word: what was to be drawn.
        place: of the emoji of this concept in `emoji`.
        drawer: who drew it.
    """

    drawing: Drawing
    word: str
    place: int
    drawer: str


def read_hand_drawn(path: str | Path) -> list[HandDrawn]:
    """Read one file of recorded drawings."""
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path} is missing. {ADVICE}")
    place_of = {code: place for place, code in enumerate(emoji.load_emoji().codes)}
    records = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                with reading(f"{path}, line {number}", "no recorded drawing", ADVICE):
                    records.append(_parse_record(line, place_of))
    if not records:
        raise DamagedFileError(f"{path} holds no drawing. {ADVICE}")
    return records


def _parse_record(line: str, place_of: dict[str, int]) -> HandDrawn:
    if len(line) > MOST_CHARACTERS:
        raise ValueError(f"it must have at most {MOST_CHARACTERS:,} characters")
    entry = json.loads(line, parse_constant=_refuse_constant)
    if not isinstance(entry, dict):
        raise ValueError("it must be an object with word, drawing, concept and drawer")
    for field in FIELDS:
        if not isinstance(entry.get(field), str) or not entry[field]:
            raise ValueError(f"{field} must be a text, got {entry.get(field)!r:.60}")
    if entry["concept"] not in place_of:
        raise ValueError(f"concept must be the code of a named emoji, got {entry['concept']!r:.60}")
    try:
        drawing = from_lists(entry.get("drawing"))
    except RetrievalInputError as error:
        raise ValueError(str(error)) from error
    return HandDrawn(drawing, entry["word"], place_of[entry["concept"]], entry["drawer"])


def _refuse_constant(name: str):
    raise ValueError(f"{name} is not a number of JSON")


@lru_cache(maxsize=1)
def load_hand_drawn() -> Sequence[HandDrawn]:
    """Load all recorded drawings of `data/hand_drawn`, file by file in the order of names."""
    folder = data_dir() / FOLDER
    paths = sorted(folder.glob("*.ndjson"))
    if not paths:
        raise MissingFileError(f"{folder} holds no .ndjson file of recorded drawings. {ADVICE}")
    return tuple(record for path in paths for record in read_hand_drawn(path))
