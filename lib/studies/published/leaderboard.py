"""Read a table of published numbers as measurements with errors."""

import math
from collections.abc import Sequence

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.studies.published.paper_numbers import COLUMNS, PublishedRow, paper_differences
from lib.studies.published.results import Result

Z = 1.959964  # of a 95% interval
PROTOCOL = (
    *("dataset", "split", "direction", "metric", "gallery", "n_queries", "n_gallery", "captions"),
    *("judgements", "prompt", "inference", "kind"),
)


def half_width(percent: float, n_queries: int) -> float:
    """Compute half of the 95% interval of a share (percent) of independent queries, in points.

        1.96 sqrt(p (100 - p) / n)

    Captions of one image are not independent: their half-width is larger. For two models on the
    same queries a paired test is sharper.
    """
    if not 0 <= percent <= 100 or n_queries < 1:
        raise RetrievalInputError(
            f"`percent` must be 0 to 100 of at least 1 query, got {percent} of {n_queries}"
        )
    return Z * math.sqrt(percent * (100 - percent) / n_queries)


def select_numbers(rows: Sequence[PublishedRow], **columns) -> list[PublishedRow]:
    """Select numbers by column: `select_numbers(rows, dataset="coco", metric="R@1")`."""
    unknown = set(columns) - set(COLUMNS)
    if unknown:
        raise RetrievalInputError(
            f"no column is named {', '.join(sorted(unknown))}; known: {COLUMNS}"
        )
    wanted = columns.items()
    return [row for row in rows if all(getattr(row, name) == value for name, value in wanted)]


def comparable_numbers(rows: Sequence[PublishedRow], like: PublishedRow) -> list[PublishedRow]:
    """Select the numbers with the same stated protocol as `like`; an unstated column differs."""
    return select_numbers(rows, **{name: getattr(like, name) for name in PROTOCOL})


def step_rows(rows: Sequence[PublishedRow]) -> list[dict]:
    """Order a leaderboard, best last, with the step to the model before and the half interval.

    Args:
        rows: numbers of one benchmark, direction and share metric, all with `n_queries`.

    Returns:
        Rows `model`, `year`, `value`, `step` (points ahead of the model before), `half_width`,
        `within` (the step is smaller than the half interval), `n_within` (other models with a value
        within this interval).
    """
    tables = {(row.dataset, row.split, row.direction, row.metric) for row in rows}
    if len(tables) != 1 or any(not row.n_queries for row in rows):
        raise RetrievalInputError(
            "`rows` must be of one benchmark, direction and metric with the number of queries,"
            f" got {len(rows)} rows of {len(tables)}"
        )
    ordered = sorted(rows, key=lambda row: (row.value, row.name))
    values = np.array([row.value for row in ordered])
    steps = []
    for at, row in enumerate(ordered):
        half = half_width(row.value, row.n_queries)
        step = float(values[at] - values[at - 1]) if at else None
        near = int((np.abs(values - row.value) <= half).sum()) - 1
        line = {"model": row.name, "year": row.year, "value": row.value}
        line |= {"step": step, "half_width": half}
        steps.append(line | {"within": step is not None and step < half, "n_within": near})
    return steps


def against_rows(result: Result, rows: Sequence[PublishedRow]) -> list[dict]:
    """Compare a result with published shares of any models.

    Returns:
        Rows `model`, `direction`, `published`, `ours` (percent, with its interval), `difference`
        (points), `inside` (the published number lies in our interval), `protocol` (every stated
        difference, in words).
    """
    lines = []
    for row in rows:
        measured = result.direction(row.direction)[row.metric]
        ours = tuple(100 * value for value in (measured.value, measured.low, measured.high))
        line = {"model": row.name, "direction": row.direction, "published": row.value, "ours": ours}
        line |= {"difference": ours[0] - row.value, "inside": ours[1] <= row.value <= ours[2]}
        lines.append(line | {"protocol": "; ".join(paper_differences(row, result)) or "the same"})
    return lines
