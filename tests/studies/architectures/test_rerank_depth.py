"""Curves over the depth of a second stage, on tables whose order is known."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask
from lib.search import Interpolate, Run, TwoStageRetriever
from lib.studies.architectures import rerank_depth as rd
from tests.search.fakes import TableRetriever, sorted_by_definition, tables

# The answers of three queries among six items, and what the two stages think of the items.
ANSWERS = [2, 5, 0]
FIRST = np.float32([[6, 5, 4, 3, 2, 1], [6, 5, 4, 3, 2, 1], [6, 5, 4, 3, 2, 1]])
SECOND = np.float32([[-3, -2, -1, -4, -5, -6], [0, 0, 1, 0, 0, 9], [-2, -3, -4, -5, -6, -7]])


def task(groups=None) -> RetrievalTask:
    qrels = Qrels.from_pairs(np.arange(3), ANSWERS, shape=(3, 6))
    gallery = [str(item) for item in range(6)]
    return RetrievalTask(
        "toy", "test", "text_to_text", ["0", "1", "2"], gallery, qrels, query_groups=groups
    )


def reading(depth=6) -> rd.RerankScores:
    retriever = TwoStageRetriever(TableRetriever(FIRST, "cheap"), TableRetriever(SECOND, "dear"), 2)
    return rd.score_lists(retriever, task(), depth=depth)


def test_every_depth_by_hand():
    # Ranks of the three answers: 3, 6, 1 at first; query 0 is found from depth 3, query 1 at depth
    # 6.
    rows = rd.depth_rows(reading(), range(7))
    thirds = [row["value"] * 3 / 100 for row in rows]
    assert thirds == pytest.approx([1, 1, 1, 2, 2, 2, 3])
    ceilings = [row["ceiling"] * 3 / 100 for row in rows]
    assert ceilings == pytest.approx([0, 1, 1, 2, 2, 2, 3])
    assert [row["pairs"] for row in rows] == list(range(7))
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows)


def test_average_precision_reads_the_whole_list():
    # One answer a query: its reciprocal rank, 1/3, 1/6 and 1, also when it lies below the depth.
    assert reading().values("MAP", 0) == pytest.approx([1 / 3, 1 / 6, 1])
    assert reading(depth=2).values("MAP", 2) == pytest.approx([1 / 3, 1 / 6, 1])
    assert reading().values("R@3", 0).tolist() == [1, 0, 1]


def test_the_second_stage_scores_no_more_than_it_was_asked_for():
    shallow = reading(depth=2)
    assert shallow.deepest == 2 and shallow.run.depth == 6 and shallow.name == "dear"
    assert shallow.at(2).ids.tolist() == [
        [1, 0, 2, 3, 4, 5],
        [0, 1, 2, 3, 4, 5],
        [0, 1, 2, 3, 4, 5],
    ]
    with pytest.raises(RetrievalInputError, match=r"\(3, 2\).*depth 3"):
        shallow.at(3)


def test_some_queries():
    part = reading().take_queries([2, 0])
    assert part.values("R@1", 6).tolist() == [1, 1] and part.task.queries == ["2", "0"]
    assert part.scores.tolist() == reading().scores[[2, 0]].tolist()


def test_scores_in_another_order():
    whole = reading()
    ids = whole.run.ids[:, ::-1]
    assert whole.scores_of(ids).tolist() == SECOND[:, ::-1].tolist()
    shallow = reading(depth=2)
    assert shallow.scores_of(np.array([[1], [0], [1]])).tolist() == [[-2], [0], [-3]]
    with pytest.raises(RetrievalInputError, match="item 4 of query 1 has no score"):
        shallow.scores_of(np.array([[0], [4], [0]]))


def test_everything_read_keeps_everything():
    one, two = tables(n_queries=6, n_items=9)
    qrels = Qrels.from_pairs(np.arange(6), np.arange(6), shape=(6, 9))
    asked = RetrievalTask("toy", "test", "text_to_text", list("012345"), list("012345678"), qrels)
    retriever = TwoStageRetriever(TableRetriever(one), TableRetriever(two), 9)
    found = rd.score_lists(retriever, asked, depth=9)
    exhaustive = retriever.second.search(np.arange(6), 9)
    assert found.at(9).ids.tolist() == sorted_by_definition(two).tolist() == exhaustive.ids.tolist()
    first, last = rd.share_kept(found, exhaustive, [0, 9])
    assert (
        last["kept"] == 100
        and last["work"] == 100
        and last["difference"] == (0, 0, 0)
        and last["p"] == 1
    )
    values = (
        rd.values_of(found.run, asked, "MAP").mean(),
        rd.values_of(exhaustive, asked, "MAP").mean(),
    )
    assert first["kept"] == pytest.approx(100 * values[0] / values[1]) and first["work"] == 0
    assert first["difference"][0] == pytest.approx(100 * (values[0] - values[1]))


def test_weights():
    rows = rd.weight_rows(reading(), 6, [0, 0.5, 1])
    assert [row["weight"] for row in rows] == [0, 0.5, 1]
    assert rows[0]["value"] == pytest.approx(100 / 3) and rows[2]["value"] == pytest.approx(100)
    half = reading().values("R@1", 6, Interpolate(0.5)).mean()
    assert rows[1]["value"] == pytest.approx(100 * half)
    raw = rd.weight_rows(reading(), 6, [0.5], scale="raw")[0]["value"]
    assert raw == pytest.approx(100 * reading().values("R@1", 6, Interpolate(0.5, "raw")).mean())


@pytest.mark.parametrize(
    ("values", "best"), [([1, 3, 2], 0.5), ([1, 2, 2], 1.0), ([2, 2, 2], 0.5), ([3, 2, 1], 0.0)]
)
def test_the_best_weight_is_in_the_middle_of_the_best(values, best):
    rows = [{"weight": w, "value": v} for w, v in zip((0.0, 0.5, 1.0), values, strict=True)]
    assert rd.best_weight(rows) == best


def test_compared_by_groups():
    a, b = np.array([1.0, 1, 1, 0]), np.array([0.0, 0, 1, 0])
    asked = RetrievalTask(
        "toy", "test", "text_to_text", list("0123"), ["x"],
        Qrels.from_pairs(np.arange(4), np.zeros(4, int), shape=(4, 1)),
        query_groups=np.array([7, 7, 8, 9]),
    )  # fmt: skip
    found = rd.gain_row(a, b, asked)
    value, low, high = found["gain"]
    assert value == pytest.approx(50) and low <= 50 <= high
    assert found["p"] == 1  # a single group differs: turned round, it is as extreme


def test_bad_input():
    good = reading()
    for wrong, message in (
        (
            lambda: rd.RerankScores(task(), good.run.top(2), good.scores, "x"),
            "at most 2 per query, got 6",
        ),
        (lambda: rd.RerankScores(task(), good.run, good.scores[:2], "x"), "must have 3 rows"),
        (lambda: good.values("nDCG@10", 2), 'metric must be "R@1"'),
        (lambda: good.values("R@", 2), 'metric must be "R@1"'),
        (lambda: rd.depth_rows(good, [7]), "depth 7 is outside"),
        (lambda: rd.best_weight([]), "no weights"),
    ):
        with pytest.raises(RetrievalInputError, match=message):
            wrong()


def test_a_run_for_fewer_queries_is_refused():
    good = reading()
    short = Run(good.run.scores[:2], good.run.ids[:2], good.run.stage[:2], good.run.score_names)
    with pytest.raises(RetrievalInputError, match=r"got \(2, 6\)"):
        rd.RerankScores(task(), short, good.scores, "x")
