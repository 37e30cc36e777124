"""The hard split read closely: which twin is taken for the right image, and what every word finds
in it.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.core.token_vectors import Tokens
from lib.datasets.scenes import COLOURS, KINDS, N_CAPTIONS, TWINS
from lib.metrics import Evaluation
from lib.search import Run

FIRST = ("a right one", *(f"twin: {what}" for what in TWINS[1:]), "wrong: another scene")

SINGULAR = "circle disc square triangle diamond star heart moon crescent"
# Kinds of words in captions; one that is in none counts in "all" only.
WORDS = {
    "shapes": (*SINGULAR.split(), *(f"{word}s" for word in SINGULAR.split()), "cross", "crosses"),
    "colours": COLOURS,
    "numbers": ("one", "two", "three"),
    "where": ("left", "right", "above", "below", "over", "under", "top", "bottom"),
    "others": ("a", "an", "and", "is", "are", "of", "the"),
}


def first_answers(run: Run, right: np.ndarray) -> dict[str, float]:
    """What stands first, in percent of the captions, by the names in `FIRST`.

    Args:
        run: over the queries and the gallery of `scenes.hard_task`, text to image.
        right: R@1 of each query, 1 where the caption is true of the image, its own or another.
    """
    own = np.arange(len(run)) // N_CAPTIONS
    twin, scene = np.divmod(run.ids[:, 0], _n_scenes(len(run)))
    wrong = np.asarray(right) == 0
    twins = [np.mean(wrong & (scene == own) & (twin == i)) for i in range(1, len(TWINS))]
    shares = [np.mean(~wrong), *twins, np.mean(wrong & (scene != own))]
    return {name: 100 * float(share) for name, share in zip(FIRST, shares, strict=True)}


def by_kind(results: Mapping[str, Evaluation], metric: str = "R@1") -> list[dict]:
    """A row per kind of caption (`scenes.KINDS`), a column per result, in percent."""
    return [
        {"caption": kind}
        | {
            name: 100 * float(of.per_query[metric][i::N_CAPTIONS].mean())
            for name, of in results.items()
        }
        for i, kind in enumerate(KINDS)
    ]


def best_similarities(texts: Tokens, images: Tokens) -> np.ndarray:
    """What every word of a caption finds at best, in its own image and in each of the twins.

        b[t, i] = max over patches p of twin t of <word i, p>

    Args:
        texts: the queries of `scenes.hard_task`, text to image, as float32 tokens.
        images: its gallery, likewise.

    Returns:
        `(4, T)` float32 in the order of `scenes.TWINS`, for the T tokens of `texts.flat()`.

    Raises:
        RetrievalInputError: not four images for every five captions.
    """
    n = _n_scenes(len(texts))
    if len(images) != n * len(TWINS):
        raise RetrievalInputError(
            f"{len(texts)} captions are of {n} scenes, which have {n * len(TWINS)} twins; got"
            f" {len(images)}"
        )
    own = np.arange(len(texts)) // N_CAPTIONS
    best = np.empty((len(TWINS), texts.n_tokens), np.float32)
    for twin in range(len(TWINS)):
        shown = images.take(own + twin * n)
        similarities = np.einsum("qid,qjd->qij", texts.vectors, shown.vectors, optimize=True)
        similarities = np.where(shown.mask[:, None], similarities, -np.inf)
        best[twin] = similarities.max(axis=2)[texts.mask]
    return best


def on_background(texts: Tokens, images: Tokens, pictures: np.ndarray) -> np.ndarray:
    """Whether the patch that a word looks at, in its own image, shows nothing but the background.

    Args:
        texts, images: as for `best_similarities`; patches of a square grid, row by row.
        pictures: `(n_images, H, W, channels)` what the images were encoded from.

    Returns:
        `(T,)` bool for the tokens of `texts.flat()`.

    Raises:
        RetrievalInputError: other pictures than images, or a grid that does not divide them.
    """
    side = math.isqrt(images.mask.shape[1])
    n, height, width, channels = np.shape(pictures)
    if n != len(images) or side**2 != images.mask.shape[1] or height % side or width % side:
        raise RetrievalInputError(
            f"{len(images)} images of {images.mask.shape[1]} patches do not fit pictures"
            f" {np.shape(pictures)}"
        )
    tiles = pictures.reshape(n, side, height // side, side, width // side, channels)
    plain = (tiles.max(axis=(2, 4)) == tiles.min(axis=(2, 4))).all(axis=3).reshape(n, side**2)
    own = np.arange(len(texts)) // N_CAPTIONS
    similarities = np.einsum("qid,qjd->qij", texts.vectors, images.vectors[own], optimize=True)
    winners = similarities.argmax(axis=2)  # (n_texts, L)
    return np.take_along_axis(plain[own], winners, axis=1)[texts.mask]


def by_word(
    captions: Sequence[str], texts: Tokens, images: Tokens, pictures: np.ndarray
) -> list[dict]:
    """A row per kind of word in `WORDS`, and one for all: what they find, and how often on
    background.

    Args:
        captions: whose words are one token each, with one more at the end.
        texts, images, pictures: as for `on_background`.

    Returns:
        Tidy rows: words, the mean of `best_similarities` for each of `scenes.TWINS`, on_background
        in percent.

    Raises:
        RetrievalInputError: other numbers of words than of tokens.
    """
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
        means = zip(TWINS, best[:, chosen].mean(axis=1).tolist(), strict=True)
        rows.append(
            {"words": kind, **dict(means), "on_background": 100 * float(plain[chosen].mean())}
        )
    return rows


def _n_scenes(n_captions: int) -> int:
    if n_captions == 0 or n_captions % N_CAPTIONS:
        raise RetrievalInputError(
            f"the hard split asks {N_CAPTIONS} captions a scene; {n_captions} are no multiple of"
            " that"
        )
    return n_captions // N_CAPTIONS
