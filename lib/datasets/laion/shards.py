"""Shards of img2dataset: a tar of downloaded samples, and a table with a row for every link.

A shard is read as a stream: nothing is unpacked to disk. Whoever wants its list alone passes over
the contents.
"""

import json
import os
import re
import tarfile
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pyarrow.parquet as pq
import pyarrow.types as pt
from PIL import Image

from lib.core.checks import RetrievalInputError, check_count, is_unicode
from lib.core.paths import path_inside, relative_name
from lib.core.reading import DamagedFileError, MissingFileError, reading
from lib.datasets.media.pictures import MAX_PIXELS, open_picture
from lib.datasets.tar_files import TarReader

MAX_BYTES = 64 << 20  # of one sample; img2dataset's pictures have about 10 kB
HEADERS = 1 << 12  # bytes that are read at a time where contents are passed over
MAX_CAPTION = 1 << 16  # characters; a tokenizer reads all of them before it truncates
MAX_ROWS = 1_000_000  # of a table, which is held in memory; img2dataset writes 10,000
SHOWN = 5  # entries of a list of problems that are printed
SUCCESS = "success"
# The key ends at the FIRST dot after the last slash: "00/12.seg.png" is the part "seg.png" of
# "00/12".
_NAME = re.compile(r"((?:.*/)?[^./]+)\.([^/]*)", re.DOTALL)
_BOOKKEEPING = re.compile(r"__[^/]*__(?:$|/)")  # webdataset's own notes, which belong to no sample
_PICTURES = ("jpg", "jpeg", "png", "webp", "gif", "bmp")  # formats of `open_picture`
_COMPRESSED = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"  # gzip, bzip2, xz, zstd
TAR_ERRORS = (tarfile.TarError, OSError, EOFError, ValueError, LookupError)
_COLUMNS = ("key", "status", "url", "caption", "error_message")
_COUNTED = ("failed_to_download", "failed_to_resize")  # statuses with a count in _stats.json


@dataclass(frozen=True)
class Sample:
    """The parts of one sample: its key, `"000000012"`, and suffix in lower case -> content.

    `places` has all parts, also those that were passed over: suffix -> first byte in the shard, and
    number of bytes.
    """

    key: str
    parts: dict[str, bytes]
    places: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def suffixes(self) -> list[str]:
        """Suffixes of all parts."""
        return list(dict.fromkeys((*self.places, *self.parts)))

    @property
    def picture_suffix(self) -> str:
        """Suffix of the part that is the picture."""
        suffixes = self.suffixes
        for suffix in _PICTURES:
            if suffix in suffixes:
                return suffix
        raise DamagedFileError(
            f"sample {self.key!r} must have a picture ({', '.join(_PICTURES)}), got"
            f" {', '.join(suffixes)}; a key must not have a dot"
        )

    def picture(self, max_pixels: int = MAX_PIXELS) -> Image.Image:
        """Decode the picture as RGB; errors as in `open_picture`."""
        content = self.parts[self.picture_suffix]
        return open_picture(content, max_pixels, name=f"the picture of sample {self.key!r}")

    def caption(self) -> str:
        """Return the part `txt`, stripped; a missing, blank or very long one is an error."""
        try:
            text = self.parts["txt"].decode("utf-8-sig").strip()
        except KeyError:
            raise DamagedFileError(f"sample {self.key!r} lacks a caption, {self.key}.txt") from None
        except UnicodeDecodeError as error:
            raise DamagedFileError(f"{self.key}.txt is not UTF-8: {error}") from error
        if not text:  # img2dataset writes a null caption in this way
            raise DamagedFileError(f"the caption of sample {self.key!r} is blank")
        if len(text) > MAX_CAPTION:
            most = f"at most {MAX_CAPTION:,} characters, got {len(text):,}"
            raise DamagedFileError(f"the caption of sample {self.key!r} must have {most}")
        return text

    def notes(self) -> dict:
        """Return the part `json`, for example `url`, `status` and `width`; {} if it is missing."""
        try:
            notes = json.loads(self.parts.get("json", b"{}"))
        except (ValueError, RecursionError) as error:
            raise DamagedFileError(f"{self.key}.json cannot be read: {error}") from error
        if not isinstance(notes, dict):
            raise DamagedFileError(f"the json of {self.key!r} must be an object, got {notes!r:.40}")
        return notes

    def url(self) -> str | None:
        """Return the note `url`, or None if it is missing."""
        url = self.notes().get("url")
        if url is not None and not (isinstance(url, str) and is_unicode(url)):
            raise DamagedFileError(f"the url of sample {self.key!r} is {url!r:.80}, expected text")
        return url


@dataclass(frozen=True)
class LinkRow:
    """One row of a shard's table: `"success"`, `"failed_to_download"` or `"failed_to_resize"`.

    `url` and `caption` are None if they were null or not written; `error` is the failure.
    """

    status: str
    url: str | None = None
    caption: str | None = None
    error: str | None = None


@dataclass
class ShardReport:
    """Problems of one pass over a shard, up to where it stopped.

    Args:
        statuses: status -> number of rows, of the whole table.
        samples: number of whole samples given.
        refused: (member, reason) of each member of the tar that was skipped.
        cut: keys of samples that damage left incomplete; they were not given.
        damage: the damage of the tar and its place; empty if the whole file was read.
        without_sample: keys of successful rows without a sample; filled at the end of a pass.
        without_row: keys of samples without a successful row in the table.
        problems: an unusable table or statistics, and differences between the two.
    """

    shard: str
    statuses: dict[str, int] = field(default_factory=dict)
    samples: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    damage: str = ""
    without_sample: list[str] = field(default_factory=list)
    without_row: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return sum(self.statuses.values())

    @property
    def ok(self) -> bool:
        mismatches = self.without_sample or self.without_row or self.problems
        return not (self.refused or self.damage or mismatches)

    def text(self) -> str:
        """Format the counts, then a line for each problem."""
        counts = sorted(self.statuses.items())
        failed = [f"{n:,} {status}" for status, n in counts if status != SUCCESS]
        of = f" of {self.statuses.get(SUCCESS, 0):,}" if self.rows else ""
        links = f"; {self.rows:,} links" if self.rows else "; no table of the links"
        links += f", of them {', '.join(failed)}" if failed else ""
        lines = [f"{self.shard}: found {self.samples:,}{of} samples{links}"]
        if self.damage:
            cut = f"; sample {self.cut[0]} is incomplete and left out" if self.cut else ""
            lines.append(self.damage + cut)
        lines += [f"refused {name!r}: {reason}" for name, reason in self.refused[:SHOWN]]
        if len(self.refused) > SHOWN:
            lines.append(f"refused {len(self.refused) - SHOWN:,} more members")
        for keys, problem in (
            (self.without_sample, "downloaded according to the table, not in the tar"),
            (self.without_row, "in the tar, not downloaded according to the table"),
        ):
            if keys:
                dots = ", ..." if len(keys) > 3 else ""
                lines.append(f"{len(keys):,} {problem}: {', '.join(keys[:3])}{dots}")
        return "\n  ".join([*lines, *self.problems])


class Shard:
    """Iterator over `(sample, row)` of one shard: `00000.tar` with `.parquet` and `_stats.json`.

    The tar holds the successes only, the table a row for every link: they are joined by key, never
    by position. The row is None if the table has none, or lists the link as failed. Without a
    usable table the samples are read all the same.

    Consecutive members with the same key make a sample, as in webdataset. Damage does not raise:
    the samples before it are given, and the report names it. In a damaged tar, the last sample
    counts as whole if it has every part of the sample before it.

    Skipped and reported: absolute names and names with `..`, links, devices, pipes, names without
    a key, a second part of the same name, a key that occurred before, and parts that make a sample
    larger than `max_bytes`. Folders and webdataset's `__notes__` are skipped without a report.

    Args:
        path: an uncompressed tar file.
        max_bytes: limit for the parts of one sample, which are held in memory.
        contents: suffixes of the parts that are read; the others are passed over on disk. All by
            default.

    Attributes:
        rows: key -> `LinkRow`; empty if the table is missing or cannot be used.
        report: a `ShardReport` of the last pass.

    Reference: Aizman, Maltby and Breuel 2019, "High performance I/O for large scale deep learning".
    """

    def __init__(
        self,
        path: str | Path,
        *,
        max_bytes: int = MAX_BYTES,
        contents: Collection[str] | None = None,
    ) -> None:
        self.path, self.max_bytes = Path(path), check_count(max_bytes, "max_bytes")
        self.contents = contents
        if not self.path.is_file():
            raise MissingFileError(f"the shard {self.path} is missing")
        self.problems: list[str] = []
        # `path_inside` refuses a link that leads out of the folder.
        table = path_inside(self.path.parent, f"{self.path.stem}.parquet")
        stats = path_inside(self.path.parent, f"{self.path.stem}_stats.json")
        self.rows: dict[str, LinkRow] = {}
        if table.is_file():
            try:
                self.rows = _read_rows(table)
            except DamagedFileError as error:
                self.problems.append(str(error))
        if self.rows and stats.is_file():
            self.problems += _differences(stats, self.statuses)
        self.report = self._new_report()

    @property
    def statuses(self) -> dict[str, int]:
        """Number of rows of the table by status."""
        return dict(Counter(row.status for row in self.rows.values()))

    @property
    def successes(self) -> int:
        """Number of successful rows: samples that the tar should have."""
        return self.statuses.get(SUCCESS, 0)

    def _new_report(self) -> ShardReport:
        return ShardReport(self.path.name, self.statuses, problems=list(self.problems))

    def __iter__(self) -> Iterator[tuple[Sample, LinkRow | None]]:
        self.report = report = self._new_report()
        missing = {key: None for key, row in self.rows.items() if row.status == SUCCESS}
        for sample in self._samples(report):
            report.samples += 1
            row = self.rows.get(sample.key)
            if sample.key in missing:
                del missing[sample.key]
            elif self.rows:
                report.without_row.append(sample.key)
                row = None
            yield sample, row
        report.without_sample = list(missing)

    def _samples(self, report: ShardReport) -> Iterator[Sample]:
        """Yield the whole samples of the tar, in file order."""
        sample, parts_before, seen = None, frozenset(), set()
        # The usual buffer would read small contents that are passed over.
        buffering = -1 if self.contents is None else HEADERS
        with self.path.open("rb", buffering) as stream:
            for key, suffix, content, place in self._parts(stream, report):
                if sample is not None and sample.key != key:
                    parts_before = frozenset(sample.places)
                    yield sample
                    sample = None
                if sample is None and key not in seen:
                    seen.add(key)
                    sample = Sample(key, {})
                if suffix is None:
                    continue
                reason = self._reason_to_refuse(sample, suffix, place[1])
                if reason:
                    report.refused.append((f"{key}.{suffix}", reason))
                    continue
                sample.places[suffix] = place
                if content is not None:
                    sample.parts[suffix] = content
        if sample is None or not (sample.places or report.damage):
            return
        if report.damage and not (parts_before and parts_before <= set(sample.places)):
            report.cut.append(sample.key)
            return
        yield sample

    def _reason_to_refuse(self, sample: Sample | None, suffix: str, size: int) -> str:
        if sample is None:
            return "its key came before, in another place"
        if suffix in sample.places:
            return "its sample has such a part already"
        if sum(n for _, n in sample.places.values()) + size > self.max_bytes:
            return self._too_large()
        return ""

    def _too_large(self) -> str:
        return f"with it, its sample is larger than {self.max_bytes:,} bytes"

    def _parts(
        self, stream: BinaryIO, report: ShardReport
    ) -> Iterator[tuple[str, str | None, bytes | None, tuple[int, int]]]:
        """Yield key, suffix, content and place of each readable member; None for a content that is
        passed over.

        An entry with suffix None announces each key: the sample before it is whole even if the
        content of this member is cut.
        """
        last, end = None, os.fstat(stream.fileno()).st_size
        try:
            if stream.read(6).startswith(_COMPRESSED):
                raise tarfile.ReadError("it is compressed. Decompress it: a shard is a plain .tar")
            stream.seek(0)
            reader = TarReader(stream)
            for member in reader:
                last = member.name
                name = self._key_and_suffix(member, report)
                if name is not None:
                    yield name[0], None, None, (0, 0)
                    place = member.offset_data, member.size
                    if sum(place) > end:
                        raise EOFError("unexpected end of data")
                    wanted = self.contents is None or name[1] in self.contents
                    yield *name, _read_at(stream, *place) if wanted else None, place
            self._check_end(stream, reader, report)
        # Headers that announce headers end in a RecursionError, odd sparse files in an IndexError.
        except (*TAR_ERRORS, RecursionError) as error:
            where = f"in or behind {last!r}" if last else "at its start"
            report.damage = f"{self.path.name} is damaged {where}: {error}"

    def _key_and_suffix(
        self, member: tarfile.TarInfo, report: ShardReport
    ) -> tuple[str, str] | None:
        if member.isdir() or _BOOKKEEPING.match(member.name):
            return None
        match = _NAME.fullmatch(member.name)
        reason = ""
        if not member.isreg() or member.issparse():
            reason = "it is a link, a device, a pipe or sparse; only plain files are read"
        elif member.size > self.max_bytes:
            reason = self._too_large()
        elif match is None:
            reason = "its name lacks a key and a suffix, as in 000000012.jpg"
        else:
            try:
                relative_name(member.name, "the shard")
            except RetrievalInputError as error:
                reason = str(error)
            if not is_unicode(member.name):
                reason = "its name is not UTF-8"
        if reason:
            report.refused.append((member.name, reason))
            return None
        return match[1], match[2].lower()

    def _check_end(self, stream: BinaryIO, reader: TarReader, report: ShardReport) -> None:
        end, offset, name = reader.end_block(), reader.archive.offset, self.path.name
        size = os.fstat(stream.fileno()).st_size
        if len(end) < tarfile.BLOCKSIZE:
            report.damage = f"{name} ends at byte {size:,} without the mark of an end: it was cut"
        elif any(end):
            report.damage = f"{name} lacks a member's header at byte {offset:,}"
        while not report.damage and (more := stream.read(1 << 20)):
            if more.strip(b"\0"):
                report.damage = f"{name} has content behind the end at byte {offset:,}, not read"


def _read_at(stream: BinaryIO, start: int, size: int) -> bytes:
    stream.seek(start)
    content = stream.read(size)
    if len(content) < size:
        raise EOFError("unexpected end of data")
    return content


def shard_paths(root: str | Path) -> list[Path]:
    """List the tar files of a folder by name; a link that leads out of the folder is refused."""
    names = sorted(path.name for path in Path(root).glob("*.tar"))
    paths = [Path(root) / name for name in names if path_inside(root, name).is_file()]
    if not paths:
        raise MissingFileError(f"no shards (00000.tar, 00001.tar, ...) in {root}")
    return paths


def check_shard(path: str | Path) -> ShardReport:
    """Read a shard to its end and compare its files; nothing is decoded."""
    shard = Shard(path)
    for _ in shard:
        pass
    return shard.report


def _read_rows(path: Path) -> dict[str, LinkRow]:
    with reading(path.name, "no Parquet file of UTF-8 text", "Make it again"):
        file = pq.ParquetFile(path)
        n = file.metadata.num_rows
        if n > MAX_ROWS:
            raise DamagedFileError(f"{path.name} has {n:,} rows, at most {MAX_ROWS:,} are read")
        names = [name for name in _COLUMNS if name in file.schema_arrow.names]
        for name in names:
            kind = file.schema_arrow.field(name).type
            kind = kind.value_type if pt.is_dictionary(kind) else kind
            if not (pt.is_string(kind) or pt.is_large_string(kind) or pt.is_null(kind)):
                raise DamagedFileError(f"{path.name}: the column {name!r} is {kind}, expected text")
        columns = file.read(columns=names).to_pydict()
    for name in ("key", "status"):
        if name not in columns:
            raise DamagedFileError(f"{path.name} must have a column {name!r}, as img2dataset's")
    cells = zip(*(columns.get(name, [None] * n) for name in _COLUMNS), strict=True)
    rows: dict[str, LinkRow] = {}
    for position, (key, status, *others) in enumerate(cells):
        if key in rows or not isinstance(key, str):
            where = f"{path.name}, row {position}"
            raise DamagedFileError(f"{where}: keys must be distinct texts, got {key!r}")
        rows[key] = LinkRow(str(status), *others)
    return rows


def _differences(path: Path, statuses: dict[str, int]) -> list[str]:
    """List differences between img2dataset's own counts and the table."""
    try:
        stats = json.loads(path.read_bytes())
        expected = {"count": sum(statuses.values()), "successes": statuses.get(SUCCESS, 0)}
        expected |= {status: statuses.get(status, 0) for status in _COUNTED}
        return [
            f"{path.name} says {stats[name]:,} {name}, the table has {number:,}"
            for name, number in expected.items()
            if stats[name] != number
        ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        return [f"{path.name} cannot be read: {error!r}"]
