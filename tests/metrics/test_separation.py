"""AUROC and its interval: by hand, by the loop over pairs, by scikit-learn, and bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.metrics.separation import auroc, auroc_interval

scores = st.lists(st.integers(-3, 3), min_size=2, max_size=8)


def test_a_case_by_hand():
    # Pairs: 3 > 1, 3 > 2, 2 > 1, 2 = 2: (1 + 1 + 1 + 0.5) / 4.
    assert auroc([3, 2], [1, 2]) == 0.875
    assert auroc([2, 3], [0, 1]) == 1 and auroc([0, 1], [2, 3]) == 0


@settings(deadline=None)
@given(scores, scores)
def test_it_is_the_mean_over_pairs(positives, negatives):
    pairs = [(p > n) + (p == n) / 2 for p in positives for n in negatives]
    assert auroc(positives, negatives) == pytest.approx(np.mean(pairs))
    assert auroc(negatives, positives) == pytest.approx(1 - np.mean(pairs))


@settings(deadline=None)
@given(scores, scores)
def test_the_interval_holds_the_value(positives, negatives):
    low, high = auroc_interval(positives, negatives)
    assert 0 <= low <= auroc(positives, negatives) <= high <= 1


def test_it_equals_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 1, 50).round(1), rng.normal(0, 1, 70).round(1)
    labels = np.repeat([1, 0], [50, 70])
    assert auroc(a, b) == pytest.approx(metrics.roc_auc_score(labels, np.concatenate([a, b])))


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    truth, covered = 0.7602499389065233, 0  # Phi(1 / sqrt 2), two normals one apart
    for _ in range(400):
        low, high = auroc_interval(rng.normal(1, 1, 60), rng.normal(0, 1, 80))
        covered += low <= truth <= high
    assert 0.92 <= covered / 400 <= 0.98


def test_repeated_positives_do_not_narrow_the_interval():
    rng = np.random.default_rng(2)
    a, b = rng.normal(1, 1, 40), rng.normal(0, 1, 400)
    width = np.diff(auroc_interval(a, b))
    copied = np.diff(auroc_interval(np.repeat(a, 5), b, np.repeat(np.arange(40), 5)))
    assert copied == pytest.approx(width)
    assert np.diff(auroc_interval(np.repeat(a, 5), b)) < 0.7 * width


@pytest.mark.parametrize(
    ("positives", "negatives"), [([], [1.0]), ([1.0], [np.nan]), ([[1.0]], [1.0])]
)
def test_bad_scores_are_refused(positives, negatives):
    with pytest.raises(RetrievalInputError, match="positives|negatives"):
        auroc(positives, negatives)


def test_one_cluster_has_no_interval():
    with pytest.raises(RetrievalInputError, match="two clusters"):
        auroc_interval([1.0, 2.0], [0.0, 1.0], ["a", "a"])
