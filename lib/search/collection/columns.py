"""A table with more facts for each picture: captions, dates, tags, anything."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.reading import MissingFileError, reading
from lib.core.texts import decode_text, text_encoding
from lib.search.collection.files import OWN_COLUMNS

PATHS = ("path", "file", "filename", "file_name", "image", "key")  # columns that name the picture
SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")
CAPTION = "caption"
LONGEST_ROW = 1 << 26  # bytes


class Columns:
    """Join a user's table to pictures by their paths.

    A caption in a column `caption` takes the place of the one that lies beside a picture; all other
    columns are kept as they are. A picture without a row gets nulls.

    Args:
        table: with one of the columns `PATHS`; paths are relative to the source, or file names.
        name: of the table, in errors.
    """

    def __init__(self, table: pa.Table, name: str) -> None:
        table = _readable_columns(table, name)
        keys = [column for column in PATHS if column in table.column_names]
        if not keys:
            raise RetrievalInputError(
                f"{name} must have a column that names the picture, one of {', '.join(PATHS)}; it"
                f" has {', '.join(table.column_names)}"
            )
        taken = sorted(set(table.column_names) & set(OWN_COLUMNS.names) - {keys[0], CAPTION})
        if taken:
            raise RetrievalInputError(
                f"{name} has the column {taken[0]!r}, which a collection keeps itself; rename it"
            )
        values = table[keys[0]].to_pylist()
        paths = ["" if value is None else str(value) for value in values]
        if "" in paths:
            raise RetrievalInputError(
                f"{name} must name a picture in each row, got nothing as {keys[0]!r} in row"
                f" {paths.index('') + 1:,}"
            )
        self.rows = {path: row for row, path in enumerate(paths)}
        if len(self.rows) < len(paths):
            twice = next(path for row, path in enumerate(paths) if self.rows[path] != row)
            raise RetrievalInputError(f"{name} has two rows for {twice!r}; keep one")
        self.name = name
        self.captions = table[CAPTION].to_pylist() if CAPTION in table.column_names else None
        self.table = table.drop_columns([n for n in {keys[0], CAPTION} if n in table.column_names])
        self.used: set[str] = set()

    @classmethod
    def read(cls, path: str | Path) -> "Columns":
        """Read a CSV file, a JSON list of objects, JSON lines, or Parquet.

        Texts are UTF-8, or UTF-16 or UTF-32 with a byte order mark.
        """
        path = Path(path)
        check_choice(path.suffix.lower(), SUFFIXES, f"the suffix of {path}")
        if not path.is_file():
            raise MissingFileError(f"{path} is missing; give a table ({', '.join(SUFFIXES)})")
        with reading(path, f"no table of the kind {path.suffix}", "Write it again, as UTF-8"):
            return cls(_read(path), str(path))

    def join(self, table: pa.Table, asked: Sequence[bool] | None = None) -> pa.Table:
        """Return a table of pictures with the columns added; columns of the same name are new.

        Args:
            table: of pictures.
            asked: whether a row belongs to the sources of this run, by default all do. Other rows
                keep what they have, and must fit the new kind of a column.
        """
        found = []
        asked = [True] * len(table) if asked is None else asked
        for path, member, counts in zip(*(table[n].to_pylist() for n in ("path", "member")), asked):
            names = (member,) if member else (path, path.rpartition("/")[2])
            match = next((name for name in names if counts and name in self.rows), None)
            if match is not None:
                self.used.add(match)
            found.append(None if match is None else self.rows[match])
        chosen = self.table.take(pa.array(found, pa.int64()))
        for name in chosen.column_names:
            column = chosen[name]
            if name in table.column_names:
                column = self._merged(name, column, table[name], pa.array(asked, pa.bool_()))
                table = table.drop_columns([name])
            table = table.append_column(name, column)
        if self.captions is not None:
            own = table[CAPTION].to_pylist()
            theirs = (None if row is None else self.captions[row] for row in found)
            merged = [
                mine if other is None or other == "" else str(other)
                for mine, other in zip(own, theirs)
            ]
            at = table.schema.get_field_index(CAPTION)
            table = table.set_column(at, CAPTION, pa.array(merged, pa.string()))
        return table

    def _merged(
        self, name: str, new: pa.ChunkedArray, old: pa.ChunkedArray, asked: pa.Array
    ) -> pa.ChunkedArray:
        """Take new values in the rows of this run, old ones in the others."""
        kept = old.filter(pc.invert(asked))
        if kept.null_count == len(kept):
            return new
        fields = [pa.schema([(name, column.type)]) for column in (new, old)]
        try:
            kind = pa.unify_schemas(fields, promote_options="permissive").field(name).type
            return pc.if_else(asked, pc.cast(new, kind), pc.cast(old, kind))
        except (pa.ArrowException, TypeError) as error:
            raise RetrievalInputError(
                f"{self.name}: the column {name!r} holds {new.type}; for the pictures of other"
                f" sources the collection has {old.type}. Rename it, or give all sources and one"
                " table for them"
            ) from error

    def unused(self) -> list[str]:
        """List the names in the table for which no picture was found."""
        return [name for name in self.rows if name not in self.used]


def _readable_columns(table: pa.Table, name: str) -> pa.Table:
    """Refuse columns that could not be read back: later, each search would fail."""
    twice = [column for column, n in Counter(table.column_names).items() if n > 1]
    if twice:
        raise RetrievalInputError(f"{name} has two columns {twice[0]!r}; rename one")
    for number, field in enumerate(table.schema):
        column = table[number]
        try:
            if pa.types.is_string_view(field.type):
                column = column.cast(pa.string())
                table = table.set_column(number, field.name, column)
            column.validate(full=True)  # UTF-8
            column.take(pa.array([None], pa.int64()))
            if not pa.types.is_primitive(field.type) or pa.types.is_temporal(field.type):
                column.to_pylist()  # dates beyond the year 9999, unknown time zones
        except (pa.ArrowException, ValueError, OverflowError, TypeError) as error:
            raise RetrievalInputError(
                f"{name}: the column {field.name!r} of kind {field.type} cannot be read: {error}."
                " Write it as numbers or as texts in UTF-8"
            ) from error
    return table


def _read(path: Path) -> pa.Table:
    match path.suffix.lower():
        case ".csv":
            return _read_csv(path)
        case ".parquet":
            return pq.read_table(path)
        case ".jsonl":
            content = decode_text(path.read_bytes(), str(path)).encode()
            options = pyarrow.json.ReadOptions(block_size=LONGEST_ROW)
            return pyarrow.json.read_json(pa.BufferReader(content), options)
        case _:
            rows = json.loads(decode_text(path.read_bytes(), str(path)))
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise RetrievalInputError(f"{path} must hold a list of objects")
            names = dict.fromkeys(name for row in rows for name in row)
            return pa.table({name: [row.get(name) for row in rows] for name in names})


def _read_csv(path: Path) -> pa.Table:
    """Read names and captions as texts, so that a key 000012 keeps its zeros."""
    with open(path, "rb") as stream:
        start = stream.read(1 << 12)
    encoding = text_encoding(start[:4])
    if encoding == "utf-8" and b"\0" in start:
        decode_text(start[: start.index(b"\0") + 1], str(path))  # says what is wrong
    table = pyarrow.csv.read_csv(
        path,
        pyarrow.csv.ReadOptions(block_size=LONGEST_ROW, encoding=encoding),
        pyarrow.csv.ParseOptions(newlines_in_values=True),
        pyarrow.csv.ConvertOptions(column_types=dict.fromkeys((*PATHS, CAPTION), pa.string())),
    )
    for name in table.column_names:
        if table.column_names.count(name) == 1 and pa.types.is_binary(table[name].type):
            raise RetrievalInputError(f"{path}: the column {name!r} is not UTF-8 text")
    return table
