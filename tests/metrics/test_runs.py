import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
