"""Ranking metrics and their uncertainty, in numpy alone. Ids are gallery positions; ranks count from 1."""

from lib.metrics.evaluation import Evaluation, chance_of, evaluate
from lib.metrics.ranking import hit_rate_at_k, mean_reciprocal_rank, recall_at_k, reciprocal_rank
from lib.metrics.significance import bootstrap_interval
from lib.qrels import Qrels

__all__ = [
    "Evaluation",
    "Qrels",
    "bootstrap_interval",
    "chance_of",
    "evaluate",
    "hit_rate_at_k",
    "mean_reciprocal_rank",
    "recall_at_k",
    "reciprocal_rank",
]
