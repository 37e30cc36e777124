"""Tables of one result: its metrics, the published numbers beside them, and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.cli.output import print_rows, say

if TYPE_CHECKING:
    from lib.studies.published import Result


def show_result(result: Result) -> None:
    """Print the metrics of a result, the published numbers of its model, and the notes."""
    from lib.studies.published import text_tables

    rows = text_tables.format_result(result)
    measured = ("direction", "metric", "value", "95% interval", "chance")
    ranks = "; MedR and MeanR: ranks" if _has_ranks(result) else ""
    print_rows(
        [{key: row[key] for key in measured} for row in rows if row["value"]],
        f"{result.name}: percent{ranks}",
    )
    published = [row for row in rows if row["published"]]
    if published:
        _show_published(published)
    else:
        _say_others(result)
    for line in text_tables.result_notes(result):
        say(line)


def _show_published(rows: list[dict[str, str]]) -> None:
    """Print the published numbers of the same model; sources and protocols are notes below."""
    notes = [f"{row['source']}; protocol: {row['protocol there']}" for row in rows]
    numbers = {note: at for at, note in enumerate(dict.fromkeys(notes), 1)}
    columns = ("direction", "metric", "published", "difference", "inside")
    print_rows(
        [
            {key: row[key] for key in columns} | {"note": f"[{numbers[note]}]"}
            for row, note in zip(rows, notes)
        ],
        "published numbers of this model; inside: of the 95% interval above",
    )
    for note, number in numbers.items():
        say(f"[{number}] {note}")


def _say_others(result: Result) -> None:
    """Say that no published number is of this model, and where those of others are."""
    from lib.studies.published.paper_numbers import published_numbers

    line = "there are no published numbers of this model on this benchmark here"
    name = result.protocol.benchmark.split(" ")[0]
    if any(row.dataset == name for row in published_numbers()):
        line += f"; `crossmodal data numbers {name}` shows those of others"
    say(line)


def _has_ranks(result: Result) -> bool:
    from lib.studies.published.results import RANK_METRICS

    return any(name in RANK_METRICS for part in result.directions for name in part.values)
