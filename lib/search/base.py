"""What every retriever is: encode the queries, search, and, for one query of a user, name the
answers.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.search.runs import Run, Work


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
