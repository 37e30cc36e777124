"""Build and update a collection: encode what is new, keep what is known, drop what is gone."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from lib.core.checks import RetrievalInputError, as_embeddings, check_count
from lib.core.reading import DamagedFileError, MissingFileError
from lib.core.writing import sha256_of
from lib.datasets.media.pictures import MAX_PIXELS
from lib.search.collection.columns import Columns
from lib.search.collection.decoding import Decoded, ahead, decode
from lib.search.collection.files import OWN_COLUMNS, CollectionFolder, CollectionPart, Manifest
from lib.search.collection.scope import Scope
from lib.search.collection.sources import (
    Failure,
    Item,
    Place,
    Root,
    find_items,
    readable,
    roots_of,
)
from lib.search.shard_encoding import Encoder

BATCH = 64  # pictures encoded together
BATCH_PIXELS = 1 << 26  # of a batch: 201 MB as RGB
STEP = 1024  # rows of one step: what a kill can cost
PART = 20_000  # rows of a part when a run has finished
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
class Known:
    """Where the row of a known picture is, and what tells whether the picture has changed."""

    part: int
    row: int
    size: int
    mtime_ns: int
    sha256: str
    caption: str

    @property
    def at(self) -> tuple[int, int]:
        return self.part, self.row


@dataclass
class _Step:
    """Rows that are ready to be written, and what the encoder said of each content."""

    rows: list[Decoded] = field(default_factory=list)
    vectors: dict[str, np.ndarray | str] = field(default_factory=dict)


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
    given sources are dropped at the end; sources of earlier runs that are not given stay, and so
    do pictures below a folder that cannot be listed now.

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
        run = _Run(folder, manifest, roots, encoder, columns, max_pixels, batch_size)
        return run.update(step, progress)


class _Run:
    """State of one run."""

    def __init__(
        self,
        folder: CollectionFolder,
        manifest: Manifest,
        roots: Sequence[Root],
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
        self.new_cells = defaultdict(dict)  # part -> row -> cells that changed
        self.scope = Scope(folder, manifest.roots, roots)
        self.seen: set[Place] = set()
        self.step = _Step()
        self.old_failures = {f.place: f for f in folder.failures(manifest)}
        self.failures: list[Failure] = []  # of this run
        self.written_failures = list(self.old_failures.values())
        self.report = BuildReport()

    def _remember(self, number: int, table: pa.Table) -> None:
        names = "root", "path", "member", "bytes", "mtime_ns", "sha256", "caption"
        cells = zip(*(table[name].to_pylist() for name in names), strict=True)
        for row, (root, path, member, *content) in enumerate(cells):
            known, place = Known(number, row, *content), (root, path, member)
            if place in self.known:  # a changed picture, and a stop before the end of that run
                self.outdated.add(self.known[place].at)
            self.known[place] = self.by_content[known.sha256] = known

    def update(self, step: int, progress: Progress) -> BuildReport:
        self.manifest = replace(self.manifest, roots=self.scope.stored)
        self._join_columns_to_known()
        self._save(finished=False)
        batch: list[Decoded] = []
        n_pixels = 0
        for decoded in self._decoded(progress):
            batch.append(decoded)
            n_pixels += decoded.n_pixels
            step_is_full = len(self.step.rows) + len(batch) >= step
            if step_is_full or len(batch) >= self.batch_size or n_pixels >= BATCH_PIXELS:
                self._encode(batch, progress)
                batch, n_pixels = [], 0
            if len(self.step.rows) >= step:
                self._write_step(progress)
        self._encode(batch, progress)
        self._write_step(progress)
        self._keep_what_an_empty_folder_had(progress)
        self.old_failures = {p: f for p, f in self.old_failures.items() if not self.scope.holds(p)}
        self._finish(self.outdated.union(self._gone()))
        self.report.failures = tuple(self._all_failures())
        self.report.rows = self.manifest.rows
        return self.report

    # ---- what is gone

    def _gone(self) -> Iterator[tuple[int, int]]:
        """Yield where the rows of pictures are that were not found again."""
        unlisted = [(f.root, f.path.removeprefix("/")) for f in self.failures if f.is_folder]
        for place, known in self.known.items():
            stays = any(place[0] == at and place[1].startswith(path) for at, path in unlisted)
            if place not in self.seen and self.scope.holds(place) and not stays:
                yield known.at

    def _keep_what_an_empty_folder_had(self, progress: Progress) -> None:
        """Keep the rows of a folder without any picture: its disk may not be mounted."""
        found = {place[0] for place in self.seen} | {failure.root for failure in self.failures}
        for at, root in self.scope.roots.items():
            n = sum(place[0] == at for place in self.known)
            if root.files is None and n and at not in found:
                why = (
                    f"{root.folder} holds no picture now, so the {n:,} known ones stay. Is its disk"
                    " mounted? To drop them, index into another --out"
                )
                self._fail(Failure(at, "/", "", why), progress)

    # ---- reading

    def _decoded(self, progress: Progress) -> Iterator[Decoded]:
        """Yield what is new or changed, decoded; unusable pictures become failures."""
        roots = list(self.scope.roots.items())
        items = find_items(roots, lambda failure: self._fail(failure, progress))
        for item, result in ahead(self._decode, self._without_known(items, progress)):
            if isinstance(result, str):
                self._fail(Failure(*item.place, result), progress)
            elif result is None:  # its time changed, its content did not
                self._keep(item, self.known[item.place], progress)
            else:
                if item.place in self.known:
                    self.outdated.add(self.known[item.place].at)
                yield result

    def _without_known(self, items: Iterator[Item], progress: Progress) -> Iterator[Item]:
        for item in items:
            self.seen.add(item.place)
            self.old_failures.pop(item.place, None)
            known = self.known.get(item.place)
            stamp = item.size, item.mtime_ns
            if known is not None and (known.size, known.mtime_ns) == stamp:
                self._keep(item, known, progress)
            else:
                yield item

    def _keep(self, item: Item, known: Known, progress: Progress) -> None:
        """Count a picture of known content; its time and the caption beside it may be new."""
        caption = item.read_caption()
        cells = {}
        if item.mtime_ns != known.mtime_ns:
            cells["mtime_ns"] = item.mtime_ns
        if caption and caption != known.caption:
            cells["caption"] = caption
        if cells:
            self.new_cells[known.part][known.row] = cells
        self.report.unchanged += 1
        progress(1)

    def _fail(self, failure: Failure, progress: Progress) -> None:
        self.seen.discard(failure.place)
        self.old_failures.pop(failure.place, None)
        self.failures.append(replace(failure, reason=readable(failure.reason)))
        progress(1)

    def _decode(self, item: Item) -> Decoded | str | None:
        """Decode one picture; a text is the reason why it cannot be used, None is "as before"."""
        try:
            content = item.read()
            sha256 = sha256_of(content)
            known = self.known.get(item.place)
            if known is not None and known.sha256 == sha256:
                return None
            row = {
                "root": item.root, "path": item.path, "member": item.member,
                "caption": item.read_caption(), "bytes": len(content), "mtime_ns": item.mtime_ns,
                "sha256": sha256,
            }  # fmt: skip
            twin = self.by_content.get(sha256)
            if twin is not None:
                return self._copy_of(twin, row)
            return decode(content, row, self.max_pixels, item.name)
        except (DamagedFileError, RetrievalInputError, MissingFileError, MemoryError) as error:
            return str(error)
        except OSError as error:
            return f"{item.name} cannot be read: {error.strerror or error}"

    def _copy_of(self, twin: Known, row: dict) -> Decoded:
        part = self.manifest.parts[twin.part]
        cells = self.folder.table(part).slice(twin.row, 1).to_pylist()[0]
        same = {name: cells[name] for name in ("width", "height", "format")}
        small = self.folder.thumbnail(part, cells["thumbnail_at"], cells["thumbnail_bytes"])
        return Decoded(row | same, small, vector=self._vector_of(twin))

    def _vector_of(self, known: Known) -> np.ndarray:
        return np.array(self.folder.vectors(self.manifest.parts[known.part])[known.row])

    # ---- encoding

    def _encode(self, batch: list[Decoded], progress: Progress) -> None:
        """Give each picture of a batch its vector, equal ones the same, and add it to the step."""
        new: dict[str, Decoded] = {}
        for decoded in batch:
            sha256 = decoded.row["sha256"]
            if decoded.vector is None and sha256 in self.by_content:  # written since it was decoded
                decoded.vector = self._vector_of(self.by_content[sha256])
            elif decoded.vector is None and sha256 not in self.step.vectors:
                new.setdefault(sha256, decoded)
        pictures = [decoded.picture for decoded in new.values()]
        vectors = dict(zip(new, self._encoded(pictures), strict=True)) if new else {}
        self.step.vectors |= vectors
        n_encoded = sum(not isinstance(vector, str) for vector in vectors.values())
        n_before = len(self.step.rows)
        for decoded in batch:
            vector, row = decoded.vector, decoded.row
            vector = self.step.vectors[row["sha256"]] if vector is None else vector
            if isinstance(vector, str):
                place = row["root"], row["path"], row["member"]
                self._fail(Failure(*place, vector), progress)
            else:
                self.step.rows.append(replace(decoded, picture=None, vector=vector))
        self.report.encoded += n_encoded
        self.report.copied += len(self.step.rows) - n_before - n_encoded

    def _encoded(self, pictures: list[Image.Image]) -> list[np.ndarray | str]:
        """Encode pictures; if the encoder refuses one, the others are encoded without it."""
        try:
            rows = self.encoder.encode_image(pictures)
            return list(as_embeddings(rows, "the encoder's rows", dim=self.encoder.dim))
        except RetrievalInputError as error:
            if len(pictures) == 1:
                return [str(error)]
            return [self._encoded([picture])[0] for picture in pictures]

    # ---- writing

    def _write_step(self, progress: Progress) -> None:
        """Write the rows of a step as a part: they are done when this returns."""
        rows, self.step = self.step.rows, _Step()
        if not rows:
            return
        manifest = self.manifest
        table = self._table([decoded.row for decoded in rows], manifest.next_id)
        part = self.folder.write_part(
            manifest.counter,
            np.stack([decoded.vector for decoded in rows]).astype(np.float32),
            table,
            [decoded.thumbnail for decoded in rows],
        )
        self.manifest = replace(
            manifest,
            parts=(*manifest.parts, part),
            next_id=manifest.next_id + len(rows),
            counter=manifest.counter + 1,
        )
        self._save(finished=False)
        for row, decoded in enumerate(rows):
            sha256 = decoded.row["sha256"]
            known = Known(len(manifest.parts), row, 0, 0, sha256, "")
            self.by_content.setdefault(sha256, known)
        progress(len(rows))

    def _table(self, rows: list[dict], first_id: int) -> pa.Table:
        empty = dict.fromkeys(SET_LATER, 0)
        table = pa.Table.from_pylist([empty | row for row in rows], OWN_COLUMNS)
        ids = pa.array(range(first_id, first_id + len(rows)), pa.int64())
        table = table.set_column(0, "id", ids)
        return table if self.columns is None else self.columns.join(table)

    def _join_columns_to_known(self) -> None:
        """Give known rows their new columns first: at each moment a column is of one kind."""
        parts = []
        for part in self.manifest.parts:
            table = self.folder.table(part)
            joined = self._joined_with_columns(table)
            same = joined.equals(table)
            parts.append(part if same else self.folder.rewrite_part(part, None, joined))
        self.manifest = replace(self.manifest, parts=tuple(parts))

    def _joined_with_columns(self, table: pa.Table) -> pa.Table:
        if self.columns is None:
            return table
        places = zip(*(table[name].to_pylist() for name in ("root", "path", "member")), strict=True)
        return self.columns.join(table, [self.scope.holds(place) for place in places])

    def _all_failures(self) -> list[Failure]:
        return [*self.old_failures.values(), *self.failures]

    def _save(self, *, finished: bool) -> None:
        """Write the manifest, and the list of failures where it has changed."""
        number, failed = self.manifest.counter, self.manifest.failed
        failures = self._all_failures()
        if failures != self.written_failures:
            failed = self.folder.write_failures(number, failures)
            self.written_failures = failures
        self.manifest = replace(self.manifest, failed=failed, counter=number + 1, finished=finished)
        self.folder.write(self.manifest)

    def _finish(self, dropped: set[tuple[int, int]]) -> None:
        """Drop rows, join small parts, and say that the run has come to its end."""
        parts, used = [], [np.ones(part.rows, dtype=bool) for part in self.manifest.parts]
        for part, row in dropped:
            used[part][row] = False
        self.report.removed = len(dropped)
        for number, part in enumerate(self.manifest.parts):
            cells = self.new_cells[number]
            if not used[number].any():
                continue
            if cells or not used[number].all():
                table = self._joined_with_columns(_with_cells(self.folder.table(part), cells))
                kept = None if used[number].all() else np.flatnonzero(used[number])
                table = table if kept is None else table.take(pa.array(kept))
                part = self.folder.rewrite_part(part, kept, table)
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


def _with_cells(table: pa.Table, cells: Mapping[int, Mapping[str, object]]) -> pa.Table:
    """Return a table with other values in some cells, by row and column."""
    for name in ("mtime_ns", "caption"):
        new = {row: values[name] for row, values in cells.items() if name in values}
        if new:
            values = table[name].to_pylist()
            for row, value in new.items():
                values[row] = value
            column = pa.array(values, table.schema.field(name).type)
            table = table.set_column(table.schema.get_field_index(name), name, column)
    return table
