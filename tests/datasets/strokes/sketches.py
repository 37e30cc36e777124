"""Drawings for the tests: by hand and by hypothesis."""

import numpy as np
from hypothesis import strategies as st

from lib.datasets.strokes import Drawing

ANGLE = Drawing((np.array([[0.0, 0], [10, 0], [10, 20]]), np.array([[5.0, 5]])))


def drawings(low=-1000, high=1000, whole=True, least=1):
    """Drawings of one to four strokes of `least` to eight points."""
    numbers = st.integers(low, high) if whole else st.floats(low, high, width=32)
    point = st.tuples(numbers, numbers)
    stroke = st.lists(point, min_size=least, max_size=8)
    return st.lists(stroke, min_size=1, max_size=4).map(
        lambda strokes: Drawing(tuple(np.array(stroke, float) for stroke in strokes))
    )


def assert_same(one, other, atol=0.0):
    assert [len(s) for s in one.strokes] == [len(s) for s in other.strokes]
    np.testing.assert_allclose(one.points, other.points, rtol=0, atol=atol)
    assert (one.times is None) == (other.times is None)
    for mine, theirs in zip(one.times or (), other.times or ()):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=atol)
