import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError, unit_rows
from lib.metrics import (
    Qrels,
    RelevantRanks,
    first_rank,
    ranks_both_ways,
    ranks_by_best_text,
    ranks_in_scores,
    ranks_of_relevant,
)
from lib.metrics import ranks as ranks_module
from lib.metrics.kernels import FAMILIES

TIES = ("pessimistic", "optimistic", "expected", "id")

# ---- by hand


def test_one_query_whose_scores_tie():
    # Above: item 4. Tied: items 0, 1, 2 and 5, of which 1 and 5 are relevant. Item 3 is below.
    ranks = ranks_in_scores([[5.0, 5, 5, 1, 9, 5]], Qrels.from_pairs([0, 0], [1, 5], shape=(1, 6)))
    assert ranks.above.tolist() == [1, 1] and ranks.tied.tolist() == [4, 4]
    assert ranks.before.tolist() == [1, 3]
    firsts = {ties: ranks.first_rank(ties).tolist() for ties in TIES}
    assert firsts == {"pessimistic": [4], "optimistic": [2], "expected": [1 + 5 / 3], "id": [3]}
    assert ranks.placed_items("pessimistic").rank.tolist() == [4, 5]
    assert ranks.placed_items("optimistic").rank.tolist() == [2, 3]
    assert ranks.placed_items("id").rank.tolist() == [3, 5]
    # Two of four places behind one better item: a hit at 2 in 2 of 4 orders, at 3 in 5 of 6, at 4
    # always.
    hit = [ranks.hit_rate_at_k(k, "expected")[0] for k in range(1, 7)]
    np.testing.assert_allclose(hit, [0, 1 / 2, 5 / 6, 1, 1, 1], atol=1e-15)
    expected_rr = 1 / 2 * 1 / 2 + 1 / 3 * 1 / 3 + 1 / 6 * 1 / 4
    assert ranks.reciprocal_rank(ties="expected") == pytest.approx(expected_rr)
    assert ranks.reciprocal_rank(2, "expected") == pytest.approx(1 / 4)
    assert ranks.reciprocal_rank(2).tolist() == [0]
    assert ranks.tie_share == 1
    assert repr(ranks) == "RelevantRanks(1 queries x 6 items, 2 ranks, 100.0% of queries tied)"


def at_r(family, ranks, ties="pessimistic"):
    return FAMILIES[family].kernel(ranks.placed_items(ties), 0)


def test_precision_up_to_the_number_of_relevant_items():
    # Query 0: relevant items at ranks 1, 3 and 4 of R = 3; query 1: both first, tied; query 2:
    # nothing.
    scores = [[4.0, 3, 2, 1], [5, 5, 1, 0], [1, 2, 3, 4]]
    ranks = ranks_in_scores(
        scores,
        Qrels.from_pairs([0, 0, 0, 1, 1], [0, 2, 3, 0, 1], shape=(3, 4)),
        no_relevant="zero",
    )
    np.testing.assert_allclose(at_r("MAP@R", ranks), [(1 + 2 / 3) / 3, 1, 0], atol=1e-15)
    np.testing.assert_allclose(at_r("R-precision", ranks), [2 / 3, 1, 0], atol=1e-15)
    tied = ranks_in_scores([[1.0, 1, 1]], Qrels.from_pairs([0, 0], [1, 2], shape=(1, 3)))
    found = {
        policy: at_r("MAP@R", tied, policy)[0] for policy in ("pessimistic", "id", "optimistic")
    }
    assert found == {"pessimistic": 1 / 4, "id": 1 / 4, "optimistic": 1}


def test_two_identical_captions_on_top_are_a_hit_in_every_order():
    ranks = ranks_in_scores([[1.0, 1, 0]], Qrels.from_pairs([0, 0], [0, 1], shape=(1, 3)))
    for ties in TIES:
        assert ranks.first_rank(ties).tolist() == ranks.hit_rate_at_k(1, ties).tolist() == [1]
    assert ranks.tie_share == 0  # nothing depends on the order


@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_a_constant_model(n):
    ranks = ranks_in_scores(np.zeros((n, n)), Qrels.from_owner(np.arange(n), n))
    for k in range(1, n + 1):
        assert ranks.hit_rate_at_k(k, "optimistic").mean() == 1
        assert ranks.hit_rate_at_k(k).mean() == (k == n)
        np.testing.assert_allclose(ranks.hit_rate_at_k(k, "expected"), k / n, atol=1e-12)
        assert ranks.hit_rate_at_k(k, "id").mean() == pytest.approx(k / n)
    assert ranks.reciprocal_rank(ties="expected").mean() == pytest.approx(
        (1 / np.arange(1, n + 1)).mean()
    )
    assert (ranks.first_rank("expected") == (n + 1) / 2).all()
    assert (ranks.first_rank("optimistic") == 1).all() and (ranks.first_rank() == n).all()
    assert ranks.tie_share == (n > 1)


def test_queries_without_relevant_items_are_never_found():
    ranks = ranks_in_scores(
        np.zeros((2, 3)), Qrels.from_pairs([1], [0], shape=(2, 3)), no_relevant="zero"
    )
    for ties in TIES:
        assert ranks.first_rank(ties)[0] == np.inf
        assert ranks.hit_rate_at_k(3, ties).tolist() == [0, 1]
        assert ranks.reciprocal_rank(ties=ties)[0] == 0
    assert ranks.tie_share == 0.5


# ---- against all orders


@st.composite
def scored(draw, most=6):
    n_queries, n_items = draw(st.integers(1, 4)), draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = rng.integers(0, draw(st.integers(1, 5)), (n_queries, n_items)).astype(float)
    relevant = rng.random((n_queries, n_items)) < 0.4
    relevant[np.arange(n_queries), rng.integers(n_items, size=n_queries)] = True
    return scores, Qrels.from_pairs(*np.nonzero(relevant), shape=relevant.shape)


@settings(deadline=None, max_examples=40)
@given(scored())
def test_policies_are_the_extremes_and_the_mean_of_all_orders(example):
    scores, qrels = example
    n = qrels.n_items
    orders = np.array(list(itertools.permutations(range(n))))
    for query in range(len(scores)):
        one = qrels.take_queries([query])
        ranks = ranks_in_scores(scores[[query]], one)
        runs = np.array(
            [order[np.argsort(-scores[query][order], kind="stable")] for order in orders]
        )
        first = first_rank(runs, one.take_queries(np.zeros(len(runs), int)))
        assert ranks.first_rank("pessimistic") == first.max()
        assert ranks.first_rank("optimistic") == first.min()
        assert ranks.first_rank("id") == first[0]  # permutations start with the order of ids
        assert ranks.first_rank("expected") == pytest.approx(first.mean())
        assert ranks.tie_share == (first.max() > first.min())
        for k in range(1, n + 1):
            assert ranks.hit_rate_at_k(k, "expected") == pytest.approx(
                (first <= k).mean(), abs=1e-12
            )
            mean = np.where(first <= k, 1 / first, 0).mean()
            assert ranks.reciprocal_rank(k, "expected") == pytest.approx(mean, abs=1e-12)
        places = (
            np.argsort(runs, axis=1)[:, one.items] + 1
        )  # rank of every relevant item in every order
        assert ranks.placed_items("id").rank.tolist() == sorted(places[0])
        assert (
            ranks.placed_items("pessimistic").rank.tolist()
            == np.sort(places, axis=1).max(axis=0).tolist()
        )
        assert (
            ranks.placed_items("optimistic").rank.tolist()
            == np.sort(places, axis=1).min(axis=0).tolist()
        )


@settings(deadline=None)
@given(scored(most=30))
def test_policies_are_ordered_and_hits_grow(example):
    scores, qrels = example
    ranks, before = ranks_in_scores(scores, qrels), dict.fromkeys(TIES, 0)
    for k in range(1, qrels.n_items + 1):
        hit = {ties: ranks.hit_rate_at_k(k, ties) for ties in TIES}
        assert (hit["pessimistic"] <= hit["expected"] + 1e-12).all()
        assert (hit["expected"] <= hit["optimistic"] + 1e-12).all()
        assert (hit["pessimistic"] <= hit["id"]).all() and (hit["id"] <= hit["optimistic"]).all()
        assert all((hit[ties] >= before[ties] - 1e-12).all() for ties in TIES)
        before = hit


@settings(deadline=None)
@given(scored(most=20), st.integers(0, 2**32 - 1))
def test_what_must_not_matter(example, seed):
    scores, qrels = example
    rng = np.random.default_rng(seed)
    queries, items = rng.permutation(len(scores)), rng.permutation(qrels.n_items)
    place = np.argsort(items)
    shuffled = Qrels.from_pairs(
        np.argsort(queries)[qrels.query_index], place[qrels.items], shape=qrels.shape
    )
    before = ranks_in_scores(scores, qrels)
    same = np.arange(len(scores))
    changed = [(scores[queries][:, items], shuffled, queries)]
    changed += [(f(scores), qrels, same) for f in (np.exp, lambda s: s - 10, np.float16, np.int8)]
    for new_scores, new_qrels, order in changed:
        after = ranks_in_scores(new_scores, new_qrels)
        for ties in ("pessimistic", "optimistic", "expected"):  # "id" depends on names, and says so
            assert (after.first_rank(ties) == before.first_rank(ties)[order]).all()


def test_wide_tie_groups_are_handled_in_pieces(monkeypatch):
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 3, (50, 200))
    relevant = rng.random((50, 200)) < 0.02
    relevant[:, 7] = True
    qrels = Qrels.from_pairs(*np.nonzero(relevant), shape=relevant.shape)
    whole = ranks_in_scores(scores, qrels).reciprocal_rank(ties="expected")
    monkeypatch.setattr("lib.metrics.ranks.CELLS_AT_ONCE", 64)
    pieces = ranks_in_scores(scores, qrels).reciprocal_rank(ties="expected")
    np.testing.assert_allclose(pieces, whole, rtol=1e-14)


# ---- bad input


def test_a_nan_is_never_a_hit():
    scores = np.eye(3)
    scores[1, 2] = np.nan
    with pytest.raises(RetrievalInputError, match="scores has the value nan in row 1, column 2"):
        ranks_in_scores(scores, Qrels.from_owner([0, 1, 2], 3))


@pytest.mark.parametrize(
    "scores, options, message",
    [
        (
            np.zeros((3, 2)),
            {},
            r"qrels have shape \(2, 3\).*would have \(3, 2\); if they are swapped, qrels\.T",
        ),
        (np.zeros(3), {}, r"\(rows, dimension\)"),
        (np.zeros((2, 3), complex), {}, "got complex128"),
        (np.zeros((2, 3)), {"no_relevant": "skip"}, "no_relevant must be one of"),
        (np.zeros((2, 3)), {}, "query 0 has no relevant item"),
    ],
)
def test_bad_input_is_named(scores, options, message):
    with pytest.raises(RetrievalInputError, match=message):
        ranks_in_scores(scores, Qrels.from_pairs([1], [0], shape=(2, 3)), **options)


def test_bad_questions_are_named():
    ranks = ranks_in_scores(np.eye(3), Qrels.from_owner([0, 1, 2], 3))
    assert isinstance(ranks, RelevantRanks)
    with pytest.raises(RetrievalInputError, match="k must be between 1 and 3"):
        ranks.hit_rate_at_k(4)
    for ask in (
        ranks.placed_items,
        ranks.first_rank,
        lambda t: ranks.reciprocal_rank(ties=t),
        lambda t: ranks.hit_rate_at_k(1, t),
    ):
        with pytest.raises(
            RetrievalInputError, match="ties must be one of 'pessimistic', .*; got 'average'"
        ):
            ask("average")


# ---- counting


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
        patch.setattr(ranks_module, "GALLERY_BLOCK", gallery_block)
        actual = ranks_of_relevant(
            queries.astype(dtype),
            gallery.astype(dtype),
            qrels,
            metric="inner_product",
            query_block=query_block,
        )
    assert same(actual, expected)


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 9),
    st.integers(1, 30),
    st.sampled_from(["all", "first"]),
    st.booleans(),
)
def test_both_ways_at_once_are_each_way_alone(seed, query_block, gallery_block, which, own):
    queries, gallery, qrels = some(seed)
    back = some(seed + 1)[2].T if own else qrels.T  # other judgements, as of ECCV Caption
    options = {"metric": "inner_product", "which": which, "no_relevant": "zero"}
    alone = (
        ranks_of_relevant(queries, gallery, qrels, **options),
        ranks_of_relevant(gallery, queries, back, **options),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranks_module, "GALLERY_BLOCK", gallery_block)
        options["query_block"] = query_block
        together = ranks_both_ways(queries, gallery, qrels, back, **options)
    for one, expected in zip(together, alone, strict=True):
        assert one.qrels == expected.qrels and same(one, expected)


@pytest.mark.parametrize("shape", [(3, 5), (2, 70_000), (70_000, 2)])
def test_true_cells_are_counted_along_either_axis(shape):
    cells = np.random.default_rng(0).random(shape) < 0.99
    for axis in (0, 1):
        counts = ranks_module._count_true(cells, axis)
        np.testing.assert_array_equal(counts, cells.sum(axis=1 - axis))


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
    monkeypatch.setattr(ranks_module, "CROWDED", crowded)
    rng = np.random.default_rng(0)
    base = rng.normal(size=128)
    gallery = base + 1e-6 * rng.normal(size=(60, 128))  # scores differ in the seventh digit
    gallery[30:40] = gallery[:10]
    queries = base + rng.normal(size=(20, 128))
    qrels = Qrels.from_pairs(np.arange(20), np.arange(20), shape=(20, 60))
    exact = unit_rows(queries, "q").astype(float) @ unit_rows(gallery, "g").astype(float).T
    others = Qrels.from_pairs(np.arange(60), np.zeros(60, int), shape=(60, 20))
    alone = ranks_of_relevant(queries, gallery, qrels)
    for ranks in (alone, ranks_both_ways(gallery, queries, others, qrels)[1]):
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
    for metric, rank in (("cosine", 1), ("inner_product", 2)):
        ranks = ranks_of_relevant(queries, gallery, qrels, metric=metric)
        assert ranks.first_rank().tolist() == [rank]


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
        ({"gallery": np.ones((23, 4))}, "gallery must have dimension 5, got 4"),
        ({"gallery": np.ones((22, 5))}, r"qrels have shape \(7, 23\).*would have \(7, 22\)"),
        ({"queries": np.zeros((7, 5))}, "queries has only zeros in row 0"),
        ({"queries": np.ones((7, 5), complex)}, "queries must be real numbers, .* got complex128"),
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
def test_bad_input_is_named_of_counting(change, message):
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
    monkeypatch.setattr(ranks_module, "GALLERY_BLOCK", gallery_block)
    assert same(ranks_of_relevant(queries, gallery, qrels, query_block=query_block), whole)


# ---- multi sentence


def ragged(seed, n_items=40, d=6):
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.repeat(np.arange(n_items), rng.integers(1, 6, n_items)))
    items = rng.normal(size=(n_items, d))
    texts = items[owner] + 1.2 * rng.normal(size=(owner.size, d))
    return items, texts, owner, Qrels.from_owner(owner, n_items)


def test_by_hand():
    # Item 0 scores its texts .6 and 0; the two texts of item 1 score 1 and .8 there. Among all
    # texts its best own text is third, among the items it is second.
    items = [[1, 0], [0, 1]]
    texts = [[0.6, 0.8], [0, 1], [1, 0], [0.8, 0.6]]
    qrels = Qrels.from_owner([0, 0, 1, 1], 2)
    assert ranks_of_relevant(items, texts, qrels).first_rank().tolist() == [3, 3]
    assert ranks_by_best_text(items, texts, qrels).first_rank().tolist() == [2, 2]


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_loop_and_never_below_the_other_protocol(seed):
    items, texts, owner, qrels = ragged(seed)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (items, texts)]
    cosines = unit[0] @ unit[1].T
    best = np.array([[row[owner == j].max() for j in range(len(items))] for row in cosines])
    expected = 1 + (best > np.diag(best)[:, None]).sum(axis=1)
    ranks = ranks_by_best_text(items, texts, qrels, block=7)
    assert ranks.first_rank().tolist() == expected.tolist()
    every = ranks_of_relevant(items, texts, qrels)
    assert np.array_equal(ranks.hit_rate_at_k(1), every.hit_rate_at_k(1))
    for k in (2, 5, 10):
        assert (ranks.hit_rate_at_k(k) >= every.hit_rate_at_k(k)).all()


def test_the_same_words_for_two_items_are_a_tie():
    items, text = np.eye(2), [[1.0, 1.0]]
    ranks = ranks_by_best_text(items, np.repeat(text, 2, axis=0), Qrels.from_owner([0, 1], 2))
    assert ranks.first_rank().tolist() == [2, 2] and ranks.first_rank("optimistic").tolist() == [
        1,
        1,
    ]


def test_shared_and_missing_texts_are_refused():
    items, texts = np.eye(2), np.eye(2)
    with pytest.raises(RetrievalInputError, match="text 0 has 2"):
        ranks_by_best_text(items, texts, Qrels.from_pairs([0, 1, 1], [0, 0, 1], shape=(2, 2)))
    with pytest.raises(RetrievalInputError, match="item 1 has no text"):
        ranks_by_best_text(items, texts, Qrels.from_owner([0, 0], 2))
