import re

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.metrics import Qrels, hit_rate_at_k, ndcg_at_k, runs


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_the_lookup_of_grades_is_that_of_the_judgements_for_any_block(seed, cells):
    rng = np.random.default_rng(seed)
    n_queries, n_items = rng.integers(1, 8, 2)
    grades = rng.integers(0, 4, (n_queries, n_items))
    queries, items = np.nonzero(grades)
    qrels = Qrels.from_pairs(queries, items, grades[queries, items], shape=grades.shape)
    ids = rng.integers(-1, n_items, (n_queries, 5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "TABLE_CELLS", cells)
        assert (runs.grades_in(ids, qrels) == qrels.grades_of(ids)).all()


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.sampled_from([1, 16, 10**6]))
def test_an_item_twice_is_found_by_table_and_by_sorting_for_any_block(seed, cells, sparse):
    rng = np.random.default_rng(seed)
    n_queries, n_items = rng.integers(1, 9), 12
    ids = rng.permuted(np.tile(np.arange(n_items), (n_queries, 1)), axis=1)[:, :6]
    ids[rng.random(ids.shape) < 0.2] = -1  # as often as it likes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "TABLE_CELLS", cells)
        patch.setattr(runs, "SPARSE", sparse)
        assert (runs.as_ranked_ids(ids, n_items) == ids).all()
        row = rng.integers(n_queries)
        ids[row, [1, 4]] = 7
        ids[row, [0, 2, 3, 5]] = [1, -1, 2, -1]
        with pytest.raises(
            RetrievalInputError, match=re.escape(f"id 7 is twice in row {row} of the run")
        ):
            runs.as_ranked_ids(ids, n_items)


# ---- target forms

RUN = [[2, 0, 1], [1, 2, 0]]


@pytest.mark.parametrize(
    "targets",
    [
        {0: [2], 1: [0]},
        {1: [0], 0: [2]},
        {1: 0, 0: 2},
        {np.int64(0): {2}, 1: {0: 1}},
        [{2}, {0: 3}],
        [torch.tensor([2]), np.array([0])],
        torch.tensor([2, 0]),
        ([i] for i in (2, 0)),
        [iter([2]), range(1)],
    ],
)
def test_mappings_are_taken_by_query_and_all_orders_that_exist_are_kept(targets):
    assert hit_rate_at_k(RUN, targets, 1).tolist() == [1, 0]


def test_grades_of_a_mapping_count():
    graded = ndcg_at_k(RUN, {0: {2: 1, 0: 3}, 1: [1]}, 2)
    assert graded[0] < 1 and graded[1] == 1


@pytest.mark.parametrize(
    "targets, message",
    [
        ({2: [0], 0: [1]}, r"name query 2; the run has the queries 0\.\.1"),
        ({"a": [0], "b": [1]}, "Qrels.from_ids"),
        ({0: [2]}, "query 1 has no relevant item"),
        (pd.DataFrame({"query": [0, 1], "item": [2, 0]}), "got DataFrame.*from_pairs"),
        (pd.Series([2, 0], index=[1, 0]), "got Series"),
        ({2, 0}, "got set"),
        ("20", "got str"),
        (b"\x02\x00", "got bytes"),
        (["2", b"\x00"], r"targets\[0\] must be a list of ids, got '2'"),
        ([[2], b"\x00"], r"targets\[1\]"),
        (None, "got NoneType"),
        (np.ma.masked_equal([2, 0], 0), "1 hidden"),
        ([np.ma.masked_equal([2, 0], 0), [1]], r"targets\[0\] must not hide values"),
        ([[True], [False]], "whole numbers"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_has_no_order_or_names_others_is_refused(targets, message):
    with pytest.raises(RetrievalInputError, match=message):
        hit_rate_at_k(RUN, targets, 1)
