from itertools import product

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.index import METRICS, exact, exact_filters, topk_exact
from lib.index.exact import Gallery
from lib.index.exact_filters import FloatFilter, Int8Filter, int8_products_are_fast
from lib.index.exact_scores import prepare
from tests.index.oracle import assert_same, refused, topk

every_metric = pytest.mark.parametrize("metric", METRICS)


@pytest.fixture(autouse=True, scope="module")
def filters_always():
    """Small inputs take the way of large ones, which has more to get wrong."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "FEW_PRODUCTS", 0)
        yield


@pytest.fixture
def int8_filter_always(monkeypatch):
    """Small inputs take the way of large ones."""
    monkeypatch.setattr(exact, "INT8_ITEMS", 1)
    monkeypatch.setattr(exact, "QUANTISE_FOR", 1)
    monkeypatch.setattr(exact, "INT8_DIMENSIONS", range(2, 2**16))


def test_by_hand():
    gallery = [[1, 0], [0, 1], [1, 1], [-1, 0], [2, 0]]
    scores, ids = topk_exact([[1, 0]], gallery, 3, "inner_product")
    assert ids.tolist() == [[4, 0, 2]] and scores.tolist() == [[2, 1, 1]]
    scores, ids = topk_exact([[1, 0]], gallery, 3, "cosine")
    assert ids.tolist() == [[0, 4, 2]] and scores[0, :2].tolist() == [1, 1]
    scores, ids = topk_exact([[1, 0]], gallery, 4, "l2")
    assert ids.tolist() == [[0, 2, 4, 1]] and scores.tolist() == [[0, -1, -1, -2]]


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(METRICS),
    st.sampled_from([np.float32, np.float64, np.int8]),
)
def test_small_integers_tie_everywhere_and_go_by_id(seed, metric, dtype):
    rng = np.random.default_rng(seed)
    n_queries, n_items, dim = rng.integers(1, 9), rng.integers(1, 130), rng.integers(1, 12)
    queries, gallery = (rng.integers(-2, 3, (n, dim)) for n in (n_queries, n_items))
    if metric == "cosine":
        queries[~queries.any(axis=1), 0] = gallery[~gallery.any(axis=1), 0] = 1
    k = int(
        rng.integers(1, n_items + 1) if rng.random() < 0.4 else rng.integers(1, min(n_items, 6) + 1)
    )
    sizes = {"block": int(rng.integers(1, n_items + 3)), "query_block": int(rng.integers(1, 12))}
    found = topk_exact(queries.astype(dtype), gallery.astype(dtype), k, metric, **sizes)
    if metric == "cosine" and dtype != np.int8:
        # Float rows are rounded to float32 when they are normalised, so only ids of clear winners
        # must agree.
        expected = topk(queries, gallery, k, metric)
        np.testing.assert_allclose(found[0], expected[0], atol=2e-7)
        assert_same(found, topk_exact(queries.astype(dtype), gallery.astype(dtype), k, metric))
    else:
        assert_same(found, topk(queries, gallery, k, metric))


def test_few_products_are_scored_without_a_filter_and_give_the_same(monkeypatch):
    rng, aimed, differ = np.random.default_rng(0), [], []
    aim = FloatFilter.aim
    monkeypatch.setattr(
        FloatFilter, "aim", lambda self, queries: aimed.append(1) or aim(self, queries)
    )
    for metric, dtype, n_queries in product(METRICS, (np.float32, np.int8), (1, 2, 9)):
        queries, gallery = (rng.integers(1, 5, (n, 32)).astype(dtype) for n in (n_queries, 400))
        for k, block in ((1, None), (10, None), (10, 90), (400, None)):
            found = {}
            for few in (0, 2**18):
                monkeypatch.setattr(exact, "FEW_PRODUCTS", few)
                aimed.clear()
                found[few] = topk_exact(queries, gallery, k, metric, block=block)
                assert bool(aimed) == (few == 0)
            if any((one != other).any() for one, other in zip(*found.values())):
                differ.append((metric, dtype, n_queries, k, block))
    assert differ == []


@every_metric
@pytest.mark.parametrize("n_items, k", [(3000, 7), (3000, 100), (2049, 1), (1030, 1030), (40, 40)])
@pytest.mark.usefixtures("int8_filter_always")
def test_duplicates_on_both_sides_of_the_cut_off(metric, n_items, k):
    rng = np.random.default_rng(n_items)
    different = rng.standard_normal((n_items // 4, 33)).astype(np.float32)
    gallery = different[rng.integers(len(different), size=n_items)]
    queries = gallery[:20] + rng.standard_normal((20, 33)).astype(np.float32)
    expected = reference(queries, gallery, k, metric)
    ties = expected[0][:, 1:] == expected[0][:, :-1]
    assert k == 1 or ties.any(axis=1).all()
    for sizes in (
        {},
        {"block": 97},
        {"block": 1000, "query_block": 3},
        {"block": 8, "query_block": 1},
    ):
        if sizes.get("block") != 8 or n_items < 100:
            assert_same(topk_exact(queries, gallery, k, metric, **sizes), expected)


def reference(queries, gallery, k, metric):
    """One stable sort of all scores in their defined order; scores themselves are tested in
    test_scores.
    """
    from lib.index.exact_scores import prepare, score_block

    scores = score_block(prepare(queries, "q", metric), prepare(gallery, "x", metric), metric)
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, ids, axis=1), ids


@every_metric
@pytest.mark.usefixtures("int8_filter_always")
@pytest.mark.parametrize(
    "make",
    [
        lambda rng: rng.standard_normal((5000, 40)) + 8 * rng.standard_normal(40),
        lambda rng: np.sort(rng.standard_normal((5000, 40)), axis=0),  # ever better items
        lambda rng: np.sort(rng.standard_normal((5000, 40)), axis=0)[::-1].copy(),
        lambda rng: np.tile(rng.standard_normal((1, 40)), (5000, 1)),
        lambda rng: rng.standard_normal((5000, 40)) * np.exp(2 * rng.standard_normal((5000, 1))),
        lambda rng: (
            np.tile(rng.standard_normal((1, 40)), (5000, 1))
            + 1e-7 * rng.standard_normal((5000, 40))
        ),
        lambda rng: (
            (rng.random((5000, 40)) < 0.03) + np.eye(5000, 40)
        ),  # words: most products are 0
    ],
    ids=["cone", "ascending", "descending", "constant", "norms", "collapsed", "words"],
)
def test_hard_galleries(metric, make):
    rng = np.random.default_rng(7)
    gallery = make(rng).astype(np.float32)
    gallery[~gallery.any(axis=1), 0] = 1
    queries = np.abs(rng.standard_normal((30, 40))).astype(np.float32)
    expected = reference(queries, gallery, 10, metric)
    assert_same(topk_exact(queries, gallery, 10, metric), expected)
    assert_same(topk_exact(queries, gallery, 10, metric, block=700), expected)


@every_metric
def test_against_faiss(metric):
    # Without ties: of two equal rows at the cut-off faiss may keep the larger id.
    rng = np.random.default_rng(11)
    gallery, queries = (rng.standard_normal((n, 24)).astype(np.float32) for n in (5000, 50))
    index = faiss.IndexFlatL2(24) if metric == "l2" else faiss.IndexFlatIP(24)
    unit = (
        (lambda x: x / np.linalg.norm(x, axis=1, keepdims=True))
        if metric == "cosine"
        else (lambda x: x)
    )
    index.add(unit(gallery))
    theirs, ids = index.search(unit(queries), 10)
    scores, found = topk_exact(queries, gallery, 10, metric)
    np.testing.assert_array_equal(found, ids)
    np.testing.assert_allclose(scores, -theirs if metric == "l2" else theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not int8_products_are_fast(), reason="this processor multiplies no int8")
def test_int8_codes_change_nothing(monkeypatch):
    rng = np.random.default_rng(5)
    gallery, queries = (rng.standard_normal((n, 64)).astype(np.float32) for n in (20_000, 600))
    used = []
    monkeypatch.setattr(
        exact_filters, "Int8Filter", lambda items, make=Int8Filter: used.append(1) or make(items)
    )
    with_codes = topk_exact(queries, gallery, 10)
    assert used
    monkeypatch.setattr(exact_filters, "int8_products_are_fast", lambda: False)
    assert_same(topk_exact(queries, gallery, 10), with_codes)


@every_metric
@pytest.mark.usefixtures("int8_filter_always")
def test_neither_blocks_nor_threads_nor_company_change_a_bit(metric):
    rng = np.random.default_rng(13)
    gallery, queries = (rng.standard_normal((n, 50)).astype(np.float32) for n in (1500, 40))
    expected = topk_exact(queries, gallery, 9, metric)
    for block in (3, 7, 64, 1499, 10_000):
        few = slice(None) if block > 3 else slice(2)
        found = topk_exact(queries[few], gallery, 9, metric, block=block)
        assert_same(found, (expected[0][few], expected[1][few]))
    for query in (0, 39):
        found = topk_exact(queries[query : query + 1], gallery, 9, metric)
        assert_same(found, (expected[0][query : query + 1], expected[1][query : query + 1]))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2 if threads == 1 else 1)
        assert_same(topk_exact(queries, gallery, 9, metric), expected)
    finally:
        torch.set_num_threads(threads)


@every_metric
@pytest.mark.parametrize(
    "name, value", [("LARGEST_QUEUE", 0), ("SETTLE_AGAIN", 1), ("SETTLE_AGAIN", 100)]
)
def test_when_survivors_are_scored_changes_nothing(metric, name, value, monkeypatch):
    rng = np.random.default_rng(43)
    gallery, queries = (rng.integers(-3, 4, (n, 20)).astype(np.int8) for n in (3000, 25))
    expected = topk_exact(queries, gallery, 9, metric)
    monkeypatch.setattr(exact, name, value)
    assert_same(topk_exact(queries, gallery, 9, metric, block=200), expected)


@every_metric
def test_the_order_of_the_gallery_only_renames(metric):
    rng = np.random.default_rng(17)
    gallery, queries = (rng.standard_normal((n, 16)) for n in (700, 12))
    order = rng.permutation(700)
    scores, ids = topk_exact(queries, gallery, 5, metric)
    shuffled_scores, shuffled_ids = topk_exact(queries, gallery[order], 5, metric)
    np.testing.assert_array_equal(shuffled_scores, scores)
    np.testing.assert_array_equal(order[shuffled_ids], ids)


def test_cosine_forgets_scale():
    rng = np.random.default_rng(19)
    gallery, queries = rng.standard_normal((300, 16)), rng.standard_normal((8, 16))
    scores, ids = topk_exact(queries, gallery, 5)
    scaled_scores, scaled_ids = topk_exact(queries * 7, gallery * rng.uniform(0.1, 10, (300, 1)), 5)
    np.testing.assert_array_equal(scaled_ids, ids)
    np.testing.assert_allclose(scaled_scores, scores, atol=1e-6)


def test_a_vector_finds_itself_at_distance_zero():
    x = np.random.default_rng(23).standard_normal((200, 32)).astype(np.float32) * 100
    scores, ids = topk_exact(x, x, 1, "l2")
    assert (
        ids[:, 0].tolist() == list(range(200)) and not scores.any() and not np.signbit(scores).any()
    )


def test_tensors_lists_and_halves_are_taken():
    x = np.random.default_rng(29).integers(-9, 10, (40, 8))
    expected = topk(x[:5], x, 3, "inner_product")
    for form in (
        torch.from_numpy(x).float(),
        torch.from_numpy(x).bfloat16(),
        x.tolist(),
        x.astype(np.float16),
    ):
        assert_same(topk_exact(form[:5], form, 3, "inner_product"), expected)


def test_float_queries_search_an_int8_gallery():
    rng = np.random.default_rng(31)
    gallery = rng.integers(-127, 128, (500, 16)).astype(np.int8)
    queries = rng.standard_normal((6, 16)).astype(np.float32)
    for metric in METRICS:
        scores, ids = topk_exact(queries, gallery, 4, metric)
        expected = topk(queries, gallery, 4, metric)
        np.testing.assert_array_equal(ids, expected[1])
        np.testing.assert_allclose(scores, expected[0], rtol=1e-6)


def test_no_queries_find_nothing():
    scores, ids = topk_exact(np.empty((0, 4)), np.ones((3, 4)), 2)
    assert scores.shape == ids.shape == (0, 2)


@pytest.mark.usefixtures("int8_filter_always")
def test_the_full_matrix_never_exists(monkeypatch):
    monkeypatch.setattr(exact, "CELLS", 4096)
    cells = []
    aim = FloatFilter.aim

    def spy(self, queries):
        probe = aim(self, queries)
        product = probe.product
        probe.product = lambda start, stop, out: (
            cells.append(out.numel()),
            product(start, stop, out),
        )
        return probe

    monkeypatch.setattr(FloatFilter, "aim", spy)
    monkeypatch.setattr(exact_filters, "int8_products_are_fast", lambda: False)
    rng = np.random.default_rng(37)
    gallery, queries = rng.standard_normal((4000, 8)), rng.standard_normal((50, 8))
    topk_exact(queries, gallery, 5)
    assert (
        sum(cells) == 4000 * 50 and max(cells) <= exact.FIRST_BLOCKS * 4096
    )  # the first block is larger


@pytest.mark.parametrize(
    "change, message",
    [
        ({"k": 0}, "k must be at least 1, got 0"),
        ({"k": 6}, "k must be between 1 and 5"),
        ({"k": 2.0}, "k must be a whole number"),
        ({"queries": np.ones((2, 4))}, "queries must have dimension 3, got 4"),
        ({"queries": np.ones(3)}, r"queries\[None, :\]"),
        ({"queries": [[1, np.nan, 0]]}, "queries has the value nan in row 0, column 1"),
        (
            {"gallery": np.r_[np.ones((4, 3)), [[1, 1, np.inf]]]},
            "gallery has the value inf in row 4, column 2",
        ),
        ({"gallery": np.r_[np.ones((3, 3)), np.zeros((1, 3))]}, "gallery has only zeros in row 3"),
        ({"queries": np.zeros((1, 3), np.int8)}, "queries has only zeros in row 0"),
        ({"gallery": np.ones((0, 3))}, "gallery is empty"),
        ({"metric": "cosin"}, "metric must be one of .*Did you mean 'cosine'"),
        ({"block": 0}, "block must be at least 1"),
        ({"query_block": -1}, "query_block must be at least 1"),
    ],
)
def test_bad_input_is_named(change, message):
    good = {"queries": np.ones((2, 3)), "gallery": np.ones((5, 3)), "k": 2}
    with refused(message):
        topk_exact(**{**good, **change})


@pytest.mark.skipif(not int8_products_are_fast(), reason="this processor has no fast int8 product")
def test_single_queries_use_codes_once_they_add_up(monkeypatch):
    monkeypatch.setattr(exact, "INT8_ITEMS", 1)
    rng = np.random.default_rng(41)
    rows, asked = rng.standard_normal((500, 40)), rng.standard_normal((6, 40))
    gallery = Gallery(prepare(rows, "gallery", "cosine"), "cosine", quantise_for=3)
    queries = prepare(asked, "queries", "cosine")
    expected = topk(asked, rows, 7, "cosine")[1]
    kept = []
    for row in range(6):
        np.testing.assert_array_equal(gallery.topk(queries.take([row]), 7)[1][0], expected[row])
        kept.append("int8_filter" in vars(gallery))
    assert kept == [False, False, True, True, True, True]
