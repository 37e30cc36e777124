"""Search with retrievers: a query goes in, a ranked list of items comes out.

    queries = retriever.encode(task.queries, task.query_modality)
    run = retriever.search(queries, k=100)
    evaluate_run(run, task)

There are five retrievers: one vector per item, one vector per token, a network for each pair, a
cheap retriever followed by an expensive one, and BM25 over texts as the lexical baseline. A run
names the scores that rank it and counts their work.
"""

from lib.datasets.user_drawings import read_drawing
from lib.search.base import Hit, PairScorer, Retriever, Run, Work, best_first, encode_side
from lib.search.bm25 import BM25Retriever
from lib.search.cross_encoder import CrossEncoderRetriever
from lib.search.depth_planner import (
    DepthPlan,
    MeasuredCosts,
    StageCosts,
    fit_costs,
    measure_costs,
    plan_depth,
)
from lib.search.dual import DualEncoderRetriever, icon_retriever
from lib.search.evaluate_task import (
    DEPTH,
    encode_sides,
    encode_task,
    evaluate_run,
    evaluate_task,
    recall_ceiling,
    retriever_over,
    two_stages_over,
)
from lib.search.fusion import reciprocal_rank_fusion
from lib.search.late_interaction import LateInteractionRetriever
from lib.search.two_stage import Interpolate, StagedQueries, TwoStageRetriever, rerank

__all__ = [
    "DEPTH",
    "BM25Retriever",
    "CrossEncoderRetriever",
    "DepthPlan",
    "DualEncoderRetriever",
    "Hit",
    "Interpolate",
    "LateInteractionRetriever",
    "MeasuredCosts",
    "PairScorer",
    "Retriever",
    "Run",
    "StageCosts",
    "StagedQueries",
    "TwoStageRetriever",
    "Work",
    "best_first",
    "encode_side",
    "encode_sides",
    "encode_task",
    "evaluate_run",
    "evaluate_task",
    "fit_costs",
    "icon_retriever",
    "measure_costs",
    "plan_depth",
    "read_drawing",
    "recall_ceiling",
    "reciprocal_rank_fusion",
    "rerank",
    "retriever_over",
    "two_stages_over",
]
