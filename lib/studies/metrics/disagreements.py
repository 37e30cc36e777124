"""Compare the answers of metric libraries on the same small inputs."""

import importlib.metadata
import re
import tomllib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.core.paths import data_dir
from lib.metrics import Qrels, average_precision, evaluate
from lib.studies.peers.harness import NOT_INSTALLED
from lib.studies.peers.metrics import JOBS

FACTS = "metric_disagreements.toml"
NOT_OFFERED, NOT_ASKED = "not offered", "cannot be asked"


@dataclass(frozen=True)
class DisagreementCase:
    """Describe one input and one metric of it."""

    name: str  # special property of the input
    metric: str  # a key of `metric_names`
    qrels: Mapping[str, Mapping[str, int]]  # {query: {document: grade}}
    run: Mapping[str, Mapping[str, float]]  # {query: {document: score}}, in order of insertion
    why: str  # reason of the different answers
    not_asked: tuple[str, ...] = ()  # libraries that cannot represent the input
    low_level: bool = False  # call ranx's function on arrays instead of its `Qrels` and `Run`


@cache
def _facts() -> dict:
    return tomllib.loads((data_dir() / "published" / FACTS).read_text(encoding="utf-8"))


def metric_names() -> dict[str, dict]:
    """Read the arguments of `evaluate` and the names in other libraries for each metric."""
    return _facts()["metrics"]


def cases() -> list[DisagreementCase]:
    """Read the cases; a run given as a word ranks its letters, best first."""
    return [
        DisagreementCase(**fields | {"run": {q: _scores(row) for q, row in fields["run"].items()}})
        for fields in _facts()["cases"]
    ]


def _scores(row: str | Mapping[str, float]) -> Mapping[str, float]:
    if isinstance(row, Mapping):
        return row
    return {document: float(len(row) - place) for place, document in enumerate(row)}


def answer_rows(selection: Sequence[DisagreementCase] | None = None) -> list[dict]:
    """Compute every case with every library.

    Returns:
        Rows `case`, `metric`, `ours` (ties against the relevant items), `ours_optimistic` (ties for
        them), one column per peer, `why`. A cell is a number, or a text: a refusal, a peer's
        exception, or that metric, input or library is not available.
    """
    rows = []
    for case in cases() if selection is None else selection:
        ours, optimistic = (_answer(_ours, case, ties) for ties in ("pessimistic", "optimistic"))
        row = {"case": case.name, "metric": case.metric}
        row |= {"ours": ours, "ours_optimistic": optimistic}
        for library, compute in PEERS.items():
            if not JOBS[library].is_installed:
                row[library] = NOT_INSTALLED
            else:
                row[library] = NOT_ASKED if library in case.not_asked else _answer(compute, case)
        rows.append(row | {"why": case.why})
    return rows


def format_answers(rows: Sequence[dict], digits: int = 4) -> list[dict]:
    """Format the rows; ours is an interval where the order of ties decides."""
    formatted = []
    for row in rows:
        cells = {
            key: f"{cell:.{digits}f}" if isinstance(cell, float) else cell
            for key, cell in row.items()
        }
        best = cells.pop("ours_optimistic")
        if best != cells["ours"]:
            cells["ours"] = f"{cells['ours']} to {best}"
        formatted.append(cells)
    return formatted


def peer_versions() -> dict[str, str]:
    """Return the version of every installed peer."""
    installed = [library for library in PEERS if JOBS[library].is_installed]
    return {library: importlib.metadata.version(library) for library in installed}


def _answer(compute: Callable, *arguments) -> float | str:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            value = compute(*arguments)
        except RetrievalInputError as error:
            return f"refuses: {_short(error)}"
        except Exception as error:  # whatever a peer raises is its answer
            return f"{type(error).__name__}: {_short(error)}"
    return NOT_OFFERED if value is None else float(value)


def _short(error: Exception) -> str:
    return re.split(r"[;.] |, so |, which |\.?\n", str(error))[0].rstrip(".")


# ---- ours


def _ours(case: DisagreementCase, ties: str) -> float | None:
    options = dict(metric_names()[case.metric].get("ours", {}))
    if not options:
        return None
    family, k = options.pop("family"), options.pop("k", None)
    rankings = [*case.run.values(), *case.qrels.values()]
    documents = list(dict.fromkeys(document for row in rankings for document in row))
    depth = k or max(map(len, case.run.values()))
    longest = max(depth, *map(len, case.run.values()))
    # A run as an index returns it, from a gallery with room for the cut-off: -1 is no item.
    documents += [f"filler {i}" for i in range(longest - len(documents))]
    ids, scores = np.full((len(case.run), longest), -1), np.full((len(case.run), longest), -np.inf)
    for row, ranking in enumerate(case.run.values()):
        best_first = sorted(ranking.items(), key=lambda pair: -pair[1])
        ids[row, : len(ranking)] = [documents.index(document) for document, _ in best_first]
        scores[row, : len(ranking)] = [score for _, score in best_first]
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


def _trec_eval(case: DisagreementCase) -> float | None:
    import pytrec_eval

    name = metric_names()[case.metric].get("trec")
    if name is None:
        return None
    level = 2 if case.metric == "RR from grade 2" else 1
    evaluator = pytrec_eval.RelevanceEvaluator(case.qrels, {name}, relevance_level=level)
    results = evaluator.evaluate(case.run)
    return np.mean([values[name.replace(".", "_")] for values in results.values()])


def _ranx(case: DisagreementCase) -> float | None:
    import ranx

    name = metric_names()[case.metric].get("ranx")
    if name is None:
        return None
    if case.low_level:
        return _ranx_on_arrays(case)
    # Names of one length keep their order; ranx compiles again for every other length.
    qrels, run = (
        {q: {f"{d:>3}": value for d, value in row.items()} for q, row in values.items()}
        for values in (case.qrels, case.run)
    )
    return ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), name)


def _ranx_on_arrays(case: DisagreementCase) -> float:
    from ranx.metrics import ndcg

    (judged,), (scores,) = case.qrels.values(), case.run.values()
    documents = list(scores)
    grades = np.array([[[documents.index(d), grade] for d, grade in judged.items()]], dtype=float)
    ranked = np.array([[[documents.index(d), score] for d, score in scores.items()]], dtype=float)
    return ndcg(grades, ranked, 0, 1)[0]


def _torchmetrics(case: DisagreementCase) -> float | None:
    import torch
    from torchmetrics import retrieval

    options = dict(metric_names()[case.metric].get("torch", {}))
    if not options:
        return None
    name = options.pop("class")
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


def _scikit_learn(case: DisagreementCase) -> float | None:
    from sklearn.metrics import average_precision_score, ndcg_score

    if case.metric not in ("nDCG", "nDCG, gain g", "nDCG@10", "AP"):
        return None
    values, k = [], 10 if case.metric == "nDCG@10" else None
    for query, row in case.run.items():
        grades = np.array([case.qrels.get(query, {}).get(document, 0) for document in row])
        scores = np.array(list(row.values()))
        if case.metric == "AP":
            values.append(average_precision_score(grades > 0, scores))
        else:
            values.append(ndcg_score([grades], [scores], k=k))
    return np.mean(values)


PEERS: dict[str, Callable[[DisagreementCase], float | None]] = {
    "pytrec-eval-terrier": _trec_eval,
    "ranx": _ranx,
    "torchmetrics": _torchmetrics,
    "scikit-learn": _scikit_learn,
}
