"""Choices between captions and images: worked by hand, by the authors' code, and by counting."""

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lib.core.checks import RetrievalInputError
from lib.metrics import (
    bootstrap_interval,
    choice_chance,
    compare_systems,
    paired_chance,
    paired_choices,
    right_choices,
    subset_weights,
)

# ---- the authors' arithmetic, example by example


def text_correct(result):
    return result["c0_i0"] > result["c1_i0"] and result["c1_i1"] > result["c0_i1"]


def image_correct(result):
    return result["c0_i0"] > result["c0_i1"] and result["c1_i1"] > result["c1_i0"]


def named(scores):
    """Scores of one example, `[caption][image]`, under the names of the authors."""
    return {f"c{c}_i{i}": float(scores[c, i]) for c in range(2) for i in range(2)}


few_values = st.integers(0, 3).map(float)  # so that ties occur


@settings(max_examples=25)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 20), st.just(2), st.just(2)), elements=few_values)
)
def test_paired_choices_are_those_of_the_authors(scores):
    found = paired_choices(scores)
    results = [named(example) for example in scores]
    assert found.text.tolist() == [text_correct(result) for result in results]
    assert found.image.tolist() == [image_correct(result) for result in results]
    group = [text_correct(result) and image_correct(result) for result in results]
    assert found.group.tolist() == group


@settings(max_examples=25)
@given(arrays(np.float64, st.tuples(st.integers(1, 20), st.integers(2, 5)), elements=few_values))
def test_a_choice_is_right_where_it_alone_is_highest(scores):
    strict = [all(row[0] > other for other in row[1:]) for row in scores]
    assert right_choices(scores).tolist() == strict
    lenient = [all(row[0] >= other for other in row[1:]) for row in scores]
    assert right_choices(scores, ties="optimistic").tolist() == lenient


def test_examples_by_hand():
    scores = np.array([
        [[0.9, 0.1], [0.2, 0.8]],  # all right
        [[0.9, 0.8], [0.2, 0.7]],  # image 1 prefers caption 0, caption 1 finds image 1
        [[0.5, 0.4], [0.6, 0.7]],  # image 0 prefers caption 1; each caption finds its image
        [[0.5, 0.5], [0.5, 0.5]],  # ties
    ])  # fmt: skip
    found = paired_choices(scores)
    assert found.text.tolist() == [True, False, False, False]
    assert found.image.tolist() == [True, True, True, False]
    assert found.group.tolist() == [True, False, False, False]
    assert paired_choices(scores, ties="optimistic").group.tolist() == [True, False, False, True]
    assert right_choices([[2, 1], [1, 2], [1, 1]]).tolist() == [True, False, False]


# ---- chance


def test_chance_by_counting_all_orders():
    """25, 25 and 16.67 percent: each of the 24 orders of four different scores is as likely."""
    orders = [np.array(order).reshape(2, 2) for order in permutations(range(4))]
    results = [named(order) for order in orders]
    text = Fraction(sum(map(text_correct, results)), 24)
    image = Fraction(sum(map(image_correct, results)), 24)
    group = Fraction(sum(text_correct(r) and image_correct(r) for r in results), 24)
    assert (text, image, group) == (Fraction(1, 4), Fraction(1, 4), Fraction(1, 6))
    expected = {"text": float(text), "image": float(image), "group": float(group)}
    assert paired_chance() == pytest.approx(expected, abs=1e-15)
    assert choice_chance(2) == 0.5 and choice_chance(5) == 0.2


def test_random_scores_are_at_chance():
    found = paired_choices(np.random.default_rng(0).normal(size=(200_000, 2, 2)))
    for name, chance in paired_chance().items():
        assert getattr(found, name).mean() == pytest.approx(chance, abs=0.004)


# ---- the mean over subsets


def test_weights_turn_a_mean_into_a_mean_of_means():
    subsets = ["a"] * 3 + ["b"] * 1 + ["c"] * 6
    values = np.random.default_rng(1).random(10)
    weighted = float((values * subset_weights(subsets)).mean())
    means = [values[:3].mean(), values[3], values[4:].mean()]
    assert weighted == pytest.approx(np.mean(means), abs=1e-12)
    assert subset_weights(["a", "a"]).tolist() == [1, 1]


def test_a_weighted_interval_is_that_of_a_weighted_mean():
    rng = np.random.default_rng(2)
    values, groups, weights = rng.random(60), np.arange(60) // 3, rng.random(60) + 0.1
    assert bootstrap_interval(values, groups, np.ones(60)) == bootstrap_interval(values, groups)
    low, high = bootstrap_interval(np.ones(60), groups, weights)
    assert low == pytest.approx(1) and high == pytest.approx(1)  # a mean of ones cannot vary
    low, high = bootstrap_interval(values, groups, weights)
    assert low < np.average(values, weights=weights) < high
    # A weight counts as often as the query would occur.
    often = np.array([1, 2, 3])[np.arange(60) % 3]
    repeated = bootstrap_interval(np.repeat(values, often), np.repeat(groups, often))
    assert bootstrap_interval(values, groups, often) == pytest.approx(repeated)


def test_weighted_systems_are_compared_by_weighted_means():
    rng = np.random.default_rng(3)
    a, b, weights = rng.random(40), rng.random(40), rng.random(40) + 0.1
    found = compare_systems(a, b, None, weights)
    assert found.difference == pytest.approx(np.average(a - b, weights=weights))
    assert found.mean_a == pytest.approx(np.average(a, weights=weights))
    assert found.low < found.difference < found.high
    assert compare_systems(a, b, None, np.full(40, 7.0)).p_value == compare_systems(a, b).p_value


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: right_choices([1.0, 2.0]), r"shape \(examples, at least 2 choices\)"),
        (lambda: right_choices([[1.0], [2.0]]), "at least 2 choices"),
        (lambda: right_choices(np.empty((0, 2))), "at least 2 choices"),
        (lambda: right_choices([[1.0, np.nan]]), "has the value nan in row 0, column 1"),
        (lambda: right_choices([["a", "b"]]), "must be numbers"),
        (lambda: right_choices([[1, 2]], ties="id"), "ties must be one of"),
        (lambda: paired_choices(np.ones((3, 2, 3))), r"\(examples, 2 captions, 2 images\)"),
        (lambda: paired_choices(np.ones((3, 2))), r"\(examples, 2 captions, 2 images\)"),
        (lambda: choice_chance(1), "n_choices must be"),
        (lambda: subset_weights([]), "subsets must be a list of names"),
        (lambda: bootstrap_interval([1, 2], None, [1, 0]), "weights must be one number above 0"),
        (lambda: bootstrap_interval([1, 2], None, [1]), "for each of 2 queries"),
        (lambda: compare_systems([1, 2], [1, 3], None, [1, -1]), "above 0"),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call()
