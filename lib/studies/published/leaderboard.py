"""A table of published numbers read as measurements: how far each is from the next, in units of its
error.
"""

import math
from collections.abc import Sequence

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.studies.published.compare_with_papers import protocol_differences
from lib.studies.published.paper_numbers import COLUMNS, PublishedRow
from lib.studies.published.results import Result

Z = 1.959964  # of a 95% interval
PROTOCOL = (
    "dataset",
    "split",
    "direction",
    "metric",
    "gallery",
    "n_queries",
    "n_gallery",
    "captions",
)
PROTOCOL += ("judgements", "prompt", "inference", "kind")


def half_width(percent: float, n_queries: int) -> float:
    """Half of the 95% interval of a share of independent queries, in points.

        1.96 sqrt(p (100 - p) / n)

    Five captions of one image are not independent, so that for captions the true half is larger;
    for two models on the same queries, whose difference is what matters, a paired test is sharper.

    Args:
        percent: the share, 0 to 100.
        n_queries: how many were asked.
    """
    if not 0 <= percent <= 100 or n_queries < 1:
        raise RetrievalInputError(
            f"expected a percentage and a count, got {percent} of {n_queries} queries"
        )
    return Z * math.sqrt(percent * (100 - percent) / n_queries)


def where(rows: Sequence[PublishedRow], **columns) -> list[PublishedRow]:
    """The numbers with these values in these columns: `where(rows, dataset="coco",
    metric="R@1")`.
    """
    unknown = set(columns) - set(COLUMNS)
    if unknown:
        raise RetrievalInputError(
            f"no column is named {', '.join(sorted(unknown))}; known: {COLUMNS}"
        )
    return [
        row for row in rows if all(getattr(row, name) == value for name, value in columns.items())
    ]


def comparable(rows: Sequence[PublishedRow], like: PublishedRow) -> list[PublishedRow]:
    """The numbers of the kind of `like` whose sources state its protocol, column by column.

    Silence is not agreement, and a model trained on the benchmark is not one that never saw it.
    """
    return where(rows, **{name: getattr(like, name) for name in PROTOCOL})


def steps(rows: Sequence[PublishedRow]) -> list[dict]:
    """A leaderboard, best last: how far each model is ahead of the one before it, beside its half
    interval.

    Args:
        rows: of one benchmark, direction and share metric, all with `n_queries`.

    Returns:
        Rows of model, year, value, step (points ahead of the model before; None for the first),
        half_width, within (whether the step is smaller than the half interval), n_within (models
        whose value lies within this one's interval, itself left out).

    Raises:
        RetrievalInputError: no rows, rows that measure different things, or one without
            `n_queries`.
    """
    found = {(row.dataset, row.split, row.direction, row.metric) for row in rows}
    if len(found) != 1 or any(not row.n_queries for row in rows):
        raise RetrievalInputError(
            "expected rows of one benchmark, direction and metric that say how many queries were"
            f" asked, got {len(rows)} rows of {len(found)}"
        )
    ordered = sorted(rows, key=lambda row: (row.value, row.name))
    values = np.array([row.value for row in ordered])
    out = []
    for at, row in enumerate(ordered):
        half = half_width(row.value, row.n_queries)
        step = float(values[at] - values[at - 1]) if at else None
        near = int((np.abs(values - row.value) <= half).sum()) - 1
        line = {
            "model": row.name,
            "year": row.year,
            "value": row.value,
            "step": step,
            "half_width": half,
        }
        out.append(line | {"within": step is not None and step < half, "n_within": near})
    return out


def against(result: Result, rows: Sequence[PublishedRow]) -> list[dict]:
    """A result beside printed shares of any models: the difference, and why it may mean nothing.

    Args:
        result: of the reader's model.
        rows: numbers of a metric that is a share, in directions that the result has.

    Returns:
        Rows of model, direction, published, ours (percent, with its interval), difference (points),
        inside (whether the published number lies in our interval), protocol (every stated
        difference, in words).

    Relations: `lib.studies.published.compare_with_papers` does it for the printed numbers of the
    same model.
    """
    lines = []
    for row in rows:
        measured = result.direction(row.direction)[row.metric]
        ours = tuple(100 * value for value in (measured.value, measured.low, measured.high))
        line = {"model": row.name, "direction": row.direction, "published": row.value, "ours": ours}
        line |= {"difference": ours[0] - row.value, "inside": ours[1] <= row.value <= ours[2]}
        lines.append(
            line | {"protocol": "; ".join(protocol_differences(row, result)) or "the same"}
        )
    return lines
