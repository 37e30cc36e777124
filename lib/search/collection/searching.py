"""Search whatever holds pictures, vectors and columns: parts of a query, pages, copies, scores.

`Searchable` needs five things of a place that holds them: who meets a condition, how many, the
nearest, the vectors and the columns of some ids. A collection on disk and each database give these.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lib.core.checks import (
    RetrievalInputError,
    as_embeddings,
    check_count,
    check_number,
    unit_rows,
)
from lib.search.collection.files import OWN_COLUMNS, Manifest
from lib.search.collection.reranking import (
    CANDIDATES,
    MOST_CANDIDATES,
    OrderedCandidates,
    SecondStage,
    check_words_alone,
    second_stages_of,
)

if TYPE_CHECKING:
    from PIL import Image

    from lib.search.sketches import Sketch

LONGEST_NAME = 200  # characters of a caption that names its picture
SAMPLE = 2_000  # rows that give the background of a score
# Cosine from which two pictures count as copies. 95 of 100 pictures saved again as JPEG, or in
# another size, reach it with the model `pictures`.
SAME = 0.99
AWAY = 0.5  # weight of a text that hits should not resemble
DEEPEST = 2_000  # hits that can be paged through
SHOWN_COLUMNS = ("id", "path", "member", "caption", "width", "height", "format", "bytes")


class QueryEncoder(Protocol):
    """Encode queries into the space of a collection, as unit rows."""

    def encode_text(self, texts: Sequence[str]) -> np.ndarray: ...

    def encode_image(self, pictures: Sequence[Image.Image]) -> np.ndarray: ...

    def encode_sketch(self, sketches: Sequence[Sketch]) -> np.ndarray: ...

    def doubts_about(self, text: str) -> list[str]: ...


@dataclass(frozen=True)
class Query:
    """A query: at least one of text, image, sketch, vector and like.

        q = (1 - w) text + w pictures,   pictures = the mean of image, sketch and like
        q <- q - 0.5 mean(without)

    Each part has length 1 before it is added, and q at the end.

    Args:
        text: words.
        image: a picture, upright, RGB.
        sketch: strokes, or a picture of lines; see `lib.search.sketches`.
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
    sketch: Sketch | None = None


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
        second_score: of the second stage that ordered it; None for a hit ordered by cosine.
    """

    rank: int
    id: int
    score: float
    standing: float
    columns: Mapping[str, object]
    copies: tuple[int, ...] = ()
    second_score: float | None = None

    @property
    def name(self) -> str:
        """Caption, or else the path."""
        return name_of(self.columns)


def name_of(columns: Mapping[str, object]) -> str:
    """Return the caption of a picture, or else its path; a long one is cut."""
    member = f" {columns['member']}" if columns["member"] else ""
    name = str(columns["caption"] or f"{columns['path']}{member}")
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


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
        second_stage: sentences about the second stage; empty without one.
    """

    hits: tuple[CollectionHit, ...]
    vector: np.ndarray = field(repr=False)
    offset: int
    more: bool
    mean: float
    deviation: float
    doubts: tuple[str, ...] = ()
    second_stage: tuple[str, ...] = ()


class Searchable(ABC):
    """Pictures that can be searched, wherever their vectors and columns are."""

    manifest: Manifest
    encoder: QueryEncoder
    _sample: np.ndarray  # (n, dim) vectors that give the background of a score

    @property
    @abstractmethod
    def columns(self) -> list[str]:
        """Names that a condition can use."""

    @abstractmethod
    def allowed(self, where: str):
        """Return what `nearest` and `count` take to keep to a condition, see `matching_rows`."""

    @abstractmethod
    def __len__(self) -> int:
        """Count all pictures."""

    @abstractmethod
    def count(self, allowed=None) -> int:
        """Count all pictures, or those allowed."""

    @abstractmethod
    def nearest(self, vector: np.ndarray, k: int, allowed=None) -> tuple[np.ndarray, np.ndarray]:
        """Return scores and ids of the k nearest pictures, best first, ties by the smaller id."""

    @abstractmethod
    def vectors_of(self, ids: Sequence[int]) -> np.ndarray:
        """Return the vectors of some ids, float32 (n, dim)."""

    @abstractmethod
    def rows_of(self, ids: Sequence[int]) -> list[dict]:
        """Return the columns of some ids."""

    def pictures(self, ids: Sequence[int]) -> Iterator[tuple[int, Image.Image, bool]]:
        """Yield id, picture, and whether it is a thumbnail; a database holds none."""
        raise RetrievalInputError(
            "rerank reads the pictures, and a database holds none: search the folder of the"
            " collection, or leave rerank out"
        )

    def close(self) -> None:  # noqa: B027, as most need nothing
        """Let go of files and connections."""

    def __enter__(self) -> Searchable:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @property
    def dim(self) -> int:
        """Dimension of a vector."""
        return self.manifest.dim

    @property
    def own_columns(self) -> list[str]:
        """Names of the columns that the user gave."""
        return [name for name in self.columns if name not in OWN_COLUMNS.names]

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
        if query.sketch is not None:
            pictures.append(self.encoder.encode_sketch([query.sketch])[0])
        if query.like:
            pictures += list(self.vectors_of(query.like))
        parts = []
        if query.vector is not None:
            given = as_embeddings([query.vector], "vector", dim=self.dim)
            parts.append((1.0, unit_rows(given, "vector")[0]))
        if query.text.strip():
            parts.append((1 - weight if pictures else 1.0, rows[query.text]))
        if pictures:
            row = unit_rows([np.mean(pictures, axis=0)], "the pictures of the query")[0]
            parts.append((weight if query.text.strip() else 1.0, row))
        if not parts:
            raise RetrievalInputError(
                "a query must have text, image, sketch, vector or like, got nothing"
            )
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
        rerank: str | None = None,
        candidates: int = CANDIDATES,
    ) -> Results:
        """Find the k best pictures behind the first `offset` ones.

        Args:
            query: a `Query`, or its text.
            k: hits on the page.
            offset: hits of earlier pages.
            where: a condition on columns, see `matching_rows`.
            fold: show near-identical pictures once.
            rows: texts of the query that are encoded already.
            rerank: `"maxsim"` or `"cross-encoder"` orders the best pictures again, where the model
                has such a second stage; the query must be text alone.
            candidates: number of pictures that are ordered again; those behind keep their order.
        """
        query = Query(text=query) if isinstance(query, str) else query
        k, offset = check_count(k, "k"), check_count(offset, "offset", least=0)
        if offset + k > DEEPEST:
            raise RetrievalInputError(f"offset + k must be at most {DEEPEST:,}, got {offset + k:,}")
        candidates = check_count(candidates, "candidates", most=MOST_CANDIDATES)
        stage = None if rerank is None else self._second_stage(rerank)
        words = "" if stage is None else check_words_alone(query)
        vector = self.encode(query, rows)
        allowed = self.allowed(where) if where.strip() else None
        n = len(self) if allowed is None else self.count(allowed)
        head: OrderedCandidates | None = None
        if stage is not None and n:
            best = self.nearest(vector, min(n, candidates), allowed)
            head = stage.order(words, *best, self.pictures)
        left_out = set(query.like)
        wanted, depth = offset + k + 1, min(n, offset + k + 1 + len(left_out) + (32 if fold else 0))
        while True:
            scores, ids = self.nearest(vector, depth, allowed) if n else (np.empty(0), np.empty(0))
            if head is not None:
                scores, ids = head.before(scores, ids)
            kept = [at for at, item in enumerate(ids.tolist()) if item not in left_out]
            scores, ids = scores[kept], ids[kept].astype(np.int64)
            groups = self._folded(ids) if fold else [[at] for at in range(len(ids))]
            if len(groups) >= wanted or depth >= min(n, DEEPEST):
                break
            depth = min(n, DEEPEST, 2 * depth)
        mean, deviation = self._background(vector)
        page = groups[offset : offset + k]
        firsts = np.array([group[0] for group in page], dtype=np.int64)
        rows, shown = self.rows_of(ids[firsts].tolist()), (*SHOWN_COLUMNS, *self.own_columns)
        hits = tuple(
            CollectionHit(
                offset + number,
                int(ids[group[0]]),
                float(scores[group[0]]),
                float((scores[group[0]] - mean) / deviation),
                {name: row[name] for name in shown},
                tuple(ids[group[1:]].tolist()),
                None if head is None else head.score_of(int(ids[group[0]])),
            )
            for number, (group, row) in enumerate(zip(page, rows, strict=True), start=1)
        )
        doubts = self.encoder.doubts_about(query.text) if query.text.strip() else []
        more = len(groups) > offset + k
        told = () if head is None else tuple(head.describe())
        return Results(hits, vector, offset, more, mean, deviation, tuple(doubts), told)

    @property
    def second_stages(self) -> tuple[str, ...]:
        """Names that `rerank` can have here."""
        return second_stages_of(self.manifest)

    def _second_stage(self, name: str) -> SecondStage:
        """Return a second stage, made when it is first asked for."""
        if name not in self._loaded_stages:
            self._loaded_stages[name] = SecondStage(name, self.manifest)
        return self._loaded_stages[name]

    @cached_property
    def _loaded_stages(self) -> dict[str, SecondStage]:
        return {}

    def _background(self, vector: np.ndarray) -> tuple[float, float]:
        """Mean and standard deviation of a query's score over a sample of the collection.

        mean = m.q,   variance = q'C q,   with mean m and covariance C of the sample
        """
        if not len(self._sample):
            return 0.0, 1.0
        mean, covariance = self._moments
        return float(mean @ vector), max(float(vector @ covariance @ vector), 1e-12) ** 0.5

    @cached_property
    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (dim,) and covariance (dim, dim) of the sample."""
        centre = self._sample.mean(axis=0, dtype=np.float64)
        centred = self._sample - centre
        return centre, centred.T @ centred / len(centred)

    def _folded(self, ids: np.ndarray) -> list[list[int]]:
        """Group hits whose vectors are nearly equal, each behind its best one."""
        if not len(ids):
            return []
        rows = self.vectors_of(ids.tolist())
        near = np.tril(rows @ rows.T >= SAME, -1)
        groups = {at: [at] for at in range(len(ids))}
        for at in np.flatnonzero(near.any(axis=1)).tolist():
            heads = [one for one in np.flatnonzero(near[at]).tolist() if one in groups]
            if heads:
                groups[heads[0]] += groups.pop(at)
        return list(groups.values())
