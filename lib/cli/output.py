"""Output of the command: one console, tables of texts, a progress bar."""

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

PIPE_WIDTH = 200  # a pipe or a file has no width; this is enough for the widest table
SLOWEST_STEP_S = 3600  # rich forgets older steps, and needs two to estimate the time left
JOINERS = "\u200c\u200d"  # inside emoji and words of some scripts; they move nothing on a terminal


def console_width() -> int | None:
    """Return the width of tables; None where the terminal or the variable COLUMNS gives one."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return None
    os.environ.pop("COLUMNS", None)  # 0 columns, as some tools set: nothing would be printed
    terminal = sys.stdout is not None and sys.stdout.isatty()  # None: the output is closed
    return None if terminal else PIPE_WIDTH


console = Console(width=console_width())


def say(line: str) -> None:
    """Print a line without markup, colours or wrapping."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def shown(text: str, most: int = 100) -> str:
    """Return a text for the terminal: no control characters, and cut where it is long."""
    text = " ".join("".join(c if c.isprintable() or c in JOINERS else " " for c in text).split())
    return text if len(text) <= most else text[: most - 3] + "..."


def counted_noun(number: int, noun: str) -> str:
    """Return a number with its noun: "1 step", "3 steps"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def bytes_text(number: int) -> str:
    """Format a size as "1.2 GB" or "3.4 MB"."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


def sizes_text(sizes: list[int | None]) -> str:
    """Format sizes, such as "6.6 GB and 1 file of unknown size"."""
    known = [size for size in sizes if size is not None]
    n_unknown = len(sizes) - len(known)
    parts = [bytes_text(sum(known))] if known else []
    if n_unknown:
        parts.append(f"{counted_noun(n_unknown, 'file')} of unknown size")
    return " and ".join(parts) or "nothing"


def progress_bar() -> Progress:
    """Make a progress bar with counts and times; the console can print while it is shown."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    times = TimeElapsedColumn(), TimeRemainingColumn()
    return Progress(*columns, *times, console=console, speed_estimate_period=SLOWEST_STEP_S)


def counted(bar: Progress, description: str) -> Callable[[int, int], None]:
    """Add a row to the bar; the returned function takes the numbers of done and of all steps."""
    row = bar.add_task(description, total=None)
    return lambda done, total: bar.update(row, completed=done, total=total)


def print_rows(rows: list[dict], title: str) -> None:
    """Print rows of texts as a table; equal first cells and reasons are printed once."""
    first = next(iter(rows[0]))
    table = Table(title=escape(title))
    for name in rows[0]:
        table.add_column(name, overflow="fold")  # a number with its end cut off would be wrong
    previous: dict[str, str] = {}
    for row in rows:
        same_subject = row[first] == previous.get(first)
        if not same_subject:
            table.add_section()
        hidden = [
            key for key in (first, "why") if same_subject and row.get(key) == previous.get(key)
        ]
        table.add_row(*("" if key in hidden else escape(cell) for key, cell in row.items()))
        previous = row
    console.print(table)
