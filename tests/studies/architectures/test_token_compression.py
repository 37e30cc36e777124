"""Fewer bytes and fewer tokens, on documents small enough to know the answer."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask
from lib.core.token_vectors import Tokens
from lib.index import TokenIndex
from lib.studies.architectures.token_compression import (
    STORAGES,
    candidate_rows,
    count_wins,
    keep_most,
    mean_pool,
    storage_rows,
)

N, LENGTH, DIM = 60, 4, 16
ENCODER = SimpleNamespace(
    dim=DIM, device="cpu"
)  # tokens are given, so that nothing else of it is read


@pytest.fixture(scope="module")
def corpus() -> tuple[RetrievalTask, Tokens, Tokens]:
    """Documents of random unit tokens, each asked for by two noisy copies of two of them."""
    rng = np.random.default_rng(0)
    documents = rng.standard_normal((N, LENGTH, DIM))
    documents /= np.linalg.norm(documents, axis=2, keepdims=True)
    queries = np.repeat(documents[:, :2], 2, axis=0) + 0.28 * rng.standard_normal((2 * N, 2, DIM))
    queries /= np.linalg.norm(queries, axis=2, keepdims=True)
    owner = np.arange(2 * N) // 2
    qrels = Qrels.from_pairs(np.arange(2 * N), owner, shape=(2 * N, N))
    names = [str(i) for i in range(2 * N)]
    task = RetrievalTask("toy", "test", "text_to_image", names, names[:N], qrels, owner)
    return task, Tokens(queries), Tokens(documents)


SMALL = {name: STORAGES[name] for name in ("float32", "int8", "1 bit, 1 centroid")}


def test_bytes_are_what_the_formulas_say_and_fewer_cost_quality(corpus):
    rows = {row["storage"]: row for row in storage_rows(ENCODER, *corpus, SMALL)}
    assert [row["bytes_an_item"] for row in rows.values()] == [
        LENGTH * 4 * DIM,
        LENGTH * DIM,
        LENGTH * (DIM // 8 + 1),  # a bit a dimension, and the number of the one centroid
    ]
    assert rows["int8"]["shared_kb"] == 8 / 1e3  # the scale
    assert rows["1 bit, 1 centroid"]["shared_kb"] == (4 * DIM + 3 * 4) / 1e3
    assert rows["float32"]["p (Holm)"] is None
    coarse, exact = rows["1 bit, 1 centroid"], rows["float32"]
    assert coarse["mAP"][0] < exact["mAP"][0] and coarse["p (Holm)"] < 0.05
    assert all(
        low <= value <= high
        for row in rows.values()
        for value, low, high in (row["R@1"], row["mAP"])
    )


def test_every_storage_of_the_table_can_be_built(corpus):
    task, queries, documents = corpus
    many = Tokens(np.concatenate([documents.vectors] * 2))  # 64 centroids need as many tokens
    twice = RetrievalTask(
        "toy", "test", "text_to_image", task.queries, [*task.gallery, *task.gallery],
        Qrels.from_pairs(np.arange(2 * N), np.arange(2 * N) // 2, shape=(2 * N, 2 * N)),
        task.query_groups,
    )  # fmt: skip
    rows = storage_rows(ENCODER, twice, queries, many)
    assert [row["storage"] for row in rows] == list(STORAGES)
    bytes_of = {row["storage"]: row["bytes_an_item"] for row in rows}
    assert bytes_of["float32"] > bytes_of["int8"] > bytes_of["2 bits"] > bytes_of["1 bit"]


def test_needs_something_to_compare_with(corpus):
    with pytest.raises(RetrievalInputError, match="float32"):
        storage_rows(ENCODER, *corpus, {"int8": STORAGES["int8"]})


def test_with_all_centroids_nothing_is_left_out(corpus):
    task, queries, documents = corpus
    index = TokenIndex(DIM, "int8", n_centroids=8)
    index.add(documents)
    few, every = candidate_rows(ENCODER, task, queries, index, (1, 8))
    assert (every["found"], every["scored"]) == (100, 100)
    assert every["R@1"] == every["exhaustive R@1"]
    assert few["found"] < 100 and few["scored"] < 100


# ---- fewer tokens an item

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
    assert count_wins(QUERIES, documents).tolist() == [[2, 1], [3, 0]]


def test_padding_never_wins_even_against_negative_similarities():
    documents = Tokens(
        np.array([[[-1.0, -1.0], [0.0, 0.0]]], np.float32), np.array([[True, False]])
    )
    assert count_wins(QUERIES, documents).tolist() == [[3, 0]]


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 6))
def test_counts_are_those_of_a_loop(seed, n, length):
    queries, documents = random_tokens(seed, 3, 4), random_tokens(seed + 1, n, length)
    expected = np.zeros((n, length), int)
    for token in queries.flat()[0]:
        for d in range(n):
            similarities = np.where(documents.mask[d], documents.vectors[d] @ token, -np.inf)
            expected[d, similarities.argmax()] += 1
    found = count_wins(queries, documents)
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
    np.testing.assert_allclose(mean_pool(tokens).vectors, [[[0.5**0.5, 0.5**0.5]]], rtol=1e-6)
    assert mean_pool(tokens).n_tokens == 1


def test_int8_tokens_are_pooled_without_overflow():
    pole = mean_pool(Tokens(np.full((1, 30, 1), 127, np.int8))).vectors
    np.testing.assert_allclose(pole, [[[1.0]]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda t: count_wins(t, random_tokens(0, 2, 3, dim=4)),
            "got 3 of queries and 4 of documents",
        ),
        (lambda t: keep_most(t, np.ones((2, 9)), 1), r"counts must be \(2, 3\).*got \(2, 9\)"),
        (lambda t: keep_most(t, np.ones((2, 3)), 0), "k"),
        (lambda t: mean_pool(Tokens(np.array([[X, [-1.0, 0.0]]]))), "item 0 add up to zero"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call(random_tokens(1, 2, 3))
