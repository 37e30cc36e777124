"""Open a collection and search it: words, pictures, both, or "more like this"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from lib.core.checks import (
    RetrievalInputError,
    as_embeddings,
    check_count,
    check_number,
    unit_rows,
)
from lib.core.paths import path_inside
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.laion.shards import Shard
from lib.index import VectorSearchIndex
from lib.search.collection.files import OWN_COLUMNS, CollectionFolder, CollectionPart, Manifest
from lib.search.collection.filters import matching_rows
from lib.search.collection.query_encoders import load_query_encoder

if TYPE_CHECKING:
    from PIL import Image

FEW = 20_000  # rows that pass a filter, and are scored exactly
SAMPLE = 2_000  # rows that give the background of a score
# Cosine from which two pictures count as copies. 95 of 100 pictures saved again as JPEG, or in
# another size, reach it with the model `pictures`.
SAME = 0.99
AWAY = 0.5  # weight of a text that hits should not resemble
DEEPEST = 2_000  # hits that can be paged through
STORAGE_COLUMNS = ("root", "mtime_ns", "thumbnail_at", "thumbnail_bytes")
SHOWN_COLUMNS = ("id", "path", "member", "caption", "width", "height", "format", "bytes")


class QueryEncoder(Protocol):
    """Encode queries into the space of a collection, as unit rows."""

    def encode_text(self, texts: Sequence[str]) -> np.ndarray: ...

    def encode_image(self, pictures: Sequence[Image.Image]) -> np.ndarray: ...

    def doubts_about(self, text: str) -> list[str]: ...


@dataclass(frozen=True)
class Query:
    """A query: at least one of text, image, vector and like.

        q = (1 - w) text + w pictures,   pictures = the mean of image and like
        q <- q - 0.5 mean(without)

    Each part has length 1 before it is added, and q at the end.

    Args:
        text: words.
        image: a picture, upright, RGB.
        vector: (dim,) made elsewhere, for example of an earlier page.
        like: ids of pictures of the collection.
        without: texts that hits should not resemble.
        image_weight: w, from 0 to 1, where there are text and pictures.
    """

    text: str = ""
    image: Image.Image | None = None
    vector: np.ndarray | None = None
    like: tuple[int, ...] = ()
    without: tuple[str, ...] = ()
    image_weight: float = 0.5


@dataclass(frozen=True)
class CollectionHit:
    """One picture found.

    Args:
        rank: from 1.
        id: of the picture in its collection.
        score: cosine.
        standing: standard deviations above the mean score of the collection.
        columns: path, member, caption, size, and the user's columns.
        copies: ids of near-identical pictures that were folded into this one.
    """

    rank: int
    id: int
    score: float
    standing: float
    columns: Mapping[str, object]
    copies: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Caption, or else the path."""
        return name_of(self.columns)


def name_of(columns: Mapping[str, object]) -> str:
    """Return the caption of a picture, or else its path."""
    member = f" {columns['member']}" if columns["member"] else ""
    return str(columns["caption"] or f"{columns['path']}{member}")


@dataclass(frozen=True)
class Results:
    """Hits of one page, and what is needed for the next one.

    Args:
        hits: best first.
        vector: (dim,) the query; pass it as `Query(vector=...)` for the next page.
        offset: number of hits before this page.
        more: whether there is a next page.
        mean, deviation: of the query's score over the collection.
        doubts: sentences that say why the hits may be wrong.
    """

    hits: tuple[CollectionHit, ...]
    vector: np.ndarray = field(repr=False)
    offset: int
    more: bool
    mean: float
    deviation: float
    doubts: tuple[str, ...] = ()


class Collection:
    """A collection that is open for reading; it does not change while it is open.

    Args:
        path: folder of the collection.
        verify: check every byte of its vectors and tables first.

    Attributes:
        manifest: what it is.
        ids: (n,) int64, rising.
        table: a row for each picture, in the order of `ids`.
    """

    def __init__(self, path: str | Path, *, verify: bool = False) -> None:
        self.folder = CollectionFolder(path)
        self.manifest: Manifest = self.folder.read()
        if verify:
            for part in self.manifest.parts:
                self.folder.verify(part)
        tables = [self._checked(part) for part in self.manifest.parts]
        self.table = (
            pa.concat_tables(tables, promote_options="permissive")
            if tables
            else OWN_COLUMNS.empty_table()
        )
        self.ids = self.table["id"].to_numpy().astype(np.int64)
        self._vectors = [self.folder.vectors(part) for part in self.manifest.parts]
        self._starts = np.cumsum([0, *(part.rows for part in self.manifest.parts)])

    def warm_up(self) -> None:
        """Load now what the first search would load: index, later rows, background, encoder."""
        _ = self._stored, self._late, self._sample, self.encoder

    def _checked(self, part: CollectionPart) -> pa.Table:
        table, shape = self.folder.table(part), self.folder.vectors(part).shape
        if len(table) != part.rows or shape != (part.rows, self.manifest.dim):
            raise DamagedFileError(
                f"{self.folder.path / part.folder} must have {part.rows} rows of dimension"
                f" {self.manifest.dim}, got {len(table)} and {shape}. Run `crossmodal index` again"
                " with another --out"
            )
        return table

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dim(self) -> int:
        """Dimension of a vector."""
        return self.manifest.dim

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

    def item(self, item: int) -> dict:
        """Return all columns of a picture but those of the storage."""
        row = self.table.slice(self.position(item), 1).to_pylist()[0]
        return {name: value for name, value in row.items() if name not in STORAGE_COLUMNS}

    def thumbnail(self, item: int) -> bytes:
        """Return a small JPEG of a picture."""
        at = self.position(item)
        row = self.table.slice(at, 1).select(["thumbnail_at", "thumbnail_bytes"]).to_pylist()[0]
        part = self.manifest.parts[int(np.searchsorted(self._starts, at, side="right")) - 1]
        return self.folder.thumbnail(part, row["thumbnail_at"], row["thumbnail_bytes"])

    def original(self, item: int) -> Path:
        """Return the file of a picture; one that leads out of its root, is gone, or has changed is
        an error.
        """
        row = self.table.slice(self.position(item), 1).to_pylist()[0]
        root = self.folder.root_folder(self.manifest.roots[row["root"]])
        path = path_inside(root, row["path"])
        if not path.is_file():
            raise MissingFileError(f"{row['path']} is missing; run `crossmodal index` again")
        if not row["member"] and path.stat().st_size != row["bytes"]:
            raise RetrievalInputError(f"{row['path']} has changed; run `crossmodal index` again")
        return path

    def content(self, item: int) -> tuple[bytes, str]:
        """Return the bytes of a picture, also of a sample in a shard, and their suffix."""
        path, row = self.original(item), self.item(item)
        if not row["member"]:
            return path.read_bytes(), path.suffix
        for sample, _ in Shard(path):
            if sample.key == row["member"]:
                suffix = sample.picture_suffix
                return sample.parts[suffix], f".{suffix}"
        raise MissingFileError(
            f"{row['path']} has no sample {row['member']!r} now; run `crossmodal index` again"
        )

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
            out[rows] = self._vectors[number][positions[rows] - self._starts[number]]
        return out

    # ---- search

    @cached_property
    def encoder(self) -> QueryEncoder:
        """Load the encoder of queries when the first one comes."""
        return load_query_encoder(self.manifest)

    def share_encoder(self, others: Sequence[Collection]) -> None:
        """Take the encoder of another collection of the same model: loading takes seconds."""
        for other in others:
            same = other.manifest.identity == self.manifest.identity
            if other is not self and same and "encoder" in vars(other):
                vars(self)["encoder"] = other.encoder

    def encode(self, query: Query, rows: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """Encode a query as one unit row (dim,); see `Query`.

        Args:
            query: its parts.
            rows: texts that are encoded already.
        """
        rows = rows or {}
        texts = [text for text in dict.fromkeys((query.text, *query.without)) if text.strip()]
        new = [text for text in texts if text not in rows]
        if new:
            rows = {**rows, **dict(zip(new, self.encoder.encode_text(new), strict=True))}
        weight = check_number(query.image_weight, "image_weight", 0, 1)
        pictures = []
        if query.image is not None:
            pictures.append(self.encoder.encode_image([query.image])[0])
        if query.like:
            pictures += list(self.vectors(np.array([self.position(i) for i in query.like])))
        parts = []
        if query.vector is not None:
            given = as_embeddings([query.vector], "vector", dim=self.manifest.dim)
            parts.append((1.0, unit_rows(given, "vector")[0]))
        if query.text.strip():
            parts.append((1 - weight if pictures else 1.0, rows[query.text]))
        if pictures:
            row = unit_rows([np.mean(pictures, axis=0)], "the pictures of the query")[0]
            parts.append((weight if query.text.strip() else 1.0, row))
        if not parts:
            raise RetrievalInputError("a query must have text, image, vector or like, got nothing")
        vector = np.sum([share * row for share, row in parts], axis=0)
        away = [rows[text] for text in query.without if text.strip()]
        if away:
            vector = vector - AWAY * np.mean(away, axis=0)
        return unit_rows([vector], "the query")[0]

    def search(
        self,
        query: Query | str,
        k: int = 20,
        *,
        offset: int = 0,
        where: str = "",
        fold: bool = True,
        rows: Mapping[str, np.ndarray] | None = None,
    ) -> Results:
        """Find the k best pictures behind the first `offset` ones.

        Args:
            query: a `Query`, or its text.
            k: hits on the page.
            offset: hits of earlier pages.
            where: a condition on columns, see `matching_rows`.
            fold: show near-identical pictures once.
            rows: texts of the query that are encoded already.
        """
        query = Query(text=query) if isinstance(query, str) else query
        k, offset = check_count(k, "k"), check_count(offset, "offset", least=0)
        if offset + k > DEEPEST:
            raise RetrievalInputError(f"offset + k must be at most {DEEPEST:,}, got {offset + k:,}")
        vector = self.encode(query, rows)
        allowed = (
            self.ids[matching_rows(self.table.select(self.columns), where)]
            if where.strip()
            else None
        )
        n = len(self) if allowed is None else len(allowed)
        left_out = set(query.like)
        wanted, depth = offset + k + 1, min(n, offset + k + 1 + len(left_out) + (32 if fold else 0))
        while True:
            scores, ids = self.nearest(vector, depth, allowed) if n else (np.empty(0), np.empty(0))
            kept = [at for at, item in enumerate(ids.tolist()) if item not in left_out]
            scores, ids = scores[kept], ids[kept].astype(np.int64)
            groups = self._folded(ids) if fold else [[at] for at in range(len(ids))]
            if len(groups) >= wanted or depth >= min(n, DEEPEST):
                break
            depth = min(n, DEEPEST, 2 * depth)
        mean, deviation = self._background(vector)
        page = groups[offset : offset + k]
        firsts = np.array([group[0] for group in page], dtype=np.int64)
        rows = self.table.take(pa.array(np.searchsorted(self.ids, ids[firsts]))).to_pylist()
        hits = tuple(
            CollectionHit(
                offset + number,
                int(ids[group[0]]),
                float(scores[group[0]]),
                float((scores[group[0]] - mean) / deviation),
                {name: row[name] for name in (*SHOWN_COLUMNS, *self.own_columns)},
                tuple(ids[group[1:]].tolist()),
            )
            for number, (group, row) in enumerate(zip(page, rows, strict=True), start=1)
        )
        doubts = self.encoder.doubts_about(query.text) if query.text.strip() else []
        more = len(groups) > offset + k
        return Results(hits, vector, offset, more, mean, deviation, tuple(doubts))

    @property
    def own_columns(self) -> list[str]:
        """Names of the columns that the user gave."""
        return [name for name in self.columns if name not in OWN_COLUMNS.names]

    def nearest(
        self, vector: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return scores and ids of the k nearest pictures, best first.

        Few allowed pictures are scored exactly. Otherwise the stored index answers for its rows,
        exact search for rows that came later, and ids that are gone are dropped.
        """
        if allowed is not None and len(allowed) <= FEW:
            scores = self.vectors(np.searchsorted(self.ids, allowed)) @ vector
            return _merged([(scores, allowed)], k)
        found = []
        if self._stored is not None:
            found.append(self._from_stored(vector, k, allowed))
        if self._late is not None:
            later = allowed if allowed is None else allowed[allowed >= self._first_late]
            if later is None or len(later):
                scores, ids = self._late.search(
                    vector[None], min(k, self._late.ntotal), allowed=later
                )
                found.append((scores[0], ids[0]))
        return _merged(found, k)

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
    def _stored(self) -> VectorSearchIndex | None:
        stored = self.manifest.index
        if stored is None:
            return None
        index = VectorSearchIndex.load(self.folder.path / stored.folder, memory_map=True)
        index.set_search(**stored.settings)
        return index

    @cached_property
    def _late(self) -> VectorSearchIndex | None:
        """Exact search over the rows that the stored index does not have."""
        at = int(np.searchsorted(self.ids, self._first_late))
        if at == len(self.ids):
            return None
        index = VectorSearchIndex(self.manifest.dim, "Flat")
        index.add(self.vectors(np.arange(at, len(self.ids))), ids=self.ids[at:])
        return index

    @cached_property
    def _sample(self) -> np.ndarray:
        """Vectors that give the background of a score: rows at equal distances."""
        step = max(1, len(self) // SAMPLE)
        return self.vectors(np.arange(0, len(self), step)[:SAMPLE])

    def _background(self, vector: np.ndarray) -> tuple[float, float]:
        """Mean and standard deviation of a query's score over the collection."""
        if not len(self):
            return 0.0, 1.0
        scores = self._sample @ vector
        return float(scores.mean()), max(float(scores.std()), 1e-6)

    def _folded(self, ids: np.ndarray) -> list[list[int]]:
        """Group hits whose vectors are nearly equal, each behind its best one."""
        if not len(ids):
            return []
        rows = self.vectors(np.searchsorted(self.ids, ids))
        groups: list[list[int]] = []
        heads = np.empty_like(rows)
        for at, row in enumerate(rows):
            near = np.flatnonzero(heads[: len(groups)] @ row >= SAME)
            if len(near):
                groups[near[0]].append(at)
            else:
                heads[len(groups)] = row
                groups.append([at])
        return groups


def _merged(found: list[tuple[np.ndarray, np.ndarray]], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Merge scores and ids of several searches: the k best, equal scores by the smaller id."""
    scores, ids = (np.concatenate(side) for side in zip(*found, strict=True))
    lives = ids >= 0
    scores, ids = scores[lives], ids[lives]
    order = np.lexsort((ids, -scores))[:k]
    return scores[order], ids[order]
