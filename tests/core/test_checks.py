import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lib.core.checks import (
    RetrievalInputError,
    as_embeddings,
    as_real_matrix,
    check_choice,
    check_count,
    check_k,
    unit_rows,
    whole_number_of,
)


@pytest.mark.parametrize(
    "x",
    [
        [[1, 2], [3, 4]],
        np.array([[1, 2], [3, 4]], np.int8),
        np.array([[1, 2], [3, 4]], np.uint64),
        np.array([[1, 2], [3, 4]], np.float16),
        np.asfortranarray([[1.0, 2.0], [3.0, 4.0]]),
        torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True),
        torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.bfloat16),
    ],
    ids=["lists", "int8", "uint64", "float16", "fortran", "gradient", "bfloat16"],
)
def test_anything_numeric_becomes_contiguous_float32(x):
    rows = as_embeddings(x, "x")
    assert rows.dtype == np.float32 and rows.flags.c_contiguous
    assert rows.tolist() == [[1, 2], [3, 4]]


def test_good_input_is_not_copied():
    x = np.ones((3, 2), np.float32)
    assert as_embeddings(x, "x") is x


@pytest.mark.parametrize("value, shown", [(np.nan, "nan"), (-np.inf, "-inf"), (1e39, "1e\\+39")])
def test_a_value_that_is_not_finite_in_float32_is_named_with_its_place(value, shown):
    x = np.zeros((5, 4))
    x[3, 1] = value
    with pytest.raises(
        RetrievalInputError, match=rf"queries has the value {shown} in row 3, column 1"
    ):
        as_embeddings(x, "queries")


def test_finite_values_whose_sum_overflows_are_welcome():
    x = np.full((4, 4), 3e38, np.float32)
    assert as_embeddings(x, "x") is x


@pytest.mark.parametrize(
    "x, message",
    [
        (np.ones(3), r"got \(3,\).*x\[None, :\]"),
        (np.ones((1, 2, 3)), r"\(rows, dimension\), got \(1, 2, 3\)"),
        (np.ones((2, 2), complex), "got complex128"),
        (np.ones((2, 2), bool), "got bool"),
        (torch.ones(2, 2, dtype=torch.bool), "got bool"),
        ([["a", "b"]], "got <U1"),
        ([[None, 1]], "got object"),
        ([[1, 2], [3]], "x must be an array of numbers"),
        (np.ones((0, 2)), r"x is empty: its shape is \(0, 2\)"),
        (np.ones((2, 0)), "x is empty"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused(x, message):
    with pytest.raises(RetrievalInputError, match=message):
        as_embeddings(x, "x")


def test_the_expected_dimension_is_said():
    with pytest.raises(
        RetrievalInputError, match=r"x must have dimension 4, got 3 \(its shape is \(2, 3\)\)"
    ):
        as_embeddings(np.ones((2, 3)), "x", dim=4)


def test_no_rows_pass_where_they_mean_something():
    assert as_embeddings(np.ones((0, 2)), "x", allow_empty=True).shape == (0, 2)
    with pytest.raises(RetrievalInputError, match="empty"):  # no dimension never means anything
        as_embeddings(np.ones((0, 0)), "x", allow_empty=True)


def test_real_matrix_keeps_the_dtype():
    assert as_real_matrix(torch.ones(2, 3, dtype=torch.int8), "x").dtype == np.int8


def test_unit_rows_by_hand():
    np.testing.assert_allclose(unit_rows([[3, 4], [0, -2]], "x"), [[0.6, 0.8], [0, -1]], rtol=1e-7)


def test_unit_rows_neither_overflow_nor_underflow():
    huge, tiny = unit_rows([[3e30, 4e30], [3e-30, 4e-30]], "x")
    np.testing.assert_allclose(huge, [0.6, 0.8], rtol=1e-6)
    np.testing.assert_allclose(tiny, [0.6, 0.8], rtol=1e-6)


def test_a_zero_row_has_no_direction():
    with pytest.raises(RetrievalInputError, match="gallery has only zeros in row 2.*inner_product"):
        unit_rows(np.array([[1, 0], [0, 1], [0, 0], [0, 0]]), "gallery")


@settings(deadline=None)
@given(hnp.arrays(np.float32, (3, 5), elements=st.floats(1, 100, width=32)), st.floats(0.01, 100))
def test_unit_rows_have_length_one_and_forget_scale(x, scale):
    rows = unit_rows(x, "x")
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(unit_rows(x * scale, "x"), rows, rtol=1e-5)


@pytest.mark.parametrize("k", [1, 7, np.int64(3), np.uint8(2)])
def test_k_within_the_gallery(k):
    assert check_k(k, 7) == k and type(check_k(k, 7)) is int


@pytest.mark.parametrize(
    "k, message",
    [
        (0, "k must be at least 1, got 0"),
        (-3, "k must be at least 1, got -3"),
        (8, r"k must be between 1 and 7 \(the gallery\), got 8"),
        (True, "k must be a whole number, got True"),
        (np.True_, "k must be a whole number"),
        (2.0, "k must be a whole number, got 2.0"),
        ("3", "k must be a whole number, got '3'"),
        (None, "k must be a whole number, got None"),
    ],
)
def test_k_that_cannot_be(k, message):
    with pytest.raises(RetrievalInputError, match=message):
        check_k(k, 7)


def test_count_names_its_argument():
    with pytest.raises(RetrievalInputError, match="n_resamples must be at least 1"):
        check_count(0, "n_resamples")
    assert check_count(0, "rerank", least=0) == 0
    with pytest.raises(RetrievalInputError, match="rerank must be at least 0, got -1"):
        check_count(-1, "rerank", least=0)


def test_choice():
    assert check_choice("l2", ("cosine", "l2"), "metric") == "l2"


@pytest.mark.parametrize(
    "value, message",
    [
        ("cosin", "metric must be one of 'cosine', 'l2'; got 'cosin'. Did you mean 'cosine'\\?"),
        ("COSINE", "Did you mean 'cosine'"),
        ("dot", r"got 'dot'\.$"),
        (None, r"got None\.$"),
        (["l2"], "got "),
    ],
)
def test_choice_lists_what_is_known_and_guesses(value, message):
    with pytest.raises(RetrievalInputError, match=message):
        check_choice(value, ("cosine", "l2"), "metric")


def test_of_many_names_the_error_shows_the_nearest():
    with pytest.raises(
        RetrievalInputError,
        match=(
            "one of 100 names, the nearest are 'model-7', .*; got 'Model-7'. Did you mean 'model-7'"
        ),
    ):
        check_choice("Model-7", [f"model-{i}" for i in range(100)], "model")


@pytest.mark.parametrize(
    "x, message",
    [
        (np.ma.masked_equal([[1, 2], [3, 4]], 2), "1 hidden"),
        ([np.ma.masked_equal([1, 2], 2), [3, 4]], r"x\[0\] must not hide values"),
        (torch.eye(2).to_sparse(), "sparse tensor.*to_dense"),
        (torch.ones(2, 2, device="meta"), "meta device"),
        ({0: [1, 2]}, "got dict"),
        ({1, 2}, "got set"),
        (iter([[1, 2]]), "got list_iterator"),
        ("12", "got str"),
        (np.ones((2, 2), complex), "got complex128"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_numpy_would_misread_is_refused(x, message):
    with pytest.raises(RetrievalInputError, match=message):
        as_embeddings(x, "x")


def test_a_mask_that_hides_nothing_is_no_mask():
    assert as_embeddings(np.ma.array([[1.0, 2.0]], mask=False), "x").tolist() == [[1, 2]]


def test_whole_numbers_in_texts():
    texts = ["0", "007", "9" * 9, "9" * 10, "9" * 5000, "-1", "1.0", "", " 1", "\u0663", "\u00b2"]
    found = [whole_number_of(text) for text in texts]
    assert found == [0, 7, 999_999_999, *[None] * 8]
