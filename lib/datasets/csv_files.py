"""Read comma-separated annotation files, in which captions and labels hold commas and quotes."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError


def read_rows(
    path: str | Path, n_columns: int, *, spaced: bool = False, comments: list[str] | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Read the rows of a file without a header line.

    Args:
        path: UTF-8 text.
        n_columns: number of columns of every row.
        spaced: ignore a space after a comma: `id, 0.0, 10.0, "a,b"` then has four columns. If
            False, the space and the quotes belong to the value, and the comma inside separates.
        comments: a list that collects the lines before the first row that begin with `#`; None
            if rows may begin with `#`.

    Yields:
        `(line, row)`: the number of the line on which the row ends, from 1, and its values.
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
    """Read the rows of a file with a header line, as `(line, {column: value})`."""
    rows = read_rows(path, len(header))
    line, first_row = next(rows, (0, []))
    if first_row != list(header):
        raise RetrievalInputError(
            f"{path} begins with {','.join(first_row)!r:.80}, expected {','.join(header)!r}"
        )
    for line, row in rows:
        yield line, dict(zip(header, row, strict=True))


def _after_comments(stream: Iterable[str], comments: list[str]) -> Iterator[str]:
    lines = iter(stream)
    for line in lines:
        if not line.startswith("#"):
            return chain([line], lines)
        comments.append(line.strip())
    return lines
