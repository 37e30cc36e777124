"""Search with retrievers: a query goes in, a ranked list of items comes out.

    queries = retriever.encode(task.queries, task.query_modality)
    run = retriever.search(queries, k=100)
    evaluate_run(run, task)

There are five retrievers: one vector per item, one vector per token, a network for each pair, a
cheap retriever followed by an expensive one, and BM25 over texts as the lexical baseline. A run
names the scores that rank it and counts their work. `picture_retriever()` searches all icons and
emoji with the committed model `pictures`.

Each name is imported when it is first used: a search for words by `lib.models.numpy_text` needs
neither torch nor faiss, whose imports take seconds and most of the memory.
"""

from importlib import import_module

_NAMES = {
    "lib.datasets.user_drawings": ("read_drawing", "read_picture"),
    "lib.search.base": (
        "Hit", "PairScorer", "Retriever", "Run", "Work", "best_first", "encode_side",
    ),
    "lib.search.bm25": ("BM25Retriever",),
    "lib.search.cross_encoder": ("CrossEncoderRetriever",),
    "lib.search.depth_planner": (
        "DepthPlan", "MeasuredCosts", "StageCosts", "fit_costs", "measure_costs", "plan_depth",
    ),
    "lib.search.dual": ("DualEncoderRetriever", "icon_retriever"),
    "lib.search.evaluation": (
        "DEPTH", "encode_sides", "encode_task", "evaluate_run", "evaluate_task", "recall_ceiling",
        "retriever_over", "two_stages_over",
    ),
    "lib.search.fusion": ("mix_vectors", "reciprocal_rank_fusion"),
    "lib.search.late_interaction": ("LateInteractionRetriever",),
    "lib.search.pictures": ("PictureHit", "PictureRetriever", "picture_retriever"),
    "lib.search.two_stage": ("Interpolate", "StagedQueries", "TwoStageRetriever", "rerank"),
}  # fmt: skip
_PLACES = {name: module for module, names in _NAMES.items() for name in names}
__all__ = sorted(_PLACES)


def __getattr__(name: str) -> object:
    """Import a public name from its module."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(_PLACES[name]), name)
    return value
