"""Seconds: shown with everything that decides them, and never compared."""

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping

from threadpoolctl import threadpool_info

from lib.core.checks import RetrievalInputError, check_count
from lib.report.payloads import plain
from lib.report.tables import _text_table, html_table


class Timing:
    """A rendered table of timings. Its numbers are in `.rows`, and no check looks at them."""

    def __init__(self, rows: list[dict], text: str, markup: str) -> None:
        self.rows, self.text, self.markup = rows, text, markup

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {"text/plain": self.text, "text/html": self.markup}


def measure(function: Callable[[], object], *, repeats: int = 7, warmup: int = 1) -> list[float]:
    """Returns the seconds of `repeats` calls, after `warmup` calls that do not count.

    The first call pays for imports, caches and thread pools, so it says nothing about the ones
    after it.
    """
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
    """Shows how long things took, beside what decides it: threads, BLAS kernel, repeats, median and
    spread.

    Its cell must be tagged `nbval-ignore-output`: timings differ between two runs on one machine,
    let alone between machines, so they are shown and never compared.

    Args:
        rows: `{label: what}` or a list of dicts with the key `"seconds"`; each holds either the
            seconds of the repeats or a function without arguments, which is then measured here.
        repeats: calls per function that is measured here.
        title: said above the table.
        facts: what `environment` said where the seconds were measured, if not here and now.

    Returns:
        An object that shows the table as the last line of a cell; its `.rows` hold median, fastest
        and slowest in seconds.

    Relations: `measure` gives the seconds of one function.
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
        seconds = (
            measure(seconds, repeats=repeats) if callable(seconds) else [float(s) for s in seconds]
        )
        if not seconds:
            raise RetrievalInputError(f"row {number} has an empty list of seconds")
        labels = {str(k): str(plain(v, f"row {number}")) for k, v in row.items() if k != "seconds"}
        measured.append(
            {
                **labels,
                "median": statistics.median(seconds),
                "fastest": min(seconds),
                "slowest": max(seconds),
                "repeats": len(seconds),
            }
        )
    if not measured:
        raise RetrievalInputError("there are no rows to report")
    return _render(measured, title, environment_line(facts))


def environment() -> dict[str, object]:
    """What decides a timing on this machine: threads and kernels of the numerical libraries in
    use.
    """
    torch = sys.modules.get(
        "torch"
    )  # stated if it is in use; reporting must not pay for importing it
    pools = threadpool_info()
    kernels = sorted(
        {
            f"{pool['internal_api']} {pool.get('architecture') or ''}".strip()
            + f" ({pool['num_threads']} threads)"
            for pool in pools
            if pool["user_api"] == "blas"
        }
    )
    return {
        "cores": os.cpu_count(),
        "machine": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": f"{torch.__version__} ({torch.get_num_threads()} threads)" if torch else None,
        "blas": kernels or ["none loaded"],
        "openmp_threads": max(
            (p["num_threads"] for p in pools if p["user_api"] == "openmp"), default=None
        ),
    }


def environment_line(facts: Mapping | None = None) -> str:
    """The environment, this one if no other is given, in one line, as it stands above a table of
    timings.
    """
    facts = environment() if facts is None else facts
    parts = [f"{facts['machine']}, {facts['cores']} cores", f"BLAS {', '.join(facts['blas'])}"]
    if facts["torch"]:
        parts.append(f"torch {facts['torch']}")
    return "; ".join(parts)


def _render(rows: list[dict], title: str | None, where: str) -> Timing:
    medians = [row["median"] for row in rows]
    unit, factor = (
        ("s", 1.0) if min(medians) >= 1 else ("µs", 1e6) if max(medians) < 1e-3 else ("ms", 1e3)
    )
    labels = [key for key in rows[0] if key not in ("median", "fastest", "slowest", "repeats")]
    headers = [
        *((key, False) for key in labels),
        (f"median {unit} [fastest, slowest]", True),
        ("repeats", True),
    ]
    body = []
    for row in rows:
        median, fastest, slowest = (
            _three(row[key] * factor) for key in ("median", "fastest", "slowest")
        )
        spread = f"{median} [{fastest}, {slowest}]"
        body.append([*(row.get(key, "") for key in labels), spread, str(row["repeats"])])
    note = f"{where}. Not checked: timings differ from machine to machine."
    return Timing(
        rows, _text_table(headers, body, title, note), html_table(headers, body, title, note)
    )


def _three(value: float) -> str:
    """Three significant digits without an exponent."""
    places = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{places}f}"
