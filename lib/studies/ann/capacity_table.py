"""The plan for billions of vectors as a table to read, and the one figure of it that a machine can
check.
"""

import statistics
import time
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

import numpy as np

from lib.core.checks import RetrievalInputError, check_count
from lib.index.capacity.machines import SizeCheck, published_checks
from lib.index.capacity.options import Row


def whole_number(text: str, name: str) -> int:
    """A whole number as people write large ones: "5850000000", "5_850_000_000" or "5.85e9"."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = None
    # Compared before it is made a whole number: the digits of 1e999999999 fill the memory.
    if (
        value is None
        or not value.is_finite()
        or value.adjusted() > 18
        or value != value.to_integral_value()
    ):
        raise RetrievalInputError(
            f"{name} must be a whole number up to 1e18, such as 1000000 or 5.85e9, got {text!r:.40}"
        )
    return check_count(int(value), name)


def as_text(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Cells for a table, a row an option."""
    return [
        {
            "option": row.option.name,
            "RAM": bytes_text(row.option.ram_bytes),
            "SSD": bytes_text(row.option.ssd) if row.option.ssd else "-",
            "RAM read a query": bytes_text(row.option.bytes_touched),
            "SSD reads": f"{row.option.ssd_reads:,.0f}" if row.option.ssd_reads else "-",
            "training": flop_text(row.option.training_flop),
            "machines": f"{row.machines:,}",
            "binds": row.binds,
            "published recall": recall_text(row),
        }
        for row in rows
    ]


def recall_text(row: Row) -> str:
    """Recall like the base / on text queries, and whether it is what was asked for."""
    known = row.evidence
    if known is None:
        return "unknown"
    figures = " / ".join(
        "?" if value is None else f"{value:g}" for value in (known.recall, known.text_recall)
    )
    words = {True: "enough", False: "too little", None: "not shown"}
    said = {kind: words[shown] for kind, shown in row.shown.items()}
    if len(set(said.values())) > 1:
        return f"{figures}, " + ", ".join(f"{verdict} for {kind}" for kind, verdict in said.items())
    return figures if row.reaches is None else f"{figures}, {said['texts']}"


def notes(rows: Sequence[Row]) -> list[str]:
    """What the table takes for granted, and what nobody knows, a sentence each."""
    exact, rounded = (
        [abs(check.ratio - 1) for check in published_checks() if check.rounded == r]
        for r in (False, True)
    )
    assumed: dict[str, list[str]] = {}
    for row in rows:
        if row.option.assumes:
            assumed.setdefault(row.option.assumes, []).append(row.option.name)
    quoted = {row.evidence for row in rows if row.evidence and row.evidence.source}
    return [
        (
            f"Bytes: formulas. {len(exact)} sizes of up to 1e9 vectors, published to the byte, are"
            f" met within {max(exact):.2%}; {len(rounded)} round ones of up to 5.85e9 within"
            f" {max(rounded):.1%}."
        ),
        "Work: queries one by one, with",
        *(f"  {what}: {'; '.join(names)}" for what, names in assumed.items()),
        (
            "Recall: queries like the base / text queries over images, as published for other"
            " vectors. It is not predicted for yours: measure it on a sample of your own queries,"
            " and text queries apart."
        ),
        *sorted(
            f"  {e.kind}, {e.recall or e.text_recall:g}: {e.measure}, {e.n:.0e} vectors;"
            f" {e.conditions}. {e.source}"
            for e in quoted
        ),
        "Not known: latency, the network between shards, time to build, and what updates cost.",
    ]


def checks_text(checks: Sequence[SizeCheck]) -> list[dict[str, str]]:
    """The byte formulas beside published sizes, as cells."""
    return [
        {
            "index": check.what,
            "formula": bytes_text(check.model),
            "published": bytes_text(check.published),
            "formula / published": f"{check.ratio:.4f}",
            "source": check.source,
        }
        for check in checks
    ]


def bytes_text(value: float) -> str:
    """Decimal units, three digits: `12.0 TB`."""
    return _with_unit(value, ("B", "kB", "MB", "GB", "TB", "PB", "EB"))


def flop_text(value: float) -> str:
    """`721 PFLOP`; a dash for none."""
    return (
        _with_unit(value, ("FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"))
        if value
        else "-"
    )


def measured_bandwidth(megabytes: int = 512, repeats: int = 5) -> float:
    """Memory bandwidth that one thread gets here, 10^9 bytes a second: the median of sums over a
    long array.

    A timing, so for timing cells only. The array must not fit the cache.
    """
    array = np.ones(check_count(megabytes, "megabytes") * 125_000, np.float64)
    seconds = []
    for _ in range(check_count(repeats, "repeats")):
        start = time.perf_counter()
        array.max()
        seconds.append(time.perf_counter() - start)
    return array.nbytes / statistics.median(seconds) / 1e9


def _with_unit(value: float, units: Sequence[str]) -> str:
    power = 0
    while value >= 999.5 and power < len(units) - 1:
        value, power = value / 1000, power + 1
    digits = 0 if power == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {units[power]}"
