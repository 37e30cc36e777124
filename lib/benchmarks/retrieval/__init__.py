"""The published benchmarks, evaluated: protocols by name, results as files, beside the numbers of papers."""

from lib.benchmarks.retrieval.compare import compare
from lib.benchmarks.retrieval.evaluation import evaluate_corpus, evaluate_rows
from lib.benchmarks.retrieval.protocol import Protocol, differences
from lib.benchmarks.retrieval.results import Result, table

__all__ = ["Protocol", "Result", "compare", "differences", "evaluate_corpus", "evaluate_rows", "table"]
