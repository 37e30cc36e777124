"""Choose the one metric of a corpus that stands for a result in an overview."""

import re

from lib.studies.published.results import DirectionResult, Result

USUAL = "R@1"
# By benchmark, the first word of its name; all others: R@1, or the first metric of the result.
MAIN_METRICS = {"beir": "nDCG@10", "class-folders": "acc1", "xtd10": "R@10"}


def main_parts(result: Result) -> list[DirectionResult]:
    """Return the directions of a result without those of subsets, "image_to_text (swap_obj)"."""
    whole = [part for part in result.directions if " (" not in part.direction]
    return whole or list(result.directions)


def main_metric(result: Result, part: DirectionResult) -> str:
    """Return the name of the main metric of one direction of a result, its first one if unknown."""
    benchmark = re.split(r"[ :]", result.protocol.benchmark)[0]
    for name in (MAIN_METRICS.get(benchmark), USUAL):
        if name in part.values:
            return name
    return next(iter(part.values))
