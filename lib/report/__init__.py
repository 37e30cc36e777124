"""Report numbers: quality is shown and checked, timing is shown only.

    report.quality(rows, tolerance=0.5)                      a table of checked numbers
    report.sentence("... {x:.1f} ...", x=x, tolerance=0.5)   a checked sentence under a figure
    report.timing({"exact": function})                       seconds, never checked

The stored output of a notebook holds the numbers in full precision under `METRICS_MIME`. When nbval
runs the cell again, `conftest.py` compares them by `compare_payloads`, and not the rendered text.
"""

from lib.report.payloads import METRICS_MIME, compare_payloads
from lib.report.tables import Shown, escaped, html_table, percent, quality, sentence
from lib.report.timing import environment, environment_line, measure, timing

__all__ = [
    "METRICS_MIME",
    "Shown",
    "compare_payloads",
    "environment",
    "environment_line",
    "escaped",
    "html_table",
    "measure",
    "percent",
    "quality",
    "sentence",
    "timing",
]
