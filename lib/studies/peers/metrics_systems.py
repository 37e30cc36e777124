"""Five metrics by five libraries, each used as its documentation has it, from the same two
arrays.
"""

from dataclasses import dataclass

import numpy as np

from lib.metrics import Qrels, evaluate
from lib.metrics.hubness import unadjusted
from lib.studies.peers import comparison
from lib.studies.peers.isolated_process import Arrays

# nDCG with the linear gain, the only one that all of them have.
METRICS = ("R@10", "recall@10", "MRR", "MAP", "nDCG@10")
FAMILIES = ("R", "recall", "MRR", "MAP", "nDCG")
K = 10
WARM_UP = 20  # queries


@dataclass(frozen=True)
class System(comparison.System):
    """A way to compute the metrics.

    Args:
        takes: what it is given, in words; making that is the step `prepare`.
        note: what a reader must know to compare it.
    """

    takes: str = ""
    note: str = ""


def first_queries(arrays: Arrays) -> Arrays:
    """The inputs of the warm-up: a few queries, all their candidates."""
    return {name: array[:WARM_UP] for name, array in arrays.items()}


# ---- ours


def qrels_of(grades: np.ndarray) -> Qrels:
    """Judgements from a matrix of grades, `(n_queries, n_candidates)`."""
    queries, items = np.nonzero(grades)
    return Qrels.from_pairs(queries, items, grades[queries, items], shape=grades.shape)


def _by_evaluate(run_and_qrels) -> dict[str, float]:
    run, qrels = run_and_qrels
    result = evaluate(run, qrels, ks=(K,), metrics=FAMILIES, gain="linear")
    return {
        name.replace(f"@{result.k}", "") if name[0] == "M" else name: result.mean(name)
        for name in result.per_query
    }


def _from_scores(arrays: Arrays):
    ranked = unadjusted(arrays["scores"], depth=arrays["scores"].shape[1])
    return ranked.run, qrels_of(arrays["grades"])


# ---- peers


def dictionaries(arrays: Arrays) -> tuple[dict, dict]:
    """Judgements and run as trec_eval and ranx take them: `{query: {document: grade or score}}`."""
    scores, grades = arrays["scores"], arrays["grades"]
    # Names of one length: ranx compiles anew for every length.
    queries = [f"q{i:07}" for i in range(len(scores))]
    documents = [f"d{j:07}" for j in range(scores.shape[1])]
    run = {
        query: dict(zip(documents, row, strict=True))
        for query, row in zip(queries, scores.tolist(), strict=True)
    }
    qrels: dict[str, dict[str, int]] = {query: {} for query in queries}
    cells = np.nonzero(grades)
    for query, document, grade in zip(
        *(axis.tolist() for axis in cells), grades[cells].tolist(), strict=True
    ):
        qrels[queries[query]][documents[document]] = grade
    return qrels, run


def _trec_eval(qrels_and_run) -> dict[str, float]:
    import pytrec_eval

    qrels, run = qrels_and_run
    asked = {"success.10", "recall.10", "recip_rank", "map", "ndcg_cut.10"}
    found = pytrec_eval.RelevanceEvaluator(qrels, asked).evaluate(run)
    names = ("success_10", "recall_10", "recip_rank", "map", "ndcg_cut_10")
    means = (float(np.mean([values[name] for values in found.values()])) for name in names)
    return dict(zip(METRICS, means, strict=True))


def _ranx_objects(arrays: Arrays):
    import ranx

    qrels, run = dictionaries(arrays)
    return ranx.Qrels(qrels), ranx.Run(run)


def _ranx(qrels_and_run) -> dict[str, float]:
    import ranx

    names = ["hit_rate@10", "recall@10", "mrr", "map", "ndcg@10"]
    found = ranx.evaluate(*qrels_and_run, names)
    return {metric: float(found[name]) for metric, name in zip(METRICS, names, strict=True)}


def _flat_tensors(arrays: Arrays):
    import torch

    scores = torch.from_numpy(arrays["scores"])
    queries = torch.arange(len(scores)).repeat_interleave(scores.shape[1])
    return scores.flatten(), torch.from_numpy(arrays["grades"]).long().flatten(), queries


def _torchmetrics(tensors) -> dict[str, float]:
    from torchmetrics import MetricCollection, retrieval

    scores, grades, queries = tensors
    binary = MetricCollection(
        {
            "R@10": retrieval.RetrievalHitRate(top_k=K),
            "recall@10": retrieval.RetrievalRecall(top_k=K),
            "MRR": retrieval.RetrievalMRR(),
            "MAP": retrieval.RetrievalMAP(),
        }
    )
    graded = retrieval.RetrievalNormalizedDCG(top_k=K)
    binary.update(scores, grades > 0, indexes=queries)
    graded.update(scores, grades, indexes=queries)
    found = binary.compute() | {"nDCG@10": graded.compute()}
    return {name: float(found[name]) for name in METRICS}


def _scikit_learn(arrays: Arrays) -> dict[str, float]:
    from sklearn.metrics import label_ranking_average_precision_score, ndcg_score

    scores, grades = arrays["scores"], arrays["grades"]
    return {
        "MAP": float(label_ranking_average_precision_score(grades > 0, scores)),
        "nDCG@10": float(ndcg_score(grades, scores, k=K, ignore_ties=True)),
    }


def _as_they_are(arrays: Arrays) -> Arrays:
    return arrays


SCORES = ("scores", "grades")
BASELINE = "ours, from scores"
JOBS: dict[str, System] = {
    BASELINE: System(
        _from_scores,
        _by_evaluate,
        first_queries,
        SCORES,
        takes="matrix of scores",
        note="ranks every row; the ratio is to this row, which starts where the peers start",
    ),
    "ours, from a run": System(
        lambda arrays: ((arrays["ranked"], arrays["ids"]), qrels_of(arrays["grades"])),
        _by_evaluate,
        first_queries,
        ("ranked", "ids", "grades"),
        takes="scores and ids, best first",
        note="as an index returns them; with tie share and bounds",
    ),
    "ours, from ranked ids": System(
        lambda arrays: (arrays["ids"], qrels_of(arrays["grades"])),
        _by_evaluate,
        first_queries,
        ("ids", "grades"),
        takes="ids, best first",
        note="without scores nothing is known of ties",
    ),
    "pytrec-eval-terrier": System(
        dictionaries,
        _trec_eval,
        first_queries,
        SCORES,
        takes="dictionaries",
        library="pytrec_eval",
        note="prepare: building the dictionaries",
    ),
    "ranx": System(
        _ranx_objects,
        _ranx,
        first_queries,
        SCORES,
        takes="Qrels and Run",
        library="ranx",
        note="prepare: dictionaries, then Qrels and Run; compiled before the clock starts",
    ),
    "torchmetrics": System(
        _flat_tensors,
        _torchmetrics,
        first_queries,
        SCORES,
        takes="flat tensors",
        library="torchmetrics",
        note="scores must be above 0: it discards what is not",
    ),
    "scikit-learn": System(
        _as_they_are,
        _scikit_learn,
        first_queries,
        SCORES,
        takes="matrix of scores",
        library="sklearn",
        note="has two of the five; no hit rate, recall at k or reciprocal rank",
    ),
}
