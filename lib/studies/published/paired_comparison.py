"""Compare two results on the same queries by paired tests."""

from collections.abc import Iterable, Sequence

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.metrics import compare_systems, holm, mcnemar_exact
from lib.studies.published.folds import weights_of_parts
from lib.studies.published.protocol import Protocol, protocol_differences
from lib.studies.published.results import (
    CHOICE_METRICS,
    MEAN_ACCURACY,
    DirectionResult,
    Result,
    hit_cut,
    subsets_of,
)

HITS = ("R@1", "R@5", "R@10", "acc1", "acc5")


def compare_results(
    a: Result, b: Result, *, allow: Iterable[str] = (), n_resamples: int = 9999, seed: int = 0
) -> list[dict]:
    """Compare two systems query by query in every direction that both have.

        difference = mean(a) - mean(b);   sign flips and bootstrap draws take whole clusters (items)

    Args:
        a, b: results on the same queries.
        allow: columns of `Protocol` that may differ, for example `["prompt", "precision"]`.
        n_resamples: sign vectors of the randomisation test.
        seed: seed of sign flips and draws.

    Returns:
        Rows `direction`, `metric` (R@1, R@5, R@10, acc1, acc5, and MAP@R where it is not R@1; the
        scores of choices), `a`, `b`, `difference`, `low`, `high` (fractions; 95%), `p_value`
        (randomisation), `p_holm` (of all), `n_queries`, `n_clusters`, and for R@1, acc1 and
        choices `only_a`, `only_b` and `p_mcnemar` (exact; it assumes independent queries, but
        captions of one image are not).
    """
    _check_comparable(a, b, set(allow))
    pairs = _common_directions(a, b)
    if not pairs:
        raise RetrievalInputError("no direction is in both results; evaluate both alike")
    rows = [
        row
        for of_a, of_b in pairs
        for row in _compare_direction(
            of_a,
            of_b,
            _part_weights(of_a, a),
            subsets_of(of_a, a.directions),
            n_resamples,
            seed,
        )
    ]
    if not rows:
        raise RetrievalInputError(
            "the two results have none of R@1, R@5, R@10 and MAP@R in common; evaluate both with"
            " one of these metrics"
        )
    for row, adjusted in zip(rows, holm([row["p_value"] for row in rows]), strict=True):
        row["p_holm"] = float(adjusted)
    return rows


def _common_directions(a: Result, b: Result) -> list[tuple[DirectionResult, DirectionResult]]:
    parts = {part.direction: part for part in a.directions}
    return [(parts[part.direction], part) for part in b.directions if part.direction in parts]


def _check_comparable(a: Result, b: Result, allow: set[str]) -> None:
    unknown = allow - set(Protocol.__dataclass_fields__)
    if unknown:
        raise RetrievalInputError(
            f"no column of the protocol is named {', '.join(sorted(unknown))}"
        )
    lines = protocol_differences(a.protocol, b.protocol)
    differences = {name: line for line in lines if (name := line.split(":")[0]) not in allow}
    if "benchmark" in differences or "split" in differences:
        named = " and ".join(f"{one.protocol.benchmark}, {one.protocol.split}" for one in (a, b))
        raise RetrievalInputError(
            f"the two results are of different queries: {named}. Only results on one split of one"
            " benchmark can be compared"
        )
    if differences:
        raise RetrievalInputError(
            f"the two results follow different protocols: {'; '.join(differences.values())}."
            " Evaluate both alike, or allow the difference by name (--allow):"
            f" {', '.join(differences)}"
        )
    for of_a, of_b in _common_directions(a, b):
        if of_a.queries_checksum != of_b.queries_checksum:
            raise RetrievalInputError(
                f"{of_a.direction}: the queries differ: {of_a.n_queries} with checksum"
                f" {of_a.queries_checksum[:8]} and {of_b.n_queries} with"
                f" {of_b.queries_checksum[:8]}; evaluate both on the same files"
            )
    if a.corpus_checksum != b.corpus_checksum and not allow:
        raise RetrievalInputError(
            f"the corpora differ: checksums {a.corpus_checksum[:8]} and {b.corpus_checksum[:8]};"
            " evaluate both on the same files"
        )


def _part_weights(direction: DirectionResult, result: Result) -> np.ndarray | None:
    """Return the weight of each query of a direction, `(n_queries,)`; None where all are equal.

    Where the other directions are its parts, as the categories of FashionIQ, each part counts the
    same: the weighted mean over queries is the mean of the means of the parts.
    """
    sizes = np.array([part.n_queries for part in result.directions if part is not direction])
    if not result.protocol.n_folds == sizes.size > 1 or sizes.sum() != direction.n_queries:
        return None
    return weights_of_parts(sizes)


def _compare_direction(
    a: DirectionResult,
    b: DirectionResult,
    weights: np.ndarray | None,
    subsets: Sequence[DirectionResult],
    n_resamples: int,
    seed: int,
) -> list[dict]:
    both = [name for name in (*HITS, *CHOICE_METRICS) if name in a.values and name in b.values]
    measured = {name: (a.hits(hit_cut(name)), b.hits(hit_cut(name))) for name in both}
    if MEAN_ACCURACY in a.values and MEAN_ACCURACY in b.values:
        measured[MEAN_ACCURACY] = a.hits(1), b.hits(1)
    if any((part.map_at_r != part.hits(1)).any() for part in (a, b)):
        # With one relevant item for each query MAP@R is R@1 under another name.
        measured["MAP@R"] = (a.map_at_r, b.map_at_r)
    rows = []
    for metric, (values_a, values_b) in measured.items():
        of_values = weights
        if metric == MEAN_ACCURACY:
            of_values = weights_of_parts([subset.n_queries for subset in subsets])
        test = compare_systems(
            values_a, values_b, a.groups, of_values, n_resamples=n_resamples, seed=seed
        )
        mcnemar = mcnemar_exact(values_a, values_b) if hit_cut(metric) == 1 else None
        row = {"direction": a.direction, "metric": metric, "a": test.mean_a, "b": test.mean_b}
        row |= {"difference": test.difference, "low": test.low, "high": test.high}
        row |= {"p_value": test.p_value, "p_holm": None}
        row |= {"only_a": mcnemar and mcnemar.only_a, "only_b": mcnemar and mcnemar.only_b}
        row |= {"p_mcnemar": mcnemar and mcnemar.p_value}
        rows.append(row | {"n_queries": test.n_queries, "n_clusters": test.n_clusters})
    return rows
