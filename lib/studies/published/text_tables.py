"""Format results and comparisons as rows of text."""

import math
from collections.abc import Sequence

from lib.studies.published.paper_numbers import beside_rows
from lib.studies.published.results import (
    CHOICE_METRICS,
    MEAN_ACCURACY,
    RANK_METRICS,
    Measurement,
    Result,
    subsets_of,
)


def format_result(result: Result) -> list[dict[str, str]]:
    """Format every metric with interval, chance, and published numbers, one row per such number."""
    published: dict[tuple[str, str], list[dict]] = {}
    for row in beside_rows(result):
        published.setdefault((row["direction"], row["metric"]), []).append(row)
    rows = []
    for part in result.directions:
        for metric, measured in part.values.items():
            cells = {
                "direction": _in_words(part.direction),
                "metric": metric,
                "value": _format_value(metric, measured.value),
                "95% interval": _interval(metric, measured),
                "chance": _format_value(metric, measured.chance),
            }
            for other in published.get((part.direction, metric), [None]):
                rows.append(cells | _format_published(other))
                cells = {**cells, "value": "", "95% interval": "", "chance": ""}
    return rows


def result_notes(result: Result) -> list[str]:
    """List the notes under the table: sizes, omissions, ties, rsum, and counts that differ."""
    notes: dict[str, list[str]] = {}  # equal ones of several directions stand once
    for part in result.directions:
        note = f"{part.n_queries:,} queries x {part.n_gallery:,} items"
        if any(metric in CHOICE_METRICS for metric in part.values):
            note = f"{part.n_queries:,} examples, each a choice of {part.n_gallery}"
        if part.n_without_relevant:
            note += f"; {part.n_without_relevant:,} queries without a relevant item were left out"
        if part.tie_share:
            note += f"; {part.tie_share:.2%} of first ranks depend on ties,"
            note += " which count against the model"
        if MEAN_ACCURACY in part.values:
            n_subsets = len(subsets_of(part, result.directions))
            note += f"; {MEAN_ACCURACY}: of its {n_subsets} files, accuracy: of all examples"
        notes.setdefault(note, []).append(_in_words(part.direction))
    lines = [result.protocol.title]
    lines += [f"{', '.join(directions)}: {note}" for note, directions in notes.items()]
    protocol = result.protocol
    lines.append(
        f"judgements {protocol.judgements}; inference {protocol.inference} ({protocol.method}); "
        f"prompt {protocol.prompt or 'none'}; precision {protocol.precision}"
    )
    if result.rsum is not None:
        lines.append(f"rsum {result.rsum:.1f} of 600")
    for counts, verdict in (
        (protocol.counts, ": not comparable with published numbers"),
        (protocol.judged_counts, ""),
    ):
        lines += [
            f"found {n:,} of {published:,} {name}{verdict}"
            for name, n, published in counts
            if n != published
        ]
    return lines


def format_comparison(rows: Sequence[dict]) -> list[dict[str, str]]:
    """Format rows of `compare_results`: percent and points, p-values to three digits."""
    return [
        {
            "direction": _in_words(row["direction"]),
            "metric": row["metric"],
            "A": f"{100 * row['a']:.1f}",
            "B": f"{100 * row['b']:.1f}",
            "A - B": f"{100 * row['difference']:+.1f}",
            "95% interval": f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}",
            "p": f"{row['p_value']:.3g}",
            "p (Holm)": f"{row['p_holm']:.3g}",
            "only A, only B": (
                "" if row["only_a"] is None else f"{row['only_a']:,}, {row['only_b']:,}"
            ),
            "p (McNemar)": "" if row["p_mcnemar"] is None else f"{row['p_mcnemar']:.3g}",
            "queries": f"{row['n_queries']:,}",
            "clusters": f"{row['n_clusters']:,}",
        }
        for row in rows
    ]


def _in_words(direction: str) -> str:
    return direction.replace("_to_", " to ")


def _format_published(row: dict | None) -> dict[str, str]:
    if row is None:
        return dict.fromkeys(("published", "difference", "inside", "protocol there", "source"), "")
    remark = f" ({row['remark']})" if row["remark"] else ""
    shown = f"{row['published']:.{row['decimals']}f}{remark}"
    return {
        "published": shown,
        "difference": f"{row['difference']:+.1f}",
        "inside": {None: "", True: "yes", False: "no"}[row["inside"]],
        "protocol there": "; ".join([*row["protocol"], *row["remarks"]]) or "as here",
        "source": row["source"],
    }


def _format_value(metric: str, value: float) -> str:
    if math.isinf(value):
        return "beyond the run"
    return f"{value:,.1f}" if metric in RANK_METRICS else f"{100 * value:.1f}"


def _interval(metric: str, measured: Measurement) -> str:
    if math.isnan(measured.low):
        return ""
    return f"{_format_value(metric, measured.low)} to {_format_value(metric, measured.high)}"
