"""Build and update a collection: encode what is new, keep what is known, drop what is gone."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from os import R_OK, access
from pathlib import Path

import numpy as np
import pyarrow as pa

from lib.core.checks import RetrievalInputError, check_count
from lib.core.workers import HERE, Finished, Workers
from lib.datasets.media.pictures import MAX_PIXELS
from lib.search.collection.columns import Columns
from lib.search.collection.encoding import (
    Content,
    EncodedPicture,
    Encoding,
    Step,
    Unusable,
    encode_step,
    look_at,
)
from lib.search.collection.files import OWN_COLUMNS, CollectionFolder, CollectionPart, Manifest
from lib.search.collection.scope import Scope
from lib.search.collection.sources import (
    Caption,
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
STEP = 256  # pictures of one step: what a kill can cost, on each worker
PART = 20_000  # rows of a part, at most; fewer while a run fills it
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
            f" {unread_of(self.failures)}"
        )


def unread_of(failures: Sequence[Failure]) -> str:
    """Count what could not be read, in words."""
    n_captions = sum(failure.is_caption for failure in failures)
    captions = f", and {n_captions:,} captions" if n_captions else ""
    return f"{len(failures) - n_captions:,} could not be read{captions}"


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
    cluster: Workers = HERE,
    progress: Progress = lambda n: None,
) -> BuildReport:
    """Index pictures into a collection, or bring it up to date.

    Each step of `step` pictures is written whole; a run that was stopped continues behind its last
    step. A picture whose size and time are those of the last run is not opened again. One with
    the content of a known picture is not encoded again. What could not be read is tried again in
    each run: a package may be there now, or a permission. Rows of pictures that are gone from the
    given sources are dropped at the end; sources of earlier runs that are not given stay, and so
    do pictures below a folder that cannot be listed now.

    With a cluster, workers read, decode and encode the steps; this process alone writes, in the
    order of the pictures. The collection is the same: ids, rows, and vectors up to the last bits
    of float32, which depend on the number of threads and on the processor.

    Args:
        sources: folders, pictures and shards (`.tar`).
        out: folder of the collection, new or of an earlier run.
        encoder: of an identity that does not change.
        model: how a search loads the encoder again: `name`, `pretrained`, `artifact_sha256`.
        columns: a table with more facts for each picture.
        max_pixels: a larger picture is left out, with its reason.
        batch_size: pictures in a forward pass.
        step: pictures that are encoded on one worker and written together.
        cluster: of `local_cluster` or `connect_cluster`; this process alone by default. Its
            workers must see the sources under the same paths.
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
        encoding = Encoding(encoder, dict(encoder.identity), max_pixels, batch_size)
        run = _Run(folder, manifest, roots, encoding, columns, cluster, progress)
        return run.update(step)


class _Run:
    """State of one run."""

    def __init__(
        self,
        folder: CollectionFolder,
        manifest: Manifest,
        roots: Sequence[Root],
        encoding: Encoding,
        columns: Columns | None,
        workers: Workers,
        progress: Progress,
    ) -> None:
        self.folder, self.manifest, self.encoding = folder, manifest, encoding
        self.columns, self.workers, self.progress = columns, workers, progress
        self.known: dict[Place, Known] = {}
        self.by_content: dict[str, Known] = {}
        self.outdated: set[tuple[int, int]] = set()  # (part, row) of content that is no more
        for number, part in enumerate(manifest.parts):
            self._remember(number, folder.table(part))
        self.new_cells = defaultdict(dict)  # part -> row -> cells that changed
        self.scope = Scope(folder, manifest.roots, roots)
        self.seen: set[Place] = set()
        self.n_whole = len(manifest.parts)  # parts that no step of this run adds to
        self.begun: set[str] = set()  # contents that this run encodes
        self.refused: dict[str, Unusable] = {}  # those of them that could not be
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

    def update(self, step: int) -> BuildReport:
        self.manifest = replace(self.manifest, roots=self.scope.stored)
        self._join_columns_to_known()
        self._save(finished=False)
        items = find_items(list(self.scope.roots.items()), self._fail)
        looked = self.workers.map(look_at, _groups(self._without_known(items), step))
        steps = filter(None, map(self._planned, looked))
        for finished in self.workers.map(encode_step, steps, self.encoding):
            self._write_step(finished)
        self._keep_what_an_empty_folder_had()
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

    def _keep_what_an_empty_folder_had(self) -> None:
        """Keep the rows of a folder without any picture: its disk may not be mounted."""
        found = {place[0] for place in self.seen} | {failure.root for failure in self.failures}
        for at, root in self.scope.roots.items():
            n = sum(place[0] == at for place in self.known)
            if root.files is None and n and at not in found:
                why = (
                    f"{root.folder} holds no picture now, so the {n:,} known ones stay. Is its disk"
                    " mounted? To drop them, index into another --out"
                )
                self._fail(Failure(at, "/", "", why))

    # ---- reading

    def _without_known(self, items: Iterator[Item]) -> Iterator[Item]:
        for item in items:
            self.seen.add(item.place)
            self.old_failures.pop(item.place, None)
            known = self.known.get(item.place)
            stamp = item.size, item.mtime_ns
            if known is not None and (known.size, known.mtime_ns) == stamp:
                self._keep(item, known, item.read_caption())
            else:
                yield item

    def _planned(self, looked: Finished) -> Step | None:
        """Decide what to do with pictures whose contents are known now; None for nothing."""
        pictures, new = [], []
        for item, content in zip(looked.input, looked.result, strict=True):
            known = self.known.get(item.place)
            if isinstance(content, Unusable):
                self._refuse(item, content, looked.worker)
            elif known is not None and known.sha256 == content.sha256:  # its time changed
                self._keep(item, known, content.caption)
            else:
                self._tell_of_caption(item, content.caption)
                pictures.append((item, content))
                if content.sha256 not in self.by_content and content.sha256 not in self.begun:
                    self.begun.add(content.sha256)
                    new.append((item, content))
        return Step(pictures, new) if pictures else None

    def _keep(self, item: Item, known: Known, caption: Caption) -> None:
        """Count a picture of known content; its time and the caption beside it may be new."""
        self._tell_of_caption(item, caption)
        cells = {}
        if item.mtime_ns != known.mtime_ns:
            cells["mtime_ns"] = item.mtime_ns
        if caption.text and caption.text != known.caption:
            cells["caption"] = caption.text
        if cells:
            self.new_cells[known.part][known.row] = cells
        self.report.unchanged += 1
        self.progress(1)

    def _refuse(self, item: Item, unusable: Unusable, worker: str) -> None:
        """List a picture as unusable; a worker that does not see the file is an error."""
        if worker and unusable.unread and access(item.file, R_OK):
            raise RetrievalInputError(
                f"the worker {worker} cannot read {item.file}, which this process can:"
                f" {unusable.reason}. Give every worker the same folders under the same paths"
            )
        self._fail(Failure(*item.place, unusable.reason))

    def _tell_of_caption(self, item: Item, caption: Caption) -> None:
        if caption.problem:
            self._fail(Failure.of_caption(item.place, caption.problem))

    def _fail(self, failure: Failure) -> None:
        self.seen.discard(failure.place)
        self.old_failures.pop(failure.place, None)
        self.failures.append(replace(failure, reason=readable(failure.reason)))
        if not failure.is_caption:  # its picture counts
            self.progress(1)

    # ---- writing

    def _write_step(self, finished: Finished) -> None:
        """Write the pictures of a step as a part: they are done when this returns."""
        step, results = finished.input, finished.result
        contents = [content.sha256 for _, content in step.new]
        encoded = dict(zip(contents, results, strict=True))
        self.refused |= {k: r for k, r in encoded.items() if isinstance(r, Unusable)}
        rows: list[dict] = []
        pictures: list[EncodedPicture] = []
        for item, content in step.pictures:
            refused = self.refused.get(content.sha256)
            if refused is not None:
                self._refuse(item, refused, finished.worker)
                continue
            picture = encoded.get(content.sha256) or self._copy_of(content)
            if item.place in self.known:
                self.outdated.add(self.known[item.place].at)
            rows.append(_row(item, content, picture))
            pictures.append(picture)
        n_encoded = sum(isinstance(result, EncodedPicture) for result in results)
        self.report.encoded += n_encoded
        self.report.copied += len(rows) - n_encoded
        if rows:
            self._write_part(rows, pictures)
        self.progress(len(rows))

    def _copy_of(self, content: Content) -> EncodedPicture:
        """Read vector and thumbnail of the equal picture that was written before."""
        twin = self.by_content[content.sha256]
        part = self.manifest.parts[twin.part]
        cells = self.folder.table(part).slice(twin.row, 1).to_pylist()[0]
        small = self.folder.thumbnail(part, cells["thumbnail_at"], cells["thumbnail_bytes"])
        vector = np.array(self.folder.vectors(part)[twin.row])
        return EncodedPicture(cells["width"], cells["height"], cells["format"], vector, small)

    def _write_part(self, rows: list[dict], pictures: list[EncodedPicture]) -> None:
        if sum(part.rows for part in self.manifest.parts[self.n_whole :]) + len(rows) > PART:
            self._join_parts_of_this_run()
        manifest = self.manifest
        part = self.folder.write_part(
            manifest.counter,
            np.stack([picture.vector for picture in pictures]).astype(np.float32),
            self._table(rows, manifest.next_id),
            [picture.thumbnail for picture in pictures],
        )
        self.manifest = replace(
            manifest,
            parts=(*manifest.parts, part),
            next_id=manifest.next_id + len(rows),
            counter=manifest.counter + 1,
        )
        self._save(finished=False)
        for at, row in enumerate(rows):
            known = Known(len(manifest.parts), at, 0, 0, row["sha256"], "")
            self.by_content.setdefault(row["sha256"], known)

    def _join_parts_of_this_run(self) -> None:
        """Join the parts of the last steps, so that the manifest of a long run stays short."""
        number = self.n_whole
        whole, small = self.manifest.parts[:number], self.manifest.parts[number:]
        self.n_whole = number + bool(small)
        if len(small) < 2:
            return
        joined = self._joined(small)
        self.manifest = replace(self.manifest, parts=(*whole, joined))
        self._save(finished=False)
        self.folder.remove_parts(small)
        for row, sha256 in enumerate(self.folder.table(joined)["sha256"].to_pylist()):
            if self.by_content[sha256].part >= number:
                self.by_content[sha256] = Known(number, row, 0, 0, sha256, "")

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


def _row(item: Item, content: Content, picture: EncodedPicture) -> dict:
    return {
        "root": item.root, "path": item.path, "member": item.member,
        "caption": content.caption.text,
        "bytes": content.n_bytes, "mtime_ns": item.mtime_ns, "sha256": content.sha256,
        "width": picture.width, "height": picture.height, "format": picture.format,
    }  # fmt: skip


def _groups(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    while group := list(islice(items, size)):
        yield group


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
