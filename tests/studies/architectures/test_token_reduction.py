"""Tokens that win, tokens that stay, and one instead of all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.core.token_vectors import Tokens
from lib.studies.architectures.token_reduction import keep_most, pooled, wins

X, Y = [1.0, 0.0], [0.0, 1.0]
QUERIES = Tokens(
    np.array([[X, X], [Y, [9.0, 9.0]]], np.float32), np.array([[True, True], [True, False]])
)


def random_tokens(seed: int, n: int, length: int, dim: int = 3) -> Tokens:
    rng = np.random.default_rng(seed)
    mask = rng.random((n, length)) < 0.6
    mask[:, rng.integers(length)] = True
    return Tokens(rng.standard_normal((n, length, dim)), mask)


def test_counts_by_hand():
    documents = Tokens(np.array([[X, Y], [Y, [-0.1, 0.0]]], np.float32))
    # The second document has nothing along X but 0, which beats -0.1.
    assert wins(QUERIES, documents).tolist() == [[2, 1], [3, 0]]


def test_padding_never_wins_even_against_negative_similarities():
    documents = Tokens(
        np.array([[[-1.0, -1.0], [0.0, 0.0]]], np.float32), np.array([[True, False]])
    )
    assert wins(QUERIES, documents).tolist() == [[3, 0]]


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 6))
def test_counts_are_those_of_a_loop(seed, n, length):
    queries, documents = random_tokens(seed, 3, 4), random_tokens(seed + 1, n, length)
    expected = np.zeros((n, length), int)
    for token in queries.flat()[0]:
        for d in range(n):
            similarities = np.where(documents.mask[d], documents.vectors[d] @ token, -np.inf)
            expected[d, similarities.argmax()] += 1
    found = wins(queries, documents)
    assert found.tolist() == expected.tolist()
    assert (found.sum(axis=1) == queries.n_tokens).all()


def test_keeps_the_largest_counts_in_their_old_order():
    tokens = Tokens(np.arange(8, dtype=np.float32).reshape(1, 4, 2))
    kept = keep_most(tokens, np.array([[1, 5, 1, 9]]), 3)
    assert kept.vectors[0, :, 0].tolist() == [0, 2, 6]


def test_padding_is_kept_only_where_nothing_else_is_left():
    tokens = Tokens(
        np.ones((2, 3, 2), np.float32), np.array([[True, False, True], [False, True, False]])
    )
    kept = keep_most(tokens, np.zeros((2, 3)), 2)
    assert kept.counts.tolist() == [2, 1]


@given(st.integers(0, 10**6), st.integers(1, 7))
def test_keeps_k_or_all(seed, k):
    tokens = random_tokens(seed, 4, 6)
    kept = keep_most(tokens, np.random.default_rng(seed).integers(0, 9, (4, 6)), k)
    assert kept.counts.tolist() == np.minimum(tokens.counts, k).tolist()
    assert set(map(tuple, kept.flat()[0])) <= set(map(tuple, tokens.flat()[0]))


def test_the_mean_of_what_counts_with_length_one():
    tokens = Tokens(np.array([[X, Y, [5.0, 5.0]]], np.float32), np.array([[True, True, False]]))
    np.testing.assert_allclose(pooled(tokens).vectors, [[[0.5**0.5, 0.5**0.5]]], rtol=1e-6)
    assert pooled(tokens).n_tokens == 1


def test_int8_tokens_are_pooled_without_overflow():
    pole = pooled(Tokens(np.full((1, 30, 1), 127, np.int8))).vectors
    np.testing.assert_allclose(pole, [[[1.0]]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: wins(t, random_tokens(0, 2, 3, dim=4)), "dimension 3, those of documents 4"),
        (lambda t: keep_most(t, np.ones((2, 9)), 1), r"counts must be \(2, 3\).*got \(2, 9\)"),
        (lambda t: keep_most(t, np.ones((2, 3)), 0), "k"),
        (lambda t: pooled(Tokens(np.array([[X, [-1.0, 0.0]]]))), "item 0 add up to zero"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call(random_tokens(1, 2, 3))
