import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError, unit_rows
from lib.metrics import Qrels, counting, ranks_in_scores, ranks_of_relevant

TIES = ("pessimistic", "optimistic", "expected", "id")


def some(seed, n_queries=7, n_items=23, d=5, share=0.15):
    rng = np.random.default_rng(seed)
    # Small whole numbers: inner products are exact in every precision, and many tie.
    queries, gallery = rng.integers(-2, 3, (n_queries, d)), rng.integers(-2, 3, (n_items, d))
    queries[:, 0], gallery[:, 0] = 1, 1
    relevant = rng.random((n_queries, n_items)) < share
    relevant[np.arange(n_queries), rng.integers(n_items, size=n_queries)] = True
    return queries, gallery, Qrels.from_pairs(*np.nonzero(relevant), shape=relevant.shape)


def same(a, b):
    return all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in ("above", "tied", "before")
    )


@settings(deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 9),
    st.integers(1, 30),
    st.sampled_from(["f4", "f8", "i1"]),
)
def test_counts_are_those_of_the_whole_matrix_for_any_block(
    seed, query_block, gallery_block, dtype
):
    queries, gallery, qrels = some(seed)
    expected = ranks_in_scores(queries @ gallery.T, qrels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "GALLERY_BLOCK", gallery_block)
        actual = ranks_of_relevant(
            queries.astype(dtype),
            gallery.astype(dtype),
            qrels,
            metric="inner_product",
            query_block=query_block,
        )
    assert same(actual, expected)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_first_ranks_need_only_the_best_relevant_items(seed):
    queries, gallery, qrels = some(seed, share=0.4)
    every = ranks_of_relevant(queries, gallery, qrels, metric="inner_product")
    first = ranks_of_relevant(queries, gallery, qrels, metric="inner_product", which="first")
    assert first.qrels.items.size <= qrels.items.size
    assert first.tie_share == every.tie_share
    for ties in TIES:
        assert (first.first_rank(ties) == every.first_rank(ties)).all()
        assert (first.hit_rate_at_k(3, ties) == every.hit_rate_at_k(3, ties)).all()
        assert (first.reciprocal_rank(ties=ties) == every.reciprocal_rank(ties=ties)).all()


@pytest.mark.parametrize("crowded", [0, 1])
def test_both_ways_to_settle_what_float32_cannot(monkeypatch, crowded):
    monkeypatch.setattr(counting, "CROWDED", crowded)
    rng = np.random.default_rng(0)
    base = rng.normal(size=128)
    gallery = base + 1e-6 * rng.normal(size=(60, 128))  # scores differ in the seventh digit
    gallery[30:40] = gallery[:10]
    queries = base + rng.normal(size=(20, 128))
    qrels = Qrels.from_pairs(np.arange(20), np.arange(20), shape=(20, 60))
    exact = unit_rows(queries, "q").astype(float) @ unit_rows(gallery, "g").astype(float).T
    ranks = ranks_of_relevant(queries, gallery, qrels)
    np.testing.assert_array_equal(
        ranks.tied, [2] * 10 + [1] * 10
    )  # the ten copies, and nothing else
    own = exact[np.arange(20), np.arange(20)][:, None]
    np.testing.assert_array_equal(ranks.above, (exact > own + 1e-14).sum(axis=1))


def test_copies_tie_wherever_they_are_in_the_gallery():
    rng = np.random.default_rng(1)
    queries, one = rng.normal(size=(9, 67)), rng.normal(size=(1, 67))
    gallery = np.repeat(one, 5000, axis=0)  # more than two blocks: a collapsed model
    ranks = ranks_of_relevant(
        queries, gallery, Qrels.from_pairs(range(9), range(0, 4500, 500), shape=(9, 5000))
    )
    assert (ranks.tied == 5000).all() and (ranks.above == 0).all()
    assert ranks.before.tolist() == list(range(0, 4500, 500))
    assert ranks.hit_rate_at_k(10).mean() == 0 and ranks.hit_rate_at_k(10, "optimistic").mean() == 1
    assert ranks.hit_rate_at_k(10, "expected") == pytest.approx(10 / 5000)


def test_cosine_ignores_length_and_the_inner_product_does_not():
    queries, gallery = np.array([[1.0, 0]]), np.array([[1.0, 0.1], [9, 9]])
    qrels = Qrels.from_pairs([0], [0], shape=(1, 2))
    assert ranks_of_relevant(queries, gallery, qrels).ranks().tolist() == [1]
    assert ranks_of_relevant(queries, gallery, qrels, metric="inner_product").ranks().tolist() == [
        2
    ]


def test_queries_without_relevant_items():
    queries, gallery, _ = some(0)
    qrels = Qrels.from_pairs([3], [5], shape=(7, 23))
    with pytest.raises(
        RetrievalInputError, match=r"query 0 has no relevant item \(and 5 more queries\)"
    ):
        ranks_of_relevant(queries, gallery, qrels)
    for which in ("all", "first"):
        ranks = ranks_of_relevant(queries, gallery, qrels, which=which, no_relevant="zero")
        assert np.isfinite(ranks.first_rank()).tolist() == [False] * 3 + [True] + [False] * 3


NAN = np.where(np.eye(23, 5, k=-4), np.nan, 1.0)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"gallery": NAN}, "gallery has the value nan in row 4, column 0"),
        ({"gallery": np.ones((23, 4))}, "gallery has dimension 4, expected 5"),
        ({"gallery": np.ones((22, 5))}, r"qrels have shape \(7, 23\).*would have \(7, 22\)"),
        ({"queries": np.zeros((7, 5))}, "queries has only zeros in row 0"),
        ({"queries": np.ones((7, 5), complex)}, "queries has dtype complex128"),
        ({"qrels": [0] * 7}, "qrels must be Qrels, got list"),
        ({"metric": "l2"}, "metric must be one of 'cosine', 'inner_product'"),
        ({"which": "best"}, "which must be one of 'all', 'first'"),
        ({"query_block": 0}, "query_block must be at least 1"),
        (
            {
                "gallery": np.full((23, 5), 1e30),
                "queries": np.full((7, 5), 1e10),
                "metric": "inner_product",
            },
            r"queries\[0\] and gallery\[0\] are so long that their product overflows",
        ),
    ],
)
def test_bad_input_is_named(change, message):
    queries, gallery, qrels = some(0)
    with pytest.raises(RetrievalInputError, match=message):
        ranks_of_relevant(**{"queries": queries, "gallery": gallery, "qrels": qrels, **change})


@pytest.mark.parametrize("query_block, gallery_block", [(1, 1), (1, 512), (3, 7), (64, 33)])
def test_real_numbers_count_the_same_in_any_block(monkeypatch, query_block, gallery_block):
    rng = np.random.default_rng(2)
    queries, gallery = rng.normal(size=(20, 65)), rng.normal(size=(90, 65))
    gallery[45:] = gallery[:45]  # every item twice: a product of another shape must not part them
    qrels = Qrels.from_pairs(np.repeat(np.arange(20), 2), rng.permutation(90)[:40], shape=(20, 90))
    whole = ranks_of_relevant(queries, gallery, qrels)
    assert (whole.tied == 2).all() and (whole.above % 2 == 0).all()
    monkeypatch.setattr(counting, "GALLERY_BLOCK", gallery_block)
    assert same(ranks_of_relevant(queries, gallery, qrels, query_block=query_block), whole)
