"""Metrics and cut-offs that papers report for each corpus."""

from collections.abc import Sequence

from lib.core.checks import RetrievalInputError
from lib.datasets.class_folders import ClassifiedPictures
from lib.datasets.composed import ComposedQueries
from lib.datasets.judged import JudgedCorpus
from lib.metrics import parse_metric
from lib.studies.published.classification import usual_accuracies
from lib.studies.published.results import RANK_METRICS

# All other corpora: 1, 5, 10.
KS = {"activitynet": (1, 5, 10, 50), "cirr": (1, 5, 10, 50), "fashioniq": (10, 50)}
METRICS = ("R", "MRR", "R-precision", "MAP@R", *RANK_METRICS)
MORE_METRICS = {"clotho": ("MAP@10",)}  # DCASE's mAP@10
GRADED_METRICS = ("nDCG", *METRICS)
JUDGED_METRICS = ("nDCG", "recall", "R", "MRR", "MAP@R")  # ViDoRe reports nDCG@5, MTEB nDCG@10


def chosen_metrics(
    metrics: Sequence[str] | None,
    judgements: str = "original",
    corpus=None,
    *,
    n_folds: int = 1,
    depth: int | None = None,
) -> tuple[str, ...]:
    """Return checked names of metrics, or those that are usual for the judgements.

    Usual metrics with a cut-off deeper than a fold, or than the `depth` of a run, are left out.
    """
    if isinstance(corpus, ComposedQueries):
        raise RetrievalInputError(f"{corpus.name} has composed queries; use evaluate_composed")
    if metrics is None and isinstance(corpus, ClassifiedPictures):
        return usual_accuracies(corpus)
    if metrics is None:
        usual = JUDGED_METRICS if isinstance(corpus, JudgedCorpus) else METRICS
        usual += _more_metrics(corpus, n_folds, depth)
        return GRADED_METRICS if judgements == "cxc-grades" else usual
    for name in metrics:
        if name not in RANK_METRICS:
            parse_metric(name)
    return tuple(metrics)


def _more_metrics(corpus, n_folds: int, depth: int | None) -> tuple[str, ...]:
    """Return what papers report of one corpus beside the usual, if its galleries are that deep."""
    names = MORE_METRICS.get(_name(corpus), ())
    deepest = min(corpus.qrels.shape) // n_folds if names else 0
    deepest = deepest if depth is None else min(deepest, depth)
    return tuple(name for name in names if (parse_metric(name)[1] or 1) <= deepest)


def default_ks(corpus) -> tuple[int, ...]:
    """Return the cut-offs that papers report for a corpus."""
    return KS.get(_name(corpus), (1, 5, 10))


def _name(corpus) -> str:
    return "" if corpus is None else corpus.name.split(" ")[0]
