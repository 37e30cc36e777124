"""Choose the one metric of a corpus that stands for a result in an overview."""

import re

from lib.studies.published.results import DirectionResult, Result

USUAL = "R@1"
# By benchmark, the first word of its name; all others: R@1, or the first metric of the result.
MAIN_METRICS = {"beir": "nDCG@10", "class-folders": "acc1", "xtd10": "R@10"}
# By benchmark, the directions of the whole where others are of its categories.
WHOLES = {"fashioniq": ("query_to_image",)}


def main_parts(result: Result) -> list[DirectionResult]:
    """Return the directions of a result without those of subsets, "image_to_text (swap_obj)"."""
    wholes = WHOLES.get(_benchmark(result), ())
    whole = [
        part
        for part in result.directions
        if part.direction in wholes or not (wholes or " (" in part.direction)
    ]
    return whole or list(result.directions)


def _benchmark(result: Result) -> str:
    return re.split(r"[ :]", result.protocol.benchmark)[0]


def main_metric(result: Result, part: DirectionResult) -> str:
    """Return the name of the main metric of one direction of a result, its first one if unknown."""
    for name in (MAIN_METRICS.get(_benchmark(result)), USUAL):
        if name in part.values:
            return name
    return next(iter(part.values))
