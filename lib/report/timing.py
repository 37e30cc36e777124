"""Show timings with their environment; they are never compared."""

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping

from threadpoolctl import threadpool_info

from lib.core.checks import RetrievalInputError, check_count
from lib.report.payloads import plain_value
from lib.report.tables import html_table, text_table


class Timing:
    """Rendered table of timings with its numbers in `.rows`; no check reads them."""

    def __init__(self, rows: list[dict], text: str, markup: str) -> None:
        self.rows, self.text, self.markup = rows, text, markup

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {"text/plain": self.text, "text/html": self.markup}


def measure(function: Callable[[], object], *, repeats: int = 7, warmup: int = 1) -> list[float]:
    """Measure the seconds of `repeats` calls, after `warmup` calls for imports and caches."""
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(check_count(repeats, "repeats")):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return seconds


def timing(
    rows, *, repeats: int = 7, title: str | None = None, facts: Mapping | None = None
) -> Timing:
    """Show seconds with threads, BLAS kernel, repeats, median and spread.

    Tag the cell `nbval-ignore-output`: timings differ between two runs on one machine.

    Args:
        rows: `{label: seconds}` or a list of dicts with the key `"seconds"`: the seconds of the
            repeats, or a function without arguments, which is measured here.
        repeats: calls per function that is measured here.
        title: shown above the table.
        facts: `environment()` of the machine where the seconds were measured, if not this one.

    Returns:
        An object that shows the table as the last line of a cell; its `.rows` hold median, fastest
        and slowest in seconds.
    """
    if isinstance(rows, Mapping):
        rows = [{"": label, "seconds": seconds} for label, seconds in rows.items()]
    measured = []
    for number, row in enumerate(rows):
        if "seconds" not in row:
            raise RetrievalInputError(
                f"row {number} has no 'seconds'; it has {', '.join(map(repr, row))}"
            )
        seconds = row["seconds"]
        if callable(seconds):
            seconds = measure(seconds, repeats=repeats)
        seconds = [float(s) for s in seconds]
        if not seconds:
            raise RetrievalInputError(f"row {number} has an empty list of seconds")
        labels = {k: plain_value(v, f"row {number}") for k, v in row.items() if k != "seconds"}
        result = {"median": statistics.median(seconds), "fastest": min(seconds)}
        result |= {"slowest": max(seconds), "repeats": len(seconds)}
        measured.append({str(key): str(value) for key, value in labels.items()} | result)
    if not measured:
        raise RetrievalInputError("there are no rows to report")
    return _render(measured, title, environment_line(facts))


def environment() -> dict[str, object]:
    """Describe what decides a timing here: machine, threads, and kernels of numerical libraries."""
    torch = sys.modules.get("torch")  # stated if it is in use; importing it would be slow
    pools = threadpool_info()
    kernels = {
        f"{pool['internal_api']} {pool.get('architecture') or ''}".strip()
        + f" ({pool['num_threads']} threads)"
        for pool in pools
        if pool["user_api"] == "blas"
    }
    openmp = [pool["num_threads"] for pool in pools if pool["user_api"] == "openmp"]
    return {
        "cores": os.cpu_count(),
        "machine": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": f"{torch.__version__} ({torch.get_num_threads()} threads)" if torch else None,
        "blas": sorted(kernels) or ["none loaded"],
        "openmp_threads": max(openmp, default=None),
    }


def environment_line(facts: Mapping | None = None) -> str:
    """Format an environment, by default this one, as one line above a table of timings."""
    facts = environment() if facts is None else facts
    parts = [f"{facts['machine']}, {facts['cores']} cores", f"BLAS {', '.join(facts['blas'])}"]
    if facts["torch"]:
        parts.append(f"torch {facts['torch']}")
    return "; ".join(parts)


def _render(rows: list[dict], title: str | None, where: str) -> Timing:
    medians = [row["median"] for row in rows]
    unit, factor = "ms", 1e3
    if min(medians) >= 1:
        unit, factor = "s", 1.0
    elif max(medians) < 1e-3:
        unit, factor = "µs", 1e6
    numbers = ("median", "fastest", "slowest")
    labels = [key for key in rows[0] if key not in (*numbers, "repeats")]
    headers = [(key, False) for key in labels]
    headers += [(f"median {unit} [fastest, slowest]", True), ("repeats", True)]
    body = []
    for row in rows:
        median, fastest, slowest = (_three_digits(row[key] * factor) for key in numbers)
        cells = [row.get(key, "") for key in labels]
        body.append([*cells, f"{median} [{fastest}, {slowest}]", str(row["repeats"])])
    table = headers, body, title, f"{where}. Not checked: timings differ from machine to machine."
    return Timing(rows, text_table(*table), html_table(*table))


def _three_digits(value: float) -> str:
    """Format three significant digits without an exponent."""
    places = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{places}f}"
