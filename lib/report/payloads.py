"""Store the numbers behind a table or a sentence as JSON, and compare two payloads.

A payload is a plain dict that survives a notebook file and JavaScript, which writes 35.0 as 35.
The types of values do not tell measurements from counts: a column is compared within a tolerance
if, and only if, the payload has a tolerance for it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real

from lib.core.checks import RetrievalInputError

METRICS_MIME = "application/vnd.crossmodal.metrics+json"

# JSON has no NaN and no infinity; None means "there is no value here".
NOT_FINITE = ("nan", "inf", "-inf")


def plain_value(value, where: str):
    """Convert a cell to str, bool, int, float or None; NaN and infinities become words."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()  # numpy scalars, 0-d arrays and tensors
    if value is None or isinstance(value, str | bool):
        return value
    if type(value).__name__ == "NAType":  # pandas.NA
        return None
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        value = float(value)
        return value if math.isfinite(value) else str(value)
    raise RetrievalInputError(
        f"{where} holds a {type(value).__name__}: {value!r}. A cell is a text, a number, True,"
        " False, None, or three numbers (value, low, high)"
    )


def tidy_rows(rows, columns: Sequence[str] | None = None) -> tuple[list[str], list[dict]]:
    """Convert rows to column names and plain dicts with all columns.

    Args:
        rows: list of dicts, an object with `rows()`, or a pandas DataFrame (a named index becomes
            columns). A triple `(value, low, high)` in column `x` becomes the columns `x`, `x_low`,
            `x_high`.
        columns: columns to select, in order; interval columns follow their value.
    """
    records, mappings = [], _records(rows)
    if isinstance(mappings, str | bytes) or not isinstance(mappings, Iterable):
        raise RetrievalInputError(f"rows must be a list of dicts, got {type(rows).__name__}")
    columns = None if columns is None else column_names(columns)
    for number, row in enumerate(mappings):
        if not isinstance(row, Mapping):
            raise RetrievalInputError(f"row {number} must be a dict, got {type(row).__name__}")
        record = {}
        for key, value in row.items():
            where = f"row {number}, column {key!r}"
            if isinstance(value, tuple | list) and len(value) == 3:
                for suffix, part in zip(("", "_low", "_high"), value, strict=True):
                    record[f"{key}{suffix}"] = plain_value(part, where)
            else:
                record[str(key)] = plain_value(value, where)
        records.append(record)
    if not records:
        raise RetrievalInputError("there are no rows to report")
    names = list(dict.fromkeys(key for record in records for key in record))
    if columns is not None:
        unknown = [c for c in columns if c not in names]
        if unknown:
            raise RetrievalInputError(
                f"no column {unknown[0]!r}; the rows have {', '.join(map(repr, names))}"
            )
        selected = (name for c in columns for name in (c, *(interval_of(c, names) or ())))
        names = list(dict.fromkeys(selected))
    return names, [{key: record.get(key) for key in names} for record in records]


def _records(rows) -> Iterable[Mapping]:
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):  # a DataFrame, pandas not imported
        named = any(name is not None for name in rows.index.names)
        return (rows.reset_index() if named else rows).to_dict("records")
    if callable(getattr(rows, "rows", None)):
        return rows.rows()
    return [rows] if isinstance(rows, Mapping) else rows


def column_names(columns) -> list[str]:
    """Check a list of column names; a single string is refused."""
    listed = isinstance(columns, Iterable) and not isinstance(columns, str | bytes)
    names = list(columns) if listed else [columns]
    if not listed or not all(isinstance(name, str) for name in names):
        raise RetrievalInputError(f"columns must be a list of names, got {columns!r}")
    return names


def interval_of(column: str, columns: Iterable[str]) -> tuple[str, str] | None:
    """Find the columns that hold the interval of `column`."""
    low, high = ("low", "high") if column == "value" else (f"{column}_low", f"{column}_high")
    return (low, high) if low in columns and high in columns else None


def tolerance_by_column(
    tolerance, columns: Sequence[str], rows: Sequence[Mapping]
) -> dict[str, float]:
    """Resolve the absolute tolerance of every measured column.

    `tolerance` is one number for every column with a float, or `{column: number}`. An interval
    takes the tolerance of its value unless it has its own; counts are compared exactly unless
    named.
    """
    measured = [c for c in columns if any(is_float(row[c]) for row in rows)]
    if not isinstance(tolerance, Mapping):
        return {c: _checked_tolerance(tolerance, c) for c in measured}
    limits = {str(c): _checked_tolerance(t, c) for c, t in tolerance.items()}
    for column in limits:
        if column not in columns:
            raise RetrievalInputError(
                f"tolerance names {column!r}; the columns are {', '.join(columns)}"
            )
        if any(isinstance(row[column], str) and row[column] not in NOT_FINITE for row in rows):
            raise RetrievalInputError(
                f"tolerance names {column!r}, which holds text; text is compared exactly"
            )
    for column in columns:
        for companion in interval_of(column, columns) or ():
            if column in limits:
                limits.setdefault(companion, limits[column])
    for column in measured:
        if column not in limits:
            raise RetrievalInputError(
                f"column {column!r} holds measured numbers but has no tolerance; add it to"
                " `tolerance` (0 for exact equality)"
            )
    return {c: limits[c] for c in columns if c in limits}


def _checked_tolerance(tolerance, column) -> float:
    number = isinstance(tolerance, Real) and not isinstance(tolerance, bool)
    if not number or not math.isfinite(tolerance) or tolerance < 0:
        raise RetrievalInputError(
            f"tolerance of {column!r} must be a finite number >= 0 in the column's units, got"
            f" {tolerance!r}"
        )
    return float(tolerance)


def compare_payloads(old: Mapping, new: Mapping) -> list[str]:
    """Compare a stored payload with a fresh one.

    Columns and values with a tolerance t agree if |new - old| <= t. All else must be equal: texts,
    counts, number and order of rows, names of columns, titles, and the tolerances themselves.

    Returns:
        One line per difference, with row, column, both values and tolerance; empty if they agree.
    """
    kind = old.get("kind")
    if kind != new.get("kind"):
        return [f"stored output is a {kind!r}, now it is a {new.get('kind')!r}"]
    differences = [
        f"{field}: stored {old.get(field)!r}, now {new.get(field)!r}"
        for field in ("title", "template")
        if old.get(field) != new.get(field)
    ]
    if kind not in ("quality", "sentence"):
        return [f"the kind of output is {kind!r}, which no comparison knows; refresh it"]
    absent = [
        f"the {name} output has no {part!r}"
        for part in ("values" if kind == "sentence" else "rows", "tolerance")
        for name, payload in (("stored", old), ("new", new))
        if part not in payload
    ]
    if absent:
        return differences + absent
    differences += _compare_tolerances(old["tolerance"], new["tolerance"])
    limits = {key: limit for key, limit in old["tolerance"].items() if _is_limit(limit)}
    if kind == "sentence":
        return differences + _compare_values(old["values"], new["values"], limits, "")
    return differences + _compare_rows(old["rows"], new["rows"], limits)


def _compare_rows(stored: Sequence[Mapping], now: Sequence[Mapping], limits: Mapping) -> list[str]:
    if len(stored) != len(now):
        line = f"stored {len(stored)} rows, now {len(now)}"
        for word, rows, others in (("missing", stored, now), ("new", now, stored)):
            known = {row_label(row) for row in others}
            labels = [label for row in rows if (label := row_label(row)) and label not in known]
            line += f"; {word}: {', '.join(labels)}" if labels else ""
        return [line]
    lines = []
    if stored and (missing := [c for c in stored[0] if c not in now[0]]):
        lines.append(f"missing columns: {', '.join(missing)}")
    if stored and (added := [c for c in now[0] if c not in stored[0]]):
        lines.append(f"new columns: {', '.join(added)}")
    for number, (before, after) in enumerate(zip(stored, now, strict=True), start=1):
        shared = [c for c in before if c in after]
        label = row_label(before)
        where = f"row {number}{f' ({label})' if label else ''}, column "
        old, new = ({c: row[c] for c in shared} for row in (before, after))
        lines += _compare_values(old, new, limits, where)
    return lines


def row_label(row: Mapping) -> str:
    """Name a row by its first texts."""
    texts = [v for v in row.values() if isinstance(v, str) and v not in NOT_FINITE]
    return ", ".join(texts[:3])


def _compare_values(old: Mapping, new: Mapping, limits: Mapping, where: str) -> list[str]:
    lines = [f"{where}{key!r} is missing" for key in old if key not in new]
    lines += [f"{where}{key!r} is new" for key in new if key not in old]
    for key in (k for k in old if k in new):
        stored, now = _as_word(old[key]), _as_word(new[key])
        place = f"{where}{key!r}: stored {_short(stored)}, now {_short(now)}"
        if key in limits and _is_number(stored) and _is_number(now):
            off, limit = abs(now - stored), limits[key]
            # 35.2 + 0.5 is not 35.7 in binary; the last bits of the sum are no drift.
            if not off <= limit + 1e-12 * max(abs(stored), abs(now)):
                lines.append(f"{place}; they differ by {off:.3g}, the tolerance is {limit:g}")
        elif stored != now or isinstance(stored, bool) != isinstance(now, bool):
            lines.append(f"{place}; they must be equal")
    return lines


def _compare_tolerances(old: Mapping, new: Mapping) -> list[str]:
    lines = []
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            lines.append(
                f"tolerance of {key!r}: stored {old.get(key)}, now {new.get(key)}; refresh the"
                " stored outputs"
            )
        elif not _is_limit(old[key]):
            lines.append(
                f"tolerance of {key!r} is {old[key]!r}, which is no finite number of at least 0"
            )
    return lines


def _as_word(value):
    """Convert NaN and infinity to the words of `plain_value`, which equal themselves."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def is_float(value) -> bool:
    """Tell whether a plain value is a float; the words for NaN and infinity are."""
    return isinstance(value, float) or value in NOT_FINITE


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_limit(value) -> bool:
    return _is_number(value) and 0 <= value < math.inf


def _short(value) -> str:
    return f"{value:.8g}" if isinstance(value, float) else repr(value)
