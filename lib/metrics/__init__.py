"""Ranking metrics and their uncertainty, in numpy alone.

Ids are gallery positions; ranks count from 1.
"""

from lib.core.qrels import Qrels
from lib.metrics.both_ways import evaluate_both_ways
from lib.metrics.choices import (
    PairedChoices,
    choice_chance,
    paired_chance,
    paired_choices,
    right_choices,
    subset_weights,
)
from lib.metrics.evaluation import (
    Evaluation,
    evaluate,
    evaluate_by_best_text,
    evaluate_embeddings,
)
from lib.metrics.hubness import (
    Cosines,
    LabelledRun,
    dual_softmax,
    inverted_softmax,
    k_occurrence,
    qb_norm,
    skewness,
    unadjusted,
)
from lib.metrics.intervals import (
    bootstrap_interval,
    bootstrap_median_interval,
    paired_bootstrap_interval,
)
from lib.metrics.kernels import chance_of, parse_metric
from lib.metrics.protocols import (
    FoldedEvaluation,
    contiguous_folds,
    evaluate_both,
    evaluate_folds,
    rsum,
)
from lib.metrics.ranking import (
    average_precision,
    average_precision_at_r,
    first_rank,
    hit_rate_at_k,
    map_at_r,
    mean_average_precision,
    mean_rank,
    mean_reciprocal_rank,
    median_rank,
    ndcg_at_k,
    precision_at_k,
    r_precision,
    recall_at_k,
    reciprocal_rank,
)
from lib.metrics.ranks import RelevantRanks, ranks_both_ways, ranks_of_relevant
from lib.metrics.score_ranks import ranks_by_best_text, ranks_in_scores
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
from lib.metrics.trec import (
    TrecData,
    load_trec,
    load_trec_run,
    read_trec_qrels,
    read_trec_run,
    write_trec_qrels,
    write_trec_run,
)
