"""Two results on the same queries: is the difference more than luck?"""

from collections.abc import Iterable

from lib.core.checks import RetrievalInputError
from lib.metrics import holm, mcnemar_exact, paired_bootstrap_interval, paired_randomization
from lib.studies.published.direction_result import DirectionResult
from lib.studies.published.protocol import Protocol, differences
from lib.studies.published.results import Result

KS = (1, 5, 10)


def compare(
    a: Result, b: Result, *, allow: Iterable[str] = (), n_resamples: int = 9999, seed: int = 0
) -> list[dict]:
    """Compares two systems query by query in every direction that both have.

        difference = mean(a) - mean(b);   sign flips and bootstrap draws take whole clusters (items)

    Args:
        a, b: results on the same queries.
        allow: columns of `Protocol` that may differ, for example `["prompt", "precision"]`; the
            rest must agree, since a difference of protocols would pass for one of models.
        n_resamples: sign vectors of the randomisation test.
        seed: of sign flips and draws.

    Returns:
        Rows of direction, metric ("R@1", "R@5", "R@10", and "MAP@R" where it is not R@1), a, b,
        difference, low, high (fractions; the 95% paired bootstrap interval), p_value
        (randomisation), p_holm (of all), and for R@1 only_a, only_b and p_mcnemar (exact; it
        supposes independent queries, which captions of one image are not), else None; n_queries,
        n_clusters.

    Raises:
        RetrievalInputError: protocols that differ in what is not allowed, another corpus, other
            queries, or no direction in common.

    Relations: `lib.metrics.paired_randomization`, `mcnemar_exact`, `holm`. Look at the interval
    first: a small p says that there is a difference, not that it matters.
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
        line for line in differences(a.protocol, b.protocol) if line.split(":")[0] not in allow
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
        measured["MAP@R"] = (
            a.map_at_r,
            b.map_at_r,
        )  # with one relevant item each it is R@1 under another name
    rows = []
    for metric, (mine, other) in measured.items():
        test = paired_randomization(mine, other, a.groups, n_resamples=n_resamples, seed=seed)
        low, high = paired_bootstrap_interval(mine, other, a.groups, seed=seed)
        split = mcnemar_exact(mine, other) if metric == "R@1" else None
        rows.append(
            {
                "direction": a.direction,
                "metric": metric,
                "a": float(mine.mean()),
                "b": float(other.mean()),
                "difference": test.difference,
                "low": low,
                "high": high,
                "p_value": test.p_value,
                "p_holm": None,
                "only_a": split and split.only_a,
                "only_b": split and split.only_b,
                "p_mcnemar": split and split.p_value,
                "n_queries": test.n_queries,
                "n_clusters": test.n_clusters,
            }
        )
    return rows
