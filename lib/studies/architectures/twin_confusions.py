"""Four images that differ in binding and relation alone: which of them does a model take for its
caption?
"""

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.core.task import RetrievalTask
from lib.datasets import scenes
from lib.metrics import bootstrap_interval, paired_randomization
from lib.models.dual_encoder import DualEncoder
from lib.models.trained_models import Model
from lib.search import encode_task, retriever_over
from lib.studies.architectures.registry import encoded

N_TWINS = len(scenes.TWINS)


def twin_scores(model: Model, task: RetrievalTask) -> np.ndarray:
    """Scores of every caption with the four twins of its scene, and with no other image.

    Args:
        model: of any architecture. Vectors and tokens are rounded to int8, as elsewhere.
        task: of `scenes.hard_task`, text to image.

    Returns:
        `(n_captions, 4)` in the order of `scenes.TWINS`; column 0 is the right image.

    Raises:
        RetrievalInputError: a gallery that is not four images for each scene.
    """
    owner, n_scenes = task.query_groups, len(task.gallery) // N_TWINS
    if owner is None or len(task.gallery) % N_TWINS or np.max(owner) >= n_scenes:
        raise RetrievalInputError(
            f"{task.name}, {task.split} split, does not hold {N_TWINS} images a scene; use"
            " scenes.hard_task"
        )
    ids = owner[:, None] + n_scenes * np.arange(N_TWINS)  # (n_captions, 4)
    if isinstance(model, DualEncoder):
        texts, images = (side.astype(np.float64) for side in encode_task(model, task))
        images /= np.linalg.norm(images, axis=1, keepdims=True)
        return np.einsum("qd,qtd->qt", texts, images[ids])
    retriever = retriever_over(task, model)
    queries = encoded(retriever, task.queries, task.query_modality)
    return retriever.score(queries, ids).astype(np.float64)


def shares(scores: np.ndarray) -> np.ndarray:
    """How often each twin comes first, `(n_captions, 4)`; those that tie for it get equal shares of
    it.
    """
    first = scores == scores.max(axis=1, keepdims=True)
    return first / first.sum(axis=1, keepdims=True)


def choices(scores: np.ndarray, groups) -> list[dict]:
    """The share of captions for which each twin comes first, in percent.

    Args:
        scores: from `twin_scores`.
        groups: `(n_captions,)` scene of each caption, for the intervals.

    Returns:
        Rows exchanged (one of `scenes.TWINS`), value, low, high.
    """
    rows = []
    for name, taken in zip(scenes.TWINS, 100 * shares(scores).T, strict=True):
        low, high = bootstrap_interval(taken, groups)
        rows.append({"exchanged": name, "value": float(taken.mean()), "low": low, "high": high})
    return rows


def by_kind(scores: dict[str, np.ndarray], kinds: np.ndarray, groups) -> list[dict]:
    """The share of right choices for each kind of caption and model, in percent, with intervals.

    Args:
        scores: `twin_scores` by name of the model; the first is what the last is tested against.
        kinds: `(n_captions,)` position in `scenes.KINDS`.
        groups: scene of each caption.

    Returns:
        Rows kind, n_captions, one `(value, low, high)` for each model, and p of the last against
        the first.
    """
    right = {name: 100 * shares(values)[:, 0] for name, values in scores.items()}
    first, *_, last = right
    rows = []
    for number, kind in enumerate(scenes.KINDS):
        here = kinds == number
        row: dict = {"kind": kind, "n_captions": int(here.sum())}
        for name, values in right.items():
            row[name] = (
                float(values[here].mean()),
                *bootstrap_interval(values[here], groups[here]),
            )
        test = paired_randomization(right[last][here], right[first][here], groups[here])
        rows.append(row | {"p": test.p_value})
    return rows


def pictures(
    task: RetrievalTask, scores: dict[str, np.ndarray], caption: int
) -> tuple[list[np.ndarray], list[str]]:
    """The four images of a caption and who put each first, for `lib.plots.contact_sheet`.

    Args:
        task: see `twin_scores`.
        scores: `twin_scores` by name of the model.
        caption: position in the task.
    """
    n_scenes = len(task.gallery) // N_TWINS
    ids = task.query_groups[caption] + n_scenes * np.arange(N_TWINS)
    first = {name: shares(values[[caption]])[0] > 0 for name, values in scores.items()}
    names = [
        ", ".join(name for name, taken in first.items() if taken[twin]) for twin in range(N_TWINS)
    ]
    return [task.gallery[item] for item in ids], names
