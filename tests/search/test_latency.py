"""What is timed, with a clock that moves only when a fake works: a second a query, another for each
pair.
"""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.report import measure
from lib.search import TwoStageRetriever, fit_costs, measure_costs
from tests.search.fakes import TableRetriever, tables

QUERIES = ["0", "1", "2", "3", "4", "5"]


class Slow(TableRetriever):
    """Moves the clock by 10 a search and 1 a query; as a scorer by 4 a call and 0.5 a pair."""

    now = 0.0

    def search(self, queries, k):
        Slow.now += 10 + len(queries)
        return super().search(queries, k)

    def score(self, queries, ids):
        Slow.now += 4 + 0.5 * ids.size
        return super().score(queries, ids)


@pytest.fixture
def retriever(monkeypatch):
    clock = SimpleNamespace(perf_counter=lambda: Slow.now)
    monkeypatch.setattr(sys.modules[measure.__module__], "time", clock)
    one, two = tables()
    return TwoStageRetriever(Slow(one), Slow(two), 3)


def test_one_query_at_a_time(retriever):
    measured = measure_costs(retriever, QUERIES, [1, 4, 9], repeats=2, k=5)
    assert measured.first_s == 11 and measured.depths.tolist() == [1, 4, 9]
    assert measured.seconds.tolist() == [15.5, 17, 19.5]
    assert [len(took) for took in measured.repeats] == [
        2 * len(QUERIES)
    ] * 4  # nothing is thrown away
    costs = fit_costs(*measured[:3])
    assert (costs.first_s, costs.fixed_s, costs.pair_s) == pytest.approx((11, 4, 0.5))


def test_in_batches_the_overhead_is_shared(retriever):
    measured = measure_costs(retriever, np.array(QUERIES), [2, 4], repeats=1, k=5, batch_size=3)
    assert measured.first_s == pytest.approx((10 + 3) / 3)
    assert measured.seconds.tolist() == pytest.approx([(13 + 4 + 3) / 3, (13 + 4 + 6) / 3])


def test_bad_input(retriever):
    for wrong, message in (
        (lambda: measure_costs(retriever, [], [1]), "no queries to measure with"),
        (lambda: measure_costs(retriever, QUERIES, [0, 1], k=5), "k must be at least 1"),
        (lambda: measure_costs(retriever, QUERIES, [10], k=5), "k = 10"),
        (lambda: measure_costs(retriever, QUERIES, [1], 0, k=5), "repeats must be at least 1"),
        (
            lambda: measure_costs(retriever, QUERIES, [1], k=5, batch_size=0),
            "batch_size must be at least 1",
        ),
        (lambda: measure_costs(retriever, QUERIES, [1]), "k = 10"),
    ):
        with pytest.raises(RetrievalInputError, match=message):
            wrong()
