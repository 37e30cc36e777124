"""Search as a user sees it: a query goes in, a ranked list of items comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lib.checks import RetrievalInputError, check_choice
from lib.datasets import icons
from lib.geometry import to_int8
from lib.index import VectorSearchIndex
from lib.index.exact import topk_exact
from lib.metrics import Evaluation, evaluate
from lib.models.artifacts import load_embeddings, load_model
from lib.models.dual_encoder import DualEncoder
from lib.models.word_templates import WordTemplates
from lib.task import RetrievalTask

DEPTH = 100  # items kept per query when a task is evaluated
FAINT = 32  # of 255; a smaller difference from the page is noise, not ink
SPAN = 44  # of 64 pixels; the longer side of the median icon


def encode_sides(encoder: DualEncoder | WordTemplates, task: RetrievalTask) -> tuple[np.ndarray, np.ndarray]:
    """Float32 embeddings of a task's queries (n_queries, dim) and gallery (n_gallery, dim)."""
    encode = {"text": encoder.encode_text, "image": encoder.encode_image}
    for modality in (task.query_modality, task.gallery_modality):
        check_choice(modality, encode, "modality")
    return encode[task.query_modality](task.queries), encode[task.gallery_modality](task.gallery)


def encode_task(encoder: DualEncoder, task: RetrievalTask) -> tuple[np.ndarray, np.ndarray]:
    """Int8 embeddings of a task's queries (n_queries, dim) and gallery (n_gallery, dim)."""
    queries, gallery = encode_sides(encoder, task)
    return to_int8(queries), to_int8(gallery)


def evaluate_task(
    queries,
    gallery,
    task: RetrievalTask,
    *,
    metric: str = "cosine",
    depth: int = DEPTH,
    ks: Sequence[int] = (1, 5, 10),
) -> Evaluation:
    """Exact search with a task's embeddings, judged by its qrels.

    Args:
        queries: (n_queries, d) float32 or int8.
        gallery: (n_gallery, d).
        task: says what is right, from which grade on, and which queries belong together.
        metric: "cosine", "inner_product" or "l2".
        depth: items kept per query; metrics below that rank count as 0.
        ks: cut-offs; those beyond the depth or the gallery are left out.
    """
    depth = min(depth, len(gallery))
    run = topk_exact(queries, gallery, depth, metric=metric)
    return evaluate(
        run, task.qrels, ks=[k for k in ks if k <= depth],
        hit_grade=task.hit_grade, groups=task.query_groups,
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


def _ink_of(picture: Image.Image, page: str) -> np.ndarray:
    """How far each pixel is from the colour of the border, `page` underneath; float32 (height, width)."""
    backed = Image.alpha_composite(Image.new("RGBA", picture.size, page), picture)
    gray = np.asarray(backed.convert("L"), dtype=np.float32)
    return np.abs(gray - np.median(np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])))


def read_drawing(path: str | Path) -> np.ndarray:
    """Reads any image file as an icon: ink bright on black, 64 x 64, centred.

    Ink is what differs from the border, so a dark drawing on a light page is inverted; transparency counts
    as page. The strongest stroke becomes 255 after scaling: shrinking a large sketch makes its lines faint.

    Returns:
        uint8 (64, 64).

    Raises:
        RetrievalInputError: not there, not an image that Pillow can read, or blank.
    """
    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGBA")
    except FileNotFoundError as error:
        raise RetrievalInputError(f"there is no file {path}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise RetrievalInputError(f"{path} is not an image that can be read: {error}") from error
    ink = _ink_of(picture, "white")
    if ink.max() < FAINT:
        ink = _ink_of(picture, "black")  # white ink on a transparent page
    if ink.max() < FAINT:
        raise RetrievalInputError(f"{path} is blank: no ink stands out from its border")
    rows, columns = np.flatnonzero(ink.max(axis=1) >= FAINT), np.flatnonzero(ink.max(axis=0) >= FAINT)
    drawn = Image.fromarray(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    scale = SPAN / max(drawn.size)
    drawn = drawn.resize([max(1, round(length * scale)) for length in drawn.size], Image.Resampling.BILINEAR)
    pixels = np.asarray(drawn)
    icon = np.zeros((icons.SIZE, icons.SIZE), dtype=np.uint8)
    top, left = ((icons.SIZE - length) // 2 for length in pixels.shape)
    icon[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels * (255 / pixels.max())
    return icon
