"""Lab 5: make reranking pay under a budget of pairs that the second stage may read."""

from collections.abc import Callable
from functools import cache

import numpy as np

from lib import metrics
from lib.course.cases import Wrong, as_array, describe, expect
from lib.course.labs.engine import Criterion, Lab, Measured
from lib.studies.architectures.rerank_runs import cross_on_hard

BUDGET = 3  # pairs a query, on average
Read = Callable[[int, np.ndarray], np.ndarray]


class _BudgetUsed(Exception):
    """Raised by the reader when a pair beyond the budget is asked for."""


@cache
def _lists(split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return cosines, logits, right places (bool) and groups of half of the captions.

    Odd captions are the test.
    """
    hard = cross_on_hard()
    half = np.arange(len(hard.task.queries))[(split == "test") :: 2]
    judged = hard.task.qrels.at_least(hard.task.hit_grade)
    right = [np.isin(hard.run.ids[query], judged.row(query)[0]) for query in half]
    cosines, logits = hard.run.scores[half].astype(float), hard.scores[half].astype(float)
    return cosines, logits, np.array(right), hard.task.query_groups[half]


class _Reader:
    """The second stage: reads pairs and counts them; a pair that is read again costs nothing."""

    def __init__(self, logits: np.ndarray) -> None:
        self._logits, self.seen = logits, np.zeros(logits.shape, dtype=bool)

    def __call__(self, query: int, places) -> np.ndarray:
        """Return the logits of some places of a query's list."""
        places = np.atleast_1d(np.asarray(places))
        expect(
            np.ndim(query) == 0 and 0 <= int(query) < len(self.seen),
            f"read was asked for query {query!r} | Queries count from 0 to {len(self.seen) - 1}.",
        )
        last = self.seen.shape[1] - 1
        expect(
            places.dtype.kind in "iu"
            and (places.size == 0 or places.min() >= 0 and places.max() <= last),
            f"read was asked for places {describe(places)} | Places count from 0 to {last}.",
        )
        self.seen[int(query), places] = True
        if self.seen.sum() > BUDGET * len(self.seen):
            raise _BudgetUsed
        return self._logits[int(query), places].copy()


def _first_hits(order: np.ndarray, right: np.ndarray) -> np.ndarray:
    return 100.0 * np.take_along_axis(right, order[:, :1], axis=1)[:, 0]


def _measure(two_stages: Callable[[np.ndarray, Read], np.ndarray], split: str) -> Measured:
    expect(
        callable(two_stages),
        f"the answer must be a function, got {describe(two_stages)}"
        " | Pass the function itself, without calling it.",
    )
    cosines, logits, right, groups = _lists(split)
    n, depth = cosines.shape
    reader = _Reader(logits)
    try:
        result = two_stages(cosines.copy(), reader)
    except _BudgetUsed:
        last = int(np.flatnonzero(reader.seen.any(axis=1)).max())
        raise Wrong(
            f"the budget of {BUDGET * n} pairs was used up, with query {last} the last of {n} read",
            "Count the pairs. Which queries need few of them?",
        ) from None
    expect(result is not None, "it returns None | Return the order of the places.")
    order = as_array(result, (n, depth), kind="integers", meaning="the places of each list, best"
                     " first")  # fmt: skip
    expect(
        (np.sort(order, axis=1) == np.arange(depth)).all(),
        f"a row does not hold each place from 0 to {depth - 1} once"
        " | Sort the places that were read, and put the others behind them in their order.",
    )
    hits = _first_hits(order, right)
    fixed = np.argsort(-logits[:, :BUDGET], axis=1, kind="stable")
    gain = metrics.compare_systems(hits, _first_hits(fixed, right), groups)
    alone = 100.0 * right[:, 0]
    reads = float(reader.seen.sum() / n)
    symptoms = []
    top = order[:, 0]
    if not reader.seen.any():
        symptoms.append("no pair was read: the list is that of the first stage")
    elif (~reader.seen[np.arange(n), top]).sum() > 0.2 * n:
        symptoms.append(
            f"for {100 * np.mean(~reader.seen[np.arange(n), top]):.0f}% of the queries the place on"
            " top was never read. Are logits compared with cosines?"
        )
    if gain.difference < 0:
        symptoms.append(
            f"R@1 is lower than with a fixed depth of {BUDGET}, so all {depth} pairs count as read"
        )
    values = {
        "R@1": float(hits.mean()),
        "gain over a fixed depth": gain.difference,
        "gain over no rerank": float((hits - alone).mean()),
        "pairs that count": reads if gain.difference >= 0 else float(depth),
    }
    intervals = {
        "R@1": metrics.bootstrap_interval(hits, groups),
        "gain over a fixed depth": (gain.low, gain.high),
    }
    return Measured(values, intervals, {"pairs a query": reads}, tuple(symptoms))


LAB = Lab(
    "two_stages",
    f"Write two_stages(cosines, read): lists of 50 places, best first; read(query, places) gives"
    f" logits, at most {BUDGET} pairs a query on average; return the order of the places.",
    _measure,
    (
        Criterion("reranking pays", 3, "gain over no rerank", 40, 15, "Is the best logit on top?"),
        Criterion("it beats a fixed depth", 4, "gain over a fixed depth", 2.5, 0.8,
                  "A fixed depth spends as much on sure queries as on doubtful ones."),
        Criterion("quality", 4, "R@1", 94, 93.5,
                  "The cosine knows something that the logit does not: notebook 12, section 4."),
        Criterion("thrift", 3, "pairs that count", 2.2, 3,
                  "When is the next pair not worth reading?"),
        Criterion("reasons", 3, "", "a rule that follows from a figure of both scores",
                  "a rule, and a table of its settings", none="no reasons"),
        Criterion("failures", 3, "", "three captions that are lost, as pictures, each explained",
                  "pictures alone", none="none looked at"),
    ),
    limit_s=60.0,
)  # fmt: skip
