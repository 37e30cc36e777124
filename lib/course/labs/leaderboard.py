"""The leaderboard of the labs: one CSV file, a row a submission, written whole or not at all."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, reading
from lib.core.writing import atomic_path
from lib.course.progress import in_turn, progress_file

LEADERBOARD = "leaderboard.csv"
COLUMNS = ("when", "name", "lab", "score", "low", "high", "points", "of", "costs")
NUMBERS = ("score", "low", "high", "points", "of")
LONGEST_NAME = 40
ADVICE = (
    "Nothing was written. Mend the file, or move it to another name: the next submission begins a"
    " new one"
)
Row = dict[str, Any]


def leaderboard_file() -> Path | None:
    """Return the leaderboard beside the working copies, or None outside of them."""
    progress = progress_file()
    return None if progress is None else progress.with_name(LEADERBOARD)


def check_name(name: str) -> str:
    """Check the name of a person or team; a spreadsheet would run a name that begins with =."""
    text = name.strip() if isinstance(name, str) else ""
    if not 0 < len(text) <= LONGEST_NAME or not text.isprintable() or text[0] in "=+-@":
        raise RetrievalInputError(
            f"name must be a text of 1 to {LONGEST_NAME} printable characters that begins with none"
            f' of = + - @, got {name!r}; for example name="Ada"'
        )
    return text


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a leaderboard; a file that does not exist has none."""
    if not path.exists():
        return []
    with (
        reading(path, "no leaderboard", ADVICE),
        open(path, newline="", encoding="utf-8-sig") as stream,
    ):
        lines = csv.DictReader(stream, strict=True)
        if tuple(lines.fieldnames or ()) != COLUMNS:
            raise ValueError(f"its first line must be {','.join(COLUMNS)!r}")
        return [_checked(row, lines.line_num) for row in lines]


def append_row(path: Path, row: Mapping[str, Any]) -> list[Row]:
    """Add a row to a leaderboard and return all rows, the new one last; wait for other writers."""
    path = path.resolve()

    def write() -> list[Row]:
        rows = [*read_rows(path), dict(row)]
        with (
            atomic_path(path) as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as stream,
        ):
            writer = csv.DictWriter(stream, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        return rows

    path.parent.mkdir(parents=True, exist_ok=True)
    return in_turn(path, write)


def ranked(rows: list[Row], lab: str) -> list[Row]:
    """List the last submission of each name to a lab, the most points first, then the best score.

    Each row has the number of submissions of its name too.
    """
    last: dict[str, Row] = {}
    for row in rows:
        if row["lab"] == lab:
            count = last.get(row["name"], {}).get("submissions", 0) + 1
            last[row["name"]] = {**row, "submissions": count}
    return sorted(last.values(), key=lambda row: (-row["points"], -row["score"], row["name"]))


def luck_of_the_best(low: float, high: float, n: int) -> float:
    """Bound how far the best of n equally good answers lies above their mean, by luck alone.

    The bound for n independent normal errors: the standard error times sqrt(2 log n).
    """
    return (high - low) / (2 * 1.96) * math.sqrt(2 * math.log(n))


def _checked(row: Row, line: int) -> Row:
    if None in row or None in row.values():
        raise ValueError(f"line {line} must have {len(COLUMNS)} cells")
    try:
        numbers = {key: float(row[key]) for key in NUMBERS}
    except ValueError:
        raise DamagedFileError(
            f"the leaderboard, line {line}: {', '.join(NUMBERS)} must be numbers, got"
            f" {[row[key] for key in NUMBERS]}. {ADVICE}"
        ) from None
    if not all(map(math.isfinite, numbers.values())):
        raise ValueError(f"line {line} holds a number that is not finite")
    return row | numbers
