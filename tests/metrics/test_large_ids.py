"""Ids far beyond 32 bits: no metric, judgement or fusion wraps them or makes a table as wide as
they are.
"""

import numpy as np
import pytest

from lib import metrics
from lib.core.checks import RetrievalInputError
from lib.metrics import Qrels, evaluate
from lib.search import Run, reciprocal_rank_fusion, rerank

SMALL_RUN = np.array([[0, 1, 2, 3], [3, 2, 1, -1], [1, 0, 3, 2]])
SMALL_TARGETS = [[1, 3], [0, 2], [2]]
EDGES = (2**31, 2**32, 2**40, 2**62)
AT_K = ("hit_rate_at_k", "recall_at_k", "precision_at_k", "ndcg_at_k")
WHOLE = (
    "average_precision",
    "average_precision_at_r",
    "first_rank",
    "map_at_r",
    "mean_average_precision",
    "mean_rank",
    "mean_reciprocal_rank",
    "median_rank",
    "r_precision",
    "reciprocal_rank",
)


@pytest.mark.parametrize("edge", EDGES)
def test_ids_on_both_sides_of_an_edge_give_the_metrics_of_small_ones(edge):
    name = np.array([edge - 1, edge, edge + 7, 7])  # 7 and edge + 7 agree in their low bits
    run = np.where(SMALL_RUN < 0, -1, name[SMALL_RUN])
    targets = [name[row] for row in SMALL_TARGETS]
    qrels = Qrels.from_pairs(
        np.repeat(np.arange(3), [2, 2, 1]), np.concatenate(targets), shape=(3, edge + 8)
    )
    small = Qrels.from_pairs([0, 0, 1, 1, 2], sum(SMALL_TARGETS, []), shape=(3, 4))
    for function in (*AT_K, *WHOLE):
        extra = (2,) if function in AT_K else ()
        expected = getattr(metrics, function)(SMALL_RUN, small, *extra)
        for form in (targets, qrels, dict(enumerate(targets))):
            found = getattr(metrics, function)(run, form, *extra)
            np.testing.assert_array_equal(
                found, expected, err_msg=f"{function} of {type(form).__name__}"
            )
    scores = -np.arange(12.0).reshape(3, 4) % 4
    scores = -np.sort(-scores, axis=1)
    measured = evaluate(
        (scores, run), qrels, ks=(1, 2), metrics=("R", "recall", "P", "nDCG", "MRR", "MAP")
    )
    for metric, values in evaluate(
        (scores, SMALL_RUN), small, ks=(1, 2), metrics=("R", "nDCG")
    ).per_query.items():
        np.testing.assert_array_equal(measured.per_query[metric], values)
    grades = np.where(
        np.isin(run, [-1]), 0, [[g in row for g in ids] for row, ids in zip(targets, run)]
    )
    assert (qrels.grades_of(run) == grades).all()
    assert qrels.at_least(1).take_queries([2, 0]).row(0)[0].tolist() == [name[2]]


@pytest.mark.parametrize("edge", EDGES)
def test_fusion_and_rerank_keep_large_ids(edge):
    ids = np.array([[edge + 7, 7, edge]])
    assert reciprocal_rank_fusion([ids, ids]).ids.tolist() == ids.tolist()
    run = Run.of_one_stage(np.array([[3.0, 2.0, 1.0]]), ids, "first")
    assert rerank(run, np.array([[1.0, 2.0, 2.0]]), 3, "second").ids.tolist() == [
        [7, edge, edge + 7]
    ]


def test_what_needs_a_table_as_wide_as_the_largest_id_is_refused_with_advice():
    wide = Qrels.from_pairs([0], [2**40], shape=(1, 2**40 + 1))
    for ask in (lambda: wide.T, lambda: metrics.k_occurrence([[2**40]], 2**40 + 1)):
        with pytest.raises(RetrievalInputError, match="8,192 GiB.*np.unique"):
            ask()
    with pytest.raises(RetrievalInputError, match=r"run holds 18446744073709551615; .* 2\^63 - 1"):
        metrics.hit_rate_at_k(np.array([[2**64 - 1]], np.uint64), [[1]], 1)


def test_the_issues_own_cases():
    assert metrics.hit_rate_at_k([[3_000_000_000, 7]], [[3_000_000_000]], 1).tolist() == [1]
    assert metrics.hit_rate_at_k([[7, 5]], [[2**32 + 7]], 1).tolist() == [0]
