"""Reciprocal-rank fusion: by hand, against a plain loop, and against ranx."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.search import Run, Work, mix_vectors, reciprocal_rank_fusion


@st.composite
def several_runs(draw):
    """Make up to four runs over 12 items, of different depths, some not full."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_queries = draw(st.integers(1, 4))
    runs = []
    for depth in draw(st.lists(st.integers(1, 12), min_size=1, max_size=4)):
        ids = rng.permuted(np.tile(np.arange(12), (n_queries, 1)), axis=1)[:, :depth]
        n_found = rng.integers(0, depth + 1, size=(n_queries, 1))
        runs.append(np.where(np.arange(depth) < n_found, ids, -1))
    return runs


def by_definition(runs, k, weights):
    """Add up `{item: score}` for every query without rounding."""
    fused = [{} for _ in runs[0]]
    for ids, weight in zip(runs, weights, strict=True):
        for query, row in enumerate(ids):
            for rank, item in enumerate(row.tolist(), start=1):
                if item >= 0:
                    fused[query][item] = fused[query].get(item, 0) + weight / (k + rank)
    return fused


def listed(run, query):
    """List the (item, score) pairs of a query by rank."""
    pairs = zip(run.ids[query].tolist(), run.scores[query].tolist(), strict=True)
    return [pair for pair in pairs if pair[0] >= 0]


def test_by_hand():
    # Item 7: 1/61 + 1/62; item 2: 1/62 + 1/61, a tie; item 5: 1/63 in one run alone.
    run = reciprocal_rank_fusion([np.array([[7, 2, 5]]), np.array([[2, 7]])])
    assert run.ids.tolist() == [[2, 7, 5]]
    assert run.scores.tolist() == [[1 / 61 + 1 / 62] * 2 + [1 / 63]]
    # k = 0, and the second run counts three times: 5 has 1, 2 has 1/2, 1 has 3.
    run = reciprocal_rank_fusion([np.array([[5, 2]]), np.array([[1]])], k=0, weights=[1, 3])
    assert run.ids.tolist() == [[1, 5, 2]] and run.scores.tolist() == [[3, 1, 0.5]]


def test_lists_of_different_lengths_end_in_nothing():
    run = reciprocal_rank_fusion([np.array([[4, -1], [0, 1]]), np.array([[4], [2]])])
    assert run.ids.tolist() == [[4, -1, -1], [0, 2, 1]] and run.stage.tolist() == [
        [1, 0, 0],
        [1, 1, 1],
    ]
    assert np.isneginf(run.scores[0, 1:]).all()


@settings(deadline=None)
@given(several_runs(), st.sampled_from([0, 1, 60]))
def test_is_the_plain_loop(runs, k):
    weights = [1, 2, 0.5, 1][: len(runs)]
    fused = reciprocal_rank_fusion(runs, k=k, weights=weights)
    for query, expected in enumerate(by_definition(runs, k, weights)):
        ranked = listed(fused, query)
        assert dict(ranked) == pytest.approx(expected, rel=1e-12) and len(ranked) == len(expected)
        assert ranked == sorted(ranked, key=lambda pair: (-pair[1], pair[0]))


@settings(deadline=None)
@given(several_runs(), st.randoms(use_true_random=False))
def test_the_order_of_the_runs_does_not_matter_to_the_last_bit(runs, random):
    shuffled = random.sample(runs, len(runs))
    one, two = reciprocal_rank_fusion(runs), reciprocal_rank_fusion(shuffled)
    np.testing.assert_array_equal(one.ids, two.ids)
    np.testing.assert_array_equal(one.scores, two.scores)


def test_one_run_keeps_its_order():
    ids = np.random.default_rng(0).permuted(np.tile(np.arange(200), (5, 1)), axis=1)
    np.testing.assert_array_equal(reciprocal_rank_fusion([ids]).ids, ids)
    np.testing.assert_array_equal(reciprocal_rank_fusion([ids, ids], depth=10).ids, ids[:, :10])


def test_takes_runs_in_every_form_and_adds_up_their_work():
    ids, scores = np.array([[3, 1]]), np.float32([[0.5, 0.1]])
    run = Run.of_one_stage(scores, ids, "cosine", Work("dual encoder", 10, 10))
    fused = reciprocal_rank_fusion([run, (scores, ids), ids])
    assert fused.ids.tolist() == [[3, 1]] and fused.work == (Work("dual encoder", 10, 10),)
    assert fused.scores[0, 0] == 1 / 61 + 1 / 61 + 1 / 61 and fused.score_names == (
        "reciprocal rank",
    )


def test_oracle_ranx():
    ranx = pytest.importorskip("ranx", reason="ranx is optional")
    rng = np.random.default_rng(3)
    runs = [
        rng.permuted(np.tile(np.arange(30), (8, 1)), axis=1)[:, :depth] for depth in (10, 20, 15)
    ]

    def named(ids):
        return {
            f"q{q}": {f"d{i}": -float(r) for r, i in enumerate(row)} for q, row in enumerate(ids)
        }

    options = {"method": "rrf", "params": {"k": 60}, "norm": None}
    peer = ranx.fuse([ranx.Run(named(ids)) for ids in runs], **options)
    ours = reciprocal_rank_fusion(runs)
    for query in range(8):
        expected = {int(name[1:]): score for name, score in peer[f"q{query}"].items()}
        assert dict(listed(ours, query)) == pytest.approx(expected)


def test_bad_input():
    ids = np.array([[0, 1]])
    for wrong, message in (
        (lambda: reciprocal_rank_fusion([]), "no runs to fuse"),
        (
            lambda: reciprocal_rank_fusion([ids, np.array([[0], [1]])]),
            r"same queries, got \[1, 2\] queries",
        ),
        (lambda: reciprocal_rank_fusion([np.array([[2, 2]])]), "id 2 is twice in row 0"),
        (lambda: reciprocal_rank_fusion([np.array([[0.5]])]), "whole numbers"),
        (
            lambda: reciprocal_rank_fusion([ids], k=-1),
            "k must be a finite number of at least 0, got -1",
        ),
        (lambda: reciprocal_rank_fusion([ids], k=float("nan")), "k must be a finite number"),
        (
            lambda: reciprocal_rank_fusion([ids], weights=[1, 1]),
            "weights must be 1 positive numbers",
        ),
        (lambda: reciprocal_rank_fusion([ids], weights=[0]), "weights must be 1 positive numbers"),
        (lambda: reciprocal_rank_fusion([ids], depth=0), "depth must be at least 1"),
    ):
        with pytest.raises(RetrievalInputError, match=message):
            wrong()


# ---- in one space


def test_mixed_vectors_by_hand():
    # Lengths do not count: (1, 0) and (0, 1) with shares .6 and .4.
    mixed = mix_vectors([[2.0, 0.0]], [[0.0, 5.0]], 0.6)
    np.testing.assert_allclose(mixed, [[0.6 / 0.52**0.5, 0.4 / 0.52**0.5]], atol=1e-6)
    np.testing.assert_allclose(mix_vectors([[2.0, 0.0]], [[0.0, 5.0]], 1), [[1, 0]])


def test_vectors_that_cannot_be_mixed():
    with pytest.raises(RetrievalInputError, match=r"second must have the shape of first, \(1, 2\)"):
        mix_vectors([[1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(RetrievalInputError, match="share"):
        mix_vectors([[1.0, 0.0]], [[0.0, 1.0]], 1.5)
    with pytest.raises(RetrievalInputError, match="the mix"):
        mix_vectors([[1.0, 0.0]], [[-1.0, 0.0]], 0.5)
