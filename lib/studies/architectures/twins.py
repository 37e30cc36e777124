"""Analyse the hard split: the twin that a model ranks first, and the best patch of each word."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.core.task import RetrievalTask
from lib.core.token_vectors import Tokens
from lib.datasets import scenes
from lib.metrics import Evaluation, bootstrap_interval, paired_randomization
from lib.models.dual_encoder import DualEncoder
from lib.models.trained_models import Model
from lib.search import Run, encode_task, retriever_over
from lib.studies.architectures.systems import encode_queries

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


# ---- which of the four twins comes first


def twin_scores(model: Model, task: RetrievalTask) -> np.ndarray:
    """Score every caption of `scenes.hard_task` with the four twins of its scene only.

    Returns:
        `(n_captions, 4)` in the order of `scenes.TWINS`; column 0 is the right image.
    """
    scene, n_scenes = task.query_groups, len(task.gallery) // N_TWINS
    if scene is None or len(task.gallery) % N_TWINS or np.max(scene) >= n_scenes:
        raise RetrievalInputError(
            f"`task` must hold {N_TWINS} images per scene, got {task.name}, {task.split} split. Use"
            " scenes.hard_task"
        )
    ids = scene[:, None] + n_scenes * np.arange(N_TWINS)  # (n_captions, 4)
    if isinstance(model, DualEncoder):
        texts, images = (side.astype(np.float64) for side in encode_task(model, task))
        images /= np.linalg.norm(images, axis=1, keepdims=True)
        return np.einsum("qd,qtd->qt", texts, images[ids])
    retriever = retriever_over(task, model)
    queries = encode_queries(retriever, task.queries, task.query_modality)
    return retriever.score(queries, ids).astype(np.float64)


def first_shares(scores: np.ndarray) -> np.ndarray:
    """Compute how often each twin comes first, `(n_captions, 4)`; ties share equally."""
    first = scores == scores.max(axis=1, keepdims=True)
    return first / first.sum(axis=1, keepdims=True)


def choice_rows(scores: np.ndarray, groups) -> list[dict]:
    """Compute the percentage of captions for which each twin comes first, with intervals."""
    rows = []
    for name, taken in zip(scenes.TWINS, 100 * first_shares(scores).T, strict=True):
        low, high = bootstrap_interval(taken, groups)
        rows.append({"exchanged": name, "value": float(taken.mean()), "low": low, "high": high})
    return rows


def choice_rows_by_kind(scores: dict[str, np.ndarray], kinds: np.ndarray, groups) -> list[dict]:
    """Compute the percentage of right choices for each kind of caption and model.

    Args:
        scores: `twin_scores` by name of the model; the last is tested against the first.
        kinds: `(n_captions,)` position in `scenes.KINDS`.
        groups: scene of each caption.
    """
    right = {name: 100 * first_shares(values)[:, 0] for name, values in scores.items()}
    first, *_, last = right
    rows = []
    for number, kind in enumerate(scenes.KINDS):
        of_kind = kinds == number
        row: dict = {"kind": kind, "n_captions": int(of_kind.sum())}
        for name, values in right.items():
            interval = bootstrap_interval(values[of_kind], groups[of_kind])
            row[name] = (float(values[of_kind].mean()), *interval)
        test = paired_randomization(right[last][of_kind], right[first][of_kind], groups[of_kind])
        rows.append(row | {"p": test.p_value})
    return rows


def twin_pictures(
    task: RetrievalTask, scores: dict[str, np.ndarray], caption: int
) -> tuple[list[np.ndarray], list[str]]:
    """Return the four images of a caption and the models that rank each first."""
    n_scenes = len(task.gallery) // N_TWINS
    ids = task.query_groups[caption] + n_scenes * np.arange(N_TWINS)
    first = {name: first_shares(values[[caption]])[0] > 0 for name, values in scores.items()}
    names = [
        ", ".join(name for name, taken in first.items() if taken[twin]) for twin in range(N_TWINS)
    ]
    return [task.gallery[item] for item in ids], names


# ---- first answers and words


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
