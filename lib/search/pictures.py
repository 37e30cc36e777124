"""Search icons and emoji together, by words or by a picture, with the model `pictures`.

A search needs numpy alone: neither torch nor faiss is imported. For words no picture is drawn, and
for a picture no text tower is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from lib.core.checks import (
    RetrievalInputError,
    as_real_matrix,
    check_choice,
    check_count,
    check_k,
    unit_rows,
)
from lib.core.paths import artifacts_dir
from lib.datasets.picture_gallery import UNSEEN, PictureGallery, load_gallery
from lib.datasets.pictures import GALLERIES, NAME
from lib.metrics.geometry import to_int8
from lib.models.artifact_files import load_embeddings, rebuild_advice
from lib.models.numpy_image import NumpyImageEncoder, load_image_encoder
from lib.models.numpy_text import NumpyTextEncoder, load_text_encoder
from lib.models.tokenizer import plain_letters, words_of
from lib.search.base import Hit, Retriever, Run, Work, best_first
from lib.search.familiarity import measure_familiarity
from lib.search.sketches import Sketch, load_sketch_encoder, sketch_pixels

MODALITIES = ("text", "image", "sketch")
BLOCK = 64  # queries scored at one time
ARTICLES = frozenset(["a", "an", "the", "my", "some"])  # words that name nothing


def content_words(text: str) -> list[str]:
    """Return the words of a text, in order, without those that name nothing."""
    return [word for word in words_of(text) if word not in ARTICLES]


@dataclass(frozen=True)
class PictureHit(Hit):
    """One picture found; `position` is that in `lib.datasets.pictures`.

    Args:
        source: `"icons"` or `"emoji"`.
        family: of the icon, or `"openmoji"`.
        split: its split in the training of the model, or `"aside"`.
    """

    source: str = ""
    family: str = ""
    split: str = ""

    @property
    def is_unseen(self) -> bool:
        """Return whether the model was trained on no picture of this concept."""
        return self.split in UNSEEN


class PictureRetriever(Retriever):
    """Search stored int8 embeddings of pictures by the cosine, exactly.

        s(q, d) = <f(q), g(d)> / (|f(q)| |g(d)|)

    Dot products of int8 rows are exact integers, so a ranking depends on the machine only where a
    coordinate of the query is on a rounding edge. Equal scores are ordered by position.

    Args:
        vectors: int8 (n, dim), an embedding for each picture of the gallery.
        gallery: names, concepts and splits of all pictures.
        positions: int, rising, the pictures that are searched; all by default.
        folder: of the model; that of the committed model `pictures` by default.
    """

    def __init__(
        self,
        vectors: np.ndarray,
        gallery: PictureGallery,
        positions: np.ndarray | None = None,
        folder: Path | None = None,
    ) -> None:
        super().__init__(len(gallery), gallery.names, ("cosine",))
        if len(vectors) != len(gallery):
            raise RetrievalInputError(
                f"vectors must have a row for each of {len(gallery)} pictures, got {len(vectors)}."
                f" {rebuild_advice(NAME)}"
            )
        self.gallery, self.folder = gallery, folder
        self.positions = np.arange(len(gallery)) if positions is None else np.asarray(positions)
        if not len(self.positions):
            raise RetrievalInputError("positions must name at least one picture, got none")
        # float32 holds the products of int8 exactly, and BLAS multiplies it fast.
        self._rows = vectors[self.positions].astype(np.float32)
        self._squares = np.einsum("ij,ij->i", self._rows, self._rows).astype(np.float64)

    @cached_property
    def text_encoder(self) -> NumpyTextEncoder:
        """Load the text tower when the first words come."""
        return load_text_encoder(NAME, self.folder)

    @cached_property
    def image_encoder(self) -> NumpyImageEncoder:
        """Load the image tower when the first picture comes."""
        return load_image_encoder(NAME, self.folder)

    @cached_property
    def sketch_encoder(self) -> NumpyImageEncoder:
        """Load the sketch tower when the first sketch comes."""
        return load_sketch_encoder()

    def encode(self, queries: Sequence, modality: str) -> np.ndarray:
        """Encode queries as int8 (n_queries, dim), of one of `MODALITIES`.

        Texts; or pictures, uint8 (n, 64, 64, 3) on white; or sketches, see `sketch_pixels`.

        Emoji in a text count as their names. A text that is too long loses its end.
        """
        if check_choice(modality, MODALITIES, "modality") == "image":
            return to_int8(self.image_encoder.encode_image(np.asarray(queries)))
        if modality == "sketch":
            return to_int8(self.sketch_encoder.encode_image(sketch_pixels(queries)))
        if isinstance(queries, str):
            raise RetrievalInputError(f"queries must be a list of texts, got {queries[:60]!r}")
        texts = [self._spelled(q) if isinstance(q, str) else q for q in queries]
        return to_int8(self.text_encoder.encode_text(texts, cut=True))

    def doubts_about(self, query: str) -> list[str]:
        """Return a sentence for each reason to doubt the hits of a text.

        It is long, or it is far from the captions of all pictures or has unknown words, and no
        picture has its words for a name.
        """
        tokenizer, text = self.text_encoder.tokenizer, self._spelled(query)
        n_pieces, doubts = int(tokenizer.lengths([text])[0]), []
        if n_pieces > tokenizer.context_length:
            read = f"the model reads the first {tokenizer.context_length}"
            doubts.append(f"The query is long: {n_pieces} pieces of words, {read}.")
        (judged,) = measure_familiarity([text], self.text_encoder)
        if judged.sentences and not self._is_named(text):
            doubts += replace(judged, query=query).sentences
        return doubts

    def _spelled(self, query: str) -> str:
        """Write a query as the text tower reads it: emoji as names, letters as plain ones."""
        return plain_letters(self.gallery.spell_emoji(query))

    def _is_named(self, text: str) -> bool:
        """Return whether the name of one picture has all words of a text."""
        words = content_words(text)
        return not words or bool(self._bearers_of(words))

    def missed_name(self, query: str, hits: Sequence[Hit]) -> str:
        """Return a sentence where a picture has the query for its name and is no hit, or ""."""
        words = content_words(self.gallery.spell_emoji(query))
        named = sorted(self._bearers_of(words))
        missed = [p for p in named if words_of(self.gallery.names[p]) == words]
        if not missed or {hit.position for hit in hits} & set(missed):
            return ""
        return f'There is a picture named "{self.gallery.names[missed[0]]}"; it is not among these.'

    def _bearers_of(self, words: Sequence[str]) -> set[int]:
        """Positions of the pictures whose name holds all words; none for no words."""
        return set.intersection(*(self._bearers.get(w, set()) for w in words)) if words else set()

    @cached_property
    def _bearers(self) -> dict[str, set[int]]:
        """Positions of the pictures whose name holds a word, by word."""
        bearers: dict[str, set[int]] = {}
        for position in self.positions.tolist():
            for word in words_of(self.gallery.names[position]):
                bearers.setdefault(word, set()).add(position)
        return bearers

    def search(self, queries: np.ndarray, k: int) -> Run:
        """Find the k best pictures of every query, int8 (n_queries, dim), among `positions`."""
        queries, k = self._checked(queries), check_k(k, len(self.positions))
        parts = []
        for start in range(0, len(queries), BLOCK):
            scores = self._scores(queries[start : start + BLOCK])
            ids = np.broadcast_to(self.positions, scores.shape)
            parts.append(best_first(scores, ids, k))
        scores, ids = (
            (np.concatenate(side) for side in zip(*parts, strict=True))
            if parts
            else (np.empty((0, k)), np.empty((0, k), int))
        )
        n_pairs = len(queries) * len(self.positions)
        return Run.of_one_stage(scores, ids, "cosine", Work("dual encoder", n_pairs, n_pairs))

    def by_text(
        self, query: str, k: int = 10, *, per_concept: int | None = None
    ) -> list[PictureHit]:
        """Find the k best pictures for a text.

        Args:
            query: words or sentences, with at least one letter, digit or emoji.
            k: number of hits.
            per_concept: at most so many drawings of one concept, the best ones; there may then be
                fewer than k hits. None shows all.
        """
        if isinstance(query, str) and not words_of(self._spelled(query)):
            raise RetrievalInputError(
                f"query must hold a letter, a digit or an emoji, got {query[:60]!r}; there is no"
                " letter or digit in it. Type at least one word"
            )
        return self._best_hits(self.encode([query], "text"), k, per_concept)

    def by_image(
        self, image: np.ndarray, k: int = 10, *, per_concept: int | None = None
    ) -> list[PictureHit]:
        """Find the k best pictures for a picture, uint8 (64, 64, 3) on white; see `by_text`."""
        return self._best_hits(self.encode(np.asarray(image)[None], "image"), k, per_concept)

    def by_sketch(
        self, sketch: Sketch, k: int = 10, *, text: str = "", per_concept: int | None = None
    ) -> list[PictureHit]:
        """Find the k best pictures for a sketch, alone or with words; see `by_text`.

            q = f(sketch) / |f(sketch)| + f(text) / |f(text)|

        Args:
            sketch: strokes, or a picture of lines.
            k, per_concept: see `by_text`.
            text: words that say what it is; none by default.
        """
        row = self.encode([sketch], "sketch")
        if text.strip():
            both = unit_rows(np.vstack([row, self.encode([text], "text")]), "the query")
            row = to_int8(unit_rows(both.mean(axis=0, keepdims=True), "the query"))
        return self._best_hits(row, k, per_concept)

    def _best_hits(self, query: np.ndarray, k: int, per_concept: int | None) -> list[PictureHit]:
        k = check_k(k, len(self.positions))
        if per_concept is None:
            return self._hits(self.search(query, k))
        most = check_count(per_concept, "per_concept")
        run = self.search(query, len(self.positions))
        shown: dict[int, set] = {}  # the drawings of each concept
        kept = []
        for rank, position in enumerate(run.ids[0].tolist()):
            own = shown.setdefault(int(self.gallery.groups[position]), set())
            drawing = self.gallery.drawing_of(position)
            if len(own) < most and drawing not in own:
                own.add(drawing)
                kept.append(rank)
            if len(kept) == k:
                break
        return self._hits(Run.of_one_stage(run.scores[:, kept], run.ids[:, kept], "cosine"))

    def _hits(self, run: Run) -> list[PictureHit]:
        return [
            PictureHit(
                **vars(hit),
                source=str(self.gallery.sources[hit.position]),
                family=self.gallery.family(hit.position),
                split=str(self.gallery.splits[hit.position]),
            )
            for hit in super()._hits(run)
        ]

    def _scores(self, queries: np.ndarray) -> np.ndarray:
        """Cosines float64 (n_queries, n): one rounding for each operation, equal everywhere."""
        dots = (queries @ self._rows.T).astype(np.float64)
        squares = np.einsum("ij,ij->i", queries, queries).astype(np.float64)
        return dots / np.sqrt(squares[:, None] * self._squares)

    def _checked(self, queries: np.ndarray) -> np.ndarray:
        dim = self._rows.shape[1]
        queries = as_real_matrix(queries, "queries", dim=dim, allow_empty=True)
        if queries.dtype != np.int8:
            raise RetrievalInputError(f"queries must be int8, got {queries.dtype}. Use encode")
        if not queries.any(axis=1).all():
            raise RetrievalInputError("queries must have no row of zeros, which has no direction")
        return queries.astype(np.float32)


def picture_retriever(
    sources: Sequence[str] = GALLERIES,
    split: str | Sequence[str] | None = None,
    folder: Path | None = None,
) -> PictureRetriever:
    """Make a retriever over icons and emoji from the committed model and embeddings.

    Args:
        sources: of the pictures that are searched, `"icons"`, `"emoji"` or both.
        split: one split or several; all pictures by default. `UNSEEN` of
            `lib.datasets.picture_gallery` are those whose concepts training never saw.
        folder: of the model.
    """
    gallery = load_gallery(folder)
    positions = gallery.positions(split, sources)
    vectors = load_embeddings(NAME, folder or artifacts_dir() / NAME)
    if "all_image" not in vectors:
        raise RetrievalInputError(
            f"the embeddings must hold all_image, got {sorted(vectors)}. {rebuild_advice(NAME)}"
        )
    return PictureRetriever(vectors["all_image"], gallery, positions, folder)
