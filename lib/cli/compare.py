"""`crossmodal compare`: two results on the same queries, with paired tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from lib.cli.output import print_rows, say
from lib.core.checks import check_choice


def compare_saved(
    a: Annotated[Path, Argument(help="Result of the first system, of `crossmodal eval`.")],
    b: Annotated[Path, Argument(help="Result of the second, on the same queries.")],
    allow: Annotated[
        list[str] | None, Option(help="A protocol column that may differ: prompt.")
    ] = None,
    plot: Annotated[Path | None, Option(help="Draw the differences as a PNG.")] = None,
) -> None:
    """Compare two results query by query: differences, intervals, paired tests with Holm."""
    if plot is not None:
        check_choice(plot.suffix.lower(), (".png",), "the suffix of --plot")
    from lib import plots
    from lib.studies.published import Result, compare_results, text_tables

    first, second = Result.load(a), Result.load(b)
    rows = compare_results(first, second, allow=allow or [])
    say(f"A: {first.name or a.name}; B: {second.name or b.name}; {first.protocol.title}")
    table = text_tables.format_comparison(rows)
    for row in table:  # a short name, for terminals of 100 columns
        row["McNemar p"] = row.pop("p (McNemar)")
    sizes = {row["direction"]: (row.pop("queries"), row.pop("clusters")) for row in table}
    print_rows(table, "percent and points; intervals and p by cluster, McNemar by query")
    for direction, (n_queries, n_clusters) in sizes.items():
        say(f"{direction}: {n_queries} queries in {n_clusters} clusters")
    compared = {row["metric"] for row in rows}
    others = {name for part in first.directions for name in part.values} - compared - {"MAP@R"}
    if others:
        say(
            f"not tested: {', '.join(sorted(others))}; results store queries for R@K, MAP@R and"
            " choices only"
        )
    if plot is not None:
        names = (first.name, second.name) if first.name != second.name else (a.name, b.name)
        title = f"{first.protocol.benchmark} {first.protocol.split}"
        plots.save(plots.paired_differences(rows, names=names, title=title), plot)
        say(f"written to {plot}")
