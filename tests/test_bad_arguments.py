"""Each argument of the public functions, replaced in turn by what it cannot be: the error is
ours.
"""

import warnings

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from lib import losses, metrics, report
from lib.cli import app
from lib.core.checks import RetrievalInputError
from lib.core.task import RetrievalTask
from lib.core.token_vectors import Tokens, round_to_int8
from lib.datasets import icons, scenes
from lib.metrics import Qrels, geometry
from lib.models.maxsim import late_interaction_logits, maxsim, maxsim_pairs
from lib.search import Interpolate, Run, fit_costs, recall_ceiling, reciprocal_rank_fusion, rerank

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((2, 4, 3))
Q, K = (torch.nn.functional.normalize(torch.tensor(rows), dim=1) for rows in (X, Y))
TEXTS, PICTURES = torch.randn(2, 3, 4), torch.randn(3, 2, 4)
QRELS = Qrels.from_owner([0, 1, 2, 3], 4)
IDS = np.array([[0, 1], [1, 0], [3, 2], [2, 3]])
SCORES = np.array([[2.0, 1.0]] * 4)
RUN = Run.of_one_stage(SCORES, IDS, "score")
HITS, OTHERS = np.array([0.0, 1, 1, 0]), np.array([1.0, 1, 0, 1])
EVALUATION = metrics.evaluate(IDS, QRELS, ks=[1])
TOKENS = Tokens(RNG.standard_normal((2, 3, 4)))

BAD = {
    "None": None,
    "True": True,
    "-1": -1,
    "0": 0,
    "1": 1,
    "2.5": 2.5,
    "nan": float("nan"),
    "10**30": 10**30,
    "text": "nonsense",
    "bytes": b"\x01",
    "[]": [],
    "[[]]": [[]],
    "ragged": [[1, 2], [3]],
    "dict": {"a": 1},
    "set": {1, 2},
    "object": object(),
    "complex": np.ones((4, 3), complex),
    "masked": np.ma.masked_equal([[1.0, 2.0]], 2),
    "texts": np.array(["a", "b", "c", "d"]),
    "4 axes": np.ones((1, 1, 1, 1)),
    "no rows": np.ones((0, 3)),
    "numpy": np.ones((4, 3)),
    "gradient": torch.ones(4, 3, requires_grad=True),
    "bfloat16": torch.ones(4, 3, dtype=torch.bfloat16),
    "sparse": torch.eye(4).to_sparse(),
    "meta": torch.ones(4, 3, device="meta"),
}


def cases():
    """Function, and arguments that it takes."""
    per_query = dict(ranked_ids=IDS, targets=QRELS, no_relevant="error")
    for name in (
        "hit_rate_at_k",
        "recall_at_k",
        "precision_at_k",
        "ndcg_at_k",
        "average_precision",
    ):
        yield getattr(metrics, name), dict(per_query, k=1)
    for name in (
        "first_rank",
        "median_rank",
        "mean_rank",
        "r_precision",
        "map_at_r",
        "average_precision_at_r",
    ):
        yield getattr(metrics, name), per_query
    for name in ("reciprocal_rank", "mean_reciprocal_rank", "mean_average_precision"):
        yield getattr(metrics, name), dict(per_query, k=1)
    judged = dict(
        qrels=QRELS, ks=[1], hit_grade=1, groups=[0, 0, 1, 1], no_relevant="error", ties="id"
    )
    yield metrics.evaluate, dict(judged, run=(SCORES, IDS), metrics=["R"], gain="linear")
    yield (
        metrics.evaluate_embeddings,
        dict(judged, queries=X, gallery=Y, metrics=["R"], metric="cosine", gain="linear"),
    )
    both = dict(queries=X, gallery=Y, qrels=QRELS, ks=[1])
    yield metrics.evaluate_both, dict(both, directions=("a_to_b", "b_to_a"), groups=(None, None))
    yield metrics.evaluate_folds, dict(both, n_folds=2, groups=[0, 1, 2, 3])
    yield metrics.contiguous_folds, dict(qrels=QRELS, n_folds=2)
    yield metrics.rsum, dict(forward=EVALUATION, backward=EVALUATION, ks=[1])
    counted = dict(queries=X, gallery=Y, qrels=QRELS, metric="cosine", which="all", query_block=2)
    yield metrics.ranks_of_relevant, dict(counted, no_relevant="error")
    yield metrics.ranks_in_scores, dict(scores=X @ Y.T, qrels=QRELS, no_relevant="error")
    yield metrics.ranks_by_best_text, dict(items=X, texts=Y, qrels=QRELS, block=2)
    yield metrics.evaluate_by_best_text, dict(items=X, texts=Y, qrels=QRELS, ks=[1], groups=None)
    yield metrics.chance_of, dict(counts=[1, 2], n_gallery=9, ks=[1], depth=3, metrics=["R"])
    drawn = dict(groups=[0, 0, 1, 1], level=0.9, n_resamples=3, seed=1)
    yield metrics.bootstrap_interval, dict(values=HITS, **drawn)
    yield metrics.bootstrap_median_interval, dict(values=HITS, **drawn)
    yield metrics.paired_bootstrap_interval, dict(a=HITS, b=OTHERS, **drawn)
    yield (
        metrics.paired_randomization,
        dict(a=HITS, b=OTHERS, groups=[0, 0, 1, 1], n_resamples=3, seed=1),
    )
    compared = dict(values_a=HITS, values_b=OTHERS, groups=[0, 0, 1, 1], level=0.9)
    yield metrics.compare_systems, dict(compared, n_resamples=3, seed=1)
    yield metrics.parse_metric, dict(name="nDCG@10")
    yield metrics.mcnemar_exact, dict(a=HITS, b=OTHERS)
    yield metrics.holm, dict(p_values=[0.1, 0.2])
    detectable = dict(n_queries=9, p=0.5, correlation=0.1, design_effect=1.0, alpha=0.05, power=0.8)
    yield metrics.minimum_detectable_difference, detectable
    yield metrics.k_occurrence, dict(ranked_ids=IDS, n_items=4, k=1)
    yield metrics.skewness, dict(counts=[1, 2])
    yield metrics.unadjusted, dict(scores=X @ Y.T, depth=2)
    yield metrics.inverted_softmax, dict(scores=X @ Y.T, bank=Y @ Y.T, beta=2.0, depth=2)
    yield metrics.dual_softmax, dict(scores=X @ Y.T, beta=2.0, depth=2)
    yield metrics.qb_norm, dict(scores=X @ Y.T, bank=Y @ Y.T, beta=2.0, k=1, depth=2)
    yield metrics.Cosines, dict(queries=X, gallery=Y)
    yield Qrels.from_owner, dict(owner=[0, 1], n_queries=2, grade=1)
    yield Qrels.from_pairs, dict(query_index=[0], item_index=[1], grades=[1], shape=(2, 2))
    yield Qrels.from_ids, dict(judgements={"q": ["i"]}, query_ids=["q"], item_ids=["i"])
    yield Qrels, dict(indptr=[0, 1], items=[0], grades=[1], n_items=1)
    yield QRELS.grades_of, dict(ranked_ids=IDS)
    yield QRELS.row, dict(query=1)
    yield QRELS.at_least, dict(min_grade=1)
    yield QRELS.take_queries, dict(index=[0])
    task = dict(name="a", split="test", direction="a_to_b", queries=X, gallery=Y, qrels=QRELS)
    yield RetrievalTask, dict(task, query_groups=[0, 0, 1, 1], hit_grade=1)
    yield geometry.alignment, dict(x=X, y=Y, alpha=2.0)
    yield geometry.uniformity, dict(x=X, t=2.0, block=2)
    yield geometry.modality_gap, dict(x=X, y=Y)
    yield geometry.effective_rank, dict(x=X)
    yield geometry.truncate, dict(x=X, dim=2)
    yield geometry.triangle_violations, dict(x=X, n_triples=3, distance="angle", seed=1)
    yield geometry.to_int8, dict(x=X)
    pair, mask = dict(query_emb=Q, key_emb=K), torch.eye(4, dtype=torch.bool)
    yield (
        losses.infonce_loss,
        dict(pair, temperature=0.1, direction="both", same=mask, block_size=2),
    )
    yield losses.infonce_loss, dict(pair, positives=mask)
    yield losses.infonce_of_logits, dict(logits=Q @ K.T, positives=mask)
    yield (
        losses.sigmoid_loss,
        dict(pair, temperature=0.1, bias=1.0, positives=mask, reduction="mean", block_size=2),
    )
    mined = dict(margin=0.2, mining="hard", direction="both", same=mask, reduction="mean")
    yield losses.mined_triplet_loss, dict(pair, **mined)
    yield losses.triplet_cosine_gradient, dict(cosines=Q @ K.T, **mined)
    yield losses.mine_triplets, dict(cosines=Q @ K.T, margin=0.2, mining="hard", same=mask)
    yield losses.triplet_loss, dict(anchor=Q, positive=K, negative=K, margin=0.2, reduction="mean")
    yield losses.mnr_loss, dict(anchor=Q, positive=K, negatives=K, scale=2.0, block_size=2)
    weighted = dict(directions=["query_to_key", "key_to_key"], hardness=5.0, hardness_on="hard")
    yield losses.mnr_loss, dict(anchor=Q, positive=K, negatives=K, scale=2.0, **weighted)
    yield (
        losses.distributed_infonce_loss,
        dict(pair, temperature=0.1, ids=torch.arange(4), block_size=2),
    )
    yield losses.distributed_mnr_loss, dict(anchor=Q, positive=K, negatives=K, scale=2.0)
    yield (
        losses.distributed_sigmoid_loss,
        dict(pair, temperature=0.1, bias=1.0, ids=torch.arange(4)),
    )
    yield losses.gather_own_first, dict(rows=Q)
    yield losses.decorrelation_loss, dict(emb=Q)
    yield (
        losses.matryoshka_loss,
        dict(loss=losses.infonce_loss, **pair, dims=[1, 2], weights=[1.0, 1.0]),
    )
    yield losses.infonce_logit_gradient, dict(logits=Q @ K.T, direction="both", positives=mask)
    yield losses.sigmoid_logit_gradient, dict(logits=Q @ K.T, positives=mask, reduction="mean")
    yield losses.siglip_bias_for, dict(batch_size=4)
    yield losses.LogitScale, dict(init=2.0, max_scale=9.0)
    yield losses.LogitBias, dict(init=2.0)
    cached = dict(encoders=[torch.nn.Identity()] * 2, inputs=[Q, K], loss_fn=losses.infonce_loss)
    yield losses.grad_cache_step, dict(cached, chunk_size=2, scaler=torch.amp.GradScaler("cpu"))
    tokens = dict(query=TEXTS, document=PICTURES, reduce="sum", block_bytes=2**20)
    masks = dict(query_mask=TEXTS[:, :, 0] > -9, document_mask=PICTURES[:, :, 0] > -9)
    yield maxsim, dict(tokens, **masks)
    yield maxsim_pairs, dict(tokens, **masks, candidates=torch.tensor([[0, 1], [2, -1]]))
    yield late_interaction_logits, dict(text=TEXTS, image=PICTURES)
    yield Tokens, dict(vectors=TOKENS.vectors, mask=TOKENS.mask)
    yield Tokens.from_flat, dict(vectors=X, counts=[1, 3])
    yield Tokens.concatenate, dict(parts=[TOKENS])
    yield round_to_int8, dict(x=X, largest=3.0)
    yield reciprocal_rank_fusion, dict(runs=[IDS, RUN], k=60, weights=[1, 2], depth=1)
    yield rerank, dict(run=RUN, scores=SCORES, depth=2, combine=Interpolate(0.5))
    yield Interpolate, dict(weight=0.5, scale="z")
    yield recall_ceiling, dict(run=RUN, qrels=QRELS, depths=[1], hit_grade=1, no_relevant="error")
    yield fit_costs, dict(first_s=1.0, depths=[1, 2], seconds=[2.0, 3.0])
    yield report.quality, dict(rows=[{"x": 1.0}], tolerance=0.1, title="t", digits=2, columns=["x"])
    yield report.sentence, dict(template="{x:.1f}", tolerance=0.1, x=1.0)
    yield report.percent, dict(rows=[{"value": 0.5}], columns=["value"])
    yield scenes.sample, dict(split="test", n=2, seed=1)
    yield scenes.task, dict(split="test", direction="text_to_image", n_images=2, seed=1)
    yield icons.task, dict(split="nonsense", direction="text_to_image")


def offences(function, valid: dict) -> list[str]:
    found = []
    for argument in valid:
        for what, bad in BAD.items():
            try:
                function(
                    **{"name": "score", **valid, argument: bad}
                    if function is rerank
                    else {**valid, argument: bad}
                )
            except RetrievalInputError:
                continue
            except TypeError as error:
                if argument in str(error):
                    continue
                told = f"{type(error).__name__}: {error}"
            except Exception as error:
                told = f"{type(error).__name__}: {error}"
            else:
                continue
            name = getattr(function, "__qualname__", function)
            found.append(f"{name}({argument}={what}) {told[:90]}")
    return found


@pytest.mark.filterwarnings("ignore")
def test_a_bad_argument_is_told_by_an_error_of_ours():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [line for function, valid in cases() for line in offences(function, valid)]
    assert not found, f"{len(found)} foreign errors:\n" + "\n".join(found)


def test_the_bench_of_losses_refuses_a_batch_without_negatives():
    result = CliRunner().invoke(app, ["bench", "losses", "--batch-size", "1"])
    assert result.exit_code == 2 and "--batch-size" in result.output
