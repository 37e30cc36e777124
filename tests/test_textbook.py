"""The textbook's own lines, run as printed; values by hand and against the library."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lib.core.checks import RetrievalInputError
from lib.textbook import (
    VectorSearchIndex,
    infonce_loss,
    mean_reciprocal_rank,
    ndcg_at_k,
    recall_at_k,
    sigmoid_loss,
    triplet_loss,
)

PREDICTIONS = [[3, 1, 0], [2, 0, 1]]


def unit_rows(n, dim=16, seed=0):
    return F.normalize(torch.randn(n, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_losses_as_printed():
    query_emb, key_emb, other = unit_rows(4), unit_rows(4, seed=1), unit_rows(4, seed=2)
    logits = query_emb @ key_emb.T
    loss = infonce_loss(query_emb, key_emb, temperature=0.07)
    torch.testing.assert_close(loss, F.cross_entropy(logits / 0.07, torch.arange(4)))
    loss = sigmoid_loss(query_emb, key_emb, temperature=0.1, bias=-10.0)
    signs = 2 * torch.eye(4) - 1
    torch.testing.assert_close(loss, -F.logsigmoid(signs * (logits / 0.1 - 10)).sum() / 4)
    loss = triplet_loss(anchor=query_emb, positive=key_emb, negative=other, margin=0.2)
    hinges = (0.2 - (query_emb * key_emb).sum(1) + (query_emb * other).sum(1)).relu()
    torch.testing.assert_close(loss, hinges.mean())


def test_metrics_as_printed():
    assert recall_at_k(PREDICTIONS, targets=[1, 1], k=2) == 0.5
    assert recall_at_k(PREDICTIONS, targets=[[3, 5], [2]], k=1) == 0.75  # 1 of 2, 1 of 1
    assert mean_reciprocal_rank(PREDICTIONS, targets=[1, 1]) == (1 / 2 + 1 / 3) / 2
    assert mean_reciprocal_rank(PREDICTIONS, targets=[9, 1]) == 1 / 6  # 9 was not returned


def test_ndcg_takes_a_matrix_or_mappings():
    matrix = np.array([[0, 3, 0, 1], [1, 0, 0, 0]])
    mappings = [{1: 3, 3: 1}, {0: 1, 2: 0}]
    first = (1 + 7 / np.log2(3)) / (7 + 1 / np.log2(3))  # grades 1, 3 against 3, 1
    expected = (first + 1 / np.log2(3)) / 2
    assert ndcg_at_k(PREDICTIONS, relevances=matrix, k=2) == pytest.approx(expected)
    assert ndcg_at_k(PREDICTIONS, relevances=mappings, k=2) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("relevances", "message"),
    [
        ([1, 2], "matrix of grades"),
        ([{1: 1}, {}], "relevant"),
        ([[0, np.nan], [1, 0]], "grades"),
        ([{1: -1}, {0: 1}], "grade"),
        ([{1: 1}], "quer"),
    ],
)
def test_bad_relevances_are_refused(relevances, message):
    with pytest.raises(RetrievalInputError, match=message):
        ndcg_at_k(PREDICTIONS, relevances, 2)


@pytest.mark.parametrize(
    ("index_type", "n", "dimension"),
    [
        ("Flat", 1000, 512),
        ("IVF", 3000, 512),
        ("HNSW", 1000, 512),
        ("LSH", 1000, 512),
    ],
)
def test_an_index_as_printed(index_type, n, dimension):
    # tests/index/test_base.py prints the same lines for those that learn codes, of more vectors.
    database_embeddings = unit_rows(n, dimension).numpy()
    query_embeddings = database_embeddings[:5]
    index = VectorSearchIndex(dimension=dimension, index_type=index_type)
    index.add(database_embeddings)
    _, ids = index.search(query_embeddings, k=10)
    assert ids.shape == (5, 10) and (ids[:, 0] == np.arange(5)).mean() >= 0.8


def test_an_index_that_cannot_learn_from_so_little_says_how_many_it_needs():
    with pytest.raises(RetrievalInputError, match="at least .* vectors .* got 50"):
        VectorSearchIndex(dimension=32, index_type="PQ").add(unit_rows(50, 32).numpy())
