"""A folder of shards as img2dataset writes it: the tar has what was downloaded, the table every
link.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
import pyarrow.types as pt

from lib.core.paths import path_inside
from lib.core.reading import DamagedFileError, MissingFileError, reading
from lib.datasets.laion.shards import MAX_BYTES, Sample, TarReport, TarSamples

SUCCESS = "success"
SHOWN = 5  # of a list of what is wrong, when it is printed
MAX_ROWS = 1_000_000  # of a table, which is held whole; img2dataset writes 10,000
_ROW = ("key", "status", "url", "caption", "error_message")
_COUNTED = (
    "failed_to_download",
    "failed_to_resize",
)  # statuses with a number of their own in _stats.json


@dataclass(frozen=True)
class Row:
    """What the table says of one link.

    Args:
        status: `"success"`, `"failed_to_download"` or `"failed_to_resize"`.
        url, caption: as the input had them; None where they were null or not written.
        error: why it failed.
    """

    status: str
    url: str | None = None
    caption: str | None = None
    error: str | None = None


@dataclass
class ShardReport:
    """How tar, table and statistics of one shard fit together; complete when the shard was read to
    its end.

    Args:
        shard: file name of the tar.
        tar: what reading the tar met.
        statuses: status -> number of rows, of the whole table.
        without_sample: keys of rows with success whose sample the tar does not have.
        without_row: keys of samples that the table does not have, or has as failed.
        problems: a table or statistics that cannot be used, and where the two differ.
    """

    shard: str
    tar: TarReport = field(default_factory=TarReport)
    statuses: dict[str, int] = field(default_factory=dict)
    without_sample: list[str] = field(default_factory=list)
    without_row: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return sum(self.statuses.values())

    @property
    def ok(self) -> bool:
        return self.tar.ok and not (self.without_sample or self.without_row or self.problems)

    def text(self) -> str:
        """What was found, then a line for everything that is wrong."""
        failed = [
            f"{n:,} {status}" for status, n in sorted(self.statuses.items()) if status != SUCCESS
        ]
        of = f" of {self.statuses.get(SUCCESS, 0):,}" if self.rows else ""
        links = f"; {self.rows:,} links" if self.rows else "; no table of the links"
        links += f", of them {', '.join(failed)}" if failed else ""
        lines = [f"{self.shard}: found {self.tar.samples:,}{of} samples{links}"]
        if self.tar.damage:
            cut = f"; sample {self.tar.cut[0]} is incomplete and left out" if self.tar.cut else ""
            lines.append(self.tar.damage + cut)
        lines += [f"refused {name!r}: {why}" for name, why in self.tar.refused[:SHOWN]]
        if len(self.tar.refused) > SHOWN:
            lines.append(f"refused {len(self.tar.refused) - SHOWN:,} more members")
        lines += _listed(self.without_sample, "downloaded according to the table, not in the tar")
        lines += _listed(self.without_row, "in the tar, not downloaded according to the table")
        return "\n  ".join([*lines, *self.problems])


class Shard:
    """One shard of img2dataset: `00000.tar`, with `00000.parquet` and `00000_stats.json` beside it.

    The tar holds the successes only, the table a row for every link: they are joined by key, never
    by position. The table is held whole (10,000 short rows by default), the samples are streamed.

    Args:
        path: the tar.
        max_bytes: of one sample, as in `TarSamples`.

    Attributes:
        rows: key -> `Row`; empty where there is no table, or none that can be used. The samples are
            read all the same, and the report says so.
        report: a `ShardReport` of the last pass. `without_sample` is filled when a pass reaches the
            end.

    Iterating gives `(sample, row)`; the row is None where the table has none or says that it
    failed.

    Raises:
        MissingFileError: no tar.
        RetrievalInputError: a link beside it that leads out of its folder.

    Relations: `TarSamples` reads the tar alone; `encode_shards` embeds what this gives.
    """

    def __init__(self, path: str | Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.samples = TarSamples(path, max_bytes=max_bytes)
        self.path = self.samples.path
        self.problems: list[str] = []
        # Through `path_inside`: a link that leads out of the folder is refused.
        beside = [f"{self.path.stem}.parquet", f"{self.path.stem}_stats.json"]
        table, stats = (path_inside(self.path.parent, name) for name in beside)
        self.rows: dict[str, Row] = {}
        if table.is_file():
            try:
                self.rows = _read_rows(table)
            except DamagedFileError as error:
                self.problems.append(str(error))
        if self.rows and stats.is_file():
            self.problems += _compare(stats, self.statuses)
        self.report = self._new_report()

    @property
    def statuses(self) -> dict[str, int]:
        """Status -> number of rows of the table."""
        return dict(Counter(row.status for row in self.rows.values()))

    @property
    def successes(self) -> int:
        """Rows with success: samples that the tar should have."""
        return self.statuses.get(SUCCESS, 0)

    def _new_report(self) -> ShardReport:
        return ShardReport(self.path.name, statuses=self.statuses, problems=list(self.problems))

    def __iter__(self) -> Iterator[tuple[Sample, Row | None]]:
        self.report = report = self._new_report()
        awaited = {key: None for key, row in self.rows.items() if row.status == SUCCESS}
        samples = iter(self.samples)
        for sample in samples:
            report.tar = self.samples.report
            row = self.rows.get(sample.key)
            if sample.key in awaited:
                del awaited[sample.key]
            elif self.rows:
                report.without_row.append(sample.key)
                row = None
            yield sample, row
        report.tar = self.samples.report
        report.without_sample = list(awaited)


def shard_paths(root: str | Path) -> list[Path]:
    """The tar files of a folder, by name.

    Raises:
        MissingFileError: no such folder, or none in it.
        RetrievalInputError: a link that leads out of the folder.
    """
    paths = sorted(
        path for path in Path(root).glob("*.tar") if path_inside(root, path.name).is_file()
    )
    if not paths:
        raise MissingFileError(f"no shards (00000.tar, 00001.tar, ...) in {root}")
    return paths


def check_shard(path: str | Path) -> ShardReport:
    """Reads a shard to its end and says how its files fit together; nothing is decoded."""
    shard = Shard(path)
    for _ in shard:
        pass
    return shard.report


def _read_rows(path: Path) -> dict[str, Row]:
    """The table of a shard; a DamagedFileError says why it cannot be used."""
    with reading(path.name, "no Parquet file of UTF-8 text", "Make it again"):
        file = pq.ParquetFile(path)
        n = file.metadata.num_rows
        if n > MAX_ROWS:
            raise DamagedFileError(f"{path.name} has {n:,} rows, at most {MAX_ROWS:,} are read")
        there = [name for name in _ROW if name in file.schema_arrow.names]
        for name in there:
            kind = file.schema_arrow.field(name).type
            kind = kind.value_type if pt.is_dictionary(kind) else kind
            if not (pt.is_string(kind) or pt.is_large_string(kind) or pt.is_null(kind)):
                raise DamagedFileError(f"{path.name}: the column {name!r} is {kind}, expected text")
        columns = file.read(columns=there).to_pydict()
    for name in ("key", "status"):
        if name not in columns:
            raise DamagedFileError(
                f"{path.name} has no column {name!r}; img2dataset's tables have it"
            )
    cells = zip(*(columns.get(name, [None] * n) for name in _ROW), strict=True)
    rows: dict[str, Row] = {}
    for position, (key, status, *other) in enumerate(cells):
        if key in rows or not isinstance(key, str):
            where = f"{path.name}, row {position}"
            raise DamagedFileError(f"{where}: the key {key!r} must be text, and there once")
        rows[key] = Row(str(status), *other)
    return rows


def _compare(path: Path, statuses: dict[str, int]) -> list[str]:
    """Where img2dataset's own count differs from the table."""
    try:
        stats = json.loads(path.read_bytes())
        expected = {"count": sum(statuses.values()), "successes": statuses.get(SUCCESS, 0)}
        expected |= {status: statuses.get(status, 0) for status in _COUNTED}
        return [
            f"{path.name} says {stats[what]:,} {what}, the table has {found:,}"
            for what, found in expected.items()
            if stats[what] != found
        ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        return [f"{path.name} cannot be read: {error!r}"]


def _listed(keys: list[str], what: str) -> list[str]:
    first = ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")
    return [f"{len(keys):,} {what}: {first}"] if keys else []
