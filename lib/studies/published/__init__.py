"""Evaluate published benchmarks: protocols by name, results as files, papers beside them."""

from lib.studies.published.composed import embed_composed, evaluate_composed
from lib.studies.published.evaluation import evaluate_corpus, evaluate_ranking, evaluate_rows
from lib.studies.published.paired_comparison import compare_results
from lib.studies.published.protocol import Protocol, protocol_differences
from lib.studies.published.results import Result, result_rows

__all__ = [
    "Protocol",
    "Result",
    "compare_results",
    "embed_composed",
    "evaluate_composed",
    "evaluate_corpus",
    "evaluate_rows",
    "evaluate_ranking",
    "protocol_differences",
    "result_rows",
]
