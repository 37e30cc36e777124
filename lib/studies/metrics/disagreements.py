"""Where libraries disagree on the same small input: a table of what each of them answers when it is
asked.
"""

import importlib.metadata
import re
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.metrics import Qrels, average_precision, evaluate
from lib.studies.metrics.disagreement_cases import CASES, Case
from lib.studies.peers.comparison import INSTALL
from lib.studies.peers.metrics_systems import JOBS

NOT_OFFERED, NOT_ASKED = "not offered", "cannot be asked"
NOT_INSTALLED = f"not installed: {INSTALL}"

# By metric: family, cut-off and other options of `evaluate`; the names in trec_eval, ranx and
# torchmetrics.
METRICS: dict[str, dict] = {
    "nDCG": {
        "ours": ("nDCG", None, {}),
        "trec": "ndcg",
        "ranx": "ndcg",
        "torch": ("NormalizedDCG", {}),
    },
    "nDCG, gain 2^g - 1": {"ours": ("nDCG", None, {}), "ranx": "ndcg_burges"},
    "nDCG, gain g": {
        "ours": ("nDCG", None, {"gain": "linear"}),
        "trec": "ndcg",
        "ranx": "ndcg",
        "torch": ("NormalizedDCG", {}),
    },
    "nDCG@10": {
        "ours": ("nDCG", 10, {}),
        "trec": "ndcg_cut.10",
        "ranx": "ndcg@10",
        "torch": ("NormalizedDCG", {"top_k": 10}),
    },
    "recall@10": {
        "ours": ("recall", 10, {}),
        "trec": "recall.10",
        "ranx": "recall@10",
        "torch": ("Recall", {"top_k": 10}),
    },
    "recall@1": {
        "ours": ("recall", 1, {}),
        "trec": "recall.1",
        "ranx": "recall@1",
        "torch": ("Recall", {"top_k": 1}),
    },
    "R@1": {
        "ours": ("R", 1, {}),
        "trec": "success.1",
        "ranx": "hit_rate@1",
        "torch": ("HitRate", {"top_k": 1}),
    },
    "P@10": {
        "ours": ("P", 10, {}),
        "trec": "P.10",
        "ranx": "precision@10",
        "torch": ("Precision", {"top_k": 10}),
    },
    "P@10 of what is there": {"torch": ("Precision", {"top_k": 10, "adaptive_k": True})},
    "RR": {"ours": ("MRR", None, {}), "trec": "recip_rank", "ranx": "mrr", "torch": ("MRR", {})},
    "RR from grade 2": {
        "ours": ("MRR", None, {"hit_grade": 2}),
        "trec": "recip_rank",
        "ranx": "mrr-l2",
    },
    "AP": {"ours": ("MAP", None, {}), "trec": "map", "ranx": "map", "torch": ("MAP", {})},
    "AP@3": {
        "ours": ("MAP", 3, {}),
        "trec": "map_cut.3",
        "ranx": "map@3",
        "torch": ("MAP", {"top_k": 3}),
    },
    "AP@3 over min(R, k)": {"ours": ("MAP", 3, {"denominator": "min(R,k)"})},
}


def table(cases: Sequence[Case] = CASES) -> list[dict]:
    """Asks every library for every case, and writes down the number or the refusal.

    Returns:
        Tidy rows: case, metric, ours (ties against the relevant items) and ours_optimistic (for
        them), one column per peer, why. A cell is a float, or a text: "refuses: ..." (ours), the
        exception of a peer, that it does not offer the metric, that the input cannot be written
        down in it, or that it is not installed. The mean over queries is the library's own where it
        has one.

    Relations: `as_text` shortens the numbers; `lib.studies.peers.metrics` has what they cost.
    """
    rows = []
    for case in cases:
        ours, optimistic = (_answer(_ours, case, ties) for ties in ("pessimistic", "optimistic"))
        row = {
            "case": case.name,
            "metric": case.metric,
            "ours": ours,
            "ours_optimistic": optimistic,
        }
        for library, ask in PEERS.items():
            if not JOBS[library].is_installed:
                row[library] = NOT_INSTALLED
            else:
                row[library] = NOT_ASKED if library in case.not_asked else _answer(ask, case)
        rows.append(row | {"why": case.why})
    return rows


def as_text(rows: Sequence[dict], digits: int = 4) -> list[dict]:
    """The table for reading: numbers as text, ours as an interval where the order of ties
    decides.
    """
    shown = []
    for row in rows:
        cells = {
            key: f"{cell:.{digits}f}" if isinstance(cell, float) else cell
            for key, cell in row.items()
        }
        best = cells.pop("ours_optimistic")
        shown.append(
            cells
            | {"ours": cells["ours"] if best == cells["ours"] else f"{cells['ours']} to {best}"}
        )
    return shown


def versions() -> dict[str, str]:
    """The version of every peer that is installed; what they answer depends on it."""
    return {
        library: importlib.metadata.version(library)
        for library in PEERS
        if JOBS[library].is_installed
    }


def _answer(ask: Callable, *arguments) -> float | str:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            value = ask(*arguments)
        except RetrievalInputError as error:
            return f"refuses: {_short(error)}"
        except Exception as error:  # whatever a peer raises is its answer
            return f"{type(error).__name__}: {_short(error)}"
    return NOT_OFFERED if value is None else float(value)


def _short(error: Exception) -> str:
    return re.split(r"[;.] |, so |, which |\.?\n", str(error))[0].rstrip(".")


# ---- ours


def _ours(case: Case, ties: str) -> float | None:
    if "ours" not in METRICS[case.metric]:
        return None
    family, k, options = METRICS[case.metric]["ours"]
    documents = list(
        dict.fromkeys(d for of in (case.run, case.qrels) for row in of.values() for d in row)
    )
    depth = k or max(map(len, case.run.values()))
    longest = max(depth, *map(len, case.run.values()))
    # A run as an index returns it: -1 where nothing was found, from a gallery that has room for the
    # cut-off.
    documents += [f"filler {i}" for i in range(longest - len(documents))]
    ids, scores = np.full((len(case.run), longest), -1), np.full((len(case.run), longest), -np.inf)
    for row, found in enumerate(case.run.values()):
        best_first = sorted(found.items(), key=lambda pair: -pair[1])
        ids[row, : len(found)] = [documents.index(document) for document, _ in best_first]
        scores[row, : len(found)] = [score for _, score in best_first]
    judged = {
        q: {d: grade for d, grade in row.items() if grade != 0} for q, row in case.qrels.items()
    }
    qrels = Qrels.from_ids(judged, list(dict.fromkeys([*case.run, *case.qrels])), documents)
    if family == "MAP" and k:  # `evaluate` goes to the depth of the run
        return float(np.mean(average_precision(ids, qrels, k, **options)))
    result = evaluate((scores, ids), qrels, ks=(depth,), metrics=(family,), ties=ties, **options)
    (metric,) = result.per_query
    return result.mean(metric)


# ---- peers


def _trec_eval(case: Case) -> float | None:
    import pytrec_eval

    name = METRICS[case.metric].get("trec")
    if name is None:
        return None
    level = 2 if case.metric == "RR from grade 2" else 1
    evaluator = pytrec_eval.RelevanceEvaluator(case.qrels, {name}, relevance_level=level)
    found = evaluator.evaluate(case.run)
    return np.mean([values[name.replace(".", "_")] for values in found.values()])


def _ranx(case: Case) -> float | None:
    import ranx

    name = METRICS[case.metric].get("ranx")
    if name is None:
        return None
    if case.low_level:
        return _ranx_on_arrays(case)
    # Names of one length, which keep their order: ranx compiles anew for every other length.
    qrels, run = (
        {q: {f"{d:>3}": v for d, v in row.items()} for q, row in of.items()}
        for of in (case.qrels, case.run)
    )
    return ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), name)


def _ranx_on_arrays(case: Case) -> float:
    from ranx.metrics import ndcg

    (judged,), (found,) = case.qrels.values(), case.run.values()
    documents = list(found)
    grades = np.array([[[documents.index(d), grade] for d, grade in judged.items()]], dtype=float)
    ranked = np.array([[[documents.index(d), score] for d, score in found.items()]], dtype=float)
    return ndcg(grades, ranked, 0, 1)[0]


def _torchmetrics(case: Case) -> float | None:
    import torch
    from torchmetrics import retrieval

    if "torch" not in METRICS[case.metric]:
        return None
    name, options = METRICS[case.metric]["torch"]
    pairs = [
        (number, score, case.qrels.get(query, {}).get(document, 0))
        for number, (query, row) in enumerate(case.run.items())
        for document, score in row.items()
    ]
    queries, scores, grades = zip(*pairs, strict=True)
    queries, grades = torch.tensor(queries), torch.tensor(grades)
    metric = getattr(retrieval, f"Retrieval{name}")(**options)
    scores = torch.tensor(scores, dtype=torch.float32)
    return metric(scores, grades if name == "NormalizedDCG" else grades > 0, indexes=queries)


def _scikit_learn(case: Case) -> float | None:
    from sklearn.metrics import average_precision_score, ndcg_score

    if case.metric not in ("nDCG", "nDCG, gain g", "nDCG@10", "AP"):
        return None
    values = []
    for query, row in case.run.items():
        grades = np.array([case.qrels.get(query, {}).get(document, 0) for document in row])
        scores = np.array(list(row.values()))
        if case.metric == "AP":
            values.append(average_precision_score(grades > 0, scores))
        else:
            values.append(
                ndcg_score([grades], [scores], k=10 if case.metric == "nDCG@10" else None)
            )
    return np.mean(values)


PEERS: dict[str, Callable[[Case], float | None]] = {
    "pytrec-eval-terrier": _trec_eval,
    "ranx": _ranx,
    "torchmetrics": _torchmetrics,
    "scikit-learn": _scikit_learn,
}
