import numpy as np
import pytest

from lib.index import topk_exact
from lib.index.from_scratch.hyperplanes import (
    bucket_keys,
    collision_probability,
    draw_frame,
    draw_hyperplanes,
    hamming,
    hit_probability,
    search_buckets,
    signatures,
)
from tests.index.clusters import clustered, unit
from tests.index.oracle import refused

ROWS, QUERIES = clustered(500, seed=1), clustered(20, seed=2)


def test_by_hand():
    planes = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], np.float32)
    codes = signatures([[1.0, -2.0], [-1.0, 3.0]], planes)
    assert codes.tolist() == [[0b001], [0b110]]
    assert hamming(codes, codes).tolist() == [[0, 3], [3, 0]]


@pytest.mark.parametrize("n_bits", [16, 96])
def test_equals_faiss_with_its_own_hyperplanes(n_bits):
    faiss = pytest.importorskip("faiss")
    index = faiss.IndexLSH(16, n_bits, True, False)
    index.train(ROWS)
    index.add(ROWS)
    planes = faiss.vector_to_array(index.rrot.A).reshape(n_bits, 16)
    codes = signatures(ROWS, planes)
    assert np.array_equal(codes, faiss.vector_to_array(index.codes).reshape(500, -1))
    distances, ids = index.search(QUERIES, 500)
    ours = np.take_along_axis(hamming(signatures(QUERIES, planes), codes), ids, axis=1)
    assert np.array_equal(ours, distances)


def test_collisions_follow_the_angle():
    planes = draw_hyperplanes(3, 20_000, seed=4)
    for cosine in (-0.5, 0.0, 0.3, 0.9):
        pair = np.array([[1, 0, 0], [cosine, np.sqrt(1 - cosine**2), 0]], np.float32)
        one, two = signatures(pair, planes)
        equal = 1 - hamming(one[None], two[None])[0, 0] / 20_000
        assert equal == pytest.approx(
            collision_probability(cosine), abs=0.012
        )  # > 3 standard errors


def test_probabilities_by_hand():
    assert collision_probability([1.0, 0.0, -1.0]).tolist() == [1.0, 0.5, 0.0]
    assert hit_probability(0.0, bits=2, tables=2) == pytest.approx(1 - (1 - 0.25) ** 2)


def test_buckets_spell_their_bits():
    planes = np.array(
        [[[1.0, 0.0], [0.0, 1.0]], [[-1.0, 0.0], [1.0, 1.0]]], np.float32
    )  # 2 tables of 2 bits
    assert bucket_keys([[1.0, -2.0], [1.0, 2.0]], planes).tolist() == [[0b01, 0b00], [0b11, 0b10]]


def test_candidates_are_those_who_share_a_bucket():
    planes = draw_hyperplanes(16, 4 * 6).reshape(4, 6, 16)
    scores, ids, scored = search_buckets(QUERIES, ROWS, planes, 5)
    share = (bucket_keys(QUERIES, planes)[:, None] == bucket_keys(ROWS, planes)[None]).any(axis=2)
    assert np.array_equal(scored, share.sum(axis=1))
    everything = np.where(share, QUERIES @ ROWS.T, -np.inf)
    np.testing.assert_allclose(scores, -np.sort(-everything, axis=1)[:, :5], atol=1e-6)
    assert all(share[query, item] for query, row in enumerate(ids) for item in row if item >= 0)


def test_one_bucket_for_all_is_exact_search():
    planes = np.zeros((1, 1, 16), np.float32)  # 0 >= 0: everybody on the same side
    scores, ids, scored = search_buckets(QUERIES, ROWS, planes, 5)
    expected = topk_exact(QUERIES, ROWS, 5, "inner_product")
    assert (
        np.array_equal(scores, expected[0])
        and np.array_equal(ids, expected[1])
        and (scored == 500).all()
    )


def test_the_share_of_found_pairs_follows_the_s_curve():
    rng = np.random.default_rng(0)
    one = unit(rng.standard_normal((2000, 8)))
    across = unit(rng.standard_normal((2000, 8)))
    across = unit(across - (across * one).sum(axis=1, keepdims=True) * one)
    two = 0.8 * one + 0.6 * across  # every pair has cosine 0.8
    shared = np.zeros(2000)
    for seed in range(5):
        planes = draw_hyperplanes(8, 3 * 8, seed=seed).reshape(3, 8, 8)
        shared += (bucket_keys(one, planes) == bucket_keys(two, planes)).any(axis=1)
    assert shared.mean() / 5 == pytest.approx(hit_probability(0.8, bits=8, tables=3), abs=0.04)


def test_an_empty_bucket_finds_nothing():
    planes = np.array([[[1.0]]], np.float32)
    scores, ids, scored = search_buckets([[-1.0]], [[1.0], [2.0]], planes, 1)
    assert ids.tolist() == [[-1]] and scores.tolist() == [[-np.inf]] and scored.tolist() == [0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw_hyperplanes(8, 0), "n_bits must be at least 1"),
        (lambda: signatures(ROWS, draw_hyperplanes(8, 4)), "rows must have dimension 8, got 16"),
        (
            lambda: hamming(np.zeros((1, 2), np.uint8), np.zeros((1, 3), np.uint8)),
            "one length, got ..2,., .3,.. bytes",
        ),
        (lambda: collision_probability([0.5, 1.5]), "between -1 and 1, got 1.5"),
        (
            lambda: bucket_keys(ROWS, np.zeros((1, 63, 16))),
            "bits of a bucket must be at most 62, got 63",
        ),
    ],
)
def test_bad_input(call, message):
    with refused(message):
        call()


def test_a_frame_is_orthogonal_up_to_d_and_tight_beyond():
    few, many = draw_frame(8, 5, seed=1), draw_frame(8, 20, seed=1)
    np.testing.assert_allclose(few @ few.T, np.eye(5), atol=1e-5)
    np.testing.assert_allclose(many.T @ many, np.eye(8), atol=1e-5)
    assert few.shape == (5, 8) and many.shape == (20, 8)


def test_many_planes_of_few_dimensions_are_drawn_and_more_than_fit_are_refused():
    assert draw_hyperplanes(2, 64_000).shape == (
        64_000,
        2,
    )  # 1,000 codes of 64 bits, as notebook 16 draws
    for make in (draw_hyperplanes, draw_frame):
        with refused("n_bits must be at most"):
            make(2**15, 2**16)
