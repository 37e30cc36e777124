"""Test whether generated variation can be told from human variation (a classifier two-sample test).

A classifier sees the statistics of a pair of drawings of one character and says whether two people
drew them, or a hand drew one of them twice. It is trained on one half of the characters and scored
on the other, in turn; no character was used to fit the hand. An AUC of 0.5: it cannot tell.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import minimize

from lib.datasets.strokes import Drawing
from lib.datasets.strokes.hand import TERMS, Hand
from lib.metrics.separation import auroc, auroc_interval
from lib.studies.hand.fitting import Pairs, generated_pairs, human_pairs
from lib.studies.hand.pairs import compare

SMALLEST = 1e-4  # statistic; smaller ones count as this
NO_SHIFT = 0.03  # of a character of one stroke, whose strokes cannot be moved apart
RIDGE = 1e-2
SHAPE_TERMS = tuple(term for term in TERMS if term != "width")  # pairs show no width


def systems_of(hand: Hand) -> dict[str, Hand]:
    """Name the hands that are compared: nothing, single terms, all, and all but one."""
    alone = {f"{term} only": hand.only(term) for term in ("affine", "jitter", "warp")}
    without = {f"without {term}": hand.without(term) for term in SHAPE_TERMS}
    return {"no deformation": Hand(), **alone, "fitted": hand, **without}


def pair_features(pairs: Sequence[Pairs]) -> tuple[np.ndarray, np.ndarray]:
    """Statistics of comparable pairs as features, (n, 10), and the character of each."""
    rows = compare([pair for part in pairs for pair in part])
    characters = np.repeat(np.arange(len(pairs)), [len(part) for part in pairs])
    kept = np.isfinite(rows[:, 0])
    rows = np.nan_to_num(rows[kept], nan=NO_SHIFT)
    return np.log(np.maximum(rows, SMALLEST)), characters[kept]


def classifier_scores(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Fit a logistic regression with squares and products, and score other rows."""
    centre, spread = train.mean(axis=0), train.std(axis=0) + 1e-9
    train, test = (_with_products((rows - centre) / spread) for rows in (train, test))
    scale = train.std(axis=0) + 1e-9
    train, test = train / scale, test / scale
    signs = np.where(labels, 1.0, -1.0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (train @ weights[1:] + weights[0])
        slopes = -signs / (1 + np.exp(np.clip(margins, -30, 30))) / len(signs)
        value = np.logaddexp(0, -margins).mean() + RIDGE / 2 * (weights[1:] ** 2).sum()
        gradient = np.concatenate([[slopes.sum()], train.T @ slopes + RIDGE * weights[1:]])
        return value, gradient

    found = minimize(loss, np.zeros(train.shape[1] + 1), jac=True, method="L-BFGS-B")
    return test @ found.x[1:] + found.x[0]


def _with_products(rows: np.ndarray) -> np.ndarray:
    left, right = np.triu_indices(rows.shape[1])
    return np.hstack([rows, rows[:, left] * rows[:, right]])


def two_sample_auc(
    human: tuple[np.ndarray, np.ndarray], generated: tuple[np.ndarray, np.ndarray]
) -> tuple[float, float, float]:
    """Compute the AUC of telling generated from human rows, and its 95% interval by character."""
    scores = []
    for half in (0, 1):
        kept = [(rows[of % 2 != half], rows[of % 2 == half]) for rows, of in (human, generated)]
        train = np.concatenate([kept[0][0], kept[1][0]])
        labels = np.repeat([False, True], [len(kept[0][0]), len(kept[1][0])])
        scores.append([classifier_scores(train, labels, part[1]) for part in kept])
    people, machine = (np.concatenate(side) for side in zip(*scores))
    groups = np.concatenate([generated[1][generated[1] % 2 == half] for half in (0, 1)])
    return auroc(machine, people), *auroc_interval(machine, people, groups)


def two_sample_rows(
    characters: Sequence[Sequence[Drawing]], hand: Hand, log: Callable[[str], None] = print
) -> list[dict]:
    """Compute the AUC of each of `systems_of` on held-out characters."""
    pairs = [alike for alike, _ in human_pairs(characters)]
    human = pair_features(pairs)
    rows = []
    for name, system in systems_of(hand).items():
        generated = pair_features(generated_pairs(pairs, system))
        auc, low, high = two_sample_auc(human, generated)
        log(f"{name}: AUC {auc:.3f} [{low:.3f}, {high:.3f}]")
        rows.append({"hand": name, "auc": auc, "low": low, "high": high,
                     "pairs": len(generated[0])})  # fmt: skip
    return rows
