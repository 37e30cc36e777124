"""What `crossmodal eval beir` prints against MTEB's own evaluator, on the same rows."""

import json

import numpy as np
import pytest

from lib.core.checks import unit_rows
from lib.datasets.judged import load_judged
from lib.metrics import evaluate_embeddings
from lib.studies.published import evaluate_rows

N_QUERIES, N_DOCUMENTS, DIM = 40, 300, 16
# Ours and, per query, that of trec_eval, which MTEB reads; MRR is of MTEB's own code.
NAMES = {
    "nDCG@5": "ndcg_cut_5", "nDCG@10": "ndcg_cut_10", "MAP@10": "map_cut_10", "P@5": "P_5",
    "recall@1": "recall_1", "recall@10": "recall_10", "R@1": "success_1", "R@10": "success_10",
}  # fmt: skip
# What MTEB reports, rounded to five digits, with the field of its result.
REPORTED = {
    "nDCG@5": "ndcg", "nDCG@10": "ndcg", "MAP@10": "map", "P@5": "precision",
    "recall@1": "recall", "recall@10": "recall", "R@1": "hit_rate", "R@10": "hit_rate",
}  # fmt: skip
METRICS = [*NAMES, "MRR@10"]


def write_corpus(root):
    """Grades of 1 to 3, up to nine a query, and some of 0; the ids of documents descend."""
    rng = np.random.default_rng(0)
    documents = [f"d{N_DOCUMENTS - at:04}" for at in range(N_DOCUMENTS)]
    rows = ["query-id\tcorpus-id\tscore"]
    for query in range(N_QUERIES):
        judged = rng.choice(N_DOCUMENTS, size=rng.integers(2, 11), replace=False)
        grades = [*rng.integers(1, 4, judged.size - 1), 0]
        rows += [f"q{query}\t{documents[at]}\t{grade}" for at, grade in zip(judged, grades)]
    (root / "qrels").mkdir(parents=True)
    (root / "qrels" / "test.tsv").write_text("\n".join(rows) + "\n")
    for name, ids in (("corpus", documents), ("queries", [f"q{at}" for at in range(N_QUERIES)])):
        lines = (json.dumps({"_id": id_, "text": f"text of {id_}"}) for id_ in ids)
        (root / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    write_corpus(root := tmp_path_factory.mktemp("judged") / "mine")
    return load_judged(root)


def rows_of(corpus, kind):
    """Rows of documents and queries, and which documents have rows of their own."""
    rng = np.random.default_rng(1)
    own = np.arange(N_DOCUMENTS)
    if kind == "tied":
        own = own // 6 * 6  # six documents in a row are one and the same
    documents = rng.normal(size=(N_DOCUMENTS, DIM))[own]
    first = corpus.qrels.items[corpus.qrels.indptr[:-1]]
    noise = 0 if kind == "planted" else 1.5
    return documents, documents[first] + noise * rng.normal(size=(N_QUERIES, DIM)), own


def by_mteb(corpus, documents, queries, own):
    """MTEB's result of scores in float64; documents with one row have one score."""
    pytest.importorskip("mteb", reason="mteb is optional")
    from mteb._evaluators.retrieval_evaluator import RetrievalEvaluator

    scores = unit_rows(queries, "q").astype(float) @ unit_rows(documents, "d").astype(float).T
    run = {
        query: dict(zip(corpus.item_ids, row, strict=True))
        for query, row in zip(corpus.text_ids, scores[:, own].tolist(), strict=True)
    }
    qrels = {query: {} for query in corpus.text_ids}
    for query, item, grade in zip(
        corpus.qrels.query_index, corpus.qrels.items, corpus.qrels.grades.tolist(), strict=True
    ):
        qrels[corpus.text_ids[query]][corpus.item_ids[item]] = grade
    return RetrievalEvaluator.evaluate(None, qrels, run, [1, 5, 10])


def values_of(theirs):
    """Means over queries, before MTEB rounds them."""
    values = {
        ours: float(np.mean([row[name] for row in theirs.all_scores.values()]))
        for ours, name in NAMES.items()
    }
    return values | {"MRR@10": theirs.mrr["MRR@10"]}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["planted", "noisy"])
def test_eval_beir_prints_what_mteb_computes(corpus, kind):
    documents, queries, own = rows_of(corpus, kind)
    theirs = by_mteb(corpus, documents, queries, own)
    (part,) = evaluate_rows(documents, queries, corpus, metrics=METRICS).directions
    assert part.tie_share == 0
    ours = {name: part[name].value for name in METRICS}
    assert ours == pytest.approx(values_of(theirs), abs=1e-9)
    assert kind == "planted" or 0.05 < ours["nDCG@10"] < 0.9, "neither trivial nor perfect"
    for name, field in REPORTED.items():
        at = name.split("@")[1]
        (reported,) = (v for k, v in getattr(theirs, field).items() if k.endswith(f"@{at}"))
        assert ours[name] == pytest.approx(reported, abs=6e-6), name


@pytest.mark.slow
def test_ties_go_by_id_at_mteb_and_against_the_model_here(corpus):
    documents, queries, own = rows_of(corpus, "tied")
    theirs = values_of(by_mteb(corpus, documents, queries, own))
    (part,) = evaluate_rows(documents, queries, corpus, metrics=METRICS).directions
    assert part.tie_share > 0.5
    qrels = corpus.task(part.direction).qrels
    options = {"metrics": METRICS, "gain": "linear"}
    # MTEB puts the largest id first: here the ids descend, so that is the order of positions.
    by_id = evaluate_embeddings(queries, documents, qrels, ties="id", **options)
    assert {name: by_id.mean(name) for name in METRICS} == pytest.approx(theirs, abs=1e-9)
    for name in METRICS:
        worst, best = by_id.bounds[name]
        assert part[name].value == pytest.approx(worst, abs=1e-12)
        assert worst - 1e-12 <= theirs[name] <= best + 1e-12
    assert part["nDCG@10"].value < theirs["nDCG@10"] - 0.01, "and the difference can be seen"
