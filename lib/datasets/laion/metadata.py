"""LAION's metadata: Parquet files of links and captions, read in batches and filtered aloud."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.core.reading import MissingFileError, reading
from lib.datasets.laion.filters import Filters

# Our name -> the names that releases give it, in lower case, and its type. laion2B-en writes
# SAMPLE_ID, URL, TEXT...; the *-joined files add hash, punsafe and pwatermark; Re-LAION writes url
# and caption. Some copies hold widths as float64 with NaN, so that everything is cast.
COLUMNS: dict[str, tuple[tuple[str, ...], pa.DataType]] = {
    "id": (("sample_id",), pa.int64()),
    "url": (("url",), pa.string()),
    "text": (("text", "caption"), pa.string()),
    "width": (("width",), pa.int32()),
    "height": (("height",), pa.int32()),
    "license": (("license",), pa.string()),
    "nsfw": (("nsfw",), pa.string()),
    "similarity": (("similarity",), pa.float64()),
    "language": (("language",), pa.string()),
    "hash": (("hash",), pa.int64()),
    "punsafe": (("punsafe",), pa.float32()),
    "pwatermark": (("pwatermark",), pa.float32()),
}
_ADVICE = (
    "Such a file ends with its table of contents, so that a cut one cannot be read; download it"
    " again"
)


@dataclass(frozen=True)
class Step:
    """What one filter took away: rows that state another value, and rows that state none."""

    filter: str
    failed: int = 0
    unstated: int = 0


@dataclass(frozen=True)
class Kept:
    """What became of the rows that were read; every row is in one of the steps or among the kept.

    Args:
        read: rows read so far.
        steps: what each filter took from those that the filters before it had left.
        kept: rows left at the end.
    """

    read: int
    steps: tuple[Step, ...]
    kept: int

    def text(self) -> str:
        """A line per filter."""
        lines = [f"{self.read:,} rows read"]
        for step in self.steps:
            unstated = f", {step.unstated:,} that do not state it" if step.unstated else ""
            lines.append(f"{step.filter}: {step.failed:,} left out{unstated}")
        return "\n".join([*lines, f"{self.kept:,} rows kept"])


def schema_of(path: str | Path) -> dict[str, str]:
    """Our name of each known column of a file -> the file's name for it, from the footer alone.

    Raises:
        MissingFileError: no such file.
        DamagedFileError: no Parquet, or one that was cut: the footer stands at the end.
        RetrievalInputError: two columns that mean the same.
    """
    return _schema(_open(Path(path)), Path(path))


class Scan:
    """The rows of metadata files that pass the filters, a batch at a time; a file is never held
    whole.

    Args:
        paths: a Parquet file, a folder of them, or a list of files of one release.
        filters: what a row must state; by default only that there is a text.
        columns: which of `COLUMNS` to give; by default all that the files have.
        batch_size: rows read at a time. At most so many are held, decoded.

    Attributes:
        kept: a `Kept` of the last pass as far as it went.

    Iterating gives `pyarrow.RecordBatch`es with our column names, in file order; NaN becomes null;
    batches of which nothing is left are not given. Every `iter` starts a new pass.

    Raises:
        MissingFileError: a file is not there, or a folder without any.
        DamagedFileError: no Parquet, or cut; if that shows in the middle, the rows before it were
            given.
        RetrievalInputError: a column that is wanted, or that a filter asks about, which a file
            lacks; a value that is not what the column should hold.

    Relations: `Shard` reads what was downloaded from such links.
    """

    def __init__(
        self,
        paths: str | Path | Sequence[str | Path],
        filters: Filters | None = None,
        *,
        columns: Sequence[str] | None = None,
        batch_size: int = 65_536,
    ) -> None:
        self.filters = Filters() if filters is None else filters
        self.batch_size = check_count(batch_size, "batch_size")
        self.paths = _files(paths)
        schemas = [schema_of(path) for path in self.paths]
        self.columns = tuple(schemas[0] if columns is None else columns)
        for name in self.columns:
            check_choice(name, COLUMNS, "column")
        asked = {column: label for label, columns, _ in self.filters.tests() for column in columns}
        for path, schema in zip(self.paths, schemas, strict=True):
            for column in dict.fromkeys((*self.columns, *asked)):
                if column not in schema:
                    why = (
                        f"the filter {asked[column]!r} asks about it"
                        if column in asked
                        else "it is wanted"
                    )
                    raise RetrievalInputError(
                        f"{path} has no column {column!r} and {why}; it has {', '.join(schema)}. "
                        "Read the files of one release together, and filter by what it states"
                    )
        self._needed = tuple(dict.fromkeys((*self.columns, *asked)))
        self.kept = self._nothing()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        self.kept = self._nothing()
        for path in self.paths:
            yield from self._file(path)

    def _nothing(self) -> Kept:
        return Kept(0, tuple(Step(label) for label, _, _ in self.filters.tests()), 0)

    def _file(self, path: Path) -> Iterator[pa.RecordBatch]:
        file, row = _open(path), 0
        schema = _schema(file, path)
        names = [schema[column] for column in self._needed]
        batches = file.iter_batches(self.batch_size, columns=names)
        while True:
            advice = "The rows before it were given; download the file again"
            with reading(path, f"no Parquet file behind row {row:,}", advice):
                batch = next(batches, None)
            if batch is None:
                return
            rows = [_cast(batch.column(schema[name]), name, path, row) for name in self._needed]
            row += batch.num_rows
            passed = self._filter(pa.RecordBatch.from_arrays(rows, names=list(self._needed)))
            if passed.num_rows:
                yield passed.select(list(self.columns))

    def _filter(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        read, steps = batch.num_rows, []
        for step, (_, columns, test) in zip(self.kept.steps, self.filters.tests(), strict=True):
            verdict = test(
                *(batch.column(column) for column in columns)
            )  # true, false, or null: not stated
            unstated, before = verdict.null_count, batch.num_rows
            batch = batch.filter(verdict, null_selection_behavior="drop")
            failed = before - batch.num_rows - unstated
            steps.append(
                replace(step, failed=step.failed + failed, unstated=step.unstated + unstated)
            )
        self.kept = Kept(self.kept.read + read, tuple(steps), self.kept.kept + batch.num_rows)
        return batch


def _files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    if isinstance(paths, str | Path):
        path = Path(paths)
        files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    else:
        files = [Path(path) for path in paths]
    if not files:
        raise MissingFileError(
            f"no Parquet files in {paths}; LAION's metadata are files part-....parquet"
        )
    return files


def _open(path: Path) -> pq.ParquetFile:
    if not path.is_file():
        raise MissingFileError(f"{path} is missing; LAION's metadata are files part-....parquet")
    with reading(path, "no Parquet file", _ADVICE):
        return pq.ParquetFile(path)


def _schema(file: pq.ParquetFile, path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in file.schema_arrow.names:
        for ours, (names, _) in COLUMNS.items():
            if name.lower() in names:
                if ours in found:
                    raise RetrievalInputError(
                        f"{path} has {found[ours]!r} and {name!r}, which mean the same; rename or"
                        " drop one"
                    )
                found[ours] = name
    return found


def _cast(column: pa.Array, name: str, path: Path, row: int) -> pa.Array:
    kind = COLUMNS[name][1]
    try:
        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        # float64 similarities and probabilities may lose bits; whole numbers may not.
        cast = pc.cast(column, kind, safe=not pa.types.is_floating(kind))
        cast.validate(full=True)  # text that is not UTF-8, which would raise where it is used
        return cast
    except (pa.ArrowException, NotImplementedError) as error:
        raise RetrievalInputError(
            f"{path}, rows {row:,} to {row + len(column) - 1:,}: the column {name!r} is"
            f" {column.type} and cannot be read as {kind}: {error}"
        ) from error
