"""Build and update a collection: encode what is new, keep what is known, drop what is gone."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from lib.core.checks import RetrievalInputError, as_embeddings, check_count
from lib.core.reading import DamagedFileError, MissingFileError
from lib.core.writing import sha256_of
from lib.datasets.media.pictures import MAX_PIXELS, on_page, open_picture
from lib.search.collection.columns import Columns
from lib.search.collection.files import OWN_COLUMNS, CollectionFolder, CollectionPart, Manifest
from lib.search.collection.sources import Failure, Item, Place, Root, find_items, roots_of
from lib.search.shard_encoding import Encoder

BATCH = 64  # pictures decoded and encoded together
STEP = 1024  # rows of one step: what a kill can cost
PART = 20_000  # rows of a part when a run has finished
THUMBNAIL = 256  # longer side, pixels
JPEG_QUALITY = 82
DECODERS = 2  # threads that read and decode while the network encodes
SET_LATER = ("id", "thumbnail_at", "thumbnail_bytes")
Progress = Callable[[int], None]


@dataclass
class BuildReport:
    """The work of one run.

    Args:
        encoded: pictures that went through the encoder.
        copied: pictures with the content of a known one, whose vector was copied.
        unchanged: pictures that were known already.
        removed: rows dropped because their picture is gone or has changed.
        failures: what could not be read, of this run and of earlier ones.
        rows: pictures in the collection now.
    """

    encoded: int = 0
    copied: int = 0
    unchanged: int = 0
    removed: int = 0
    failures: tuple[Failure, ...] = ()
    rows: int = 0

    def describe(self) -> str:
        """Describe the run in one line."""
        return (
            f"{self.rows:,} pictures: {self.encoded:,} encoded, {self.copied:,} copied from equal"
            f" ones, {self.unchanged:,} unchanged, {self.removed:,} removed;"
            f" {len(self.failures):,} could not be read"
        )


@dataclass(frozen=True)
class Decoded:
    """A picture that is ready to be encoded, and its row."""

    row: dict
    picture: Image.Image | None  # None: the vector of an equal picture is copied
    thumbnail: bytes
    vector: np.ndarray | None = None


@dataclass(frozen=True)
class Known:
    """Where the row of a known picture is."""

    part: int
    row: int
    size: int
    mtime_ns: int
    sha256: str

    @property
    def at(self) -> tuple[int, int]:
        return self.part, self.row


def build_collection(
    sources: Sequence[str | Path],
    out: str | Path,
    encoder: Encoder,
    model: Mapping[str, str | None],
    *,
    columns: Columns | None = None,
    max_pixels: int = MAX_PIXELS,
    batch_size: int = BATCH,
    step: int = STEP,
    progress: Progress = lambda n: None,
) -> BuildReport:
    """Index pictures into a collection, or bring it up to date.

    Each step of `step` rows is written whole; a run that was stopped continues behind its last
    step. A picture whose size and time are those of the last run is not opened again. One with
    the content of a known picture is not encoded again. What could not be read is tried again in
    each run: a package may be there now, or a permission. Rows of pictures that are gone from the
    given sources are dropped at the end; sources of earlier runs that are not given stay.

    Args:
        sources: folders, pictures and shards (`.tar`).
        out: folder of the collection, new or of an earlier run.
        encoder: of an identity that does not change.
        model: how a search loads the encoder again: `name`, `pretrained`, `artifact_sha256`.
        columns: a table with more facts for each picture.
        max_pixels: a larger picture is left out, with its reason.
        batch_size: pictures in a forward pass.
        step: rows that are written together.
        progress: called with the number of pictures that are done.
    """
    step, batch_size = check_count(step, "step"), check_count(batch_size, "batch_size")
    roots = roots_of(sources)
    folder = CollectionFolder(out)
    with folder.writing():
        if folder.exists():
            manifest = folder.read()
            manifest.check_model(encoder.identity, folder.path)
        else:
            manifest = Manifest(dict(model), dict(encoder.identity), encoder.dim)
        run = _Run(folder, manifest, encoder, columns, max_pixels, batch_size)
        return run.update(roots, step, progress)


class _Run:
    """State of one run."""

    def __init__(
        self,
        folder: CollectionFolder,
        manifest: Manifest,
        encoder: Encoder,
        columns: Columns | None,
        max_pixels: int,
        batch_size: int,
    ) -> None:
        self.folder, self.manifest, self.encoder = folder, manifest, encoder
        self.columns, self.max_pixels, self.batch_size = columns, max_pixels, batch_size
        self.known: dict[Place, Known] = {}
        self.by_content: dict[str, Known] = {}
        self.outdated: set[tuple[int, int]] = set()  # (part, row) of content that is no more
        for number, part in enumerate(manifest.parts):
            self._remember(number, folder.table(part))
        self.failures = {(f.root, f.path, f.member): f for f in folder.failures(manifest)}
        self.written_failures = dict(self.failures)  # those of the list that the manifest names
        self.report = BuildReport()

    def _remember(self, number: int, table: pa.Table) -> None:
        names = ("root", "path", "member", "bytes", "mtime_ns", "sha256")
        cells = zip(*(table[name].to_pylist() for name in names), strict=True)
        for row, (root, path, member, size, mtime_ns, sha256) in enumerate(cells):
            known, place = Known(number, row, size, mtime_ns, sha256), (root, path, member)
            if place in self.known:  # a changed picture, and a stop before the end of that run
                self.outdated.add(self.known[place].at)
            self.known[place] = self.by_content[sha256] = known

    def update(self, roots: Sequence[Root], step: int, progress: Progress) -> BuildReport:
        positions = self._positions_of(roots)
        seen: set[Place] = set()
        self._save(finished=False)
        batch: list[Decoded] = []
        for item, decoded in self._decoded(positions, roots, seen, progress):
            old = self.known.get(item.place)
            if old is not None:
                self.outdated.add(old.at)
            batch.append(decoded)
            if len(batch) >= step:
                self._write_step(batch, progress)
                batch = []
        if batch:
            self._write_step(batch, progress)
        given = set(positions)
        self.failures = {
            place: failure
            for place, failure in self.failures.items()
            if place[0] not in given or place in seen
        }
        gone = (
            known.at
            for place, known in self.known.items()
            if (place[0] in given and place not in seen) or place in self.failures
        )
        self._finish(self.outdated.union(gone))
        self.report.failures = tuple(self.failures.values())
        self.report.rows = self.manifest.rows
        return self.report

    # ---- reading

    def _positions_of(self, roots: Sequence[Root]) -> list[int]:
        """Number the roots: those of earlier runs keep their numbers."""
        stored = list(self.manifest.roots)
        places = {self.folder.root_folder(root).resolve(): at for at, root in enumerate(stored)}
        positions = []
        for root in roots:
            position = places.get(root.folder, len(stored))
            if position == len(stored):
                stored.append(self.folder.stored_root(root))
            else:
                old = stored[position].files
                files = None if old is None or root.files is None else (*old, *root.files)
                new = replace(root, files=files and tuple(dict.fromkeys(files)))
                stored[position] = self.folder.stored_root(new)
            positions.append(position)
        self.manifest = replace(self.manifest, roots=tuple(stored))
        return positions

    def _decoded(
        self, positions: list[int], roots: Sequence[Root], seen: set[Place], progress: Progress
    ) -> Iterator[tuple[Item, Decoded]]:
        """Yield what is new or changed, decoded; unusable pictures become failures."""
        pairs = zip(positions, roots, strict=True)
        items = find_items(list(pairs), lambda failure: self._fail(failure, seen, progress))
        fresh = self._without_known(items, seen, progress)
        for item, result in _ahead(self._decode, fresh):
            if isinstance(result, str):
                self._fail(Failure.of(item, result), seen, progress)
            elif result is None:  # its time changed, its content did not
                self.report.unchanged += 1
                progress(1)
            else:
                self.failures.pop(item.place, None)
                yield item, result

    def _without_known(
        self, items: Iterator[Item], seen: set[Place], progress: Progress
    ) -> Iterator[Item]:
        for item in items:
            seen.add(item.place)
            known = self.known.get(item.place)
            stamp = item.size, item.mtime_ns
            if known is not None and (known.size, known.mtime_ns) == stamp:
                self.report.unchanged += 1
                progress(1)
            else:
                yield item

    def _fail(self, failure: Failure, seen: set[Place], progress: Progress) -> None:
        place = failure.root, failure.path, failure.member
        seen.add(place)
        self.failures[place] = failure
        progress(1)

    def _decode(self, item: Item) -> Decoded | str | None:
        """Decode one picture; a text is the reason why it cannot be used, None is "as before"."""
        try:
            content = item.read()
            sha256 = sha256_of(content)
            known = self.known.get(item.place)
            if known is not None and known.sha256 == sha256:
                return None
            twin = self.by_content.get(sha256)
            row = {
                "root": item.root, "path": item.path, "member": item.member,
                "caption": item.read_caption(), "bytes": item.size, "mtime_ns": item.mtime_ns,
                "sha256": sha256,
            }  # fmt: skip
            if twin is not None:
                return self._copy_of(twin, row)
            picture = on_page(open_picture(content, self.max_pixels, name=item.name, mode="RGBA"))
            kind = _format_of(content)
            width, height = picture.size
            row |= {"width": width, "height": height, "format": kind}
            return Decoded(row, picture, thumbnail_of(picture))
        except (DamagedFileError, RetrievalInputError, MissingFileError, MemoryError) as error:
            return str(error)
        except OSError as error:
            return f"{item.name} cannot be read: {error.strerror or error}"

    def _copy_of(self, twin: Known, row: dict) -> Decoded:
        part = self.manifest.parts[twin.part]
        cells = self.folder.table(part).slice(twin.row, 1).to_pylist()[0]
        same = {name: cells[name] for name in ("width", "height", "format")}
        small = self.folder.thumbnail(part, cells["thumbnail_at"], cells["thumbnail_bytes"])
        return Decoded(row | same, None, small, np.array(self.folder.vectors(part)[twin.row]))

    # ---- writing

    def _write_step(self, batch: list[Decoded], progress: Progress) -> None:
        """Encode some pictures and write them as a part: they are done when this returns."""
        vectors: list[np.ndarray | None] = [decoded.vector for decoded in batch]
        first_of = {}  # content -> its first place in the batch
        for at, decoded in enumerate(batch):
            first_of.setdefault(decoded.row["sha256"], at)
        new = [at for at in first_of.values() if batch[at].picture is not None]
        refused: dict[int, str] = {}
        for start in range(0, len(new), self.batch_size):
            chunk = new[start : start + self.batch_size]
            for at, vector in zip(chunk, self._encode([batch[at] for at in chunk]), strict=True):
                if isinstance(vector, str):
                    refused[at] = vector
                else:
                    vectors[at] = vector
        rows = []
        for at, decoded in enumerate(batch):
            row, first = decoded.row, first_of[decoded.row["sha256"]]
            if first in refused:
                place = row["root"], row["path"], row["member"]
                stamp = row["bytes"], row["mtime_ns"]
                self.failures[place] = Failure(*place, *stamp, refused[first])
            else:
                vectors[at] = vectors[first]
                rows.append(at)
        if rows:
            manifest = self.manifest
            table = self._table([batch[at].row for at in rows], manifest.next_id)
            part = self.folder.write_part(
                manifest.counter,
                np.stack([vectors[at] for at in rows]).astype(np.float32),
                table,
                [batch[at].thumbnail for at in rows],
            )
            self.manifest = replace(
                manifest,
                parts=(*manifest.parts, part),
                next_id=manifest.next_id + len(rows),
                counter=manifest.counter + 1,
            )
            self._remember_content(len(manifest.parts), table)
        self._save(finished=False)
        n_encoded = len(new) - len(refused)
        self.report.encoded += n_encoded
        self.report.copied += len(rows) - n_encoded
        progress(len(batch))

    def _remember_content(self, number: int, table: pa.Table) -> None:
        for row, sha256 in enumerate(table["sha256"].to_pylist()):
            self.by_content.setdefault(sha256, Known(number, row, 0, 0, sha256))

    def _encode(self, batch: list[Decoded]) -> list[np.ndarray | str]:
        """Encode pictures; if the encoder refuses one, the others are encoded without it."""
        try:
            rows = self.encoder.encode_image([decoded.picture for decoded in batch])
            return list(as_embeddings(rows, "the encoder's rows", dim=self.encoder.dim))
        except RetrievalInputError as error:
            if len(batch) == 1:
                return [str(error)]
            return [self._encode([decoded])[0] for decoded in batch]

    def _table(self, rows: list[dict], first_id: int) -> pa.Table:
        empty = dict.fromkeys(SET_LATER, 0)
        table = pa.Table.from_pylist([empty | row for row in rows], OWN_COLUMNS)
        ids = pa.array(range(first_id, first_id + len(rows)), pa.int64())
        table = table.set_column(0, "id", ids)
        return table if self.columns is None else self.columns.join(table)

    def _save(self, *, finished: bool) -> None:
        """Write the manifest, and the list of failures where it has changed."""
        number, failed = self.manifest.counter, self.manifest.failed
        if self.failures != self.written_failures:
            failed = self.folder.write_failures(number, list(self.failures.values()))
            self.written_failures = dict(self.failures)
        self.manifest = replace(self.manifest, failed=failed, counter=number + 1, finished=finished)
        self.folder.write(self.manifest)

    def _finish(self, dropped: set[tuple[int, int]]) -> None:
        """Drop rows, join small parts, and say that the run has come to its end."""
        parts, used = [], [np.ones(part.rows, dtype=bool) for part in self.manifest.parts]
        for part, row in dropped:
            used[part][row] = False
        self.report.removed = len(dropped)
        for number, part in enumerate(self.manifest.parts):
            table = self.folder.table(part)
            joined = table if self.columns is None else self.columns.join(table)
            changed = joined is not table and not joined.equals(table)
            if not used[number].any():
                continue
            if changed or not used[number].all():
                kept = np.flatnonzero(used[number])
                part = self.folder.rewrite_part(part, kept, joined.take(pa.array(kept)))
            parts.append(part)
        self.manifest = replace(self.manifest, parts=tuple(parts))
        self._join_small_parts()
        self._save(finished=True)
        self.folder.remove_leftovers()

    def _join_small_parts(self) -> None:
        """Write neighbouring parts of few rows as one part of at most `PART` rows."""
        parts: list[CollectionPart] = []
        group: list[CollectionPart] = []
        for part in (*self.manifest.parts, None):
            if part is None or sum(p.rows for p in group) + part.rows > PART:
                parts += [self._joined(group)] if len(group) > 1 else group
                group = []
            if part is not None:
                group.append(part)
        self.manifest = replace(self.manifest, parts=tuple(parts))

    def _joined(self, group: list[CollectionPart]) -> CollectionPart:
        tables = [self.folder.table(part) for part in group]
        small = [
            self.folder.thumbnail(part, start, size)
            for part, table in zip(group, tables, strict=True)
            for start, size in zip(
                table["thumbnail_at"].to_pylist(), table["thumbnail_bytes"].to_pylist(), strict=True
            )
        ]
        number = self.manifest.counter
        self.manifest = replace(self.manifest, counter=number + 1)
        vectors = np.concatenate([self.folder.vectors(part) for part in group])
        table = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
        return self.folder.write_part(number, vectors, table, small)


def _ahead(work: Callable, items: Iterator[Item]) -> Iterator[tuple[Item, object]]:
    """Yield `(item, work(item))` in order while threads work on the next items."""
    with ThreadPoolExecutor(DECODERS) as pool:
        pending: list = []
        try:
            for item in items:
                pending.append((item, pool.submit(work, item)))
                if len(pending) > 4 * DECODERS:
                    first, future = pending.pop(0)
                    yield first, future.result()
            while pending:
                first, future = pending.pop(0)
                yield first, future.result()
        finally:
            for _, future in pending:
                future.cancel()


def thumbnail_of(picture: Image.Image) -> bytes:
    """Return a JPEG of at most `THUMBNAIL` pixels a side."""
    small = picture.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR, reducing_gap=2.0)
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue()


def _format_of(content: bytes) -> str:
    with Image.open(io.BytesIO(content)) as picture:
        return picture.format or ""
