"""How the command shows things: one console, tables of texts, a bar for long work."""

import os
import sys
from collections.abc import Callable

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

# A pipe or a file has no width of its own: wide enough that the tables of the benchmarks keep their
# columns.
PIPE_WIDTH = 200
SLOWEST_STEP_S = 3600  # rich forgets older steps, and from one step alone no time left can be told
console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH)


def say(line: str) -> None:
    """A line as it is: no markup, no colours, not wrapped."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def progress_bar() -> Progress:
    """A bar with counts and times; its console prints between its redrawings."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    times = TimeElapsedColumn(), TimeRemainingColumn()
    return Progress(*columns, *times, console=console, speed_estimate_period=SLOWEST_STEP_S)


def counted(bar: Progress, description: str) -> Callable[[int, int], None]:
    """A row of the bar, told how many steps of how many are done."""
    row = bar.add_task(description, total=None)
    return lambda done, total: bar.update(row, completed=done, total=total)


def print_rows(rows: list[dict], title: str) -> None:
    """Rows of texts as a table, a column per key; what was said of the same subject is not said
    again.
    """
    first = next(iter(rows[0]))
    table = Table(*rows[0], title=escape(title))
    before: dict[str, str] = {}
    for row in rows:
        again = row[first] == before.get(first)
        if not again:
            table.add_section()
        said = [key for key in (first, "why") if again and row.get(key) == before.get(key)]
        table.add_row(*("" if key in said else escape(cell) for key, cell in row.items()))
        before = row
    console.print(table)
