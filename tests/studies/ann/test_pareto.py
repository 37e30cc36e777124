"""The frontier equals ann-benchmarks' `create_pointset`, written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.studies.ann.pareto import frontier


def create_pointset(x, y, higher_x, higher_y):
    """ann-benchmarks: `worst` of a metric is -inf where more is better, inf where less is."""
    rev_y, rev_x = -1 if higher_y else 1, -1 if higher_x else 1
    data = sorted(zip(x, y), key=lambda t: (rev_y * t[1], rev_x * t[0]))
    xs, ys = [], []
    last_x = -np.inf if higher_x else np.inf
    for xv, yv in data:
        if not xv or not yv:
            continue
        if (xv > last_x) if higher_x else (xv < last_x):
            last_x = xv
            xs.append(xv)
            ys.append(yv)
    return xs, ys


def test_by_hand():
    recall = [0.5, 0.9, 0.8, 0.99, 0.9]
    qps = [900, 300, 100, 50, 400]
    assert frontier(recall, qps).tolist() == [0, 4, 3]


def test_a_zero_was_not_measured():
    assert frontier([0.0, 0.5, 0.9], [9.0, 1.0, 0.0]).tolist() == [1]
    assert frontier([], []).tolist() == []


values = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


@given(st.lists(st.tuples(values, values), max_size=30), st.booleans(), st.booleans())
def test_equals_ann_benchmarks(points, higher_x, higher_y):
    x, y = np.array(points).reshape(-1, 2).T
    kept = frontier(x, y, higher_x=higher_x, higher_y=higher_y)
    assert (x[kept].tolist(), y[kept].tolist()) == create_pointset(x, y, higher_x, higher_y)


def test_what_is_no_point_is_refused():
    with pytest.raises(RetrievalInputError, match=r"shapes \(2,\) and \(1,\)"):
        frontier([1, 2], [1])
    with pytest.raises(RetrievalInputError, match="point 1 is"):
        frontier([1, 2], [1, np.nan])
