"""Lab 4: choose an index and its settings for given limits on memory and work."""

from collections.abc import Callable
from functools import cache

import numpy as np

from lib import metrics
from lib.course.cases import Wrong, describe, describe_error, expect
from lib.course.labs.engine import Criterion, Lab, Measured
from lib.index import VectorSearchIndex, topk_exact
from lib.studies.ann.corpora import AnnCorpus, icons

K = 10
BYTES, READS = 176, 1_300  # limits: bytes a vector, comparisons a query
USEFUL = 50  # percent of recall below which kept limits earn nothing
KINDS = {"image": "images", "text": "texts"}
Build = Callable[[np.ndarray, np.ndarray], VectorSearchIndex]


@cache
def _corpus() -> AnnCorpus:
    return icons()


@cache
def _queries(kind: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return queries of a split and their true neighbours: odd ones are the test."""
    rows = _corpus().queries[kind][(split == "test") :: 2]
    return rows, topk_exact(rows, _corpus().vectors(), K, metric="cosine")[1]


def _measure(build: Build, split: str) -> Measured:
    index = _built(build)
    values, hits, costs, symptoms = {}, {}, {}, []
    for kind, name in KINDS.items():
        queries, truth = _queries(kind, split)
        result = type(index).search(index, queries, K)
        found = zip(result.ids.tolist(), truth.tolist(), strict=True)
        hits[name] = np.array([100 * len(set(ids) & set(true)) / K for ids, true in found])
        values[f"recall of {name}"] = float(hits[name].mean())
        reads = sum(result.work.get(part, 0) for part in ("distances", "codes", "centroids"))
        costs[f"comparisons, {name}"] = round(reads / len(queries), 1)
    costs["bytes a vector"] = round(index.bytes_by_part()["total"] / index.ntotal, 1)
    reads = max(costs[f"comparisons, {name}"] for name in KINDS.values())
    within = {
        "memory kept": min(1.0, BYTES / costs["bytes a vector"]),
        "work kept": min(1.0, READS / reads),
    }
    if within["memory kept"] < 1:
        symptoms.append(
            f"it takes {costs['bytes a vector']:.0f} bytes a vector, {BYTES} are allowed: recall"
            " counts in proportion. Which part of `index.bytes_by_part()` is the largest?"
        )
    if within["work kept"] < 1:
        symptoms.append(
            f"a query compares {reads:,.0f} vectors, codes and centroids, {READS:,} are allowed:"
            " recall counts in proportion"
        )
    worst = min(hits, key=lambda name: hits[name].mean())
    share = 100 * within["memory kept"] * within["work kept"]
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


def _built(build: Build) -> VectorSearchIndex:
    """Call the answer and check that it is an index of the library over the whole base."""
    expect(
        callable(build),
        f"the answer must be a function, got {describe(build)}"
        " | Pass build itself, without calling it.",
    )
    base, texts = _corpus().vectors().copy(), _corpus().learn["text"].copy()
    try:
        index = build(base, texts)
    except Exception as error:
        hint = "An option that a family does not know? `VectorSearchIndex.families` lists them."
        raise Wrong(f"it raised {describe_error(error)}", hint) from None
    expect(index is not None, "it returns None | Return the index.")
    expect(
        isinstance(index, VectorSearchIndex),
        f"it returns {describe(index)} | Return a VectorSearchIndex with its search settings made.",
    )
    expect(
        type(index).__module__.startswith("lib.index."),
        f"it returns a {type(index).__name__} of your own, whose work nobody counts"
        " | Use the families of VectorSearchIndex.",
    )
    expect(
        index.dimension == base.shape[1] and index.ntotal == len(base),
        f"the index holds {index.ntotal:,} vectors of {index.dimension} numbers, expected"
        f" {len(base):,} of {base.shape[1]} | Add the whole base, once.",
    )
    return index


LAB = Lab(
    "indexes",
    f"Write build(base, texts): 15,757 vectors of images to index and texts to tune with; return a"
    f" VectorSearchIndex of at most {BYTES} bytes a vector and {READS:,} comparisons a query.",
    _measure,
    (
        Criterion("memory", 2, "memory kept", 100, 70,
                  f"At most {BYTES} bytes a vector, parts that are not codes too."),
        Criterion("work", 2, "work kept", 100, 70,
                  f"At most {READS:,} comparisons: codes, vectors and centroids."),
        Criterion("image queries", 5, "counted recall of images", 93, 84,
                  "Longer codes, or more lists at the same work?"),
        Criterion("text queries", 5, "counted recall of texts", 88, 75,
                  "Texts lie far from all images: which error hurts them most?"),
        Criterion("reasons", 3, "", "settings follow from a sum of bytes and reads, shown",
                  "settings tried, with a table", none="one setting, no reason"),
        Criterion("comparison", 3, "", "two families and three settings, in one Pareto figure",
                  "two settings of one family", none="no comparison"),
    ),
    limit_s=100.0,
)  # fmt: skip
