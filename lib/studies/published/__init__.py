"""The published benchmarks, evaluated: protocols by name, results as files, beside the numbers of
papers.
"""

from lib.studies.published.evaluation import evaluate_corpus, evaluate_rows
from lib.studies.published.paired_comparison import compare
from lib.studies.published.protocol import Protocol, differences
from lib.studies.published.results import Result, table

__all__ = [
    "Protocol",
    "Result",
    "compare",
    "differences",
    "evaluate_corpus",
    "evaluate_rows",
    "table",
]
