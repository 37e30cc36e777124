"""`crossmodal data numbers`: the published numbers of a benchmark, best first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from lib.cli.options import corpus_named, split_of
from lib.cli.output import print_rows, say
from lib.core.checks import RetrievalInputError, check_choice

if TYPE_CHECKING:
    from lib.studies.published.paper_numbers import PublishedRow

SHOWN = 10  # of each kind


def published_rows(
    name: Annotated[str, Argument(help="A benchmark; `crossmodal data list` shows them.")],
    split: Annotated[
        str | None, Option(help="Split; by default the one that papers report.")
    ] = None,
    direction: Annotated[
        str | None, Option(help="Such as image_to_text; by default the one with most numbers.")
    ] = None,
    show_all: Annotated[
        bool, Option("--all", help=f"All, not only the best {SHOWN} of each kind.")
    ] = False,
) -> None:
    """Show the published numbers of models on a benchmark, best first, with their sources.

    They are those of data/published/results.csv. "trained": on the training split of the
    benchmark. Numbers of different protocols cannot be compared.
    """
    from lib.studies.published.paper_numbers import published_numbers

    split = split_of(corpus_named(name), split)
    of_benchmark = [row for row in published_numbers() if row.dataset == name]
    of_split = [row for row in of_benchmark if row.split.split(" ")[0] == split]
    if not of_split:
        others = sorted({row.split for row in of_benchmark})
        there = f"; it has {', '.join(others)}" if others else ""
        raise RetrievalInputError(
            f"data/published/results.csv has no numbers of {name}, {split} split{there}. Papers"
            f" that report some: data/README.md, section {name}"
        )
    directions = [row.direction for row in of_split]
    most = max(dict.fromkeys(directions), key=directions.count)
    direction = check_choice(direction or most, dict.fromkeys(directions), "--direction")
    of_direction = [row for row in of_split if row.direction == direction]
    table = _by_model(of_direction)
    if not show_all:  # numbers on other judgements or on folds are higher, and would stand first
        usual = [
            row for row in of_direction if (row.judgements, row.gallery) == ("original", "whole")
        ]
        n_models, table = len(table), _by_model(usual or of_direction)
    shown = table if show_all else [
        row
        for kind in dict.fromkeys(row["kind"] for row in table)
        for row in [other for other in table if other["kind"] == kind][:SHOWN]
    ]  # fmt: skip
    numbers = {source: at for at, source in enumerate(dict.fromkeys(r["source"] for r in shown), 1)}
    print_rows(
        [row | {"source": f"[{numbers[row['source']]}]"} for row in shown],
        f"{name} {split}, {direction.replace('_', ' ')}: percent",
    )
    for source, number in numbers.items():
        say(f"[{number}] {source}")
    if not show_all and len(shown) < n_models:
        say(f"{n_models - len(shown):,} more with --all")
    others = [other for other in dict.fromkeys(directions) if other != direction]
    if others:
        say(f"--direction {' or '.join(others)} shows the others")
    say("all columns: data/published/results.csv")


def _by_model(rows: list[PublishedRow]) -> list[dict[str, str]]:
    """Put the metrics of one model, protocol and source into one row; the best of a kind first."""
    merged: dict[tuple, dict[str, PublishedRow]] = {}
    for row in rows:
        merged.setdefault((row.name, row.kind, _protocol(row), row.source), {})[row.metric] = row
    counts = Counter(row.metric for row in rows)
    metrics = [metric for metric, _ in counts.most_common(3)]
    metrics = sorted(metrics, key=lambda metric: (len(metric), metric))
    main = metrics[0]
    order = sorted(merged.items(), key=lambda item: (item[0][1], -_value(item[1].get(main))))
    return [
        {"kind": kind, "model": name, **{metric: _shown(found.get(metric)) for metric in metrics},
         "protocol": protocol, "source": _with_remarks(source, map(found.get, metrics))}
        for (name, kind, protocol, source), found in order
    ]  # fmt: skip


def _with_remarks(source: str, shown: Iterable[PublishedRow | None]) -> str:
    """Add to a source what is counted otherwise there, for the numbers that are shown."""
    from lib.studies.published.remarks import remarks_of

    remarks = [remark for row in shown if row for remark in remarks_of(row, row.judgements)]
    return "; ".join((source, *dict.fromkeys(remarks)))


def _protocol(row: PublishedRow) -> str:
    """Name what is stated of the protocol and is not the usual."""
    usual = {"gallery": "whole", "judgements": "original", "inference": "inductive"}
    parts = [getattr(row, name) for name, value in usual.items() if getattr(row, name) != value]
    captions = f"captions {row.captions}" if row.captions else ""
    size = f"{row.n_gallery:,} items" if row.n_gallery else ""
    return "; ".join(part for part in (size, captions, *parts, row.remark) if part)


def _value(row: PublishedRow | None) -> float:
    return -1.0 if row is None else row.value


def _shown(row: PublishedRow | None) -> str:
    return "" if row is None else f"{row.value:.{row.decimals}f}"
