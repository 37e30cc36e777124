"""Validation that all losses share; what each of them validates itself is in its own tests."""

import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.losses.inputs import (
    check_finite,
    check_mask,
    check_not_negative,
    check_pairs,
    check_positive,
    cosines,
    count_positives,
    wide_dtype,
)


def test_accepts_pairs_and_more_keys_than_queries():
    check_pairs(torch.ones(2, 3), torch.ones(2, 3), square=True)
    check_pairs(torch.ones(2, 3), torch.ones(5, 3))


@pytest.mark.parametrize(
    ("query", "key", "message"),
    [
        (
            torch.ones(3),
            torch.ones(4, 3),
            r"expected \(B, d\) and \(M, d\).*\(3,\) and key_emb \(4, 3\)",
        ),
        (torch.ones(4, 3), torch.ones(4, 2), r"query_emb \(4, 3\) and key_emb \(4, 2\)"),
        (torch.ones(4, 3), torch.ones(4, 3, dtype=torch.int64), r"floating point.*int64.*\(4, 3\)"),
        (torch.ones(1, 3), torch.ones(4, 3), r"at least 2 pairs.*query_emb \(1, 3\)"),
        (torch.ones(0, 3), torch.ones(0, 3), "at least 2 pairs"),
        (
            torch.ones(4, 3),
            torch.ones(3, 3),
            r"every query needs its own key, got query_emb \(4, 3\)",
        ),
    ],
)
def test_refuses_what_is_not_a_batch_of_pairs(query, key, message):
    with pytest.raises(RetrievalInputError, match=message):
        check_pairs(query, key)


def test_refuses_more_keys_where_keys_look_for_queries():
    with pytest.raises(
        RetrievalInputError, match=r"as many keys as queries.*\(2, 3\) and key_emb \(3, 3\)"
    ):
        check_pairs(torch.ones(2, 3), torch.ones(3, 3), square=True)


@pytest.mark.parametrize("check", [check_finite, check_positive, check_not_negative])
def test_numbers(check):
    check(0.2, "margin")
    for wrong, message in [
        (float("nan"), "finite, got nan"),
        (float("inf"), "finite, got inf"),
        (torch.ones(2), r"one number, got shape \(2,\)"),
        ("wide", "a number, got 'wide'"),
        ("0.2", "a number, got '0.2'"),
        (True, "a number, got True"),
    ]:
        with pytest.raises(RetrievalInputError, match=f"margin must be .*{message}"):
            check(wrong, "margin")


def test_signs():
    check_finite(-10.0, "bias")
    check_not_negative(0.0, "margin")
    with pytest.raises(RetrievalInputError, match="at least 0 and finite, got -0.2"):
        check_not_negative(-0.2, "margin")
    for wrong in (0.0, -1.0):
        with pytest.raises(RetrievalInputError, match=f"positive and finite, got {wrong}"):
            check_positive(wrong, "temperature")


def test_eight_bits_are_refused():
    rows = torch.ones(2, 3).to(torch.float8_e4m3fn)
    with pytest.raises(RetrievalInputError, match=r"query_emb is torch.float8_e4m3fn; give"):
        check_pairs(rows, rows)


def test_masks():
    right = torch.tensor([[True, True], [False, True]])
    check_mask(right, (2, 2), "same")
    with pytest.raises(
        RetrievalInputError, match=r"same must be bool \(2, 3\), got torch.bool \(2, 2\)"
    ):
        check_mask(right, (2, 3), "same")
    with pytest.raises(RetrievalInputError, match="same must be bool .* got torch.int64"):
        check_mask(right.long(), (2, 2), "same")
    assert count_positives(right, "query").tolist() == [2, 1]
    with pytest.raises(RetrievalInputError, match=r"\(2, 2\) marks nothing as right for key 1"):
        count_positives(torch.tensor([[True, True], [False, False]]), "key")


def test_dot_products_are_as_wide_as_the_widest_and_never_half():
    half, single, double = (
        torch.ones(2, 3, dtype=dtype) for dtype in (torch.bfloat16, torch.float32, torch.float64)
    )
    assert wide_dtype(half, half) == wide_dtype(half, single) == torch.float32
    assert wide_dtype(half, double) == torch.float64
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert cosines(half, half).dtype == torch.float32
