"""Hubness: counts by hand, remedies against their published formulas, and what each result calls
itself.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from lib.core.checks import RetrievalInputError, unit_rows
from lib.core.qrels import Qrels
from lib.metrics import evaluate, hubness
from lib.metrics.hubness import (
    Cosines,
    dual_softmax,
    inverted_softmax,
    k_occurrence,
    qb_norm,
    skewness,
    unadjusted,
)


def order(scores):
    return np.argsort(-scores, axis=1, kind="stable")


def with_hubs(n=300, d=24, n_bank=600, seed=0):
    """One right item per query. Queries share a direction, towards which items lean by different
    amounts.
    """
    rng = np.random.default_rng(seed)
    common = rng.normal(size=d)
    truth = rng.normal(size=(n, d))
    gallery = truth + rng.normal(0, 0.3, n)[:, None] * common

    def ask(about):
        return about + 1.2 * rng.normal(size=about.shape) + common

    return ask(truth), gallery, ask(rng.normal(size=(n_bank, d)))


# ---- measuring


def test_occurrence_by_hand():
    ids = np.array([[2, 0], [2, 1], [2, -1], [0, 2]])
    assert k_occurrence(ids, 4).tolist() == [2, 1, 4, 0]
    assert k_occurrence(ids, 4, k=1).tolist() == [1, 0, 3, 0]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_occurrences_add_up_and_follow_the_items(seed, k):
    rng = np.random.default_rng(seed)
    ids = np.argsort(rng.random((15, 9)), axis=1)[:, :6]
    counts = k_occurrence(ids, 9, k)
    assert counts.sum() == 15 * k
    renamed = rng.permutation(9)
    np.testing.assert_array_equal(k_occurrence(renamed[ids], 9, k)[renamed], counts)
    np.testing.assert_array_equal(k_occurrence(ids[rng.permutation(15)], 9, k), counts)


def test_skewness_by_hand_and_against_scipy():
    assert skewness([0, 0, 0, 4]) == pytest.approx(2 / np.sqrt(3), abs=1e-15)  # mean 1, m2 3, m3 6
    assert skewness([1, 2, 3]) == 0 and skewness([5]) == 0 and skewness([7, 7, 7]) == 0
    counts = np.random.default_rng(0).geometric(0.3, 500)
    assert skewness(counts) == pytest.approx(stats.skew(counts), rel=1e-12)


# ---- remedies by hand and against their formulas

# Item 0 is a hub: near to everything. Query 0 is about it, query 1 about item 1, query 2 about item
# 2.
SCORES = np.array([[0.9, 0.1, 0.2], [0.8, 0.7, 0.1], [0.3, 0.2, 0.6]])
BANK = np.array([[0.9, 0.2, 0.1], [0.8, 0.1, 0.2]])
COSINES = Cosines(SCORES, SCORES)


def test_a_hub_is_put_in_its_place():
    assert unadjusted(SCORES, 3).ids[:, 0].tolist() == [0, 0, 2]
    for result in (inverted_softmax(SCORES, BANK, depth=3), qb_norm(SCORES, BANK, depth=3)):
        assert result.ids[1, 0] == 1
    # With beta = 10 ln 2, scores of 0.8 and 0.9 become 2^8 and 2^9: item 0 has 2^9 + 2^8 = 768 in
    # the bank.
    result = inverted_softmax(SCORES, BANK, beta=10 * np.log(2), depth=3)
    ratios = 2 ** (10 * result.scores[1])
    expected = {0: 2**8 / 768, 1: 2**7 / 6, 2: 2 / 6}
    assert result.ids[1].tolist() == [1, 0, 2]
    np.testing.assert_allclose(ratios, [expected[i] for i in (1, 0, 2)], rtol=1e-12)


def test_qb_norm_leaves_queries_alone_whose_best_item_is_no_hub():
    result = qb_norm(SCORES, BANK, depth=3)  # the bank activates item 0 only
    assert result.ids[2].tolist() == [2, 0, 1]
    np.testing.assert_array_equal(result.scores[2], [0.6, 0.3, 0.2])
    everything = qb_norm(SCORES, BANK, k=3, depth=3)
    np.testing.assert_array_equal(everything.ids, inverted_softmax(SCORES, BANK, depth=3).ids)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 30), st.integers(1, 4), st.integers(1, 40))
def test_against_the_published_formulas(seed, beta, k, cells_at_once):
    rng = np.random.default_rng(seed)
    scores, bank = rng.random((7, 11)), rng.random((9, 11))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hubness, "CELLS_AT_ONCE", cells_at_once)
        ours = [
            inverted_softmax(scores, bank, beta=beta, depth=11),
            inverted_softmax(scores, beta=beta, depth=11),
            qb_norm(scores, bank, beta=beta, k=k, depth=11),
            dual_softmax(scores, beta=beta, depth=11),
        ]
    inverted = np.exp(beta * scores) / np.exp(beta * bank).sum(axis=0)
    activated = np.unique(order(bank)[:, :k])
    qb = scores.copy()
    hub_first = np.isin(order(scores)[:, 0], activated)
    qb[hub_first] = inverted[hub_first]
    dual = scores * special.softmax(beta * scores, axis=0)
    theirs = [inverted, special.softmax(beta * scores, axis=0), qb, dual]
    for result, expected in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(result.ids, order(expected))
    np.testing.assert_allclose(ours[3].scores, -np.sort(-dual, axis=1), rtol=1e-11)
    np.testing.assert_allclose(
        np.exp(beta * ours[0].scores), np.take_along_axis(inverted, ours[0].ids, axis=1), rtol=1e-10
    )


def test_results_say_what_they_saw():
    labels = {
        "inductive": [unadjusted(SCORES, 2)],
        "querybank": [qb_norm(SCORES, BANK, depth=2), inverted_softmax(SCORES, BANK, depth=2)],
        "transductive": [dual_softmax(SCORES, depth=2), inverted_softmax(SCORES, depth=2)],
    }
    assert tuple(labels) == hubness.INFERENCE
    for label, results in labels.items():
        for result in results:
            assert (
                result.inference == label
                and label in repr(result)
                and result.method in repr(result)
            )
            assert result.scores.shape == result.ids.shape == (3, 2)
    assert (
        repr(qb_norm(SCORES, BANK, depth=2))
        == "LabelledRun(QB-Norm (beta=20, k=1), querybank: 3 queries, 2 deep)"
    )


def test_large_betas_do_not_overflow():
    for beta in (1e3, 1e6):
        result = inverted_softmax(SCORES, BANK, beta=beta, depth=3)
        assert np.isfinite(result.scores).all()
        # In the limit each item is handicapped by its best score in the bank.
        np.testing.assert_allclose(result.scores, -np.sort(BANK.max(axis=0) - SCORES), atol=1e-2)
        assert np.isfinite(dual_softmax(SCORES, beta=beta, depth=3).scores).all()


def test_a_constant_offset_of_the_scores_changes_nothing():
    rng = np.random.default_rng(1)
    scores, bank = rng.random((2, 20, 15))
    for function in (inverted_softmax, qb_norm):
        np.testing.assert_array_equal(
            function(scores - 3, bank - 3, depth=15).ids, function(scores, bank, depth=15).ids
        )


def test_renaming_items_and_queries_changes_nothing_else():
    rng = np.random.default_rng(2)
    scores, bank = rng.random((20, 15)), rng.random((30, 15))
    items, queries = rng.permutation(15), rng.permutation(20)
    for function in (
        lambda s, b: unadjusted(s),
        inverted_softmax,
        qb_norm,
        lambda s, b: dual_softmax(s),
    ):
        plain = function(scores, bank)
        other = function(scores[queries][:, items], bank[rng.permutation(30)][:, items])
        np.testing.assert_array_equal(items[other.ids], plain.ids[queries])


# ---- order, ties, memory


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 60))
def test_equal_scores_are_in_order_of_id(seed, depth, cells_at_once):
    scores = np.random.default_rng(seed).integers(0, 4, (9, 12))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hubness, "CELLS_AT_ONCE", cells_at_once)
        result = unadjusted(scores, depth)
    np.testing.assert_array_equal(result.ids, order(scores)[:, :depth])
    np.testing.assert_array_equal(result.scores, -np.sort(-scores, axis=1)[:, :depth])


def test_embeddings_and_their_cosines_agree():
    queries, gallery, bank = with_hubs()
    cosines = unit_rows(queries, "q") @ unit_rows(gallery, "g").T
    of_bank = unit_rows(bank, "b") @ unit_rows(gallery, "g").T
    lazy, lazy_bank = Cosines(queries, gallery), Cosines(bank, gallery)
    assert lazy.shape == cosines.shape == (300, 300)
    for ours, theirs in (
        (unadjusted(lazy), unadjusted(cosines)),
        (inverted_softmax(lazy, lazy_bank), inverted_softmax(cosines, of_bank)),
        (qb_norm(lazy, lazy_bank), qb_norm(cosines, of_bank)),
        (dual_softmax(lazy), dual_softmax(cosines)),
    ):
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-6)
        assert (
            ours.ids == theirs.ids
        ).mean() > 0.999  # the last bit of a product depends on its block


# ---- what it is good for


def test_remedies_help_where_there_are_hubs_and_the_transductive_ones_most():
    queries, gallery, bank = with_hubs()
    scores, of_bank = Cosines(queries, gallery), Cosines(bank, gallery)
    qrels = Qrels.from_owner(np.arange(300), 300)
    hit, skew = {}, {}
    for result in (
        unadjusted(scores),
        qb_norm(scores, of_bank),
        inverted_softmax(scores, of_bank),
        inverted_softmax(scores),
        dual_softmax(scores),
    ):
        hit.setdefault(result.inference, []).append(evaluate(result.run, qrels).mean("R@1"))
        skew.setdefault(result.inference, []).append(skewness(k_occurrence(result.ids, 300)))
    assert hit["inductive"][0] + 0.15 < min(hit["querybank"])  # 44 to 65 per cent
    assert max(hit["querybank"]) + 0.05 < min(hit["transductive"])  # 66 to 74 per cent
    assert skew["inductive"][0] > 2 * max(skew["querybank"] + skew["transductive"])


# ---- a bank that holds test queries


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(0, 6))
def test_shared_rows_are_found_among_near_misses(seed, levels, n_shared):
    rng = np.random.default_rng(seed)
    rows = (
        np.unique(rng.integers(-levels, levels + 1, (60, 9)), axis=0) / 4
    )  # many rows differ in one value
    rng.shuffle(rows)
    half = len(rows) // 2
    scores, bank = rows[:half], np.vstack([rows[half:], rows[: min(n_shared, half)]])
    if n_shared:
        with pytest.raises(
            RetrievalInputError, match=rf"row {len(rows) - half} of the bank equals test query 0 "
        ):
            qb_norm(scores, bank * 1.0, depth=1)
    else:
        qb_norm(scores, bank, depth=1)


def test_fingerprints_of_round_numbers_do_not_collide():
    grid = np.stack(np.meshgrid(*[np.arange(-8, 8) / 8] * 4), axis=-1).reshape(-1, 4)  # 65,536 rows
    assert np.unique(hubness._fingerprints(grid)).size == len(grid)
    assert hubness._fingerprints(np.array([[0.0, 1]])) == hubness._fingerprints(
        np.array([[-0.0, 1]])
    )


# ---- bad input


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: k_occurrence([[0, 4]], 4), r"id 4 in row 0 of the run is outside -1..3"),
        (lambda: k_occurrence([[0, 0]], 4), "id 0 is twice in row 0"),
        (lambda: k_occurrence([[0, 1]], 4, k=3), r"k must be at most 2 \(the run\), got 3"),
        (lambda: skewness([]), r"at least one number, got float64 \(0,\)"),
        (lambda: skewness([1, np.inf]), r"counts\[1\] is inf"),
        (lambda: unadjusted([[1, 2], [3, np.nan]], 2), "value nan in row 1, column 1"),
        (lambda: unadjusted([0.5, 0.2], 1), r"scores must have shape .* got \(2,\)"),
        (lambda: unadjusted(SCORES, 4), r"k must be between 1 and 3 \(the gallery\), got 4"),
        (lambda: qb_norm(SCORES, BANK * np.inf), "bank has the value inf in row 0, column 0"),
        (lambda: qb_norm(SCORES, BANK[:, :2]), "against 2 items, the queries against 3; both"),
        (lambda: qb_norm(SCORES, BANK, k=4), "k must be between 1 and 3"),
        (lambda: qb_norm(SCORES, np.vstack([BANK, SCORES[:2]])), "row 2 of the bank .* 0 .2 such"),
        (lambda: inverted_softmax(SCORES, SCORES), "the bank must hold no test query"),
        (lambda: inverted_softmax(SCORES, BANK, beta=0), "beta must be a finite number above 0"),
        (lambda: dual_softmax(SCORES, beta=np.nan), "got nan"),
        (lambda: dual_softmax(SCORES, beta="20"), "got '20'"),
        (lambda: qb_norm(COSINES, Cosines(-SCORES, BANK + np.eye(3)[:2])), "against 2 items"),
        (lambda: qb_norm(COSINES, Cosines(BANK, SCORES[::-1])), "must have one gallery"),
        (lambda: qb_norm(COSINES, Cosines(SCORES[1:], SCORES)), "row 0 of the .* query 1"),
        (lambda: Cosines(SCORES[:, :2], SCORES), "queries must have dimension 3, got 2"),
        (lambda: Cosines(SCORES, SCORES * 0), "gallery has only zeros in row 0"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call()
