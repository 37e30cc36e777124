"""Two stages: the second ranks the head, the first the rest; scores mix only on request."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask
from lib.search import (
    Interpolate,
    Run,
    TwoStageRetriever,
    Work,
    evaluate_run,
    recall_ceiling,
    rerank,
)
from tests.search.fakes import TableRetriever, sorted_by_definition, tables
from tests.search.test_cross_encoder import retriever_of

QUERIES = [str(row) for row in range(6)]


def both(depth, seed=0, **options):
    one, two = tables(seed=seed)
    return TwoStageRetriever(TableRetriever(one, "cosine"), retriever_of(two), depth, **options)


def searched(retriever, k):
    return retriever.search(retriever.encode(QUERIES, "text"), k)


def by_definition(one, two, depth, k):
    """List ids and stages, query by query."""
    rows = []
    for first, second in zip(one, two, strict=True):
        ranked = sorted_by_definition(first[None])[0]
        head = sorted(ranked[:depth].tolist(), key=lambda item: (-second[item], item))
        rows.append(head + ranked[depth:].tolist())
    return np.array(rows)[:, :k], np.where(np.arange(9) < depth, 2, 1)[None, :k].repeat(
        len(one), axis=0
    )


@pytest.mark.parametrize("k", [1, 4, 9])
@pytest.mark.parametrize("depth", [0, 1, 4, 8, 9])
def test_head_by_the_second_tail_by_the_first(depth, k):
    one, two = tables()
    run = searched(both(depth), k)
    ids, stage = by_definition(one, two, depth, k)
    np.testing.assert_array_equal(run.ids, ids)
    np.testing.assert_array_equal(run.stage, stage)
    expected_scores = np.where(
        stage == 2, np.take_along_axis(two, ids, 1), np.take_along_axis(one, ids, 1)
    )
    np.testing.assert_array_equal(
        run.scores, expected_scores
    )  # each its own stage's, never a mixture


def test_the_whole_gallery_reranked_is_the_exhaustive_second_stage():
    retriever = both(9)
    staged = retriever.encode(QUERIES, "text")
    alone, run = retriever.second.search(staged.second, 9), retriever.search(staged, 9)
    np.testing.assert_array_equal(run.ids, alone.ids)
    np.testing.assert_array_equal(run.scores, alone.scores)


def test_depth_0_and_1_are_the_first_stage():
    first = searched(both(0), 9)
    np.testing.assert_array_equal(first.ids, searched(both(1), 9).ids)
    assert first.score_names == ("cosine",) and len(first.work) == 1


def test_work_is_counted_for_each_stage():
    run = searched(both(4), 2)
    assert run.work == (Work("cosine", 24, 0), Work("cross-encoder", 24, 0))
    assert "ranked by cross-encoder logit (" in run.describe()
    assert "ranked by cross-encoder logit, below that by cosine" in searched(both(4), 6).describe()


def test_several_depths_score_each_pair_once_and_answer_alike():
    retriever = both(3)
    runs = retriever.search_depths(retriever.encode(QUERIES, "text"), 5, [7, 0, 3])
    assert sum(retriever.second.encoder.calls) == 6 * 7
    for depth, run in zip([7, 0, 3], runs, strict=True):
        alone = searched(both(depth), 5)
        np.testing.assert_array_equal(run.ids, alone.ids)
        np.testing.assert_array_equal(run.stage, alone.stage)
        assert run.work[1:] == alone.work[1:]


def test_items_the_first_stage_does_not_find_stay_out():
    one, two = tables()
    one[:, 5:] = -np.inf  # finds 5 of 9
    retriever = TwoStageRetriever(TableRetriever(one), retriever_of(two), 7)
    run = searched(retriever, 9)
    nothing = run.ids[:, 5:], run.stage[:, 5:], run.scores[:, 5:]
    assert [np.unique(part).tolist() for part in nothing] == [[-1], [0], [-np.inf]]
    np.testing.assert_array_equal(np.sort(run.ids[:, :5]), np.tile(np.arange(5), (6, 1)))
    assert run.work[1] == Work("cross-encoder", 30, 0)


def test_a_cascade_of_three_keeps_the_stages_apart():
    one, two = tables()
    three = tables(seed=1)[0]
    inner = TwoStageRetriever(TableRetriever(one, "cosine"), TableRetriever(two, "MaxSim"), 6)
    run = searched(TwoStageRetriever(inner, retriever_of(three), 2), 9)
    assert run.score_names == ("cosine", "MaxSim", "cross-encoder logit")
    assert run.stage[0].tolist() == [3, 3, 2, 2, 2, 2, 1, 1, 1]
    np.testing.assert_array_equal(run.ids[:, 2:], searched(inner, 9).ids[:, 2:])


def test_hits_carry_the_labels_of_the_first_stage():
    first = TableRetriever(np.float32([[3, 2, 1]]), "cosine", labels=["a", "b", "c"])
    hits = TwoStageRetriever(first, retriever_of(np.float32([[0, 5, 9]])), 2).by_text("0", k=3)
    assert [(hit.label, hit.scored_by) for hit in hits] == [
        ("b", "cross-encoder logit"),
        ("a", "cross-encoder logit"),
        ("c", "cosine"),
    ]


def test_no_reranking_passes_the_ceiling():

    qrels = Qrels.from_pairs(np.arange(6), np.arange(6), shape=(6, 9))
    task = RetrievalTask("toy", "test", "text_to_image", QUERIES, range(9), qrels)
    first = searched(both(0), 9)
    for depth in range(1, 10):
        ceiling = recall_ceiling(first, qrels, [depth])[0]
        report = evaluate_run(searched(both(depth), 9), task, ks=range(1, depth + 1))
        assert all(report.mean(f"R@{k}") <= ceiling for k in range(1, depth + 1))
        assert report.mean(f"R@{depth}") == ceiling


# ---- mixtures


def test_interpolation_by_hand():
    found = np.ones((1, 3), bool)
    first, second = np.array([[3.0, 2.0, 1.0]]), np.array([[0.0, 10.0, 5.0]])
    assert Interpolate(0.25, "raw")(first, second, found).tolist() == [[2.25, 4.0, 2.0]]
    unit = np.sqrt(1.5)  # (3 - 2) / sd, sd^2 = 2/3
    expected = [[0.25 * -unit + 0.75 * unit, 0.25 * unit, -0.75 * unit]]
    np.testing.assert_allclose(Interpolate(0.25)(first, second, found), expected, atol=1e-12)


def test_z_scores_leave_out_what_is_missing_and_count_a_level_score_0():
    found = np.array([[True, True, False], [True, True, True]])
    first = np.array([[3.0, 1.0, -np.inf], [0.1, 0.1, 0.1]])
    second = np.array([[1.0, 2.0, -np.inf], [4.0, 2.0, 3.0]])
    mixed = Interpolate(0.5)(first, second, found)
    np.testing.assert_allclose(mixed[0, :2], [0, 0], atol=1e-12)
    assert mixed[1].argsort().tolist() == [1, 2, 0] and mixed[1, 2] == 0


@pytest.mark.parametrize("scale", ["z", "raw"])
@settings(deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 9))
def test_the_ends_of_the_weight_are_the_stages(scale, seed, depth):
    for weight, same in ((1, both(depth, seed)), (0, both(0, seed))):
        mixed = searched(both(depth, seed, combine=Interpolate(weight, scale)), 9)
        np.testing.assert_array_equal(mixed.ids, searched(same, 9).ids)


@settings(deadline=None)
@given(st.integers(0, 2**16), st.integers(-3, 9), st.integers(-5, 5))
def test_z_does_not_see_the_units_of_the_second_stage(seed, power, shift):
    one, two = tables(seed=seed)
    runs = [
        TwoStageRetriever(TableRetriever(one), TableRetriever(table), 5, combine=Interpolate(0.5))
        for table in (two, two * 2.0**power + shift)
    ]
    np.testing.assert_allclose(*(searched(run, 5).scores for run in runs), atol=1e-5)


@pytest.mark.filterwarnings("error")
def test_a_query_that_finds_nothing_is_mixed_with_nothing():
    one, two = tables()
    one[3] = -np.inf
    for combine in (Interpolate(0.5), Interpolate(0.5, "raw")):
        first, second = TableRetriever(one), TableRetriever(two)
        run = searched(TwoStageRetriever(first, second, 4, combine=combine), 6)
        assert (run.ids[3] == -1).all() and (run.ids[[0, 1, 2, 4, 5]] >= 0).all()


def test_the_mixture_is_named():
    for combine, name in (
        (Interpolate(0.7), "0.7 z(cross-encoder logit) + 0.3 z(cosine)"),
        (Interpolate(0.5, "raw"), "0.5 cross-encoder logit + 0.5 cosine"),
    ):
        retriever = both(3, combine=combine)
        assert retriever.score_names == ("cosine", name) == searched(retriever, 5).score_names
        assert f"ranked by {name}, below that by cosine" in searched(retriever, 5).describe()


# ---- bad input


def test_refuses_stages_that_do_not_fit():
    one, two = tables()
    first, second = TableRetriever(one), TableRetriever(two[:, :5])
    for wrong, message in (
        (lambda: TwoStageRetriever(first, second, 3), "searches 9 items, the second scores 5"),
        (lambda: both(10), "k must be between 1 and 9"),
        (lambda: both(-1), "at least 1"),
        (lambda: both(2.0), "whole number"),
        (lambda: both(False), "whole number"),
        (lambda: searched(both(3), 0), "k must be at least 1"),
        (lambda: searched(both(3), 10), "k must be between 1 and 9"),
        (lambda: Interpolate(1.5), "weight must be between 0 and 1, got 1.5"),
        (lambda: Interpolate(float("nan")), "weight must be between 0 and 1, got nan"),
        (lambda: Interpolate(0.5, "rank"), "scale must be one of 'z', 'raw'"),
    ):
        with pytest.raises(RetrievalInputError, match=message):
            wrong()


def test_rerank_refuses_scores_that_do_not_fit():
    run = Run.of_one_stage(np.float32([[3, 2, 1]]), np.array([[0, 1, 2]]), "cosine")
    with pytest.raises(
        RetrievalInputError, match=r"scores are float64 \(1, 1\) for a run of \(1, 3\)"
    ):
        rerank(run, np.zeros((1, 1)), 2, "logit")
    for combine in (None, Interpolate(0.5)):
        with pytest.raises(RetrievalInputError, match="score of query 0 and item 1 is nan"):
            rerank(run, np.array([[1, np.nan]]), 2, "logit", combine=combine)
    twice = rerank(run, np.zeros((1, 2)), 2, "MaxSim")
    with pytest.raises(RetrievalInputError, match="first 3 items have scores of 2 stages"):
        rerank(twice, np.zeros((1, 3)), 3, "logit", combine=Interpolate(0.5))
    assert rerank(twice, np.zeros((1, 3)), 2, "logit", combine=Interpolate(0.5)).score_names[
        -1
    ] == ("0.5 z(logit) + 0.5 z(MaxSim)")


def test_rerank_keeps_the_precision_of_its_scores():
    run = Run.of_one_stage(np.float32([[3, 2, 1]]), np.array([[0, 1, 2]]), "cosine")
    found = rerank(run, np.array([[1.0, 1.0, 1 + 1e-9]]), 3, "logit")
    assert found.ids.tolist() == [[2, 0, 1]] and found.scores[0, 0] == 1 + 1e-9
