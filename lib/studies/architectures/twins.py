"""Analyse the hard split: the kinds of first answers, and the best patch of each word."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.core.token_vectors import Tokens
from lib.datasets import scenes
from lib.metrics import Evaluation
from lib.search import Run

N_TWINS = len(scenes.TWINS)
FIRST = ("a right one", *(f"twin: {what}" for what in scenes.TWINS[1:]), "wrong: another scene")

SINGULAR = "circle disc square triangle diamond star heart moon crescent"
# Kinds of words in captions; a word of no kind counts in "all" only.
WORDS = {
    "shapes": (*SINGULAR.split(), *(f"{word}s" for word in SINGULAR.split()), "cross", "crosses"),
    "colours": scenes.COLOURS,
    "numbers": ("one", "two", "three"),
    "where": ("left", "right", "above", "below", "over", "under", "top", "bottom"),
    "others": ("a", "an", "and", "is", "are", "of", "the"),
}


def first_answers(run: Run, right: np.ndarray) -> dict[str, float]:
    """Count the kinds of first answers by the names in `FIRST`, in percent of the captions."""
    own_scene = np.arange(len(run)) // scenes.N_CAPTIONS
    twin, scene = np.divmod(run.ids[:, 0], _n_scenes(len(run)))
    wrong = np.asarray(right) == 0
    twins = [np.mean(wrong & (scene == own_scene) & (twin == i)) for i in range(1, N_TWINS)]
    shares = [np.mean(~wrong), *twins, np.mean(wrong & (scene != own_scene))]
    return {name: 100 * float(share) for name, share in zip(FIRST, shares, strict=True)}


def kind_rows(results: Mapping[str, Evaluation], metric: str = "R@1") -> list[dict]:
    """Compute a metric per kind of caption (`scenes.KINDS`) and result, in percent."""
    return [
        {"caption": kind}
        | {
            name: 100 * float(result.per_query[metric][i :: scenes.N_CAPTIONS].mean())
            for name, result in results.items()
        }
        for i, kind in enumerate(scenes.KINDS)
    ]


def best_similarities(texts: Tokens, images: Tokens) -> np.ndarray:
    """Compute the best similarity of every word with its own image and with each of the twins.

        b[t, i] = max over patches p of twin t of <word i, p>

    Returns:
        `(4, T)` float32 in the order of `scenes.TWINS`, for the T tokens of `texts.flat()`.
    """
    n = _n_scenes(len(texts))
    if len(images) != n * N_TWINS:
        raise RetrievalInputError(
            f"{len(texts)} captions are of {n} scenes with {n * N_TWINS} twins; got {len(images)}"
        )
    scene = np.arange(len(texts)) // scenes.N_CAPTIONS
    best = np.empty((N_TWINS, texts.n_tokens), np.float32)
    for twin in range(N_TWINS):
        shown = images.take(scene + twin * n)
        similarities = np.einsum("qid,qjd->qij", texts.vectors, shown.vectors, optimize=True)
        similarities = np.where(shown.mask[:, None], similarities, -np.inf)
        best[twin] = similarities.max(axis=2)[texts.mask]
    return best


def on_background(texts: Tokens, images: Tokens, pictures: np.ndarray) -> np.ndarray:
    """Mark the words with a best patch of background in their own image: `(T,)` bool."""
    side = math.isqrt(images.mask.shape[1])
    n, height, width, channels = np.shape(pictures)
    if n != len(images) or side**2 != images.mask.shape[1] or height % side or width % side:
        raise RetrievalInputError(
            f"{len(images)} images of {images.mask.shape[1]} patches do not fit pictures"
            f" {np.shape(pictures)}"
        )
    tiles = pictures.reshape(n, side, height // side, side, width // side, channels)
    plain = (tiles.max(axis=(2, 4)) == tiles.min(axis=(2, 4))).all(axis=3).reshape(n, side**2)
    scene = np.arange(len(texts)) // scenes.N_CAPTIONS
    similarities = np.einsum("qid,qjd->qij", texts.vectors, images.vectors[scene], optimize=True)
    winners = similarities.argmax(axis=2)  # (n_texts, L)
    return np.take_along_axis(plain[scene], winners, axis=1)[texts.mask]


def word_rows(
    captions: Sequence[str], texts: Tokens, images: Tokens, pictures: np.ndarray
) -> list[dict]:
    """Average `best_similarities` per kind of word, with the percentage on background."""
    words = np.array([word for caption in captions for word in [*caption.split(), ""]])
    if len(words) != texts.n_tokens:
        raise RetrievalInputError(
            f"{len(captions)} captions have {len(words)} words and ends, the texts {texts.n_tokens}"
            " tokens"
        )
    best, plain = best_similarities(texts, images), on_background(texts, images, pictures)
    rows = []
    for kind, members in {**WORDS, "all": words}.items():
        chosen = np.isin(words, members)
        means = zip(scenes.TWINS, best[:, chosen].mean(axis=1).tolist(), strict=True)
        rows.append(
            {"words": kind, **dict(means), "on_background": 100 * float(plain[chosen].mean())}
        )
    return rows


def _n_scenes(n_captions: int) -> int:
    if n_captions == 0 or n_captions % scenes.N_CAPTIONS:
        raise RetrievalInputError(
            f"the hard split has {scenes.N_CAPTIONS} captions a scene, got {n_captions} captions"
        )
    return n_captions // scenes.N_CAPTIONS
