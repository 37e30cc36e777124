"""How a number is shown, and how it is checked: quality is data, timing is weather.

    report.quality(rows, tolerance=0.5)                      a table whose numbers are checked
    report.sentence("... {x:.1f} ...", x=x, tolerance=0.5)   what a figure shows, as a checked
    sentence
    report.timing({"exact": function})                       seconds, never checked

A notebook's stored output holds the numbers in full precision under `METRICS_MIME`. When nbval runs
the cell again, `conftest.py` compares those numbers by `compare_payloads` and leaves the rendered
text alone.
"""

from lib.report.payloads import METRICS_MIME, compare_payloads
from lib.report.tables import Shown, html_table, percent, quality, sentence
from lib.report.timing import environment, environment_line, measure, timing

__all__ = [
    "METRICS_MIME",
    "Shown",
    "compare_payloads",
    "environment",
    "environment_line",
    "html_table",
    "measure",
    "percent",
    "quality",
    "sentence",
    "timing",
]
