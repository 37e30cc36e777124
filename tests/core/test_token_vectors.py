"""Tokens: what counts, in order; nothing empty gets in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.core.token_vectors import Tokens

VECTORS = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
MASK = np.array([[True, False, True], [False, True, False]])
COUNTS = st.lists(st.integers(1, 5), min_size=1, max_size=6)


def random_tokens(counts, dim=3, seed=0):
    vectors = np.random.default_rng(seed).standard_normal((sum(counts), dim)).astype(np.float32)
    return Tokens.from_flat(vectors, np.array(counts)), vectors


def test_what_counts_by_hand():
    tokens = Tokens(VECTORS, MASK)
    assert (len(tokens), tokens.dim, tokens.n_tokens, tokens.counts.tolist()) == (2, 2, 3, [2, 1])
    assert tokens.nbytes == 3 * 2 * 4
    vectors, owner = tokens.flat()
    assert vectors.tolist() == [[0, 1], [4, 5], [8, 9]] and owner.tolist() == [0, 0, 1]
    assert repr(tokens) == "Tokens(2 items, 3 tokens in 3 columns, 2 x float32)"


def test_all_count_without_a_mask_and_nothing_is_copied():
    tokens = Tokens(VECTORS)
    assert tokens.mask.all() and tokens.counts.tolist() == [3, 3]
    assert np.shares_memory(tokens.vectors, VECTORS)
    assert Tokens(VECTORS.astype(np.float64)).vectors.dtype == np.float32


def test_take_gives_items_in_the_order_asked():
    taken = Tokens(VECTORS, MASK).take([1, 0, 1])
    assert taken.counts.tolist() == [1, 2, 1] and taken.flat()[0][0].tolist() == [8, 9]
    assert len(Tokens(VECTORS, MASK).take(slice(1))) == 1


@given(COUNTS)
def test_from_flat_is_the_inverse_of_flat(counts):
    tokens, vectors = random_tokens(counts)
    assert (
        tokens.vectors.shape == (len(counts), max(counts), 3) and tokens.counts.tolist() == counts
    )
    flat, owner = tokens.flat()
    assert (flat == vectors).all() and (owner == np.repeat(np.arange(len(counts)), counts)).all()


@given(COUNTS, COUNTS)
def test_concatenating_keeps_every_token(first, second):
    parts = random_tokens(first, seed=1)[0], random_tokens(second, seed=2)[0]
    both = Tokens.concatenate(parts)
    assert both.counts.tolist() == first + second
    assert (both.flat()[0] == np.concatenate([part.flat()[0] for part in parts])).all()


def test_int8_has_one_scale_for_all_tokens():
    tokens = Tokens(np.array([[[1.0, -2.0], [0.004, 50.0]]]), np.array([[True, False]]))
    coded = tokens.as_int8()
    assert coded.vectors.dtype == np.int8
    assert coded.vectors[0, 0].tolist() == [
        64,
        -127,
    ]  # 63.5 to even; padding has no say in the scale
    assert coded.vectors[0, 1].tolist() == [0, 127]  # cut off
    assert tokens.as_int8(4.0).vectors[0, 0].tolist() == [32, -64]
    assert coded.nbytes == 2


@given(st.integers(0, 100))
def test_int8_is_within_half_a_step(seed):
    tokens, vectors = random_tokens([2, 3, 1], seed=seed)
    largest = np.abs(vectors).max()
    back = tokens.as_int8().flat()[0] * (largest / 127)
    assert np.abs(back - vectors).max() <= largest / 254 * 1.001


@pytest.mark.parametrize(
    ("vectors", "mask", "message"),
    [
        (np.zeros((2, 3)), None, r"\(items, tokens, dimension\).* got \(2, 3\)"),
        (np.zeros((2, 0, 3)), None, r"not empty, got \(2, 0, 3\)"),
        (np.zeros((2, 3, 4), int), None, "floats or int8, got int64"),
        (
            np.zeros((2, 3, 4)),
            np.ones((2, 4), bool),
            r"mask must be bool \(2, 3\).*got bool \(2, 4\)",
        ),
        (np.zeros((2, 3, 4)), np.ones((2, 3)), "got float64"),
        (np.zeros((2, 1, 4)), np.array([[True], [False]]), "got none in item 1"),
        (np.full((1, 2, 2), [[0, 1], [0, np.nan]]), None, "value nan in item 0, token 1, column 1"),
        (np.full((1, 1, 1), 1e39), None, r"value 1e\+39 in item 0, token 0, column 0"),
    ],
)
def test_refuses(vectors, mask, message):
    with pytest.raises(RetrievalInputError, match=message):
        Tokens(vectors, mask)


def test_refuses_parts_that_do_not_fit():
    tokens = Tokens(VECTORS, MASK)
    with pytest.raises(RetrievalInputError, match="got none in item 1"):
        Tokens.from_flat(np.zeros((2, 2)), np.array([2, 0]))
    with pytest.raises(RetrievalInputError, match=r"3 rows .the sum of counts.*got \(2, 2\)"):
        Tokens.from_flat(np.zeros((2, 2)), np.array([2, 1]))
    with pytest.raises(
        RetrievalInputError, match="counts must be a list of whole numbers, got float64"
    ):
        Tokens.from_flat(np.zeros((2, 2)), np.array([2.0]))
    with pytest.raises(RetrievalInputError, match="float32 of dimension 2 and int8 of dimension 2"):
        Tokens.concatenate([tokens, tokens.as_int8()])
    with pytest.raises(RetrievalInputError, match="at least one Tokens"):
        Tokens.concatenate([])
    with pytest.raises(RetrievalInputError, match="largest must be a finite number above 0, got 0"):
        Tokens(np.zeros((1, 1, 1))).as_int8()


def test_no_items_are_a_collection_too():
    none = Tokens(np.zeros((0, 3, 2)))
    assert len(none) == 0 and none.flat()[0].shape == (0, 2)
    assert len(Tokens.from_flat(np.zeros((0, 2)), np.array([], int))) == 0
