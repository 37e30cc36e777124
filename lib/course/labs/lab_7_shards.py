"""Lab 7: put vectors on shards, and choose the shards that a query asks."""

from collections.abc import Callable
from functools import cache

import numpy as np

from lib import metrics
from lib.course.cases import Wrong, describe, describe_error, expect
from lib.course.labs.engine import Criterion, Lab, Measured
from lib.index import topk_exact
from lib.studies.ann.corpora import AnnCorpus, icons

K = 10
SHARDS, ASKED = 32, 2
LARGEST = 1.2  # of a shard, in mean sizes
USEFUL = 50  # percent of recall below which kept limits earn nothing
KINDS = {"image": "images", "text": "texts"}
Route = Callable[[np.ndarray], np.ndarray]
Split = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, Route]]


@cache
def _corpus() -> AnnCorpus:
    return icons()


@cache
def _queries(kind: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return queries of a split and their true neighbours: odd ones are the test."""
    rows = _corpus().queries[kind][(split == "test") :: 2]
    return rows, topk_exact(rows, _corpus().vectors(), K, metric="cosine")[1]


def _measure(split_up: Split, split: str) -> Measured:
    shard_of, route = _answered(split_up)
    values, hits, costs, symptoms = {}, {}, {}, []
    for kind, name in KINDS.items():
        queries, truth = _queries(kind, split)
        asked = _routed(route, queries)
        at = np.arange(len(queries))[:, None]
        hits[name] = 100 * asked[at, shard_of[truth]].mean(axis=1)
        values[f"recall of {name}"] = float(hits[name].mean())
        costs[f"shards asked, {name}"] = round(float(asked.sum(axis=1).mean()), 2)
    sizes = np.bincount(shard_of, minlength=SHARDS)
    costs["largest shard / mean"] = round(float(sizes.max() / sizes.mean()), 3)
    most = max(costs[f"shards asked, {name}"] for name in KINDS.values())
    within = {
        "balance kept": min(1.0, LARGEST / costs["largest shard / mean"]),
        "asked kept": min(1.0, ASKED / max(most, 1e-9)),
    }
    if within["balance kept"] < 1:
        symptoms.append(
            f"the largest shard holds {sizes.max():,} vectors, {costs['largest shard / mean']:.1f}"
            f" times the mean; {LARGEST} times are allowed: recall counts in proportion"
        )
    if within["asked kept"] < 1:
        symptoms.append(
            f"a query asks {most:.1f} shards, {ASKED} are allowed: recall counts in proportion"
        )
    worst = min(hits, key=lambda name: hits[name].mean())
    share = 100 * within["balance kept"] * within["asked kept"]
    low, high = metrics.bootstrap_interval(hits[worst])
    useful = hits[worst].mean() >= USEFUL
    kept = {name: 100 * part * useful for name, part in within.items()}
    if not useful:
        symptoms.append(
            f"it finds {hits[worst].mean():.0f}% of the neighbours of {worst}. Limits that are kept"
            f" earn points from {USEFUL}% on"
        )
    counted = {f"counted {key}": value * share / 100 for key, value in values.items()}
    score = {"score": hits[worst].mean() * share / 100}
    intervals = {"score": (low * share / 100, high * share / 100)}
    return Measured({**score, **values, **counted, **kept}, intervals, costs, tuple(symptoms))


def _answered(split_up: Split) -> tuple[np.ndarray, Route]:
    """Call the answer and check the shards of the vectors."""
    expect(
        callable(split_up),
        f"the answer must be a function, got {describe(split_up)}"
        " | Pass split itself, without calling it.",
    )
    base, texts = _corpus().vectors().copy(), _corpus().learn["text"].copy()
    try:
        answer = split_up(base, texts)
    except Exception as error:
        raise Wrong(f"it raised {describe_error(error)}", "Try it on 100 vectors first.") from None
    expect(
        isinstance(answer, tuple) and len(answer) == 2 and callable(answer[1]),
        f"it returns {describe(answer)} | Return two things: the shard of each vector, and a"
        " function that chooses shards for queries.",
    )
    shard_of = np.asarray(answer[0])
    expect(
        shard_of.shape == (len(base),) and shard_of.dtype.kind in "iu",
        f"the shards are {describe(answer[0])} | One whole number for each of the {len(base):,}"
        " vectors.",
    )
    expect(
        shard_of.min() >= 0 and shard_of.max() < SHARDS,
        f"the shards are {shard_of.min()} to {shard_of.max()} | Number them 0 to {SHARDS - 1}.",
    )
    return shard_of.astype(np.int64), answer[1]


def _routed(route: Route, queries: np.ndarray) -> np.ndarray:
    """Ask the answer for the shards of some queries: bool (n_queries, SHARDS)."""
    try:
        asked = np.asarray(route(queries.copy()))
    except Exception as error:
        raise Wrong(
            f"the function that chooses shards raised {describe_error(error)}",
            "It gets queries (n_queries, 256) and nothing else.",
        ) from None
    expect(
        asked.shape == (len(queries), SHARDS) and asked.dtype == bool,
        f"the function that chooses shards returns {describe(asked)} | A bool for each query and"
        f" shard, ({len(queries)}, {SHARDS}): True where the query asks the shard.",
    )
    return asked


LAB = Lab(
    "shards",
    f"Write split(base, texts): 15,757 vectors of images, and texts to tune with; return the shard"
    f" of each vector, 0 to {SHARDS - 1}, and a function from queries to the {ASKED} shards they"
    " ask.",
    _measure,
    (
        Criterion("balance", 2, "balance kept", 100, 70,
                  f"No shard may hold more than {LARGEST} times the mean, and the recall must reach"
                  f" {USEFUL}%."),
        Criterion("shards asked", 2, "asked kept", 100, 70,
                  f"A query asks {ASKED} shards of {SHARDS} on average, and the recall must reach"
                  f" {USEFUL}%."),
        Criterion("image queries", 5, "counted recall of images", 86, 76,
                  "Do neighbours share a shard?"),
        Criterion("text queries", 5, "counted recall of texts", 80, 66,
                  "Which shards hold the neighbours of the training texts?"),
        Criterion("reasons", 3, "", "the choice follows from a measured cause, shown",
                  "settings tried, with a table", none="one setting, no reason"),
        Criterion("comparison", 3, "", "two ways to split and two to route, in one table",
                  "two settings of one way", none="no comparison"),
    ),
    limit_s=100.0,
)  # fmt: skip
