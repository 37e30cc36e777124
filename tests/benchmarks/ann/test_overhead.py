"""The overhead is measured on two indexes that find the same; how large it is, no test says."""

from __future__ import annotations

import pytest

from lib.benchmarks.ann.overhead import overhead
from lib.checks import RetrievalInputError


def test_both_times_and_their_ratio_are_returned():
    found = overhead(3_000, 16, n_queries=20, rounds=3)
    assert found["ratio"] == pytest.approx(found["harness_s"] / found["library_s"]) and found["library_s"] > 0


def test_no_round_is_refused():
    with pytest.raises(RetrievalInputError, match="rounds must be at least 1"):
        overhead(3_000, 16, n_queries=20, rounds=0)
