"""Measure the cost of ranking metrics: five of them by five libraries.

Each library is used as its documentation says, from the same two arrays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lib.core.checks import RetrievalInputError, check_choices, check_count
from lib.metrics import Qrels, evaluate
from lib.metrics.hubness import unadjusted
from lib.studies.peers.harness import Arrays, CostTable, Job, Progress

# nDCG with the linear gain, the only one that all of them have.
METRICS = ("R@10", "recall@10", "MRR", "MAP", "nDCG@10")
FAMILIES = ("R", "recall", "MRR", "MAP", "nDCG")
K = 10
WARM_UP = 20  # queries
RELEVANT_SHARE = 0.01
SHOWN = (
    "system takes n_metrics n_queries:, n_gallery:, prepare_s:.3f run_s:.3f total_s:.3f"
    " fastest_s:.3f slowest_s:.3f memory_mb:,.0f times_ours:.1f note"
)


@dataclass(frozen=True)
class MetricJob(Job):
    """A way to compute the metrics; `takes` describes the input that `prepare` makes."""

    takes: str = ""


def metric_cost_table(
    n_queries: int = 10_000,
    n_candidates: int = 1_000,
    *,
    repeats: int = 3,
    systems: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress = lambda key, done, total: None,
) -> list[dict]:
    """Measure hit rate@10, recall@10, MRR, MAP and nDCG@10 by every library.

    Every system starts from the same matrices of scores (no two alike in a row) and of grades
    (about 1% of the candidates are relevant, graded 1 to 3; at least one per query). Seconds
    include the conversion to the input of the library, but not its import and compilation. Two of
    our rows start later, from what an index returns already ranked.

    Args:
        n_queries: number of queries.
        n_candidates: items scored per query, at least 10: the whole gallery, where all definitions
            agree.
        repeats: timed runs of each.
        systems: names in `SYSTEMS`, all by default. Ours from scores, the unit of `times_ours`, is
            always measured.
        seed: seed of scores and grades.
        progress: as for `CostTable`.
    """
    chosen = list(SYSTEMS) if systems is None else check_choices(systems, SYSTEMS, "system")
    arrays = metric_inputs(n_queries, n_candidates, seed)
    names = list(dict.fromkeys([BASELINE, *chosen]))
    table = CostTable(__name__, len(names), progress, with_prepare=True)
    for name in names:
        columns = {"system": name, "takes": SYSTEMS[name].takes}
        columns |= {"n_queries": n_queries, "n_gallery": n_candidates}
        row = table.measure(name, arrays, columns, peer=BASELINE, repeats=repeats)
        cost = table.costs[name]
        row |= {"total_s": row["seconds"], "times_ours": row["of_peer_seconds"]}
        row["n_metrics"] = None if cost is None else len(cost.values)
    return table.rows


def metric_inputs(n_queries: int, n_candidates: int, seed: int = 0) -> Arrays:
    """Draw scores and grades; the scores of a query are 1 to n in some order, without ties."""
    n_queries = check_count(n_queries, "n_queries")
    n_candidates = check_count(n_candidates, "n_candidates")
    if n_candidates < K:
        raise RetrievalInputError(
            f"n_candidates must be at least {K} for metrics at {K}, got {n_candidates}"
        )
    rng = np.random.default_rng(seed)
    in_order = np.arange(1, n_candidates + 1, dtype=np.float32)
    scores = rng.permuted(np.tile(in_order, (n_queries, 1)), axis=1)
    relevant = rng.random(scores.shape, dtype=np.float32) < RELEVANT_SHARE
    relevant[np.arange(n_queries), rng.integers(n_candidates, size=n_queries)] = True
    grades = rng.integers(1, 4, scores.shape, dtype=np.int8) * relevant
    ids = np.argsort(-scores, axis=1)
    ranked = np.take_along_axis(scores, ids, axis=1)
    return {"scores": scores, "grades": grades, "ids": ids, "ranked": ranked}


# ---- ours


def grades_to_qrels(grades: np.ndarray) -> Qrels:
    """Turn a matrix of grades, `(n_queries, n_candidates)`, into judgements."""
    queries, items = np.nonzero(grades)
    return Qrels.from_pairs(queries, items, grades[queries, items], shape=grades.shape)


def _first_queries(arrays: Arrays) -> Arrays:
    return {name: array[:WARM_UP] for name, array in arrays.items()}


def _by_evaluate(run_and_qrels) -> dict[str, float]:
    run, qrels = run_and_qrels
    result = evaluate(run, qrels, ks=(K,), metrics=FAMILIES, gain="linear")
    return {
        name.replace(f"@{result.k}", "") if name[0] == "M" else name: result.mean(name)
        for name in result.per_query
    }


def _from_scores(arrays: Arrays):
    ranked = unadjusted(arrays["scores"], depth=arrays["scores"].shape[1])
    return ranked.run, grades_to_qrels(arrays["grades"])


# ---- peers


def grades_to_dictionaries(arrays: Arrays) -> tuple[dict, dict]:
    """Make qrels and run for trec_eval and ranx: `{query: {document: grade or score}}`."""
    scores, grades = arrays["scores"], arrays["grades"]
    # Names of one length: ranx compiles again for every length.
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
    measures = {"success.10", "recall.10", "recip_rank", "map", "ndcg_cut.10"}
    per_query = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run)
    names = ("success_10", "recall_10", "recip_rank", "map", "ndcg_cut_10")
    means = (float(np.mean([values[name] for values in per_query.values()])) for name in names)
    return dict(zip(METRICS, means, strict=True))


def _ranx_objects(arrays: Arrays):
    import ranx

    qrels, run = grades_to_dictionaries(arrays)
    return ranx.Qrels(qrels), ranx.Run(run)


def _ranx(qrels_and_run) -> dict[str, float]:
    import ranx

    names = ["hit_rate@10", "recall@10", "mrr", "map", "ndcg@10"]
    means = ranx.evaluate(*qrels_and_run, names)
    return {metric: float(means[name]) for metric, name in zip(METRICS, names, strict=True)}


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
    values = binary.compute() | {"nDCG@10": graded.compute()}
    return {name: float(values[name]) for name in METRICS}


def _scikit_learn(arrays: Arrays) -> dict[str, float]:
    from sklearn.metrics import label_ranking_average_precision_score, ndcg_score

    scores, grades = arrays["scores"], arrays["grades"]
    return {
        "MAP": float(label_ranking_average_precision_score(grades > 0, scores)),
        "nDCG@10": float(ndcg_score(grades, scores, k=K, ignore_ties=True)),
    }


def _same(arrays: Arrays) -> Arrays:
    return arrays


def _job(
    prepare: Callable, run: Callable, takes: str, note: str, library: str | None = None,
    reads: tuple[str, ...] = ("scores", "grades"),
) -> MetricJob:  # fmt: skip
    return MetricJob(prepare, run, _first_queries, reads, library, note, takes)


BASELINE = "ours, from scores"
SYSTEMS = {
    BASELINE: _job(
        _from_scores,
        _by_evaluate,
        "matrix of scores",
        "ranks every row; the ratio is to this row, which starts where the peers start",
    ),
    "ours, from a run": _job(
        lambda arrays: ((arrays["ranked"], arrays["ids"]), grades_to_qrels(arrays["grades"])),
        _by_evaluate,
        "scores and ids, best first",
        "as an index returns them; with tie share and bounds",
        reads=("ranked", "ids", "grades"),
    ),
    "ours, from ranked ids": _job(
        lambda arrays: (arrays["ids"], grades_to_qrels(arrays["grades"])),
        _by_evaluate,
        "ids, best first",
        "without scores nothing is known of ties",
        reads=("ids", "grades"),
    ),
    "pytrec-eval-terrier": _job(
        grades_to_dictionaries,
        _trec_eval,
        "dictionaries",
        "prepare: building the dictionaries",
        "pytrec_eval",
    ),
    "ranx": _job(
        _ranx_objects,
        _ranx,
        "Qrels and Run",
        "prepare: dictionaries, then Qrels and Run; compiled before the clock starts",
        "ranx",
    ),
    "torchmetrics": _job(
        _flat_tensors,
        _torchmetrics,
        "flat tensors",
        "scores must be above 0: it discards what is not",
        "torchmetrics",
    ),
    "scikit-learn": _job(
        _same,
        _scikit_learn,
        "matrix of scores",
        "has two of the five; no hit rate, recall at k or reciprocal rank",
        "sklearn",
    ),
}
JOBS = SYSTEMS
