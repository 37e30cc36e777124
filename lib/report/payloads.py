"""Payloads: the numbers behind a table or a sentence, safe in JSON, and their comparison within
tolerance.

A payload is a plain dict that survives a round trip through a notebook file, including one through
JavaScript, which writes 35.0 as 35. So whether a column holds measurements is not read from the
types of its values: a column is compared within tolerance when, and only when, the payload gives it
one.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real

from lib.core.checks import RetrievalInputError

METRICS_MIME = "application/vnd.crossmodal.metrics+json"

# JSON has no NaN and no infinity; None is kept for "there is no value here".
NOT_FINITE = ("nan", "inf", "-inf")


def plain(value, where: str):
    """Returns a value that JSON can hold: str, bool, int, float, None; NaN and infinities become
    words.

    Raises:
        RetrievalInputError: anything else; `where` says which cell it came from.
    """
    if getattr(value, "ndim", None) == 0 and hasattr(
        value, "item"
    ):  # numpy scalars, 0-d arrays and tensors
        value = value.item()
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


def tidy(rows, columns: Sequence[str] | None = None) -> tuple[list[str], list[dict]]:
    """Returns column names and rows with every column present, from dicts, an evaluation or a
    DataFrame.

    Args:
        rows: list of dicts, an object whose `rows()` gives one, or a pandas DataFrame (a named
            index becomes columns). A triple `(value, low, high)` in column `x` becomes the columns
            `x`, `x_low`, `x_high`.
        columns: which columns to keep, in this order; interval columns follow their value by
            themselves.

    Raises:
        RetrievalInputError: no rows, an unknown column, a cell that is no scalar.
    """
    records, given = [], _records(rows)
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise RetrievalInputError(f"rows must be a list of dicts, got {type(rows).__name__}")
    columns = None if columns is None else column_names(columns)
    for number, row in enumerate(given):
        if not isinstance(row, Mapping):
            raise RetrievalInputError(f"row {number} must be a dict, got {type(row).__name__}")
        record = {}
        for key, value in row.items():
            where = f"row {number}, column {key!r}"
            if isinstance(value, tuple | list) and len(value) == 3:
                for suffix, part in zip(("", "_low", "_high"), value, strict=True):
                    record[f"{key}{suffix}"] = plain(part, where)
            else:
                record[str(key)] = plain(value, where)
        records.append(record)
    if not records:
        raise RetrievalInputError("there are no rows to report")
    found = list(dict.fromkeys(key for record in records for key in record))
    if columns is not None:
        unknown = [c for c in columns if c not in found]
        if unknown:
            raise RetrievalInputError(
                f"no column {unknown[0]!r}; the rows have {', '.join(map(repr, found))}"
            )
        found = list(
            dict.fromkeys(name for c in columns for name in (c, *(interval_of(c, found) or ())))
        )
    return found, [{key: record.get(key) for key in found} for record in records]


def column_names(columns) -> list[str]:
    """The names of columns as a list; a name alone and what is no name are refused."""
    listed = isinstance(columns, Iterable) and not isinstance(columns, str | bytes)
    names = list(columns) if listed else [columns]
    if not listed or not all(isinstance(name, str) for name in names):
        raise RetrievalInputError(f"columns must be a list of names, got {columns!r}")
    return names


def interval_of(column: str, columns: Iterable[str]) -> tuple[str, str] | None:
    """Names of the columns that hold the interval of `column`, if both are there."""
    low, high = ("low", "high") if column == "value" else (f"{column}_low", f"{column}_high")
    return (low, high) if low in columns and high in columns else None


def tolerances(tolerance, columns: Sequence[str], rows: Sequence[Mapping]) -> dict[str, float]:
    """Returns the absolute tolerance of every measured column.

    Args:
        tolerance: one number for every column that holds a float, or `{column: number}`. An
            interval takes the tolerance of its value unless it has its own; counts are compared
            exactly unless named.

    Raises:
        RetrievalInputError: a float column without a tolerance, an unknown or non-numeric column
            with one, or a tolerance that is no finite number >= 0.
    """
    measured = [c for c in columns if any(_is_float(row[c]) for row in rows)]
    if not isinstance(tolerance, Mapping):
        return {c: _checked(tolerance, c) for c in measured}
    given = {str(c): _checked(t, c) for c, t in tolerance.items()}
    for column in given:
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
            if column in given:
                given.setdefault(companion, given[column])
    for column in measured:
        if column not in given:
            raise RetrievalInputError(
                f"column {column!r} holds measured numbers but has no tolerance; add it to"
                " `tolerance` (0 asks for exact equality)"
            )
    return {c: given[c] for c in columns if c in given}


def compare_payloads(old: Mapping, new: Mapping) -> list[str]:
    """Returns what differs between a stored payload and a fresh one; an empty list means that they
    agree.

    Columns and values with a tolerance t agree when |new - old| <= t; all others must be equal.
    Text, row count, row order, column names, titles and the tolerances themselves are compared
    exactly, so that neither a lost row nor a quietly loosened tolerance passes.

    Args:
        old: the payload stored in the notebook.
        new: the payload computed now.

    Returns:
        One line per difference, naming row and column, the stored value, the value now and the
        tolerance.
    """
    if old.get("kind") != new.get("kind"):
        return [f"stored output is a {old.get('kind')!r}, now it is a {new.get('kind')!r}"]
    differences = [
        f"{field}: stored {old.get(field)!r}, now {new.get(field)!r}"
        for field in ("title", "template")
        if old.get(field) != new.get(field)
    ]
    if old.get("kind") not in ("quality", "sentence"):
        return [f"the kind of output is {old.get('kind')!r}, which no comparison knows; refresh it"]
    parts = ("values", "tolerance") if old["kind"] == "sentence" else ("rows", "tolerance")
    lost = [
        f"the {which} output has no {part!r}"
        for part in parts
        for which, payload in (("stored", old), ("new", new))
        if part not in payload
    ]
    if lost:
        return differences + lost
    differences += _compare_tolerances(old["tolerance"], new["tolerance"])
    limits = {key: limit for key, limit in old["tolerance"].items() if _is_limit(limit)}
    if old.get("kind") == "sentence":
        return differences + _compare_values(
            old.get("values", {}), new.get("values", {}), limits, ""
        )
    stored, now = old.get("rows", []), new.get("rows", [])
    if len(stored) != len(now):
        missing, extra = _unmatched(stored, now), _unmatched(now, stored)
        names = "".join(
            f"; {word}: {', '.join(labels)}"
            for word, labels in (("missing", missing), ("new", extra))
            if labels
        )
        return [*differences, f"stored {len(stored)} rows, now {len(now)}{names}"]
    if stored and now and (gone := [c for c in stored[0] if c not in now[0]]):
        differences.append(f"missing columns: {', '.join(gone)}")
    if stored and now and (added := [c for c in now[0] if c not in stored[0]]):
        differences.append(f"new columns: {', '.join(added)}")
    for number, (before, after) in enumerate(zip(stored, now, strict=True)):
        shared = [c for c in before if c in after]
        label = row_label(before)
        where = f"row {number + 1}{f' ({label})' if label else ''}, column "
        differences += _compare_values(
            {c: before[c] for c in shared}, {c: after[c] for c in shared}, limits, where
        )
    return differences


def row_label(row: Mapping) -> str:
    """What a row is about: its first texts."""
    texts = [v for v in row.values() if isinstance(v, str) and v not in NOT_FINITE]
    return ", ".join(texts[:3])


def _compare_values(old: Mapping, new: Mapping, limits: Mapping, where: str) -> list[str]:
    lines = [f"{where}{key!r} is missing" for key in old if key not in new]
    lines += [f"{where}{key!r} is new" for key in new if key not in old]
    for key in (k for k in old if k in new):
        stored, now = _word(old[key]), _word(new[key])
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


def _word(value):
    """NaN and infinity as the words that `plain` writes: equal to themselves and to nothing
    else.
    """
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _unmatched(rows: Sequence[Mapping], others: Sequence[Mapping]) -> list[str]:
    known = {row_label(row) for row in others}
    return [label for row in rows if (label := row_label(row)) and label not in known]


def _records(rows) -> Iterable[Mapping]:
    if hasattr(rows, "to_dict") and hasattr(
        rows, "columns"
    ):  # a DataFrame, without importing pandas
        named = any(name is not None for name in rows.index.names)
        return (rows.reset_index() if named else rows).to_dict("records")
    if callable(getattr(rows, "rows", None)):
        return rows.rows()
    if isinstance(rows, Mapping):
        return [rows]
    return rows


def _checked(tolerance, column) -> float:
    number = isinstance(tolerance, Real) and not isinstance(tolerance, bool)
    if not number or not math.isfinite(tolerance) or tolerance < 0:
        raise RetrievalInputError(
            f"tolerance of {column!r} must be a finite number >= 0 in the column's units, got"
            f" {tolerance!r}"
        )
    return float(tolerance)


def _is_float(value) -> bool:
    return isinstance(value, float) or value in NOT_FINITE


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_limit(value) -> bool:
    return _is_number(value) and 0 <= value < math.inf


def _short(value) -> str:
    return f"{value:.8g}" if isinstance(value, float) else repr(value)
