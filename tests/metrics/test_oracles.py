"""Agreement with other libraries where the definitions coincide: no ties, every query judged and
run.
"""

import numpy as np
import pytest

from lib.metrics import (
    Qrels,
    average_precision,
    hit_rate_at_k,
    ndcg_at_k,
    precision_at_k,
    r_precision,
    recall_at_k,
    reciprocal_rank,
)

N_QUERIES, N_ITEMS, DEPTH = 40, 60, 40  # a run that ends before some relevant items


@pytest.fixture(params=range(3))
def judged(request):
    rng = np.random.default_rng(request.param)
    scores = rng.permuted(np.tile(np.arange(float(N_ITEMS)), (N_QUERIES, 1)), axis=1)
    ids = np.argsort(-scores, axis=1)[:, :DEPTH]
    grades = rng.integers(1, 5, (N_QUERIES, N_ITEMS)) * (rng.random((N_QUERIES, N_ITEMS)) < 0.15)
    grades[np.arange(N_QUERIES), rng.integers(N_ITEMS, size=N_QUERIES)] = 2
    queries, items = np.nonzero(grades)
    qrels = Qrels.from_pairs(queries, items, grades[queries, items], shape=grades.shape)
    truth = {
        f"q{q:02}": {f"d{i:02}": int(grades[q, i]) for i in np.flatnonzero(grades[q])}
        for q in range(N_QUERIES)
    }
    run = {f"q{q:02}": {f"d{i:02}": float(scores[q, i]) for i in ids[q]} for q in range(N_QUERIES)}
    return ids, qrels, truth, run


def ours(ids, qrels):
    return {
        "AP": average_precision(ids, qrels),
        "AP@10": average_precision(ids, qrels, 10),
        "nDCG@10 linear": ndcg_at_k(ids, qrels, 10, gain="linear"),
        "nDCG linear": ndcg_at_k(ids, qrels, DEPTH, gain="linear"),
        "nDCG@10": ndcg_at_k(ids, qrels, 10),
        "RR": reciprocal_rank(ids, qrels),
        "P@10": precision_at_k(ids, qrels, 10),
        "recall@10": recall_at_k(ids, qrels, 10),
        "R@10": hit_rate_at_k(ids, qrels, 10),
        "R-precision": r_precision(ids, qrels),
    }


def test_trec_eval(judged):
    pytrec_eval = pytest.importorskip("pytrec_eval", reason="pytrec-eval-terrier is optional")
    ids, qrels, truth, run = judged
    names = {
        "AP": "map",
        "AP@10": "map_cut_10",
        "nDCG@10 linear": "ndcg_cut_10",
        "nDCG linear": (
            "ndcg"
        ),  # its ideal has no cut-off; no query here has more than DEPTH answers
        "RR": "recip_rank",
        "P@10": "P_10",
        "recall@10": "recall_10",
        "R@10": "success_10",
        "R-precision": "Rprec",
    }
    asked = {
        "map",
        "map_cut.10",
        "ndcg_cut.10",
        "ndcg",
        "recip_rank",
        "P.10",
        "recall.10",
        "success.10",
        "Rprec",
    }
    theirs = pytrec_eval.RelevanceEvaluator(truth, asked).evaluate(run)
    mine = ours(ids, qrels)
    for name, trec in names.items():
        np.testing.assert_allclose(
            mine[name], [theirs[q][trec] for q in truth], rtol=0, atol=1e-12, err_msg=name
        )


def test_ranx(judged):
    ranx = pytest.importorskip("ranx", reason="ranx is optional")
    ids, qrels, truth, run = judged
    names = {
        "AP": "map",
        "AP@10": "map@10",
        "nDCG@10 linear": "ndcg@10",
        "nDCG linear": "ndcg",
        "nDCG@10": "ndcg_burges@10",
        "RR": "mrr",
        "P@10": "precision@10",
        "recall@10": "recall@10",
        "R@10": "hit_rate@10",
        "R-precision": "r-precision",
    }
    theirs = ranx.evaluate(
        ranx.Qrels(truth), ranx.Run(run), list(names.values()), return_mean=False
    )
    mine = ours(ids, qrels)
    for name, theirs_name in names.items():
        np.testing.assert_allclose(
            mine[name], theirs[theirs_name], rtol=0, atol=1e-12, err_msg=name
        )


def test_torchmetrics_divides_by_what_was_found(judged):
    torch = pytest.importorskip("torch")
    retrieval = pytest.importorskip("torchmetrics.retrieval", reason="torchmetrics is optional")
    ids, qrels, _, _ = judged
    relevant = torch.from_numpy(qrels.grades_of(ids) > 0)
    scores = torch.arange(DEPTH, 0, -1).float().expand(N_QUERIES, DEPTH)
    queries = torch.arange(N_QUERIES)[:, None].expand(N_QUERIES, DEPTH)
    for k in (1, 10, DEPTH):
        theirs = retrieval.RetrievalMAP(top_k=k)(scores, relevant, indexes=queries)
        ours = average_precision(ids, qrels, k, denominator="hits").mean()
        assert float(theirs) == pytest.approx(ours, abs=1e-6)  # it computes in float32
