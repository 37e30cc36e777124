"""Items that are no candidates of a query, and queries with a few candidates of their own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.metrics import Qrels, evaluate_embeddings, ranks_of_relevant
from lib.metrics import ranks as ranks_module
from lib.metrics.kernels import RandomOrder, chance_of_names, metric_names, rank_chance

METRICS = ("R@1", "R@2", "MRR", "recall@2", "R-precision", "MAP@R", "nDCG@2")


@st.composite
def questions(draw):
    """Small whole numbers, whose products are exact and often tie, and disjoint pairs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_queries, n_items = draw(st.integers(1, 6)), draw(st.integers(6, 20))
    queries, gallery = rng.integers(-2, 3, (n_queries, 3)), rng.integers(-2, 3, (n_items, 3))
    queries[:, 0], gallery[:, 0] = 1, 1
    kind = rng.choice(3, (n_queries, n_items), p=[0.5, 0.3, 0.2])  # none, excluded, relevant
    kind[:, :2], kind[:, 2] = 0, 2  # R@2 needs two items, and every query has an answer
    relevant, excluded = (
        Qrels.from_pairs(*np.nonzero(kind == value), shape=kind.shape) for value in (2, 1)
    )
    return queries, gallery, relevant, excluded, kind


def deleted(query, queries, gallery, kind):
    """One query and the gallery without the items that are excluded for it."""
    left = np.flatnonzero(kind[query] != 1)
    shape = (1, left.size)
    answers = np.flatnonzero(kind[query][left] == 2)
    return queries[[query]], gallery[left], Qrels.from_pairs(0 * answers, answers, shape=shape)


@settings(deadline=None, max_examples=60)
@given(questions(), st.integers(1, 7), st.integers(1, 7))
def test_an_excluded_item_is_as_if_deleted(example, query_block, gallery_block):
    queries, gallery, relevant, excluded, kind = example
    options = {"metric": "inner_product", "query_block": query_block}
    candidates = Qrels.from_pairs(*np.nonzero(kind != 1), shape=kind.shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranks_module, "GALLERY_BLOCK", gallery_block)
        patch.setattr(ranks_module, "PAIR_VALUES", 5)
        without = ranks_of_relevant(queries, gallery, relevant, excluded=excluded, **options)
    among = ranks_of_relevant(queries, gallery, relevant, candidates=candidates, **options)
    alone = [
        ranks_of_relevant(*deleted(query, queries, gallery, kind), metric="inner_product")
        for query in range(len(queries))
    ]
    for name in ("above", "tied", "before"):
        expected = np.concatenate([getattr(ranks, name) for ranks in alone])
        np.testing.assert_array_equal(getattr(without, name), expected)
        np.testing.assert_array_equal(getattr(among, name), expected)


@settings(deadline=None, max_examples=30)
@given(questions(), st.sampled_from(["pessimistic", "optimistic", "id"]))
def test_values_and_chance_are_those_of_a_gallery_without_it(example, ties):
    queries, gallery, relevant, excluded, kind = example
    options = {"metrics": METRICS, "metric": "inner_product", "ties": ties}
    found = evaluate_embeddings(queries, gallery, relevant, excluded=excluded, **options)
    alone = [
        evaluate_embeddings(*deleted(query, queries, gallery, kind), **options)
        for query in range(len(queries))
    ]
    assert found.n_gallery == max(one.n_gallery for one in alone)
    np.testing.assert_array_equal(found.first_ranks, [one.first_ranks[0] for one in alone])
    for metric in METRICS:
        assert found.mean(metric) == pytest.approx(np.mean([one.mean(metric) for one in alone]))
        chances = [one.chance[metric] for one in alone]
        assert found.chance[metric] == pytest.approx(np.mean(chances), abs=1e-12)
    mean_rank = np.mean([one.chance["MeanR"] for one in alone])
    assert found.chance["MeanR"] == pytest.approx(mean_rank)


def test_by_hand():
    # Query 0 starts from item 0, which is nearest to it; its answer, item 1, comes next.
    queries, gallery = np.array([[1.0, 0.4], [0.0, 1.0]]), np.array([[1, 0], [1, 1], [0, 1.0]])
    relevant = Qrels.from_pairs([0, 1], [1, 2], shape=(2, 3))
    start = Qrels.from_pairs([0, 1], [0, 1], shape=(2, 3))
    kept = evaluate_embeddings(queries, gallery, relevant, ks=(1,))
    removed = evaluate_embeddings(queries, gallery, relevant, ks=(1,), excluded=start)
    assert kept.first_ranks.tolist() == [2, 1] and removed.first_ranks.tolist() == [1, 1]
    assert (kept.n_gallery, removed.n_gallery) == (3, 2)
    assert (kept.chance["R@1"], removed.chance["R@1"]) == (pytest.approx(1 / 3), 0.5)
    with pytest.raises(RetrievalInputError, match="k must be between 1 and 2"):
        evaluate_embeddings(queries, gallery, relevant, ks=(3,), excluded=start)


def test_galleries_of_different_sizes_have_one_chance():
    names = metric_names(("R", "MRR", "P"), (1, 2), 4, lambda k, _: k, name_depth=False)
    both = chance_of_names(names, RandomOrder([1, 1], 4, 4, [4, 2]))
    four, two = (chance_of_names(names, RandomOrder([1], 4, 4, [n])) for n in (4, 2))
    assert both == {name: pytest.approx((four[name] + two[name]) / 2) for name in names}
    assert both["R@1"] == pytest.approx(3 / 8) and two["R@2"] == 1
    # First ranks 1, 2, 3, 4 or 1, 2: five of eight are at most 2, three of eight at most 1.
    assert rank_chance(RandomOrder([1, 1], 4, 4, [4, 2])) == {"MedR": 2, "MeanR": 2}


def test_queries_that_are_skipped_lose_their_pairs():
    relevant = Qrels.from_pairs([1], [2], shape=(2, 3))
    pairs = {"excluded": Qrels.from_pairs([1], [0], shape=(2, 3))}
    options = {"ks": (1,), "no_relevant": "skip"}
    found = evaluate_embeddings(np.eye(3)[:2], np.eye(3), relevant, **pairs, **options)
    assert found.n_gallery == 2 and found.chance["R@1"] == 0.5
    pairs = {"candidates": Qrels.from_pairs([1, 1], [0, 2], shape=(2, 3))}
    found = evaluate_embeddings(np.eye(3)[:2], np.eye(3), relevant, **pairs, **options)
    assert found.n_gallery == 2 and found.chance["R@1"] == 0.5


@pytest.mark.parametrize(
    "pairs, message",
    [
        ({"excluded": Qrels.from_pairs([0], [1], shape=(1, 3))}, "item 1 is excluded for query 0"),
        ({"candidates": Qrels.from_pairs([0], [2], shape=(1, 3))}, "not among the candidates of"),
        ({"excluded": Qrels.from_pairs([0], [0], shape=(1, 2))}, r"excluded must have shape \(1,"),
        ({"excluded": [(0, 1)]}, "qrels must be Qrels, got list"),
        (
            dict.fromkeys(("excluded", "candidates"), Qrels.from_pairs([0], [0], shape=(1, 3))),
            "give either excluded or candidates",
        ),
    ],
)
def test_pairs_that_cannot_be_meant_are_refused(pairs, message):
    relevant = Qrels.from_pairs([0], [1], shape=(1, 3))
    with pytest.raises(RetrievalInputError, match=message):
        evaluate_embeddings(np.eye(3)[:1], np.eye(3), relevant, ks=(1,), **pairs)
