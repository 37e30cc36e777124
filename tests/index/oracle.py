"""The plain way to do what lib.index does: every score in float64, rounded, and one stable sort."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError


def topk(queries, gallery, k, metric):
    q, x = np.asarray(queries, np.float64), np.asarray(gallery, np.float64)
    if metric == "l2":
        scores = -((q[:, None] - x[None]) ** 2).sum(-1)
    else:
        scores = (q[:, None] * x[None]).sum(-1)
        if metric == "cosine":
            scores /= np.sqrt((q**2).sum(1))[:, None] * np.sqrt((x**2).sum(1))[None]
    scores = scores.astype(np.float32) + np.float32(0)
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, ids, axis=1), ids


def assert_same(found, expected):
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[0].dtype == np.float32 and found[1].dtype == np.int64


def refused(message):
    """Expect bad input to be refused with a message that matches."""
    return pytest.raises(RetrievalInputError, match=message)
