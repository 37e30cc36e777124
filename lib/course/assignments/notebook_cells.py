"""Read the cells of a notebook that anyone may have written: sources and tags, nothing else."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from lib.core.reading import DamagedFileError, reading

LARGEST = 20 * 2**20
ANSWER = re.compile(r"\s*\*\*Answer (\w+)\.?\*\*\.?[ \t]*")


@dataclass(frozen=True)
class Cell:
    """One cell."""

    source: str
    is_code: bool
    tags: tuple[str, ...] = ()


def read_cells(path: Path) -> list[Cell]:
    """Read the cells of a notebook; `DamagedFileError` for anything that is none."""
    with reading(path, "no notebook", "Save it again in Jupyter"):
        if not path.is_file():
            raise ValueError("a folder, a pipe or a device")
        if path.stat().st_size > LARGEST:
            raise DamagedFileError(
                f"{path} has more than {LARGEST >> 20} MB; clear its outputs and save it again"
            )
        return cells_of(path.read_bytes())


def cells_of(content: bytes) -> list[Cell]:
    """Read the cells from the bytes of a notebook; ValueError for anything that is none."""
    try:
        notebook = json.loads(content.decode("utf-8-sig"))
        rows = notebook["cells"]
        assert isinstance(rows, list)
        return [_cell(row) for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, RecursionError):
        raise ValueError("it has no list of cells with sources") from None


def code_of(cells: list[Cell]) -> list[str]:
    """Return the sources of the code cells."""
    return [cell.source for cell in cells if cell.is_code]


def written_answers(cells: list[Cell]) -> dict[str, str]:
    """Return what stands after "**Answer NAME.**" in the text cells, by name."""
    answers = {}
    for cell in cells:
        if not cell.is_code and (match := ANSWER.match(cell.source)):
            answers[match[1]] = cell.source[match.end() :].strip()
    return answers


def _cell(row: dict) -> Cell:
    source = row["source"]
    source = source if isinstance(source, str) else "".join(source)
    metadata = row.get("metadata")
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    tags = tuple(map(str, tags)) if isinstance(tags, list) else ()
    return Cell(source.encode("utf-8", "replace").decode(), row["cell_type"] == "code", tags)
