"""Show tables and sentences with their numbers."""

import html
import math
import re
import string
from collections.abc import Mapping, Sequence

from lib.core.checks import RetrievalInputError, check_count
from lib.report.payloads import (
    METRICS_MIME,
    NOT_FINITE,
    column_names,
    interval_of,
    is_float,
    plain_value,
    tidy_rows,
    tolerance_by_column,
)

# Columns of context. If all rows agree, they stand once under the title.
CONTEXT = {
    "corpus": "{}",
    "split": "{} split",
    "direction": "{}",
    "n_queries": "{} queries",
    "n_gallery": "{} gallery items",
    "n_seeds": "{} seeds",
}
MOST_DIGITS = 17  # decimals; a float64 holds no more
PROSE = 32  # characters; a column with longer cells is prose, and wraps
RANKS = ("MedR", "MeanR")  # metrics that are positions in a ranking, not shares


class Shown(dict):
    """Payload that a notebook renders; a dict for everything else."""

    def __init__(self, payload: Mapping, text: str, markup: str) -> None:
        super().__init__(payload)
        self.text, self.markup = text, markup

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {"text/plain": self.text, "text/html": self.markup, METRICS_MIME: dict(self)}


def quality(
    rows,
    *,
    tolerance: float | Mapping[str, float],
    title: str | None = None,
    digits: int | Mapping[str, int] | None = None,
    columns: Sequence[str] | None = None,
) -> Shown:
    """Show a table of quality numbers that is checked whenever the notebook runs again.

    Args:
        rows: list of dicts, a DataFrame, or an object with `rows()` such as an `Evaluation`. Cells
            are texts, numbers, None, or triples `(value, low, high)`.
        tolerance: largest change of a number, in the units of its column: one number for all float
            columns or `{column: number}`. Counts and texts are compared exactly. A good value is
            the effect of one query on a small set, `100 / n_queries` in percent, or the spread over
            seeds of a training.
        title: title above the table, compared exactly.
        digits: decimals shown, for all columns or by column; by default three significant digits of
            the largest value. The payload always holds full precision.
        columns: columns shown, in order; interval columns follow their value.

    Returns:
        A dict with the payload; as the last line of a cell it shows the table.
    """
    if title is not None and not isinstance(title, str):
        raise RetrievalInputError(f"title must be a text or None, got {type(title).__name__}")
    names, records = tidy_rows(rows, columns)
    for places in digits.values() if isinstance(digits, Mapping) else [digits]:
        if places is not None and check_count(places, "digits", least=0) > MOST_DIGITS:
            raise RetrievalInputError(f"digits must be at most {MOST_DIGITS}, got {places}")
    payload = {
        "kind": "quality",
        "title": title,
        "rows": records,
        "tolerance": tolerance_by_column(tolerance, names, records),
    }
    table = *_layout(names, records, digits), title, _context(names, records)
    return Shown(payload, text_table(*table), html_table(*table))


def sentence(
    template: str, *, tolerance: float | Mapping[str, float] | None = None, **values
) -> Shown:
    """Describe a figure in one sentence; its numbers are checked when the notebook runs again.

    It stands under the figure as its caption, for screen readers and for the tests.

    Args:
        template: `str.format` template; every field is one of `values`, every value is used.
        tolerance: for the floats among the values: one number or `{name: number}`; others are
            exact.
        **values: texts and numbers computed from the plotted data.

    Returns:
        A dict with the payload; as the last line of a cell it shows the sentence.
    """
    if not isinstance(template, str):
        raise RetrievalInputError(f"template must be a text, got {type(template).__name__}")
    fields = {
        name.split(".")[0].split("[")[0]
        for _, name, _, _ in string.Formatter().parse(template)
        if name is not None
    }
    if fields != set(values):
        raise RetrievalInputError(
            f"the template uses {sorted(fields)}, the values are {sorted(values)}; they must be the"
            " same"
        )
    record = {name: plain_value(value, f"value {name!r}") for name, value in values.items()}
    floats = [name for name, value in record.items() if is_float(value)]
    if floats and tolerance is None:
        raise RetrievalInputError(
            f"{', '.join(floats)}: measured numbers need a tolerance (0 for equality)"
        )
    limits = {} if tolerance is None else tolerance_by_column(tolerance, list(record), [record])
    try:
        text = template.format(**values)
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise RetrievalInputError(f"template {template!r} cannot show {values}: {error}") from error
    payload = {"kind": "sentence", "template": template, "values": record, "tolerance": limits}
    style = "font-size:1.1em;max-width:60em;margin:0.4em 0"
    return Shown(payload, text, f'<p style="{style}">{escaped(text)}</p>')


def escaped(text: str) -> str:
    """Write a text as HTML; what stands between backticks becomes code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def percent(rows, columns: Sequence[str] = ("value", "low", "high", "chance")) -> list[dict]:
    """Multiply shares by 100: tables and tolerances then read in percent.

    Args:
        rows: list of dicts, or an object with `rows()` such as an `Evaluation`.
        columns: the columns of shares; missing ones and None stay. Rows with a rank as `metric`
            (MedR, MeanR) stay too.
    """
    columns = column_names(columns)
    _, records = tidy_rows(rows)
    for number, record in enumerate(records):
        if str(record.get("metric", "")).startswith(RANKS):
            continue
        for column in (c for c in columns if isinstance(record.get(c), int | float)):
            if not -1 <= record[column] <= 1:
                raise RetrievalInputError(
                    f"row {number}, column {column!r} is {record[column]}, which is no share in"
                    " [-1, 1]; is it in percent already?"
                )
            record[column] = 100.0 * record[column]
    return records


def html_table(
    headers: Sequence[tuple[str, bool]],
    body: Sequence[Sequence[str]],
    title: str | None,
    note: str | None,
) -> str:
    """Render an HTML table for projectors and screen readers: no script, no colour.

    Args:
        headers: `(name, is_number)` per column; numbers are aligned right.
        body: the cells, already formatted.
        title: the table's caption.
        note: a smaller line under the caption.
    """
    head, styles = [], []
    for place, (name, is_number) in enumerate(headers):
        align = f"padding:0.3em 0.9em;text-align:{'right' if is_number else 'left'};"
        border = "border-bottom:2px solid currentColor"
        head.append(f'<th scope="col" style="{align}{border}">{escaped(name)}</th>')
        # Prose wraps, or it would push the columns behind it off the page. Numbers do not.
        wraps = not is_number and any(len(row[place]) > PROSE for row in body)
        space = f"normal;min-width:{PROSE // 2}em" if wraps else "nowrap"
        styles.append(f"{align}font-variant-numeric:tabular-nums;white-space:{space}")
    lines = []
    for row in body:
        cells = zip(styles, map(escaped, row), strict=True)
        tags = "".join(f'<td style="{style}">{cell}</td>' for style, cell in cells)
        lines.append(f"<tr>{tags}</tr>")
    parts = [f"<strong>{escaped(title)}</strong>"] if title else []
    if note:
        parts.append(f'<span style="font-size:0.9em">{escaped(note)}</span>')
    style = "caption-side:top;text-align:left;padding:0.3em 0"
    caption = f'<caption style="{style}">{_beside("<br>".join(parts))}</caption>' if parts else ""
    return (
        f'<table style="border-collapse:collapse;font-size:1.15em;margin:0.5em 0">{caption}'
        f"<thead><tr>{''.join(head)}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )


def _beside(title: str) -> str:
    """Let a title run on beyond a narrow table instead of wrapping within its columns."""
    return f'<div style="width:0"><div style="width:max-content;max-width:44em">{title}</div></div>'


def text_table(
    headers: Sequence[tuple[str, bool]],
    body: Sequence[Sequence[str]],
    title: str | None,
    note: str | None,
) -> str:
    """Render the same table as aligned text."""
    lines = [[name for name, _ in headers], *body]
    columns = []
    for cells, (_, is_number) in zip(zip(*lines, strict=True), headers, strict=True):
        width = max(map(len, cells))
        columns.append([cell.rjust(width) if is_number else cell.ljust(width) for cell in cells])
    table = ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]
    return "\n".join([*(part for part in (title, note) if part), *table])


def _shared_context(names: Sequence[str], records: Sequence[Mapping]) -> list[str]:
    """List the columns of context in which all rows agree."""
    shared = [c for c in CONTEXT if c in names and len({record[c] for record in records}) == 1]
    intervals = {part for name in names for part in interval_of(name, names) or ()}
    # If nothing but context is left, it is the table.
    return [] if len(shared) == len(names) - len(intervals) else shared


def _context(names: Sequence[str], records: Sequence[Mapping]) -> str | None:
    """Format what all rows share, for the line under the title."""
    shared = ((c, records[0][c]) for c in _shared_context(names, records))
    parts = [
        CONTEXT[c].format(_number(value, 0).replace("_", " "))
        for c, value in shared
        if value not in (None, "")
    ]
    return ", ".join(parts) or None


def _layout(
    names: Sequence[str], records: Sequence[Mapping], digits
) -> tuple[list[tuple[str, bool]], list[list[str]]]:
    """Format headers and cells; values are joined with their intervals."""
    hidden = {part for name in names for part in interval_of(name, names) or ()}
    hidden.update(_shared_context(names, records))
    headers, columns = [], []
    for name in (n for n in names if n not in hidden):
        values = [record[name] for record in records]
        places = digits.get(name) if isinstance(digits, Mapping) else digits
        places = _decimals(values) if places is None else places
        cells = [_number(value, places) for value in values]
        heading = name.replace("_", " ")
        if interval := interval_of(name, names):
            heading += " [low, high]"
            for place, record in enumerate(records):
                low, high = (record[end] for end in interval)
                if low is not None:
                    cells[place] += f" [{_number(low, places)}, {_number(high, places)}]"
        is_number = all(not isinstance(v, str) or v in NOT_FINITE for v in values)
        headers.append((heading, is_number))
        columns.append(cells)
    return headers, [list(row) for row in zip(*columns, strict=True)]


def _number(value, places: int) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        text = f"{value:,.{places}f}"
        return text.lstrip("-") if not float(text.replace(",", "")) else text  # no "-0.0"
    return str(value)


def _decimals(values: Sequence) -> int:
    """Choose decimals that give the largest value three significant digits, 6 at most."""
    largest = max((abs(v) for v in values if isinstance(v, float)), default=0.0)
    if largest == 0:
        return 1
    return min(max(2 - math.floor(math.log10(largest)), 0 if largest >= 1000 else 1), 6)
