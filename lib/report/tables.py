"""Tables and sentences that carry their own numbers."""

import html
import math
import string
from collections.abc import Mapping, Sequence

from lib.core.checks import RetrievalInputError, check_count
from lib.report.payloads import (
    METRICS_MIME,
    NOT_FINITE,
    column_names,
    interval_of,
    plain,
    tidy,
    tolerances,
)

# Columns that say what was measured; where all rows agree they are said once, under the title.
CONTEXT = {
    "corpus": "{}",
    "split": "{} split",
    "direction": "{}",
    "n_queries": "{} queries",
    "n_gallery": "{} gallery items",
    "n_seeds": "{} seeds",
}
MOST_DIGITS = 17  # decimals; a float64 holds no more
PROSE = 32  # characters of a cell beyond which a column is sentences, not names
# Metrics that are positions in a ranking, not shares of one.
RANKS = ("MedR", "MeanR")


class Shown(dict):
    """A payload that a notebook renders; a dict for everything else."""

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
    """Shows a table of quality numbers that is checked whenever the notebook runs again.

    Args:
        rows: list of dicts, a DataFrame, or an object with `rows()` such as an `Evaluation`. Cells
            are texts, numbers, None, or triples `(value, low, high)`.
        tolerance: how far a number may move, in the units of its column: one number for all float
            columns or `{column: number}`. Counts and texts are compared exactly. A good value is
            what one query is worth on a small set, `100 / n_queries` in percent, or the spread over
            seeds where training is involved.
        title: said above the table and compared exactly.
        digits: decimals shown, for all columns or by column; by default three significant digits of
            the largest value. The payload always holds full precision.
        columns: which columns to show and check, in order; intervals come along with their value.

    Returns:
        A dict with the payload; as the last line of a cell it shows the table.

    Raises:
        RetrievalInputError: no rows, an unknown column, a cell that is no scalar, a float column
            without tolerance, a negative tolerance.

    Relations: `percent` scales an evaluation's rows; `sentence` is for figures; `timing` for
    seconds.
    """
    if title is not None and not isinstance(title, str):
        raise RetrievalInputError(f"title must be a text or None, got {type(title).__name__}")
    names, records = tidy(rows, columns)
    for places in digits.values() if isinstance(digits, Mapping) else [digits]:
        if places is not None and check_count(places, "digits", least=0) > MOST_DIGITS:
            raise RetrievalInputError(f"digits must be at most {MOST_DIGITS}, got {places}")
    payload = {
        "kind": "quality",
        "title": title,
        "rows": records,
        "tolerance": tolerances(tolerance, names, records),
    }
    headers, body, context = _layout(names, records, digits)
    return Shown(
        payload,
        _text_table(headers, body, title, context),
        html_table(headers, body, title, context),
    )


def sentence(
    template: str, *, tolerance: float | Mapping[str, float] | None = None, **values
) -> Shown:
    """Says what a figure shows in one sentence whose numbers are checked whenever the notebook runs
    again.

    It stands under the figure as its caption, is what a screen reader can read, and is the part of
    the figure that a test can compare.

    Args:
        template: `str.format` template; every field is one of `values`, every value is used.
        tolerance: for the floats among the values: one number or `{name: number}`; others are
            exact.
        **values: texts and numbers computed from what was plotted.

    Returns:
        A dict with the payload; as the last line of a cell it shows the sentence.

    Raises:
        RetrievalInputError: a field without a value, a value without a field, a float without
            tolerance.
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
    record = {name: plain(value, f"value {name!r}") for name, value in values.items()}
    floats = [
        name for name, value in record.items() if isinstance(value, float) or value in NOT_FINITE
    ]
    if floats and tolerance is None:
        raise RetrievalInputError(
            f"{', '.join(floats)}: measured numbers need a tolerance (0 asks for equality)"
        )
    limits = {} if tolerance is None else tolerances(tolerance, list(record), [record])
    try:
        text = template.format(**values)
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise RetrievalInputError(f"template {template!r} cannot show {values}: {error}") from error
    payload = {"kind": "sentence", "template": template, "values": record, "tolerance": limits}
    return Shown(
        payload,
        text,
        f'<p style="font-size:1.1em;max-width:60em;margin:0.4em 0">{html.escape(text)}</p>',
    )


def percent(rows, columns: Sequence[str] = ("value", "low", "high", "chance")) -> list[dict]:
    """Returns rows with their shares times 100, so that tables and tolerances read in percent.

    Args:
        rows: list of dicts, or an object with `rows()` such as an `Evaluation`.
        columns: the columns that hold shares; absent ones and None are left alone. Rows whose
            `metric` is a rank (MedR, MeanR) are left alone too.

    Raises:
        RetrievalInputError: a value outside [-1, 1], which is no share (perhaps it is in percent
            already).
    """
    columns = column_names(columns)
    names, records = tidy(rows)
    scaled = []
    for number, record in enumerate(records):
        record = dict(record)
        if not str(record.get("metric", "")).startswith(RANKS):
            for column in (c for c in columns if isinstance(record.get(c), int | float)):
                if not -1 <= record[column] <= 1:
                    raise RetrievalInputError(
                        f"row {number}, column {column!r} is {record[column]}, which is no share in"
                        " [-1, 1]; is it in percent already?"
                    )
                record[column] = 100.0 * record[column]
        scaled.append(record)
    return scaled


def html_table(
    headers: Sequence[tuple[str, bool]],
    body: Sequence[Sequence[str]],
    title: str | None,
    note: str | None,
) -> str:
    """Returns an HTML table that reads on a projector and to a screen reader: no script, no colour.

    Args:
        headers: `(name, is_number)` per column; numbers are aligned right.
        body: the cells, already formatted.
        title: the table's caption.
        note: a smaller line under the caption.
    """
    cell = "padding:0.3em 0.9em;text-align:{};"
    align = [cell.format("right" if number else "left") for _, number in headers]
    # Numbers stay on one line; sentences wrap, or they would push the columns behind them off the
    # page.
    prose = [
        not number and max((len(row[i]) for row in body), default=0) > PROSE
        for i, (_, number) in enumerate(headers)
    ]
    inside = [
        f"white-space:normal;min-width:{PROSE // 2}em" if wraps else "white-space:nowrap"
        for wraps in prose
    ]
    head = "".join(
        f'<th scope="col" style="{style}border-bottom:2px solid'
        f' currentColor">{html.escape(name)}</th>'
        for (name, _), style in zip(headers, align, strict=True)
    )
    lines = []
    for row in body:
        cells = "".join(
            f'<td style="{style}font-variant-numeric:tabular-nums;{space}">{html.escape(value)}</td>'
            for value, style, space in zip(row, align, inside, strict=True)
        )
        lines.append(f"<tr>{cells}</tr>")
    caption = f"<strong>{html.escape(title)}</strong>" if title else ""
    if note:
        caption += (
            f'{"<br>" if title else ""}<span style="font-size:0.9em">{html.escape(note)}</span>'
        )
    if caption:
        caption = (
            f'<caption style="caption-side:top;text-align:left;padding:0.3em 0">{caption}</caption>'
        )
    return (
        f'<table style="border-collapse:collapse;font-size:1.15em;margin:0.5em 0">{caption}'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )


def _text_table(headers, body, title, note) -> str:
    widths = [max(len(name), *(len(row[i]) for row in body)) for i, (name, _) in enumerate(headers)]

    def line(cells):
        padded = (
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, (_, number) in zip(cells, widths, headers, strict=True)
        )
        return "  ".join(padded).rstrip()

    top = [part for part in (title, note) if part]
    return "\n".join([*top, line([name for name, _ in headers]), *(line(row) for row in body)])


def _layout(names, records, digits) -> tuple[list[tuple[str, bool]], list[list[str]], str | None]:
    """Formats every cell, joins values with their intervals, and pulls out what all rows share."""
    hidden = {part for name in names for part in interval_of(name, names) or ()}
    shared = [c for c in CONTEXT if c in names and len({record[c] for record in records}) == 1]
    if len(shared) == len(names) - len(hidden):
        shared = []  # nothing but context: then it is the table
    said = ((c, records[0][c]) for c in shared if records[0][c] not in (None, ""))
    note = (
        ", ".join(CONTEXT[c].format(_number(value, 0).replace("_", " ")) for c, value in said)
        or None
    )
    headers, columns = [], []
    for name in (n for n in names if n not in hidden and n not in shared):
        values = [record[name] for record in records]
        places = digits.get(name) if isinstance(digits, Mapping) else digits
        places = _decimals(values) if places is None else places
        cells = [_number(value, places) for value in values]
        heading = _heading(name)
        if interval := interval_of(name, names):
            low, high = interval
            cells = [
                (
                    f"{cell} [{_number(r[low], places)}, {_number(r[high], places)}]"
                    if r[low] is not None
                    else cell
                )
                for cell, r in zip(cells, records, strict=True)
            ]
            heading += " [low, high]"
        number = all(v is None or not isinstance(v, str) or v in NOT_FINITE for v in values)
        headers.append((heading, number))
        columns.append(cells)
    return headers, [list(row) for row in zip(*columns, strict=True)], note


def _heading(name: str) -> str:
    return name.replace("_", " ")


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


def _decimals(values) -> int:
    """Decimals that give the largest value three significant digits, four places at most for small
    ones.
    """
    largest = max((abs(v) for v in values if isinstance(v, float)), default=0.0)
    if largest == 0:
        return 1
    return min(max(2 - math.floor(math.log10(largest)), 0 if largest >= 1000 else 1), 6)
