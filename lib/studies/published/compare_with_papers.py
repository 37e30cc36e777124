"""A result beside the published numbers of the same model: how far apart, and under which
protocol.
"""

import math
from collections.abc import Sequence

from lib.studies.published.direction_result import OF_RANKS
from lib.studies.published.paper_numbers import PublishedRow, table
from lib.studies.published.results import Result


def beside(result: Result, rows: Sequence[PublishedRow] | None = None) -> list[dict]:
    """The published numbers of the same model on the same benchmark, each beside the result's.

    Args:
        result: of a model whose identity names `model` and `tag`.
        rows: published numbers; the committed table when None.

    Returns:
        Rows of direction, metric, own, low, high (percent or ranks), published, difference (own -
        published), inside (whether the published number, as it was rounded, lies in the interval;
        None without one), protocol (differences in words; empty: comparable as far as the source
        says), remark ("recalled, unchecked" and the like), source. Empty when nothing is published
        of this model here.

    Relations: an interval of one result says how far another sample of queries might be, so the
    published number of the same model on the same queries should lie well inside it.
    """
    rows = table() if rows is None else rows
    benchmark, names = result.protocol.benchmark.split(" ")[0], _names(result)
    parts = {part.direction: part for part in result.directions}
    found = []
    for row in rows:
        same = (row.dataset, row.split) == (benchmark, result.protocol.split.split(",")[0])
        if not same or (row.model, row.pretrained) not in names or row.direction not in parts:
            continue
        if (
            row.judgements != result.protocol.judgements
            or row.metric not in parts[row.direction].values
        ):
            continue
        measured = parts[row.direction][row.metric]
        scale = 1 if row.metric in OF_RANKS else 100
        own, low, high = (
            scale * number for number in (measured.value, measured.low, measured.high)
        )
        rounding = 0.5 * 10.0**-row.decimals
        found.append(
            {
                "direction": row.direction,
                "metric": row.metric,
                "own": own,
                "low": low,
                "high": high,
                "published": row.value,
                "difference": own - row.value,
                "inside": None
                if math.isnan(low)
                else low - rounding <= row.value <= high + rounding,
                "protocol": protocol_differences(row, result),
                "remark": row.remark,
                "source": row.source,
            }
        )
    return found


def protocol_differences(row: PublishedRow, result: Result) -> list[str]:
    """In words, where a published number was measured otherwise; what a source leaves out is not
    guessed.
    """
    protocol, part = result.protocol, result.direction(row.direction)
    pairs = {
        "queries": (part.n_queries, row.n_queries),
        "gallery items": (part.n_gallery, row.n_gallery),
        "gallery": (protocol.gallery, row.gallery),
        "captions": (protocol.captions, row.captions),
        "judgements": (protocol.judgements, row.judgements),
        "prompt": (protocol.prompt or "none", row.prompt),
        "inference": (protocol.inference, row.inference),
    }
    said = [
        f"{what}: {mine} here, {theirs} there" for what, (mine, theirs) in pairs.items() if theirs
    ]
    differ = [
        line
        for line, (mine, theirs) in zip(said, (p for p in pairs.values() if p[1]))
        if mine != theirs
    ]
    if protocol.benchmark != row.dataset:
        differ.insert(0, f"{protocol.benchmark} here")
    return differ


def _names(result: Result) -> set[tuple[str, str]]:
    """The names a model may be published under; openai's weights always run with quickgelu, named
    or not.
    """
    model, tag = result.identity.get("model", ""), result.identity.get("tag", "")
    names = {(model, tag)}
    if tag == "openai":
        names |= {(model.removesuffix("-quickgelu"), tag)}
    return names
