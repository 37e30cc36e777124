"""Compare two results on the same queries by paired tests."""

from collections.abc import Iterable

from lib.core.checks import RetrievalInputError
from lib.metrics import compare_systems, holm, mcnemar_exact
from lib.studies.published.protocol import Protocol, protocol_differences
from lib.studies.published.results import DirectionResult, Result

KS = (1, 5, 10)


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
        Rows of direction, metric ("R@1", "R@5", "R@10", and "MAP@R" where it is not R@1), a, b,
        difference, low, high (fractions; the 95% paired bootstrap interval), p_value
        (randomisation), p_holm (of all), and for R@1 only_a, only_b and p_mcnemar (exact; it
        supposes independent queries, which captions of one image are not), else None; n_queries,
        n_clusters.
    """
    _check_comparable(a, b, set(allow))
    mine = {part.direction: part for part in a.directions}
    pairs = [(mine[part.direction], part) for part in b.directions if part.direction in mine]
    if not pairs:
        raise RetrievalInputError(f"no direction is in both: {', '.join(mine)} and others")
    rows = [
        row for one, other in pairs for row in _compare_direction(one, other, n_resamples, seed)
    ]
    for row, adjusted in zip(rows, holm([row["p_value"] for row in rows]), strict=True):
        row["p_holm"] = float(adjusted)
    return rows


def _check_comparable(a: Result, b: Result, allow: set[str]) -> None:
    unknown = allow - set(Protocol.__dataclass_fields__)
    if unknown:
        raise RetrievalInputError(
            f"no column of the protocol is named {', '.join(sorted(unknown))}"
        )
    differ = [
        line
        for line in protocol_differences(a.protocol, b.protocol)
        if line.split(":")[0] not in allow
    ]
    if differ:
        raise RetrievalInputError(
            f"the two results follow different protocols: {'; '.join(differ)}. Evaluate both alike,"
            f" or allow the difference by name: {', '.join(line.split(':')[0] for line in differ)}"
        )
    for one in b.directions:
        for other in a.directions:
            if one.direction == other.direction and one.queries_checksum != other.queries_checksum:
                raise RetrievalInputError(
                    f"{one.direction}: the two results are on other queries ({other.n_queries},"
                    f" checksum {other.queries_checksum[:8]}, and {one.n_queries},"
                    f" {one.queries_checksum[:8]}); evaluate both on the same files"
                )
    if a.corpus_checksum != b.corpus_checksum and not allow:
        raise RetrievalInputError(
            f"the corpora differ: checksums {a.corpus_checksum[:8]} and {b.corpus_checksum[:8]};"
            " evaluate both on the same files"
        )


def _compare_direction(
    a: DirectionResult, b: DirectionResult, n_resamples: int, seed: int
) -> list[dict]:
    measured = {
        f"R@{k}": (a.hits(k), b.hits(k))
        for k in KS
        if f"R@{k}" in a.values and f"R@{k}" in b.values
    }
    if any((part.map_at_r != part.hits(1)).any() for part in (a, b)):
        # With one relevant item for each query MAP@R is R@1 under another name.
        measured["MAP@R"] = (a.map_at_r, b.map_at_r)
    rows = []
    for metric, (mine, other) in measured.items():
        test = compare_systems(mine, other, a.groups, n_resamples=n_resamples, seed=seed)
        mcnemar = mcnemar_exact(mine, other) if metric == "R@1" else None
        row = {"direction": a.direction, "metric": metric, "a": test.mean_a, "b": test.mean_b}
        row |= {"difference": test.difference, "low": test.low, "high": test.high}
        row |= {"p_value": test.p_value, "p_holm": None}
        row |= {"only_a": mcnemar and mcnemar.only_a, "only_b": mcnemar and mcnemar.only_b}
        row |= {"p_mcnemar": mcnemar and mcnemar.p_value}
        rows.append(row | {"n_queries": test.n_queries, "n_clusters": test.n_clusters})
    return rows
