"""LAION's metadata: Parquet files of links and captions, read in batches, filtered and counted."""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lib.core.checks import (
    RetrievalInputError,
    check_choice,
    check_choices,
    check_count,
    check_switch,
)
from lib.core.reading import MissingFileError, reading
from lib.core.writing import atomic_path

# Our name -> the names in the releases, in lower case, and the type. laion2B-en has SAMPLE_ID,
# URL, TEXT...; the *-joined files add hash, punsafe and pwatermark; Re-LAION has url and caption.
# Some copies store widths as float64 with NaN: therefore every column is cast.
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
NSFW = ("UNLIKELY", "UNSURE", "NSFW")  # tags in the upper-case releases
_RANGES = {
    "max_aspect": (1, math.inf),
    "max_punsafe": (0, 1),
    "max_pwatermark": (0, 1),
    "min_similarity": (-1, 1),
}


class _Rule(NamedTuple):
    """One filter: its test gives true, false, or null where a column does not state a value."""

    label: str
    columns: tuple[str, ...]
    test: Callable[..., pa.Array]


@dataclass(frozen=True)
class Filters:
    """Conditions on rows; None means no condition. A row that does not state a value fails.

    Args:
        with_text: the text is present and not blank.
        with_url: the address is present, on one line and without spaces.
        min_side: smallest width and height, pixels.
        min_pixels: smallest width * height.
        max_aspect: largest ratio of longer to shorter side, at least 1.
        nsfw: allowed tags, of UNLIKELY, UNSURE and NSFW.
        max_punsafe: largest probability of an unsafe picture, 0 to 1.
        max_pwatermark: largest probability of a watermark, 0 to 1.
        min_similarity: smallest cosine of picture and text, by the release's CLIP.
        languages: allowed codes, for example ("de", "fr").
    """

    with_text: bool = True
    with_url: bool = False
    min_side: int | None = None
    min_pixels: int | None = None
    max_aspect: float | None = None
    nsfw: tuple[str, ...] | None = None
    max_punsafe: float | None = None
    max_pwatermark: float | None = None
    min_similarity: float | None = None
    languages: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("with_text", "with_url"):
            check_switch(getattr(self, name), name)
        for name in ("min_side", "min_pixels"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), name)
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and least <= value <= most):
                expected = f"a number from {least} to {most}"
                raise RetrievalInputError(f"{name} must be {expected}, got {value!r}")
        for name in ("nsfw", "languages"):
            allowed = getattr(self, name)
            texts = isinstance(allowed, Collection) and all(isinstance(tag, str) for tag in allowed)
            if allowed is not None and (isinstance(allowed, str) or not (texts and allowed)):
                raise RetrievalInputError(f"{name} must be a list of values, got {allowed!r}")
        check_choices(self.nsfw or (), NSFW, "nsfw tag")

    def rules(self) -> list[_Rule]:
        """List the conditions, in the order in which they are applied and counted."""
        sides = ("width", "height")
        candidates = [
            (self.with_text or None, "text is not blank", ("text",), _is_written),
            (self.with_url or None, "url is one word", ("url",), _is_word),
            (self.min_side, f"shorter side >= {self.min_side}", sides,
             lambda w, h: pc.greater_equal(_shorter(w, h), self.min_side)),
            (self.min_pixels, f"pixels >= {self.min_pixels}", sides,
             lambda w, h: pc.greater_equal(_n_pixels(w, h), self.min_pixels)),
            (self.max_aspect, f"longer / shorter side <= {self.max_aspect}", sides,
             lambda w, h: _aspect_fits(w, h, self.max_aspect)),
            (self.nsfw, f"nsfw in {', '.join(self.nsfw or ())}", ("nsfw",),
             lambda tags: _is_in(tags, self.nsfw)),
            (self.max_punsafe, f"punsafe <= {self.max_punsafe}", ("punsafe",),
             lambda values: _at_most(values, self.max_punsafe)),
            (self.max_pwatermark, f"pwatermark <= {self.max_pwatermark}", ("pwatermark",),
             lambda values: _at_most(values, self.max_pwatermark)),
            (self.min_similarity, f"similarity >= {self.min_similarity}", ("similarity",),
             lambda values: _at_least(values, self.min_similarity)),
            (self.languages, f"language in {', '.join(self.languages or ())}", ("language",),
             lambda codes: _is_in(codes, self.languages)),
        ]  # fmt: skip
        return [_Rule(*rule) for bound, *rule in candidates if bound is not None]


def _is_written(texts: pa.Array) -> pa.Array:
    return pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(texts)), 0)


def _is_word(urls: pa.Array) -> pa.Array:
    return pc.match_substring_regex(urls, "^[^\\x00-\\x20\\x7f]+$")  # fits on a line of a list


def _shorter(width: pa.Array, height: pa.Array) -> pa.Array:
    return pc.min_element_wise(width, height, skip_nulls=False)


def _n_pixels(width: pa.Array, height: pa.Array) -> pa.Array:
    return pc.multiply(width.cast(pa.int64()), height.cast(pa.int64()))


def _aspect_fits(width: pa.Array, height: pa.Array, max_aspect: float) -> pa.Array:
    shorter = _shorter(width, height).cast(pa.float64())
    longer = pc.max_element_wise(width, height, skip_nulls=False).cast(pa.float64())
    # A product instead of a quotient: there is no division by a side of 0. Such a side fails.
    fits = pc.less_equal(longer, pc.multiply(shorter, max_aspect))
    return pc.and_(fits, pc.greater(shorter, 0))


def _at_least(values: pa.Array, bound: float) -> pa.Array:
    # A file may store float32, where 0.35 is below the 0.35 of float64.
    return pc.greater_equal(values, min(bound, float(np.float32(bound))))


def _at_most(values: pa.Array, bound: float) -> pa.Array:
    # The bound is float32 as the column is: 0.9 in float64 is below the 0.9 that a file stores.
    return pc.less_equal(values, pa.scalar(bound, pa.float32()))


def _is_in(values: pa.Array, allowed: tuple[str, ...]) -> pa.Array:
    # `is_in` gives false for null; here null means that the value is not stated.
    is_in = pc.is_in(values, value_set=pa.array(allowed, pa.string()))
    return pc.if_else(pc.is_valid(values), is_in, None)


@dataclass(frozen=True)
class FilterStep:
    """Rows that one filter removed: those that fail it, and those that do not state the value."""

    label: str
    failed: int = 0
    unstated: int = 0


@dataclass(frozen=True)
class FilterReport:
    """Counts of one pass.

    Args:
        n_read: rows read so far.
        steps: rows that each filter removed, of those that passed the filters before it.
        n_kept: rows that passed all filters.
    """

    n_read: int
    steps: tuple[FilterStep, ...]
    n_kept: int

    def table_rows(self) -> list[dict[str, str]]:
        """List a row per filter: rows that failed, that do not state the value, and that remain."""
        n_left = self.n_read
        rows = [{"filter": "none", "failed": "", "not stated": "", "kept": f"{n_left:,}"}]
        for step in self.steps:
            n_left -= step.failed + step.unstated
            counts = (step.label, f"{step.failed:,}", f"{step.unstated:,}", f"{n_left:,}")
            rows.append(dict(zip(rows[0], counts)))
        return rows


def known_columns(path: str | Path) -> dict[str, str]:
    """Map our name of each known column of a file to the file's own name; reads the footer only."""
    return _known_columns(_open(Path(path)), Path(path))


class MetadataScan:
    """Iterator over rows of metadata files that pass the filters, one batch at a time.

    Iterating gives `pyarrow.RecordBatch`es with our column names, in file order, none empty. NaN
    becomes null. Each iteration starts a new pass. Rows before damage in a file are given.

    Args:
        paths: a Parquet file, a folder of them, or a list of files of one release.
        filters: conditions on a row; by default only that it has a text.
        columns: names from `COLUMNS`; by default all that the files have.
        batch_size: rows read at a time, which bounds the memory.

    Attributes:
        report: a `FilterReport` of the last pass, up to where it stopped.
    """

    def __init__(
        self,
        paths: str | Path | Sequence[str | Path],
        filters: Filters | None = None,
        *,
        columns: Sequence[str] | None = None,
        batch_size: int = 65_536,
    ) -> None:
        self.rules = (Filters() if filters is None else filters).rules()
        self.batch_size = check_count(batch_size, "batch_size")
        self.paths = _parquet_files(paths)
        schemas = [known_columns(path) for path in self.paths]
        names = schemas[0] if columns is None else columns
        self.columns = tuple(check_choices(names, COLUMNS, "column"))
        label_by_column = {column: rule.label for rule in self.rules for column in rule.columns}
        self._needed = tuple(dict.fromkeys((*self.columns, *label_by_column)))
        for path, schema in zip(self.paths, schemas, strict=True):
            missing = next((column for column in self._needed if column not in schema), None)
            if missing is not None:
                label = label_by_column.get(missing)
                reason = f"the filter {label!r} reads it" if label else "it was requested"
                columns = ", ".join(schema) or "no column of LAION"
                raise RetrievalInputError(
                    f"{path} must have a column {missing!r} ({reason}), got {columns}. "
                    "Read the files of one release together, and filter by their columns"
                )
        self.report = self._empty_report()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        self.report = self._empty_report()
        for path in self.paths:
            for batch in self._read(path):
                passed = self._filter(batch)
                if passed.num_rows:
                    yield passed.select(list(self.columns))

    def _empty_report(self) -> FilterReport:
        return FilterReport(0, tuple(FilterStep(rule.label) for rule in self.rules), 0)

    def _read(self, path: Path) -> Iterator[pa.RecordBatch]:
        file, n_read = _open(path), 0
        schema = _known_columns(file, path)
        names = [schema[column] for column in self._needed]
        batches = file.iter_batches(self.batch_size, columns=names)
        while True:
            advice = "The rows before it were given; download the file again"
            with reading(path, f"damaged behind row {n_read:,}", advice):
                batch = next(batches, None)
            if batch is None:
                return
            columns = {name: batch.column(schema[name]) for name in self._needed}
            arrays = [_cast(column, name, path, n_read) for name, column in columns.items()]
            n_read += batch.num_rows
            yield pa.RecordBatch.from_arrays(arrays, names=list(self._needed))

    def _filter(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        n_read, steps = batch.num_rows, []
        for step, rule in zip(self.report.steps, self.rules, strict=True):
            verdict = rule.test(*(batch.column(column) for column in rule.columns))
            n_before, unstated = batch.num_rows, verdict.null_count
            batch = batch.filter(verdict, null_selection_behavior="drop")
            failed = n_before - batch.num_rows - unstated
            counts = {"failed": step.failed + failed, "unstated": step.unstated + unstated}
            steps.append(replace(step, **counts))
        total, n_kept = self.report.n_read + n_read, self.report.n_kept + batch.num_rows
        self.report = FilterReport(total, tuple(steps), n_kept)
        return batch


OUTPUT_SUFFIXES = (".parquet", ".txt")


def write_filtered(
    paths: str | Path | Sequence[str | Path],
    out: str | Path,
    filters: Filters,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FilterReport:
    """Write the rows of metadata files that pass the filters, with our column names.

    Args:
        paths: a Parquet file, a folder of them, or a list of files of one release.
        out: a `.parquet` file for all known columns, or a `.txt` file for one URL per line. Both
            are what img2dataset reads.
        filters: conditions on a row.
        progress: called with rows read and rows in all, after each batch that passes rows.

    Returns:
        The counts of each filter.
    """
    out = Path(out)
    suffix = check_choice(out.suffix.lower(), OUTPUT_SUFFIXES, f"the suffix of {out.name}")
    if suffix == ".txt":
        scan = MetadataScan(paths, replace(filters, with_url=True), columns=["url"])
    else:
        scan = MetadataScan(paths, filters)
    if any(path.resolve() == out.resolve() for path in scan.paths):
        raise RetrievalInputError(f"{out} is one of the files to read. Name another output file")
    n_rows = sum(_open(path).metadata.num_rows for path in scan.paths)
    with atomic_path(out) as temporary:
        if suffix == ".txt":
            with open(temporary, "w", encoding="utf-8", newline="\n") as stream:
                for batch in scan:
                    stream.writelines(f"{url}\n" for url in batch.column("url").to_pylist())
                    progress(scan.report.n_read, n_rows)
        else:
            schema = pa.schema([(name, COLUMNS[name][1]) for name in scan.columns])
            with pq.ParquetWriter(temporary, schema) as writer:
                for batch in scan:
                    writer.write_batch(batch)
                    progress(scan.report.n_read, n_rows)
    return scan.report


def _parquet_files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    if isinstance(paths, str | Path):
        path = Path(paths)
        files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    else:
        files = [Path(path) for path in paths]
    if not files:
        raise MissingFileError(f"no Parquet files (part-....parquet) in {paths}")
    return files


def _open(path: Path) -> pq.ParquetFile:
    if not path.is_file():
        raise MissingFileError(f"{path} is missing; LAION's metadata are files part-....parquet")
    advice = "Its table of contents, at the end, is missing or damaged. Download it again"
    with reading(path, "not a Parquet file", advice):
        return pq.ParquetFile(path)


def _known_columns(file: pq.ParquetFile, path: Path) -> dict[str, str]:
    file_names: dict[str, str] = {}
    for file_name in file.schema_arrow.names:
        for name, (spellings, _) in COLUMNS.items():
            if file_name.lower() not in spellings:
                continue
            if name in file_names:
                names = f"{file_names[name]!r} and {file_name!r}"
                raise RetrievalInputError(f"{path} has equal columns, {names}; rename or drop one")
            file_names[name] = file_name
    return file_names


def _cast(column: pa.Array, name: str, path: Path, first_row: int) -> pa.Array:
    kind = COLUMNS[name][1]
    try:
        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        # float64 similarities and probabilities may lose bits; whole numbers may not.
        cast = pc.cast(column, kind, safe=not pa.types.is_floating(kind))
        cast.validate(full=True)  # text that is not UTF-8 would raise later, without a file name
        return cast
    except (pa.ArrowException, NotImplementedError) as error:
        raise RetrievalInputError(
            f"{path}, rows {first_row:,} to {first_row + len(column) - 1:,}: the column {name!r} is"
            f" {column.type} and cannot be read as {kind}: {error}"
        ) from error
