"""Ranking metrics and their uncertainty, in numpy alone. Ids are gallery positions; ranks count
from 1.
"""

from lib.core.qrels import Qrels
from lib.metrics.bootstrap import (
    bootstrap_interval,
    bootstrap_median_interval,
    paired_bootstrap_interval,
)
from lib.metrics.chance import chance_of, chance_of_ranks
from lib.metrics.counting import ranks_in_scores, ranks_of_relevant
from lib.metrics.evaluation import Evaluation, evaluate
from lib.metrics.graded import (
    average_precision,
    average_precision_at_r,
    map_at_r,
    mean_average_precision,
    ndcg_at_k,
)
from lib.metrics.hubness import (
    LabelledRun,
    dual_softmax,
    inverted_softmax,
    k_occurrence,
    qb_norm,
    skewness,
    top_hubs,
    unadjusted,
)
from lib.metrics.multi_sentence import ranks_by_best_text
from lib.metrics.protocols import (
    FoldedEvaluation,
    contiguous_folds,
    evaluate_both,
    evaluate_embeddings,
    evaluate_folds,
    rsum,
)
from lib.metrics.ranking import (
    first_rank,
    hit_rate_at_k,
    mean_rank,
    mean_reciprocal_rank,
    median_rank,
    precision_at_k,
    r_precision,
    recall_at_k,
    reciprocal_rank,
)
from lib.metrics.ranks import RelevantRanks
from lib.metrics.significance import (
    McNemar,
    PairedTest,
    SystemComparison,
    compare_systems,
    holm,
    mcnemar_exact,
    minimum_detectable_difference,
    paired_randomization,
)
from lib.metrics.similarities import Cosines

__all__ = [
    "Cosines",
    "Evaluation",
    "FoldedEvaluation",
    "LabelledRun",
    "McNemar",
    "PairedTest",
    "Qrels",
    "RelevantRanks",
    "SystemComparison",
    "average_precision",
    "average_precision_at_r",
    "bootstrap_interval",
    "bootstrap_median_interval",
    "chance_of",
    "chance_of_ranks",
    "compare_systems",
    "contiguous_folds",
    "dual_softmax",
    "evaluate",
    "evaluate_both",
    "evaluate_embeddings",
    "evaluate_folds",
    "first_rank",
    "hit_rate_at_k",
    "holm",
    "inverted_softmax",
    "k_occurrence",
    "map_at_r",
    "mcnemar_exact",
    "mean_average_precision",
    "mean_rank",
    "mean_reciprocal_rank",
    "median_rank",
    "minimum_detectable_difference",
    "ndcg_at_k",
    "paired_bootstrap_interval",
    "paired_randomization",
    "precision_at_k",
    "qb_norm",
    "r_precision",
    "ranks_by_best_text",
    "ranks_in_scores",
    "ranks_of_relevant",
    "recall_at_k",
    "reciprocal_rank",
    "rsum",
    "skewness",
    "top_hubs",
    "unadjusted",
]
