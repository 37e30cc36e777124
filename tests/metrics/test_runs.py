import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.metrics import Qrels, runs


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
