"""Read comma-separated annotation files, in which captions and labels hold commas and quotes."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.text_lines import not_utf8

SPREADSHEET_ERRORS = ("#NAME?", "#REF!", "#VALUE!", "#NUM!", "#DIV/0!")


def read_rows(
    path: str | Path, n_columns: int, *, spaced: bool = False, comments: list[str] | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Yield `(line, values)` of a UTF-8 file without a header line; lines count from 1.

    Args:
        n_columns: number of columns of every row.
        spaced: ignore a space after a comma, as in `id, 0.0, 10.0, "a,b"` (four columns).
        comments: a list that collects the lines before the first row that begin with `#`; None
            if rows may begin with `#`. An error of a spreadsheet in the first cell is no comment.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path} is missing")
    line = 0
    with open(path, encoding="utf-8-sig", newline="") as stream:
        try:
            lines = stream if comments is None else _after_comments(stream, comments)
            reader = csv.reader(lines, skipinitialspace=spaced, strict=True)
            for row in reader:
                line = reader.line_num + len(comments or ())
                if len(row) == 1 and not row[0].strip():
                    continue  # a blank line, as spreadsheets and editors leave at the end
                if row and len(row) != n_columns:
                    place = f"{path}, line {line}: expected {n_columns} columns"
                    raise RetrievalInputError(f"{place}, got {row!r:.120}{_cause(row)}")
                damaged = [cell for cell in row if cell in SPREADSHEET_ERRORS]
                if damaged:
                    raise RetrievalInputError(
                        f"{path}, line {line}: the cell {damaged[0]!r} is an error of a"
                        " spreadsheet, which has saved this file. Fetch it again"
                    )
                if row:
                    yield line, row
        except UnicodeDecodeError as error:
            raise not_utf8(path) from error
        except csv.Error as error:
            place = f"{path}, behind line {line}"
            raise DamagedFileError(f"{place}: {error}. Fetch the file again") from error


def _cause(row: Sequence[str]) -> str:
    """Name the separator of a row that was not cut at commas."""
    names = {";": "semicolons", "\t": "tabs", "|": "bars"}
    found = [names[mark] for mark in names if len(row) == 1 and mark in row[0]]
    return f". It is separated by {found[0]}; save it with commas" if found else ""


def read_table(path: str | Path, header: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Read the rows of a file with a header line, as `(line, {column: value})`."""
    rows = read_rows(path, len(header))
    line, first_row = next(rows, (0, []))
    if first_row != list(header):
        begins = ",".join(first_row)
        raise RetrievalInputError(f"{path} must begin {','.join(header)!r}, got {begins!r:.80}")
    for line, row in rows:
        yield line, dict(zip(header, row, strict=True))


def _after_comments(stream: Iterable[str], comments: list[str]) -> Iterator[str]:
    lines = iter(stream)
    for line in lines:
        if not line.startswith("#") or line.startswith(SPREADSHEET_ERRORS):
            return chain([line], lines)
        comments.append(line.strip())
    return lines
