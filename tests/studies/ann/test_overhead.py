"""The overhead is measured on one index; how large it is, no test says."""

import pytest

from lib.core.checks import RetrievalInputError
from lib.studies.ann.overhead import overhead


def test_three_times_and_their_ratios_are_returned():
    found = overhead(3_000, 16, n_queries=20, rounds=3)
    assert found["harness_over_index"] == pytest.approx(found["harness_s"] / found["index_s"])
    assert found["index_over_faiss"] == pytest.approx(found["index_s"] / found["faiss_s"])


def test_no_round_is_refused():
    with pytest.raises(RetrievalInputError, match="rounds must be at least 1"):
        overhead(3_000, 16, n_queries=20, rounds=0)
