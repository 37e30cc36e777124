import numpy as np
import pytest

from lib.index.from_scratch.cells import similarities
from lib.index.from_scratch.product_codes import (
    decode,
    encode,
    encode_score_aware,
    exact_parallel_weight,
    look_up,
    parallel_weight,
    query_tables,
    score_aware_loss,
    split,
    train_codebooks,
)
from tests.index.clusters import clustered
from tests.index.oracle import refused

ROWS, QUERIES = clustered(800, seed=1), clustered(20, seed=2)
BOOKS = train_codebooks(ROWS, 4, n_codes=16, iterations=6)
CODES = encode(ROWS, BOOKS)


def test_by_hand():
    books = np.array(
        [[[0.0], [1.0]], [[0.0], [10.0]]], np.float32
    )  # two pieces of one number, two codes
    codes = encode([[0.9, 2.0], [0.2, 7.0]], books)
    assert codes.tolist() == [[1, 0], [0, 1]] and codes.dtype == np.uint8
    assert decode(codes, books).tolist() == [[1.0, 0.0], [0.0, 10.0]]
    tables = query_tables([[2.0, 3.0]], books)
    assert tables.tolist() == [[[-4.0, -1.0], [-9.0, -49.0]]]
    assert look_up(tables, codes).tolist() == [[-1.0 - 9.0, -4.0 - 49.0]]


def test_pieces_lie_side_by_side():
    assert split([[1.0, 2.0, 3.0, 4.0]], 2).tolist() == [[[1.0, 2.0]], [[3.0, 4.0]]]


@pytest.mark.parametrize("metric", ["l2", "inner_product"])
def test_a_table_look_up_is_the_score_of_the_decoded_vector(metric):
    looked_up = look_up(query_tables(QUERIES, BOOKS, metric), CODES)
    np.testing.assert_allclose(
        looked_up, similarities(QUERIES, decode(CODES, BOOKS), metric), atol=1e-6
    )


@pytest.mark.parametrize("metric", ["l2", "inner_product"])
def test_equals_faiss_with_its_own_centroids(metric):
    faiss = pytest.importorskip("faiss")
    kind = {"l2": faiss.METRIC_L2, "inner_product": faiss.METRIC_INNER_PRODUCT}[metric]
    index = faiss.IndexPQ(16, 4, 6, kind)
    index.pq.cp.niter = 3
    index.train(np.tile(ROWS, (4, 1)))
    index.add(ROWS)
    books = faiss.vector_to_array(index.pq.centroids).reshape(4, 64, 4)
    # faiss packs codes of 6 bits: what they decode to is compared.
    np.testing.assert_allclose(
        decode(encode(ROWS, books), books), index.sa_decode(index.sa_encode(ROWS))
    )
    scores, ids = index.search(QUERIES, 800)
    ours = np.take_along_axis(
        look_up(query_tables(QUERIES, books, metric), encode(ROWS, books)), ids, axis=1
    )
    np.testing.assert_allclose(ours, -scores if metric == "l2" else scores, atol=1e-5)


def test_equal_codes_where_a_code_is_a_byte():
    faiss = pytest.importorskip("faiss")
    # All 256 differ: of equal ones faiss takes any, another on another processor.
    books = train_codebooks(ROWS, 4, n_codes=256, iterations=2)
    index = faiss.IndexPQ(16, 4, 8)
    faiss.copy_array_to_vector(books.ravel(), index.pq.centroids)
    index.is_trained = True
    index.add(ROWS)
    theirs = faiss.vector_to_array(index.codes).reshape(800, 4)
    assert np.array_equal(theirs, encode(ROWS, books))


def test_the_exact_weight_is_the_ratio_of_the_integrals_and_one_without_a_threshold():
    assert exact_parallel_weight(0, 256) == pytest.approx(1)
    for t, d, expected in (
        (1 / 16, 256, 2.53),
        (0.1, 256, 4.27),
        (0.2, 256, 12.57),
        (0.3, 256, 27.34),
    ):
        assert exact_parallel_weight(t, d) == pytest.approx(expected, abs=0.006)
    angles = np.linspace(0, np.arccos(0.2), 200_001)
    along, across = (
        np.trapezoid(f) for f in (np.cos(angles) ** 2 * np.sin(angles) ** 62, np.sin(angles) ** 64)
    )
    assert exact_parallel_weight(0.2, 64) == pytest.approx(63 * along / across, rel=1e-6)
    # the formula is its limit
    assert parallel_weight(0.2, 8192) == pytest.approx(exact_parallel_weight(0.2, 8192), rel=1e-2)


def test_the_weight_is_one_at_one_over_the_root_of_d():
    assert parallel_weight(1 / 16, 256) == pytest.approx(1)
    assert parallel_weight(0.2, 256) == pytest.approx(255 * 0.04 / 0.96)


def test_the_loss_by_hand():
    # r = (1, 2) for x = (3, 0): 1 along x, 2 across it.
    assert score_aware_loss([[3.0, 0.0]], [[2.0, -2.0]], 5.0).tolist() == [5.0 * 1 + 4]
    assert score_aware_loss([[3.0, 0.0]], [[2.0, -2.0]], 1.0).tolist() == [5.0]


def test_codes_of_equal_weight_are_the_plain_ones():
    assert np.array_equal(encode_score_aware(ROWS, BOOKS, 1.0), CODES)


def test_coordinate_descent_lowers_the_loss_of_every_row_and_the_error_of_high_scores():
    eta = parallel_weight(0.6, 16)
    aware = encode_score_aware(ROWS, BOOKS, eta)
    before, after = (score_aware_loss(ROWS, decode(codes, BOOKS), eta) for codes in (CODES, aware))
    assert (after <= before + 1e-9).all() and after.mean() < 0.9 * before.mean()
    exact = similarities(QUERIES, ROWS)
    high = exact >= np.partition(exact, -20, axis=1)[:, -20:-19]
    errors = [
        np.square(similarities(QUERIES, decode(c, BOOKS)) - exact)[high].mean()
        for c in (CODES, aware)
    ]
    assert errors[1] < errors[0]


def test_one_sweep_against_every_combination_of_two_small_codebooks():
    books = np.random.default_rng(0).standard_normal((2, 4, 2)).astype(np.float32)
    rows = clustered(30, dim=4, seed=5)
    every = np.stack(np.meshgrid(range(4), range(4), indexing="ij"), -1).reshape(16, 2)
    losses = np.stack(
        [score_aware_loss(rows, np.repeat(decode([c], books), 30, 0), 6.0) for c in every]
    )
    found = score_aware_loss(
        rows, decode(encode_score_aware(rows, books, 6.0, sweeps=20), books), 6.0
    )
    assert (found >= losses.min(axis=0) - 1e-9).all()
    assert (
        np.isclose(found, losses.min(axis=0)).mean() > 0.8
    )  # coordinate descent may end in a local minimum


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split(ROWS, 5), "m must divide d = 16, got 5"),
        (lambda: train_codebooks(ROWS, 4, 257), "n_codes must be at most 256, got 257"),
        (lambda: encode(ROWS[:, :8], BOOKS), "rows must have dimension 16, got 8"),
        (lambda: decode([[0, 0, 0, 16]], BOOKS), "codes must be 0 to 15, got 0 to 16"),
        (lambda: decode([[0, 0, 0]], BOOKS), "shape .n, 4., got int64 .1, 3."),
        (lambda: query_tables(QUERIES, BOOKS, "cosine"), "metric must be one of"),
        (lambda: parallel_weight(1.0, 16), "threshold .* must be between 0 and 1 .*got 1.0"),
        (
            lambda: encode_score_aware(ROWS, BOOKS, -1.0),
            "eta must be a finite number of at least 0, got -1.0",
        ),
        (lambda: encode_score_aware(0 * ROWS, BOOKS, 2.0), "rows has only zeros in row 0"),
    ],
)
def test_bad_input(call, message):
    with refused(message):
        call()
