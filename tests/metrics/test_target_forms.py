"""Targets given as something else than lists in the order of the queries: taken by key, or
refused.
"""

import numpy as np
import pandas as pd
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.metrics import hit_rate_at_k, ndcg_at_k

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
        (np.ma.masked_equal([2, 0], 0), "1 hidden value"),
        ([np.ma.masked_equal([2, 0], 0), [1]], r"targets\[0\] is a masked array"),
        ([[True], [False]], "whole numbers"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_has_no_order_or_names_others_is_refused(targets, message):
    with pytest.raises(RetrievalInputError, match=message):
        hit_rate_at_k(RUN, targets, 1)
