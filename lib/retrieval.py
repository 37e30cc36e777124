"""Search as a user sees it: a query goes in, a ranked list of items comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from lib.checks import RetrievalInputError
from lib.datasets import icons
from lib.geometry import to_int8
from lib.index import VectorSearchIndex
from lib.index.exact import topk_exact
from lib.metrics import Evaluation, evaluate
from lib.models.artifacts import load_embeddings, load_model
from lib.models.dual_encoder import DualEncoder
from lib.task import RetrievalTask

DEPTH = 100  # items kept per query when a task is evaluated


def encode_task(encoder: DualEncoder, task: RetrievalTask) -> tuple[np.ndarray, np.ndarray]:
    """Int8 embeddings of a task's queries and gallery."""
    encode = {"text": encoder.encode_text, "image": encoder.encode_image}
    queries, gallery = encode[task.query_modality](task.queries), encode[task.gallery_modality](task.gallery)
    return to_int8(queries), to_int8(gallery)


def evaluate_task(
    queries, gallery, task: RetrievalTask, *, metric: str = "cosine", depth: int = DEPTH
) -> Evaluation:
    """Exact search with a task's embeddings, judged by its qrels.

    Args:
        queries: (n_queries, d) float32 or int8.
        gallery: (n_gallery, d).
        task: says what is right, from which grade on, and which queries belong together.
        metric: "cosine", "inner_product" or "l2".
        depth: items kept per query; metrics below that rank count as 0.
    """
    run = topk_exact(queries, gallery, min(depth, len(gallery)), metric=metric)
    return evaluate(
        run, task.qrels, hit_grade=task.hit_grade, groups=task.query_groups,
        name=task.name, split=task.split, direction=task.direction,
    )  # fmt: skip


@dataclass(frozen=True)
class Hit:
    """One answer: `rank` from 1, cosine `score`, `position` in the gallery and what it is called there."""

    rank: int
    score: float
    position: int
    label: str


class DualEncoderRetriever:
    """Encodes a query and searches an index of encoded items.

    Args:
        encoder: the dual encoder both sides were made with.
        index: holds one vector per item, ids are gallery positions.
        labels: what to call each item.

    Relations: queries are rounded to int8 like the stored items, so a ranking depends on the query's
    embedding only through integers: machines differ only where a coordinate sits on a rounding edge.
    """

    def __init__(self, encoder: DualEncoder, index: VectorSearchIndex, labels: Sequence[str]) -> None:
        if index.ntotal != len(labels):
            raise RetrievalInputError(f"the index holds {index.ntotal} vectors for {len(labels)} labels")
        if index.dimension != encoder.dim:
            raise RetrievalInputError(f"the index has dimension {index.dimension}, the encoder {encoder.dim}")
        self.encoder, self.index, self.labels = encoder, index, labels

    def by_text(self, query: str, k: int = 10) -> list[Hit]:
        """The k items nearest to a text. An empty text raises RetrievalInputError."""
        return self._hits(self.encoder.encode_text([query]), k)

    def by_image(self, image: np.ndarray, k: int = 10) -> list[Hit]:
        """The k items nearest to an image, uint8 as the encoder takes it, without the batch axis."""
        return self._hits(self.encoder.encode_image(np.asarray(image)[None]), k)

    def _hits(self, embedding: np.ndarray, k: int) -> list[Hit]:
        scores, ids = self.index.search(to_int8(embedding), k)
        found = zip(scores[0].tolist(), ids[0].tolist(), strict=True)
        return [Hit(rank, score, i, self.labels[i]) for rank, (score, i) in enumerate(found, start=1)]


def icon_retriever() -> DualEncoderRetriever:
    """All icons of every split, searchable by text or by drawing, from the committed model and embeddings."""
    corpus = icons.load()
    vectors = load_embeddings("icons")["all_image"]
    if len(vectors) != len(corpus):
        raise RetrievalInputError(
            f"the stored embeddings cover {len(vectors)} icons, the installed fonts hold {len(corpus)}. "
            f"Install the qtawesome version of constraints.txt, or run: crossmodal train icons"
        )
    encoder = load_model("icons")
    index = VectorSearchIndex(encoder.dim, "Flat", metric="cosine")
    index.add(vectors)
    return DualEncoderRetriever(encoder, index, [icons.phrase_of(name) for name in corpus.names])


def read_drawing(path: str | Path) -> np.ndarray:
    """Reads any image file as an icon: ink bright on black, 64 x 64, centred.

    A dark drawing on a light page is inverted; transparency counts as page.

    Returns:
        uint8 (64, 64).

    Raises:
        RetrievalInputError: not there, not an image, or blank.
    """
    try:
        with Image.open(path) as opened:
            rgba = opened.convert("RGBA")
    except FileNotFoundError as error:
        raise RetrievalInputError(f"there is no file {path}") from error
    except (UnidentifiedImageError, OSError) as error:
        raise RetrievalInputError(f"{path} is not an image that can be read: {error}") from error
    page = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    gray = np.asarray(Image.alpha_composite(page, rgba).convert("L")).astype(np.int16)
    border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    ink = np.abs(gray - int(np.median(border)))  # whatever differs from the page
    if ink.max() < 32:
        raise RetrievalInputError(f"{path} is blank: no ink stands out from its border")
    rows, columns = np.flatnonzero(ink.max(axis=1) >= 32), np.flatnonzero(ink.max(axis=0) >= 32)
    drawn = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] * (255 / ink.max())
    picture = Image.fromarray(drawn.astype(np.uint8))
    side = icons.SIZE - 12  # the margin icons have
    picture.thumbnail((side, side)) if max(picture.size) > side else None
    scale = side / max(picture.size)
    picture = picture.resize(
        [max(1, round(length * scale)) for length in picture.size], Image.Resampling.BILINEAR
    )
    canvas = Image.new("L", (icons.SIZE, icons.SIZE), 0)
    canvas.paste(picture, [(icons.SIZE - length) // 2 for length in picture.size])
    return np.asarray(canvas)
