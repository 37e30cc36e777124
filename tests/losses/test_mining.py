"""Mining on matrices small enough to read, against loops, and where a row has nothing to offer."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.losses import mine_triplets
from tests.losses.batches import mined_by_hand

# Row 0: positive 0.8; 0.7 is in the band of 0.2, 0.9 is above the positive, 0.1 is easy.
COSINES = torch.tensor([[0.8, 0.7, 0.9, 0.1], [0.5, 0.6, 0.2, 0.3], [0.0, 0.4, 0.5, 0.45]])


def cells(mask):
    return {(i, j) for i, j in mask.nonzero().tolist()}


def by_hand(cosines, margin, mining, same=None):
    found = set()
    for i, row in enumerate(cosines):
        found |= {(i, j) for j in mined_by_hand(row, i, margin, mining, same)}
    return found


def test_worked_by_hand():
    assert cells(mine_triplets(COSINES, 0.2, "all")) == {
        (i, j) for i in range(3) for j in range(4) if i != j
    }
    assert cells(mine_triplets(COSINES, 0.2, "semi_hard")) == {(0, 1), (1, 0), (2, 1), (2, 3)}
    assert cells(mine_triplets(COSINES, 0.2, "hard")) == {(0, 2), (1, 0), (2, 3)}


def test_hard_marks_the_best_negative_even_where_the_margin_is_kept():
    assert cells(mine_triplets(torch.eye(2), 0.2, "hard")) == {(0, 1), (1, 0)}


def test_the_band_is_open_at_both_ends():
    row = [0.5, 0.5, 0.25, 0.375]  # exact in binary, as is the margin
    cosines = torch.tensor([row, row])
    assert cells(mine_triplets(cosines, 0.25, "semi_hard")) == {(0, 3), (1, 3)}
    assert not mine_triplets(cosines, 0.0, "semi_hard").any()


def test_same_is_never_a_negative():
    same = torch.zeros(3, 4, dtype=torch.bool)
    same[0, 2] = same[2, 3] = True
    assert cells(mine_triplets(COSINES, 0.2, "hard", same=same)) == {(0, 1), (1, 0), (2, 1)}


def test_a_row_without_negatives_has_no_triplet():
    same = torch.tensor([[True, True], [False, True]])
    for mining in ("all", "hard"):
        assert cells(mine_triplets(torch.eye(2), 0.2, mining, same=same)) == {(1, 0)}


def test_the_first_of_equals_is_the_hardest():
    cosines = torch.tensor([[0.9, 0.3, 0.3, 0.3], [0.3, 0.9, 0.3, 0.3]])
    assert cells(mine_triplets(cosines, 0.2, "hard")) == {(0, 1), (1, 0)}


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 7),
    st.integers(0, 3),
    st.integers(0, 10_000),
    st.sampled_from(["all", "semi_hard", "hard"]),
    st.booleans(),
)
def test_equals_the_loop(n, extra, seed, mining, masked):
    generator = torch.Generator().manual_seed(seed)
    cosines = torch.rand(n, n + extra, generator=generator, dtype=torch.float64)
    same = torch.rand(n, n + extra, generator=generator) < 0.3 if masked else None
    expected = by_hand(cosines.tolist(), 0.2, mining, None if same is None else same.tolist())
    assert cells(mine_triplets(cosines, 0.2, mining, same=same)) == expected


def test_a_transpose_lets_keys_be_the_anchors():
    square = COSINES[:, :3]
    assert cells(mine_triplets(square.T, 0.2, "hard")) == by_hand(square.T.tolist(), 0.2, "hard")


def test_refuses():
    with pytest.raises(RetrievalInputError, match=r"M >= B >= 2, got torch.float32 \(4, 3\)"):
        mine_triplets(COSINES.T)
    with pytest.raises(RetrievalInputError, match=r"got torch.float32 \(1, 4\)"):
        mine_triplets(COSINES[:1])
    with pytest.raises(RetrievalInputError, match=r"got torch.int64 \(3, 4\)"):
        mine_triplets(COSINES.long())
    with pytest.raises(
        RetrievalInputError, match="'semi_hard', 'hard'; got 'semihard'. Did you mean 'semi_hard'"
    ):
        mine_triplets(COSINES, mining="semihard")
    with pytest.raises(
        RetrievalInputError, match=r"margin must be at least 0 and finite, got -0.1"
    ):
        mine_triplets(COSINES, -0.1)
    with pytest.raises(
        RetrievalInputError, match=r"same must be bool \(3, 4\), got torch.bool \(3, 3\)"
    ):
        mine_triplets(COSINES, same=torch.eye(3, dtype=torch.bool))
