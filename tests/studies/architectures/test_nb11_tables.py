"""Rows and curves over depth, mixtures and fusion, on tables whose order is known."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask
from lib.search import Interpolate, TwoStageRetriever, reciprocal_rank_fusion
from lib.studies.architectures import nb11_tables as rt
from lib.studies.architectures import rerank_depth as rd
from tests.search.fakes import TableRetriever

N, M = 40, 6


def reading(seed=0, good=0.0, groups=None) -> rd.RerankScores:
    """40 queries, query i is right with item i % 6; `good` lifts the second score of the right
    one.
    """
    rng = np.random.default_rng(seed)
    one, two = rng.normal(size=(2, N, M)).astype(np.float32)
    one = (
        np.random.default_rng(0).normal(size=(N, M)).astype(np.float32)
    )  # the same first stage for all
    right = np.arange(N) % M
    two[np.arange(N), right] += good
    qrels = Qrels.from_pairs(np.arange(N), right, shape=(N, M))
    names = [str(i) for i in range(N)]
    task = RetrievalTask(
        "toy", "test", "text_to_text", names, names[:M], qrels, query_groups=groups
    )
    return rd.score_lists(
        TwoStageRetriever(TableRetriever(one), TableRetriever(two), 2), task, depth=M
    )


def test_curves_share_a_ceiling():
    depths, better = [0, 1, 3, 6], reading(good=9)
    series = rt.depth_curves({"good": (better, None), "mixed": (better, Interpolate(0.5))}, depths)
    assert list(series) == ["good", "mixed", "ceiling"]
    assert series["good"][0] == depths and len(series["good"]) == 4
    over, ceiling = series["ceiling"]
    assert over == (1, 3, 6) and ceiling[-1] == 100
    # A second stage that is never wrong reaches the ceiling at every depth.
    assert series["good"][1][1:] == pytest.approx(list(ceiling))


def test_a_ceiling_belongs_to_one_first_stage():
    other = reading()
    other = rd.RerankScores(
        other.task, rd.rerank(other.run, other.scores, 6, "x"), other.scores, "y"
    )
    with pytest.raises(RetrievalInputError, match="one first stage"):
        rt.depth_curves({"a": (reading(), None), "b": (other, None)}, [0, 1])
    with pytest.raises(RetrievalInputError, match="one first stage"):
        rt.depth_curves({}, [0, 1])


def test_a_table_of_runs():
    both = reading(good=9)
    runs = {"first": both.run, "second": both.at(6)}
    first, second = rt.run_rows(runs, both.task, metrics=("R@1", "MAP"), against="first")
    assert first["gain"] == (0, 0, 0) and first["p"] == 1 and second["R@1"] == second["MAP"] == 100
    assert second["gain"][0] == pytest.approx(100 - first["R@1"]) and second["p"] < 0.01
    assert set(rt.run_rows(runs, both.task, metrics=("R@3",))[0]) == {"run", "R@3"}
    with pytest.raises(RetrievalInputError, match="third"):
        rt.run_rows(runs, both.task, metrics=("R@1",), against="third")


def test_gains_by_definition():
    both = reading(good=1)
    (row,) = rt.gain_rows({"it": both}, {"it": 0.6}, 6)
    first, second = both.values("R@1", 0), both.values("R@1", 6)
    mixed = both.values("R@1", 6, Interpolate(0.6))
    assert row["first"] == 100 * first.mean() and row["decides"] == 100 * second.mean()
    assert row["only second"] == pytest.approx(100 * np.mean((second == 1) & (first == 0)))
    assert row["gain"][0] == pytest.approx(100 * (mixed - first).mean())


def test_fusion_by_k():
    both = reading(good=1)
    runs = [both.run, both.at(6)]
    found = rt.fusion_curves({"one": runs[:1], "two": runs}, both.task, [0, 60], depth=3)
    assert found["one"] == ((0, 60), [100 * both.values("R@1", 0).mean()] * 2)
    fused = reciprocal_rank_fusion(runs, k=60)
    assert found["two"][1][1] == pytest.approx(100 * rd.values_of(fused, both.task, "R@1").mean())


def test_choosing_where_one_reports_flatters():
    noise = reading(seed=3)
    found = rt.selection_bias(noise, depths=range(1, 7), draws=100)
    assert found.shape == (100,) and found.mean() > 0
    assert np.array_equal(found, rt.selection_bias(noise, depths=range(1, 7), draws=100))
    # One setting is no choice: the halves differ by luck alone.
    assert abs(rt.selection_bias(noise, depths=[6], weights=[0.5], draws=400).mean()) < 2


def test_halves_keep_groups_together():
    groups = np.arange(N) // 20  # two groups: one half each
    found = rt.selection_bias(reading(groups=groups), depths=[0], weights=[0.0], draws=20)
    assert len(np.unique(np.abs(found).round(9))) == 1
