"""Positives that lie in no gallery: by hand, and against a gallery that has them."""

import numpy as np
import pytest

from lib.core.qrels import Qrels
from lib.metrics import evaluate_embeddings
from lib.studies.published.unfindable import findable, with_unfindable

OPTIONS = {
    "metrics": ["R", "MRR", "R-precision", "MAP@R"],
    "ks": (1, 2),
    "gain": "exponential",
    "hit_grade": 1,
    "no_relevant": "skip",
}


def counted(queries, gallery, qrels):
    inside = findable(qrels, len(gallery))
    evaluation = evaluate_embeddings(queries, gallery, inside, **OPTIONS)
    return with_unfindable(evaluation, queries, gallery, qrels, OPTIONS)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_by_hand():
    queries = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    gallery = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    # Query 0 has item 0 and one that nobody finds; query 1 only the latter; query 2 item 1.
    pairs = [0, 0, 1, 2], [0, 3, 4, 1]
    qrels = Qrels.from_pairs(*pairs, shape=(3, 5))
    assert findable(qrels, 3).shape == (3, 3) and findable(qrels, 3).counts.tolist() == [1, 0, 1]
    assert findable(qrels, 5) is qrels
    found = counted(queries, gallery, qrels)
    assert found.queries.tolist() == [0, 2]  # nothing is found for query 1
    assert found.per_query["MAP@R"].tolist() == [0.5, 0]  # (1/1 + 0) / 2 instead of 1
    assert found.per_query["R-precision"].tolist() == [0.5, 0]
    assert found.per_query["R@1"].tolist() == [1, 0]
    assert found.per_query["MRR"].tolist() == [1, 0.5]
    assert found.value("MAP@R") == 0.25 and found.interval("MAP@R")[1] <= 0.5


@pytest.mark.parametrize("seed", range(3))
def test_a_gallery_that_has_them_last_gives_the_same(seed):
    rng = np.random.default_rng(seed)
    queries, gallery = (unit(rng.normal(size=(n, 8))) for n in (30, 40))
    relevant = rng.random((30, 42)) < 0.1
    relevant[:, 0] |= ~relevant[:, :40].any(1)
    qrels = Qrels.from_pairs(*np.nonzero(relevant), shape=relevant.shape)
    found = counted(queries, gallery, qrels)
    # One dimension more puts the two further items behind all others.
    last = np.zeros((2, 9))
    last[:, 8] = -3
    longer = [np.column_stack([rows, np.ones(len(rows))]) for rows in (queries, gallery)]
    longer[1] = np.vstack([longer[1], last])
    whole = evaluate_embeddings(*longer, qrels, metric="inner_product", **OPTIONS)
    assert (qrels.items >= 40).any()
    for metric, values in found.per_query.items():
        np.testing.assert_allclose(values, whole.per_query[metric], err_msg=metric)
