"""Order the best pictures of a search again, by a model that compares words and pictures closely.

Only models trained here have such a second stage. It reads the pictures themselves: the tokens of
those that were read lately are kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.token_vectors import Tokens

if TYPE_CHECKING:
    from PIL import Image

    from lib.search.collection.files import Manifest
    from lib.search.collection.searching import Query

MAXSIM, CROSS_ENCODER = "maxsim", "cross-encoder"
CANDIDATES = 100  # pictures that are ordered again by default
MOST_CANDIDATES = 1_000
MOST_KEPT = 10_000  # pictures whose tokens stay in memory, 4 or 8 kB each


@dataclass(frozen=True)
class SecondStageModel:
    """A model that was trained on top of the model of a collection.

    Args:
        artifact: its name.
        weight: w of its score in w z(second) + (1 - w) z(cosine), see `Interpolate`. Weights below
            1 have the best R@1 on the validation split of icons, 50 deep
            (`lib.studies.architectures.systems.mixing_weight`); with 1 it decides alone.
    """

    artifact: str
    weight: float = 1.0


SECOND_STAGES = {
    "icons": {
        MAXSIM: SecondStageModel("icons_late", 0.7),
        CROSS_ENCODER: SecondStageModel("icons_cross", 0.4),
    },
    "scenes": {
        MAXSIM: SecondStageModel("scenes_late"),
        CROSS_ENCODER: SecondStageModel("scenes_cross"),
    },
}
RERANKS = (MAXSIM, CROSS_ENCODER)
# Yields the pictures of some ids in any order: id, picture, whether it is a thumbnail.
ReadPictures = Callable[[Sequence[int]], Iterator[tuple[int, "Image.Image", bool]]]


def second_stages_of(manifest: Manifest) -> tuple[str, ...]:
    """Return the names of the second stages that the model of a collection has."""
    if manifest.model["pretrained"] is not None:
        return ()
    return tuple(SECOND_STAGES.get(manifest.model["name"], ()))


def check_words_alone(query: Query) -> str:
    """Return the words of a query; one that is more than words cannot be ordered again."""
    parts = {
        "image": query.image is not None,
        "sketch": query.sketch is not None,
        "vector": query.vector is not None,
        "like": bool(query.like),
        "without": any(text.strip() for text in query.without),
    }
    given = [name for name, there in parts.items() if there]
    if given or not query.text.strip():
        raise RetrievalInputError(
            "rerank compares words with each picture: the query must be text alone, got"
            f" {' and '.join(given) or 'no text'}. Give words alone, or leave rerank out"
        )
    return query.text


@dataclass(frozen=True)
class OrderedCandidates:
    """The candidates of a search in their new order.

    Args:
        ids: (n,) best first.
        cosines: (n,) of the first stage.
        scores: (n,) that order them.
        name: of these scores, for example "MaxSim".
        from_thumbnails: pictures that were read from thumbnails, as their files are gone.
    """

    ids: np.ndarray
    cosines: np.ndarray
    scores: np.ndarray
    name: str
    from_thumbnails: int

    def before(self, cosines: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Put the candidates before the other hits of a deeper search."""
        others = ~np.isin(ids, self.ids)
        cosines = np.concatenate([self.cosines, cosines[others]])
        return cosines, np.concatenate([self.ids, ids[others]])

    def score_of(self, item: int) -> float | None:
        """Return the score of a candidate; None for another picture."""
        found = np.flatnonzero(self.ids == item)
        return float(self.scores[found[0]]) if len(found) else None

    def describe(self) -> list[str]:
        """Say in sentences how the hits are ordered, and what may be wrong."""
        told = [f"The best {len(self.ids):,} by cosine are ordered by {self.name}."]
        if self.from_thumbnails:
            told.append(
                f"{self.from_thumbnails:,} of them were read from their thumbnails, since their"
                " files are gone or have changed. Run `crossmodal index` again."
            )
        return told


class SecondStage:
    """Score pictures of one collection by a model that compares words and pictures closely.

    Args:
        name: `"maxsim"` or `"cross-encoder"`.
        manifest: of the collection.
    """

    def __init__(self, name: str, manifest: Manifest) -> None:
        model, known = manifest.model["name"], second_stages_of(manifest)
        if not known:
            having = "; ".join(f"{m} has {', '.join(own)}" for m, own in SECOND_STAGES.items())
            raise RetrievalInputError(
                f"rerank needs a model with a second stage, and the model {model!r} of this"
                f" collection has none: {having}. Index with one of these models, or leave rerank"
                " out"
            )
        chosen = SECOND_STAGES[model][check_choice(name, known, "rerank")]
        self._model, self._weight = _loaded(chosen.artifact), chosen.weight
        self._pixels_of = _pixels_of(model)
        self._tokens: OrderedDict[int, np.ndarray] = OrderedDict()  # id -> (n_tokens, dim)
        self._lock = threading.Lock()

    def order(
        self, words: str, cosines: np.ndarray, ids: np.ndarray, read: ReadPictures
    ) -> OrderedCandidates:
        """Order candidates again.

        Args:
            words: the query.
            cosines: (n,) of the first stage.
            ids: (n,) of the candidates.
            read: yields the pictures of some ids.
        """
        from lib.search.base import Run
        from lib.search.two_stage import Interpolate, rerank

        at = np.argsort(ids)  # equal scores go by position, so by id
        ids, cosines = ids[at], cosines[at]
        tokens, n_thumbnails = self._tokens_of(ids.tolist(), read)
        scorer = self._scorer_over(tokens)
        positions = np.argsort(-cosines, kind="stable")[None]
        run = Run.of_one_stage(cosines[positions], positions, "cosine")
        scores = scorer.score(scorer.encode([words], "text"), positions)
        mix = None if self._weight == 1 else Interpolate(self._weight)
        run = rerank(run, scores, len(ids), scorer.score_names[-1], combine=mix)
        order = run.ids[0]
        return OrderedCandidates(
            ids[order], cosines[order], run.scores[0], run.score_names[-1], n_thumbnails
        )

    def _scorer_over(self, tokens: Tokens):
        """Make the retriever that scores words with the pictures of these tokens."""
        from lib.models.cross_encoder import CrossEncoder
        from lib.search.cross_encoder import CrossEncoderRetriever
        from lib.search.late_interaction import LateInteractionRetriever

        if isinstance(self._model, CrossEncoder):
            return CrossEncoderRetriever(self._model, tokens)
        return LateInteractionRetriever(self._model, tokens)

    def _tokens_of(self, ids: Sequence[int], read: ReadPictures) -> tuple[Tokens, int]:
        """Return the tokens of some ids, and how many pictures were read as thumbnails.

        Tokens of files are kept; those of thumbnails are not, as a file may come back.
        """
        with self._lock:
            rows = {item: self._tokens[item] for item in ids if item in self._tokens}
        pixels, lasting = {}, set()
        for item, picture, is_thumbnail in read([item for item in ids if item not in rows]):
            pixels[item] = self._pixels_of(picture)
            if not is_thumbnail:
                lasting.add(item)
        if pixels:
            model = self._model
            encode = model.read_image if hasattr(model, "read_image") else model.encode_image
            vectors = encode(np.stack(list(pixels.values()))).vectors
            fresh = dict(zip(pixels, vectors, strict=True))
            rows |= fresh
            with self._lock:
                self._tokens |= {item: fresh[item] for item in pixels if item in lasting}
                while len(self._tokens) > MOST_KEPT:
                    self._tokens.popitem(last=False)
        return Tokens(np.stack([rows[item] for item in ids])), len(pixels) - len(lasting)


@cache
def _loaded(artifact: str):
    """Load a model once for all collections."""
    from lib.models.trained_models import load_model

    return load_model(artifact)


@cache
def _pixels_of(model: str) -> Callable[[Image.Image], np.ndarray]:
    """Return the function that reads a picture as the model of the collection does."""
    from lib.models.artifact_files import read_artifact
    from lib.models.encoder import picture_reader

    return picture_reader(read_artifact(model)[0])[0]
