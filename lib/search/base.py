"""Retrievers, and the runs that they return."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from lib.core.checks import RetrievalInputError, as_array, check_choice, check_k, whole_numbers


@dataclass(frozen=True)
class Work:
    """What one scorer did for a whole run; counted, not timed, so the same on every machine.

    Args:
        scorer: its name.
        pairs: (query, item) pairs that it scored.
        products: inner products of vectors that this took; 0 where a network reads the pair
            instead.
    """

    scorer: str
    pairs: int
    products: int


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """Ranked items of every query, best first, and which score put each where it is.

    Args:
        scores: `(n_queries, k)` float; within a row, those of one stage fall. Scores of two stages
            are two scales and do not compare. -inf where no item was found.
        ids: `(n_queries, k)` int64 gallery positions; -1 where no item was found, at the end of a
            row.
        stage: `(n_queries, k)` int8, the stage whose score it is, from 1; 0 where no item was
            found. Later stages stand before earlier ones.
        score_names: what the scores of stage 1, 2, ... are.
        work: what was done to get it, a piece per scorer.

    Raises:
        RetrievalInputError: arrays of different shapes, or a stage without a name.

    Relations: `ranked` is what `lib.metrics` takes.
    """

    scores: np.ndarray
    ids: np.ndarray
    stage: np.ndarray
    score_names: tuple[str, ...]
    work: tuple[Work, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", as_array(self.scores, "scores"))
        object.__setattr__(self, "stage", as_array(self.stage, "stage"))
        object.__setattr__(self, "ids", whole_numbers(self.ids, "ids", ndim=2))
        shapes = {name: getattr(self, name).shape for name in ("scores", "ids", "stage")}
        if len(set(shapes.values())) > 1 or self.ids.ndim != 2:
            raise RetrievalInputError(
                f"scores, ids and stage must share a shape (n_queries, k), got {shapes}"
            )
        if self.stage.min(initial=0) < 0 or self.stage.max(initial=0) > len(self.score_names):
            raise RetrievalInputError(
                f"stages must lie in 0..{len(self.score_names)}, one for each of"
                f" {self.score_names}, got {self.stage.min()}..{self.stage.max()}"
            )

    @classmethod
    def of_one_stage(cls, scores: np.ndarray, ids: np.ndarray, name: str, *work: Work) -> Run:
        """A run in which every score is of one kind."""
        return cls(scores, ids, (ids >= 0).astype(np.int8), (name,), work)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def depth(self) -> int:
        return self.ids.shape[1]

    @property
    def ranked(self) -> tuple[np.ndarray, np.ndarray]:
        """`(keys, ids)` for `lib.metrics.evaluate`, both `(n_queries, k)`.

        Keys are the scores of a single stage. Where two stages meet, scores may rise from one to
        the other; there, minus the number of falls so far stands for them: it ties where two
        neighbours of one stage tie, and says nothing else.
        """
        if (self.stage[:, :1] == self.stage).all():
            return self.scores, self.ids
        keys = np.zeros(self.ids.shape)
        tied = (self.scores[:, 1:] == self.scores[:, :-1]) & (
            self.stage[:, 1:] == self.stage[:, :-1]
        )
        np.cumsum(~tied, axis=1, out=keys[:, 1:])
        return -keys, self.ids

    def top(self, k: int) -> Run:
        """The first k of every list; the work stays what it was."""
        k = check_k(k, self.depth)
        return replace(
            self, scores=self.scores[:, :k], ids=self.ids[:, :k], stage=self.stage[:, :k]
        )

    def describe(self) -> str:
        """One line: sizes, whose scores rank in which order, and the work."""
        present = np.unique(self.stage[self.stage > 0])[::-1]
        by = ", below that by ".join(self.score_names[stage - 1] for stage in present) or "nothing"
        done = "; ".join(
            f"{w.scorer}: {w.pairs:,} pairs, {w.products:,} products" for w in self.work
        )
        return f"{len(self):,} queries x {self.depth:,} items, ranked by {by}" + (
            f" ({done})" if done else ""
        )

    def __repr__(self) -> str:
        return f"Run({self.describe()})"


def best_first(scores: np.ndarray, ids: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Orders the scored items of every query and keeps the k best; equal scores by the smaller id.

    Args:
        scores: `(n_queries, n)` floats, compared in their own precision; read only where there is
            an item.
        ids: `(n_queries, n)` gallery positions, -1 for no item.
        k: at most n.

    Returns:
        `(scores, ids)`, both `(n_queries, k)`; where there are fewer items, -inf and -1 at the end.

    Raises:
        RetrievalInputError: a score of an item that is not finite (with query and item).
    """
    check_scores(scores, ids)
    falling = np.where(ids >= 0, -scores, np.inf)  # (n_queries, n)
    if 2 * k < ids.shape[1]:
        last = np.partition(falling, k - 1, axis=1)[:, k - 1 : k]  # what ties with the k-th is kept
        kept = falling <= last
        width = kept.sum(axis=1).max(initial=k)
        places = np.argsort(~kept, axis=1, kind="stable")[:, :width]
        falling, ids = (np.take_along_axis(array, places, axis=1) for array in (falling, ids))
    order = np.lexsort((ids, falling), axis=1)[:, :k]
    falling, ids = (np.take_along_axis(array, order, axis=1) for array in (falling, ids))
    return -falling, ids


def check_scores(scores: np.ndarray, ids: np.ndarray) -> None:
    """Refuses a score of an item that is not finite, with its query and item."""
    broken = (ids >= 0) & ~np.isfinite(scores)
    if broken.any():
        row, column = np.argwhere(broken)[0]
        raise RetrievalInputError(
            f"the score of query {row} and item {ids[row, column]} is {scores[row, column]}; a"
            " score must be finite to have a place in an order. Look at what the model was given"
            " there"
        )


@dataclass(frozen=True)
class Hit:
    """One answer: `rank` from 1, `score`, `position` in the gallery, what it is called there, whose
    score.
    """

    rank: int
    score: float
    position: int
    label: str
    scored_by: str = "cosine"


class Retriever(ABC):
    """A gallery that can be searched; architectures differ in what a query becomes and how it is
    scored.

    Args:
        n_items: size of the gallery; ids are positions in it.
        labels: what to call each item; its position when None.
        score_names: what the scores of its stages are.

    Raises:
        RetrievalInputError: not one label per item.
    """

    def __init__(
        self, n_items: int, labels: Sequence[str] | None, score_names: tuple[str, ...]
    ) -> None:
        if labels is not None and len(labels) != n_items:
            raise RetrievalInputError(f"the gallery holds {n_items} items for {len(labels)} labels")
        self.n_items, self.labels, self.score_names = n_items, labels, score_names

    @abstractmethod
    def encode(self, queries: Sequence, modality: str) -> Any:
        """What `search` takes, computed once per query: `queries` are texts or images, as
        `modality` says.
        """

    @abstractmethod
    def search(self, queries: Any, k: int) -> Run:
        """The k best items of every encoded query, best first, equal scores by the smaller id.

        Raises:
            RetrievalInputError: k below 1 or above the gallery.
        """

    def by_text(self, query: str, k: int = 10) -> list[Hit]:
        """The k best items for a text. An empty text raises RetrievalInputError."""
        return self._hits(self.search(self.encode([query], "text"), k))

    def by_image(self, image: np.ndarray, k: int = 10) -> list[Hit]:
        """The k best items for an image, uint8 as the encoder takes it, without the batch axis."""
        return self._hits(self.search(self.encode(np.asarray(image)[None], "image"), k))

    def _hits(self, run: Run) -> list[Hit]:
        rows = zip(run.scores[0].tolist(), run.ids[0].tolist(), run.stage[0].tolist(), strict=True)
        label = str if self.labels is None else self.labels.__getitem__
        return [
            Hit(rank, score, item, label(item), run.score_names[stage - 1])
            for rank, (score, item, stage) in enumerate(rows, start=1)
            if item >= 0
        ]


class PairScorer(Protocol):
    """What can be a second stage: scores given pairs of a query and an item of the first one's
    gallery.

    `CrossEncoderRetriever` and `LateInteractionRetriever` are both: retrievers that score pairs.
    """

    n_items: int
    score_names: tuple[str, ...]

    def encode(self, queries: Sequence, modality: str) -> Any: ...

    def score(self, queries: Any, ids: np.ndarray) -> np.ndarray:
        """Float32 scores of the items `ids` (n_queries, m) of each encoded query; -inf where an id
        is -1.
        """

    def work(self, queries: Any, ids: np.ndarray) -> Work:
        """What `score` does for the same arguments."""


def encode_side(encoder, inputs: Sequence, modality: str):
    """Texts or images by the encoder's method for them, `encode_text` or `encode_image`."""
    encode = {"text": encoder.encode_text, "image": encoder.encode_image}
    return encode[check_choice(modality, encode, "modality")](inputs)


def check_rows(queries, ids: np.ndarray) -> None:
    """Refuses candidates that are not one list per query."""
    if len(queries) != len(ids):
        raise RetrievalInputError(f"there are {len(queries)} queries and candidates for {len(ids)}")
