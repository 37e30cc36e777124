"""Comma-separated annotation files, read by the csv module: captions and labels hold commas and
quotes.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError


def read_rows(
    path: str | Path, n_columns: int, *, spaced: bool = False, comments: list[str] | None = None
) -> Iterator[tuple]:
    """The rows of a file without a header line, with the number of the line on which each ends.

    Args:
        path: UTF-8 text.
        n_columns: what every row must have.
        spaced: a space behind a comma does not belong to the value, so that `id, 0.0, 10.0, "a,b"`
            has four columns; without it the quotes would be text, and the comma between them a
            border.
        comments: lines that begin with `#` before the first row go into this list; None where a row
            itself may begin so.

    Yields:
        `(line, row)`, lines from 1.

    Raises:
        MissingFileError: it is not there.
        DamagedFileError: it is not UTF-8, or a quote is never closed.
        RetrievalInputError: a row of another length; the message names the line.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path} is missing")
    line = 0
    with open(path, encoding="utf-8-sig", newline="") as stream:
        try:
            lines = stream if comments is None else _behind_comments(stream, comments)
            reader = csv.reader(lines, skipinitialspace=spaced, strict=True)
            for row in reader:
                line = reader.line_num + len(comments or ())
                if row and len(row) != n_columns:
                    raise RetrievalInputError(
                        f"{path}, line {line}: {len(row)} columns, expected {n_columns}:"
                        f" {row!r:.120}"
                    )
                if row:
                    yield line, row
        except (csv.Error, UnicodeDecodeError) as error:
            raise DamagedFileError(
                f"{path} is not whole behind line {line}: {error}. Fetch it again"
            ) from error


def read_table(path: str | Path, header: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a file with a header line, by column name, with their lines.

    Raises:
        RetrievalInputError: another header; and what `read_rows` raises.
    """
    rows = read_rows(path, len(header))
    line, found = next(rows, (0, []))
    if found != list(header):
        raise RetrievalInputError(
            f"{path} begins with {','.join(found)!r:.80}, expected {','.join(header)!r}"
        )
    for line, row in rows:
        yield line, dict(zip(header, row, strict=True))


def _behind_comments(stream: Iterable[str], comments: list[str]) -> Iterator[str]:
    lines = iter(stream)
    for line in lines:
        if not line.startswith("#"):
            return chain([line], lines)
        comments.append(line.strip())
    return lines
