import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.metrics.scaling import power_law

SIZES = np.array([1e3, 3e3, 1e4, 3e4, 1e5, 1e6])


@given(exponent=st.floats(-2, 2), coefficient=st.floats(1e-3, 1e3))
@settings(max_examples=30, deadline=None)
def test_an_exact_power_law_is_recovered(exponent, coefficient):
    fit = power_law(SIZES, coefficient * SIZES**exponent)
    assert fit.exponent == pytest.approx(exponent, abs=1e-9) and fit.worst < 1e-9
    assert fit.coefficient == pytest.approx(coefficient, rel=1e-6)
    assert fit.high - fit.low < 1e-6
    assert fit(2e6) == pytest.approx(coefficient * 2e6**exponent, rel=1e-6)


def test_by_hand():
    # logs base 10: x = 1, 2, 3 and y = 1, 3, 4: slope 3/2, residuals (-1, 2, -1)/6, se = sqrt((1/6)
    # / 2).
    fit = power_law([10, 100, 1000], [10, 1000, 10_000])
    assert fit.exponent == pytest.approx(1.5)
    assert fit.high - fit.exponent == pytest.approx(12.7062 * np.sqrt(1 / 12), rel=1e-4)
    assert fit.worst == pytest.approx(10 ** (1 / 3) - 1)


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        fit = power_law(SIZES, SIZES**0.5 * np.exp(0.2 * rng.standard_normal(len(SIZES))))
        covered += fit.low <= 0.5 <= fit.high
    assert covered / 400 == pytest.approx(0.95, abs=0.035)


def test_a_curve_that_bends_shows_in_worst():
    assert power_law(SIZES, SIZES + 1e5).worst > 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: power_law([1, 2, 3], [1, 2]), "as long as each other"),
        (lambda: power_law([1, 2, 3], [1, 0, 2]), "y.1. = 0.0 has no logarithm"),
        (lambda: power_law([1, np.nan, 3], [1, 1, 2]), "n.1. is nan, which is not finite"),
        (lambda: power_law([1, 2, 2], [1, 2, 3]), "at least 3 different sizes, got 2"),
        (lambda: power_law([1, 2, 3], [1, 2, 3], level=1.0), "level must be between 0 and 1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call()
