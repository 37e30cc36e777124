"""Open a collection: its pictures, their columns and vectors, and the nearest to a vector."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from lib.core.checks import RetrievalInputError, check_count, whole_numbers
from lib.core.paths import path_inside
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.laion.shards import Shard
from lib.datasets.media.pictures import on_page, open_picture
from lib.search.base import merge_best
from lib.search.collection.files import OWN_COLUMNS, CollectionFolder, Manifest, StoredIndex
from lib.search.collection.filters import matching_rows
from lib.search.collection.query_encoders import load_query_encoder
from lib.search.collection.searching import SAMPLE, QueryEncoder, Searchable
from lib.search.collection.sources import read_file, read_part

if TYPE_CHECKING:
    from PIL import Image

    from lib.index import VectorSearchIndex

FEW = 20_000  # rows that pass a filter, and are scored exactly
STORAGE_COLUMNS = ("root", "mtime_ns", "thumbnail_at", "thumbnail_bytes")


class OpenPart(NamedTuple):
    """The files of a part, mapped from disk."""

    table: pa.Table
    vectors: np.ndarray  # (n, dim)
    thumbnails: pa.Buffer


class Collection(Searchable):
    """A collection that is open for reading; it does not change while it is open.

    Args:
        path: folder of the collection.
        verify: check every byte of it first.

    Attributes:
        manifest: what it is.
        ids: (n,) int64, rising.
        table: a row for each picture, in the order of `ids`.
    """

    def __init__(self, path: str | Path, *, verify: bool = False) -> None:
        self.folder = CollectionFolder(path)
        self.manifest, self._parts = self.folder.consistently(partial(self._open, verify))
        tables = [part.table for part in self._parts]
        self.table = (
            pa.concat_tables(tables, promote_options="permissive")
            if tables
            else OWN_COLUMNS.empty_table()
        )
        self.ids = self.table["id"].to_numpy().astype(np.int64)
        self._starts = np.cumsum([0, *map(len, tables)])

    def _open(self, verify: bool, manifest: Manifest) -> tuple[Manifest, list[OpenPart]]:
        """Map all parts now: what a writer removes later stays readable."""
        parts = []
        for part in manifest.parts:
            if verify:
                self.folder.verify(part)
            table, vectors = self.folder.table(part), self.folder.vectors(part)
            if len(table) != part.rows or vectors.shape != (part.rows, manifest.dim):
                raise DamagedFileError(
                    f"{self.folder.path / part.folder} must have {part.rows} rows of dimension"
                    f" {manifest.dim}, got {len(table)} and {vectors.shape}. Run `crossmodal index`"
                    " again with another --out"
                )
            # An array: numpy takes rows of its class for mapped files three times slower.
            parts.append(OpenPart(table, np.asarray(vectors), self.folder.thumbnails(part)))
        if verify:
            self.folder.verify_the_rest(manifest)
        return manifest, parts

    def warm_up(self) -> None:
        """Load now what the first search would load: index, later rows, background, encoder."""
        _ = self._stored, self._late, self._moments, self.encoder

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def columns(self) -> list[str]:
        """Names that a filter can use."""
        return list(self.kinds)

    @property
    def kinds(self) -> dict[str, str]:
        """Names and kinds of the columns that say something about a picture."""
        return {f.name: str(f.type) for f in self.table.schema if f.name not in STORAGE_COLUMNS}

    # ---- one picture

    def position(self, item: int) -> int:
        """Return the row of an id."""
        item = check_count(item, "id", least=0)
        at = int(np.searchsorted(self.ids, item))
        if at == len(self.ids) or self.ids[at] != item:
            raise RetrievalInputError(f"id must be one of the {len(self):,} pictures, got {item}")
        return at

    def _positions(self, ids: Sequence[int]) -> np.ndarray:
        """Return the rows of some ids, int64 (n,)."""
        ids = whole_numbers(ids, "id")
        at = np.searchsorted(self.ids, ids)
        unknown = np.flatnonzero(self.ids.take(at, mode="clip") != ids) if len(self) else ids
        if len(unknown):
            self.position(ids[unknown[0]])  # says what is wrong
        return at

    def item(self, item: int) -> dict:
        """Return all columns of a picture but those of the storage."""
        row = self.table.slice(self.position(item), 1).to_pylist()[0]
        return {name: value for name, value in row.items() if name not in STORAGE_COLUMNS}

    def thumbnail(self, item: int) -> bytes:
        """Return a small JPEG of a picture."""
        at = self.position(item)
        row = self.table.slice(at, 1).select(["thumbnail_at", "thumbnail_bytes"]).to_pylist()[0]
        part = self._parts[int(np.searchsorted(self._starts, at, side="right")) - 1]
        start = row["thumbnail_at"]
        return bytes(memoryview(part.thumbnails)[start : start + row["thumbnail_bytes"]])

    def original(self, item: int) -> Path:
        """Return the file of a picture; one that leads out of its root, is gone, or has changed is
        an error.
        """
        row = self.table.slice(self.position(item), 1).to_pylist()[0]
        root = self.folder.root_folder(self.manifest.roots[row["root"]])
        path = path_inside(root, row["path"])
        if not os.path.isfile(path):  # also where a folder above may not be entered
            raise MissingFileError(f"{row['path']} is missing; run `crossmodal index` again")
        if not row["member"] and path.stat().st_size != row["bytes"]:
            raise RetrievalInputError(f"{row['path']} has changed; run `crossmodal index` again")
        return path

    def content(self, item: int) -> tuple[bytes, str]:
        """Return the bytes of a picture, also of a sample in a shard, and their suffix."""
        path, row = self.original(item), self.item(item)
        try:
            if not row["member"]:
                return read_file(path), path.suffix
            for _, content, suffix in _samples_of(path, {row["member"]: item}):
                return content, suffix
        except OSError as error:
            why = error.strerror or error
            raise MissingFileError(f"{row['path']} cannot be read: {why}") from error
        raise MissingFileError(
            f"{row['path']} has no sample {row['member']!r} now; run `crossmodal index` again"
        )

    def pictures(self, ids: Sequence[int]) -> Iterator[tuple[int, Image.Image, bool]]:
        """Yield id and picture as it was indexed, in any order; each shard is read once.

        Where its file is gone or has changed, it is the thumbnail, and the last value is True.
        """
        missed, in_shards = [], {}
        for item in ids:
            member = self.item(item)["member"]
            try:
                path = self.original(item)
                if member:
                    in_shards.setdefault(path, {})[member] = item
                else:
                    yield item, _page_of(read_file(path)), False
            except (OSError, ValueError):
                missed.append(item)
        for path, members in in_shards.items():
            wanted = set(members.values())
            with suppress(OSError, ValueError):  # a shard that is damaged now
                for item, content, _ in _samples_of(path, members):
                    with suppress(ValueError):
                        yield item, _page_of(content), False
                        wanted.discard(item)
            missed += sorted(wanted)
        for item in missed:
            yield item, _page_of(self.thumbnail(item)), True

    def root_of(self, item: int) -> int:
        """Return the number of the root in which a picture lies."""
        return self.table["root"][self.position(item)].as_py()

    def vectors(self, positions: np.ndarray) -> np.ndarray:
        """Return the vectors of some rows, float32 (n, dim)."""
        positions = np.asarray(positions, dtype=np.int64)
        out = np.empty((len(positions), self.manifest.dim), np.float32)
        parts = np.searchsorted(self._starts, positions, side="right") - 1
        for number in np.unique(parts).tolist():
            rows = parts == number
            out[rows] = self._parts[number].vectors[positions[rows] - self._starts[number]]
        return out

    # ---- search

    @cached_property
    def encoder(self) -> QueryEncoder:
        """Load the encoder of queries when the first one comes."""
        return load_query_encoder(self.manifest)

    def share(self, others: Sequence[Collection]) -> None:
        """Take the encoder and the index of open collections where they are the same.

        Loading them takes seconds, and the index its memory a second time.
        """
        for other in others:
            if other is not self and other.manifest.identity == self.manifest.identity:
                self._take("encoder", other)
            if self._index_stamp is not None and self._index_stamp == other._index_stamp:
                self._take("_stored", other)

    def _take(self, name: str, other: Collection) -> None:
        if name in vars(other):
            vars(self)[name] = vars(other)[name]

    def allowed(self, where: str) -> np.ndarray:
        """Return the ids of the pictures that meet a condition."""
        return self.ids[matching_rows(self.table.select(self.columns), where)]

    def count(self, allowed: np.ndarray | None = None) -> int:
        """Count all pictures, or those allowed."""
        return len(self) if allowed is None else len(allowed)

    def vectors_of(self, ids: Sequence[int]) -> np.ndarray:
        """Return the vectors of some ids, float32 (n, dim)."""
        return self.vectors(self._positions(ids))

    def rows_of(self, ids: Sequence[int]) -> list[dict]:
        """Return the columns of some ids."""
        # Not `take`: it first copies the texts of all parts, 14 ms for a million rows.
        rows = [self._facts.slice(at, 1) for at in self._positions(ids).tolist()]
        return pa.concat_tables(rows).to_pylist() if rows else []

    @cached_property
    def _facts(self) -> pa.Table:
        return self.table.select(self.columns)

    def nearest(
        self, vector: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return scores and ids of the k nearest pictures, best first.

        Few allowed pictures are scored exactly. Otherwise the stored index answers for its rows,
        exact search for rows that came later, and ids that are gone are dropped.
        """
        if allowed is not None and len(allowed) <= FEW:
            rows = self.vectors(np.searchsorted(self.ids, allowed))
            return _best(rows, allowed, vector, k)
        rows, ids = self._late
        if allowed is not None:
            wanted = np.isin(ids, allowed[allowed >= self._first_late], assume_unique=True)
            rows, ids = rows[wanted], ids[wanted]
        late = _best(rows, ids, vector, k)
        if self._stored is None:
            return late
        return merge_best([self._from_stored(vector, k, allowed), late], k)

    def _from_stored(
        self, vector: np.ndarray, k: int, allowed: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        index = self._stored
        earlier = None if allowed is None else allowed[allowed < self._first_late]
        n_gone = index.ntotal - int(np.searchsorted(self.ids, self._first_late))
        depth = k + min(n_gone, 32)
        while True:
            depth = min(depth, index.ntotal)
            scores, ids = (rows[0] for rows in index.search(vector[None], depth, allowed=earlier))
            lives = self._has(ids)
            no_more = n_gone == 0 or depth == index.ntotal or (ids < 0).any()
            if lives.sum() >= k or no_more:
                return scores[lives], ids[lives]
            depth *= 2

    def _has(self, ids: np.ndarray) -> np.ndarray:
        """Return whether each id is of a picture that is still here."""
        at = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return self.ids[at] == ids

    @property
    def _first_late(self) -> int:
        """The first id that the stored index does not have."""
        return 0 if self.manifest.index is None else self.manifest.index.next_id

    @cached_property
    def _index_stamp(self) -> tuple[StoredIndex, int, int] | None:
        """Tell one stored index from another: by its entry, and by its folder on disk."""
        stored = self.manifest.index
        try:
            stat = (self.folder.path / stored.folder).stat() if stored else None
        except OSError:  # loading it will say what is wrong
            stat = None
        return stat and (stored, stat.st_ino, stat.st_mtime_ns)

    @cached_property
    def _stored(self) -> VectorSearchIndex | None:
        stored = self.manifest.index
        if stored is None:
            return None
        from lib.index import VectorSearchIndex  # imports faiss

        _ = self._index_stamp  # of now, not of when another collection asks for it
        try:
            index = VectorSearchIndex.load(self.folder.path / stored.folder, memory_map=True)
        except (DamagedFileError, MissingFileError) as error:
            if self.folder.read().index == stored:
                raise
            raise RetrievalInputError(
                f"{self.folder.path} has got another index since it was opened; search again"
            ) from error
        index.set_search(**stored.settings)
        index.counts_work = False
        return index

    @cached_property
    def _late(self) -> tuple[np.ndarray, np.ndarray]:
        """Vectors and ids of the rows that the stored index does not have: all without one."""
        at = int(np.searchsorted(self.ids, self._first_late))
        return self.vectors(np.arange(at, len(self.ids))), self.ids[at:]

    @cached_property
    def _sample(self) -> np.ndarray:
        return self.vectors_of(self.sample_ids.tolist())

    @property
    def sample_ids(self) -> np.ndarray:
        """Ids of pictures that give the background of a score: rows at equal distances."""
        return self.ids[:: max(1, len(self) // SAMPLE)][:SAMPLE]


def _samples_of(path: Path, members: dict[str, int]) -> Iterator[tuple[int, bytes, str]]:
    """Yield the value, the picture and its suffix of some members of a shard."""
    for sample, _ in Shard(path, contents=()):
        if sample.key in members:
            suffix = sample.picture_suffix
            name = f"{path.name}, sample {sample.key}"
            yield members[sample.key], read_part(path, *sample.places[suffix], name), f".{suffix}"


def _page_of(content: bytes) -> Image.Image:
    """Decode a picture as it is when it is indexed."""
    return on_page(open_picture(content, mode="RGBA"))


def _best(
    rows: np.ndarray, ids: np.ndarray, vector: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and ids of the k rows with the largest products, equal ones by smaller id.

    All rows are scored by BLAS, whose last bits depend on where a row stands. Those that its error
    cannot exclude are scored again in float64, so that equal rows have equal scores. The error of
    a float32 sum of d products of unit rows is below d 2^-24.
    """
    rough = rows @ vector.astype(np.float32)
    if k < len(rough):
        floor = np.partition(rough, -k)[-k] - rows.shape[1] * 2.0**-22
        chosen = np.flatnonzero(rough >= floor)
        rows, ids = rows[chosen], ids[chosen]
    scores = np.einsum("ij,j->i", rows.astype(np.float64), vector.astype(np.float64))
    return merge_best([(scores.astype(np.float32), ids)], k)
