"""Lab 3: find the five errors of an evaluation; each is tried alone, and then all together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from lib import metrics
from lib.course.cases import Wrong, as_array, describe, describe_error, expect, plain_value
from lib.course.labs.engine import Criterion, Lab, Measured

KEYS = ("R@5", "MRR", "standard error")
N, DIM, PER_GROUP = 40, 8, 5
N_SEEDS = 8
FIRST_SEED = {"validation": 1_000, "test": 2_000}
Evaluate = Callable[..., Mapping[str, float]]


@dataclass(frozen=True)
class Search:
    """Arguments of the evaluation: text i is right for the images that share its id."""

    texts: np.ndarray  # (n_texts, d)
    images: np.ndarray  # (n_images, d)
    text_ids: np.ndarray
    image_ids: np.ndarray
    groups: np.ndarray  # of the texts

    def arguments(self) -> tuple[np.ndarray, ...]:
        """Return copies, in the order of the arguments."""
        sides = self.texts, self.images, self.text_ids, self.image_ids, self.groups
        return tuple(np.array(side) for side in sides)


def expected(search: Search) -> dict[str, float]:
    """Compute the right values of a search."""
    units = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (search.texts, search.images)]
    scores = units[0] @ units[1].T
    right = search.text_ids[:, None] == search.image_ids[None]
    best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
    ranks = 1 + ((scores >= best) & ~right).sum(axis=1)  # ties count against the right image
    gains = 1 / ranks
    sums = [np.sum(gains[search.groups == g] - gains.mean()) for g in np.unique(search.groups)]
    error = float(np.sqrt(np.square(sums).sum()) / len(ranks))
    return {"R@5": float(np.mean(ranks <= 5)), "MRR": float(gains.mean()), "standard error": error}


# ---- one search for each error, in which the other four do nothing


def _plain(rng: np.random.Generator) -> Search:
    """Make unit vectors without ties: text i is right for image i alone, each its own group."""
    while True:
        images = rng.normal(size=(N, DIM))
        texts = images + rng.normal(size=(N, DIM))
        unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (texts, images)]
        search = Search(*unit, np.arange(N), np.arange(N), np.arange(N))
        scores = unit[0] @ unit[1].T
        if ((scores >= np.diag(scores)[:, None]).sum(axis=1) == 5).any():
            return search


def _long(rng: np.random.Generator) -> Search:
    plain = _plain(rng)
    return replace(plain, images=plain.images * rng.uniform(0.2, 5, (N, 1)))


def _shuffled(rng: np.random.Generator) -> Search:
    plain, order = _plain(rng), rng.permutation(N)
    return replace(plain, images=plain.images[order], image_ids=plain.image_ids[order])


def _tied(rng: np.random.Generator) -> Search:
    corners = np.eye(DIM)[rng.permutation(N) % DIM]  # five images of each; products are 0 or 1
    return replace(_plain(rng), texts=corners, images=corners)


def _grouped(rng: np.random.Generator) -> Search:
    plain = _plain(rng)
    rows = np.arange(N) // PER_GROUP  # the captions of a group are copies, and so are its images
    tilt = 1e-3 * rng.normal(size=(2, N, DIM))
    images, texts = plain.images[rows] + tilt[0], plain.texts[rows] + tilt[1]
    ids = rows.copy()
    return Search(*(x / np.linalg.norm(x, axis=1, keepdims=True) for x in (texts, images)),
                  np.arange(N), np.arange(N), ids)  # fmt: skip


def _everything(rng: np.random.Generator) -> Search:
    """Make lengths, order, ties, several right images and groups at once; products stay exact."""
    n_texts, n_images, n_ids = 60, 48, 20
    ids = 100 + rng.permutation(n_ids)
    image_ids = np.concatenate([ids, rng.choice(ids, n_images - n_ids)])
    text_ids, groups = rng.choice(ids, n_texts), rng.integers(0, 12, n_texts)
    corner = dict(zip(ids.tolist(), rng.integers(0, DIM, n_ids).tolist(), strict=True))
    sides = []
    for own in (text_ids, image_ids):
        at = np.array([corner[i] for i in own.tolist()])
        at = np.where(rng.random(len(own)) < 0.3, rng.integers(0, DIM, len(own)), at)
        sides.append(np.eye(DIM)[at] * 2.0 ** rng.integers(-2, 3, (len(own), 1)))
    return Search(*sides, text_ids, image_ids, groups)


# name -> (search, the value that shows the error, the symptom)
ERRORS = {
    "error 1": (_long, "MRR", "images are made longer or shorter, no direction changes, and MRR"
                " becomes {found:.3f} instead of {plain:.3f}"),
    "error 2": (_shuffled, "MRR", "the same gallery in another order gives MRR {found:.3f} instead"
                " of {plain:.3f}"),
    "error 3": (_tied, "MRR", "an encoder that knows eight vectors in all, five images for each,"
                " gets MRR {found:.3f} instead of {plain:.3f}"),
    "error 4": (_plain, "R@5", "R@5 is {found:.3f} where a count by hand gives {plain:.3f}"),
    "error 5": (_grouped, "standard error", "groups of nearly equal queries, five each, have a"
               " standard error of {found:.4f} instead of {plain:.4f}"),
}  # fmt: skip


def _called(evaluate: Evaluate, search: Search) -> dict[str, float]:
    """Call the answer and read its three numbers."""
    found = plain_value(evaluate(*search.arguments()))
    expect(found is not None, "it returns None | Return a dict with the three numbers.")
    expect(
        isinstance(found, dict) and set(KEYS) <= set(found),
        f"it returns {describe(found)} | Return a dict with the keys {', '.join(KEYS)}.",
    )
    numbers = {key: float(as_array(found[key], (), meaning=key)) for key in KEYS}
    for key in KEYS[:2]:
        expect(
            -1e-9 <= numbers[key] <= 1 + 1e-9,
            f"{key} is {numbers[key]:.4g} | It is a share, from 0 to 1.",
        )
    return numbers


def _agrees(found: float, right: float, key: str, n_groups: int) -> bool:
    """Compare; a standard error may have the factor sqrt(G / (G - 1)) too."""
    factors = [1.0, np.sqrt(n_groups / (n_groups - 1))] if key == "standard error" else [1.0]
    return any(abs(found - factor * right) <= 1e-6 for factor in factors)


def _measure(evaluate: Evaluate, split: str) -> Measured:
    expect(
        callable(evaluate),
        f"the answer must be a function, got {describe(evaluate)}"
        " | Pass evaluate itself, without calling it.",
    )
    values, symptoms, hits, raised = {}, [], [], []
    for name, (make, key, says) in [*ERRORS.items(), ("all together", (_everything, "", ""))]:
        right, symptom = [], ""
        for seed in range(N_SEEDS):
            search = make(np.random.default_rng(FIRST_SEED[split] + seed))
            wanted, n_groups = expected(search), len(set(search.groups.tolist()))
            try:
                found = _called(evaluate, search)
            except Wrong:
                raise
            except Exception as error:
                raised.append(error)
                symptom = f"it raised {describe_error(error)} for {len(search.texts)} texts and"
                symptom += f" {len(search.images)} images"
                right.append(False)
                continue
            wrong = [
                each
                for each in ([key] if key else KEYS)
                if not _agrees(found[each], wanted[each], each, n_groups)
            ]
            right.append(not wrong)
            if wrong:
                says = says or f"everything at once: {wrong[0]} is {{found:.4f}}, not {{plain:.4f}}"
                symptom = says.format(found=found[wrong[0]], plain=wanted[wrong[0]])
        symptoms += [symptom] if symptom else []
        hits += right
        values[name] = 100 * float(np.mean(right))
    if len(raised) == len(hits):
        raise raised[0]
    hits = 100 * np.array(hits, dtype=float)
    score = {"searches that agree": float(hits.mean())}
    interval = {"searches that agree": metrics.bootstrap_interval(hits)}
    return Measured({**score, **values}, interval, {"searches": len(hits)}, tuple(symptoms))


LAB = Lab(
    "evaluation",
    "Mend evaluate(texts, images, text_ids, image_ids, groups), which returns a dict of R@5, MRR"
    " and the standard error of MRR.",
    _measure,
    (
        *(
            Criterion(name, 2, name, 100, 50, "Read the symptom, and try it by hand.")
            for name in ERRORS
        ),
        Criterion("everything at once", 4, "all together", 100, 50,
                  "Several images may be right for a text."),
        Criterion("report", 6, "", "for each error: the line, a tiny case that shows it, which way"
                  " it moves the number", "the lines, without cases", none="changes, no reasons"),
    ),
    limit_s=60.0,
)  # fmt: skip
