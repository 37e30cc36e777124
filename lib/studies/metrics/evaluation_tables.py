"""Make the tables of notebook 03: hubness mitigation, judgement sets, paired tests, protocols."""

from collections.abc import Mapping, Sequence

import numpy as np

from lib.core.checks import RetrievalInputError, as_embeddings, check_choice, check_k
from lib.core.qrels import Qrels
from lib.datasets import icons, scenes
from lib.datasets.coco_judgements import DIRECTIONS, JUDGEMENTS, CocoJudgements
from lib.metrics import (
    Cosines,
    LabelledRun,
    bootstrap_interval,
    compare_systems,
    dual_softmax,
    evaluate,
    evaluate_embeddings,
    evaluate_folds,
    hit_rate_at_k,
    holm,
    inverted_softmax,
    k_occurrence,
    mcnemar_exact,
    minimum_detectable_difference,
    paired_bootstrap_interval,
    paired_randomization,
    qb_norm,
    skewness,
    unadjusted,
)
from lib.models.trained_models import load_model

BANK = 2500
BETA = 20.0  # as published, not tuned: the result of copying it


# ---- hubness mitigation


def bank_texts(corpus: str, n: int = BANK) -> list[str]:
    """Return texts that are not tested: training names of icons, or validation captions."""
    if check_choice(corpus, ("icons", "scenes"), "corpus") == "icons":
        all_icons = icons.load_icons()
        tested = set(icons.task("test", "text_to_image").queries)
        train = (all_icons.names[i] for i in all_icons.positions("train"))
        names = sorted({icons.phrase_of(name) for name in train} - tested)
        chosen = np.random.default_rng(0).choice(len(names), check_k(n, len(names)), replace=False)
        return [names[i] for i in chosen]
    batch = scenes.sample("validation", -(-n // scenes.N_CAPTIONS), 0)
    return [caption for five in scenes.captions(batch) for caption in five][:n]


def bank_embeddings(corpus: str, n: int = BANK) -> np.ndarray:
    """Encode `bank_texts` with the committed model, float32 (n, d)."""
    return load_model(corpus).encode_text(bank_texts(corpus, n))


def hubness_runs(
    queries, gallery, bank, *, beta: float = BETA, depth: int = 10
) -> list[LabelledRun]:
    """Rank plainly, by QB-Norm and inverted softmax with a bank, and by dual softmax."""
    scores, bank_scores = Cosines(queries, gallery), Cosines(bank, gallery)
    return [
        unadjusted(scores, depth),
        qb_norm(scores, bank_scores, beta=beta, depth=depth),
        inverted_softmax(scores, bank_scores, beta=beta, depth=depth),
        dual_softmax(scores, beta=beta, depth=depth),
    ]


def hubness_rows(runs: Sequence[LabelledRun], qrels: Qrels, groups=None) -> list[dict]:
    """Compute R@1 of each run, its change against the first run, and skewness.

    Returns:
        Rows `remedy`, `inference`, `R@1`, `change` (a triple, of None for the first), `skewness` of
        the k-occurrence, `n_queries`, `n_gallery`. Shares are fractions.
    """
    hits = [hit_rate_at_k(run.ids, qrels, 1) for run in runs]
    rows = []
    for run, hit in zip(runs, hits, strict=True):
        change = (None, None, None)
        if hit is not hits[0]:
            interval = paired_bootstrap_interval(hit, hits[0], groups)
            change = (float(hit.mean() - hits[0].mean()), *interval)
        row = {"remedy": run.method, "inference": run.inference, "R@1": float(hit.mean())}
        row |= {"change": change, "skewness": skewness(k_occurrence(run.ids, qrels.n_items))}
        rows.append(row | {"n_queries": qrels.shape[0], "n_gallery": qrels.n_items})
    return rows


# ---- three sets of judgements of COCO-5K
# The judgements are real and come without images: the rankings are synthetic, noise with a bonus
# for knowledge. They show how metrics move with the judgements, not how good any model is.

DEPTH = 50  # no image has more than 48 right captions, and mAP@R looks as deep as that
RANKERS = {"knows pairs": (4.0, 0.0), "in between": (3.9, 2.6), "knows meaning": (3.8, 3.8)}
# Recall of verified positives, from the README of the authors at the head of their repository.
README_RECALL = {
    ("original", "image_to_text"): 0.211,
    ("original", "text_to_image"): 0.138,
    ("cxc", "image_to_text"): 0.230,
    ("cxc", "text_to_image"): 0.161,
}
METRICS = ("R", "R-precision", "MAP@R")


def judged_by_all(coco: CocoJudgements, direction: str) -> dict[str, Qrels]:
    """Return the three sets over the queries that ECCV judged, with the whole gallery."""
    queries = coco.judged("eccv", check_choice(direction, DIRECTIONS, "direction"))
    return {name: coco.qrels(name, direction).take_queries(queries) for name in JUDGEMENTS}


def coverage_rows(coco: CocoJudgements) -> list[dict]:
    """Compute the share of ECCV's confirmed pairs in each set of judgements.

        known = |pairs of the set and of ECCV| / |pairs of ECCV|

    `readme` is the number of the authors, None for ECCV itself. It differs from the share of the
    pairs that they ship; their README does not state the weights.
    """
    rows = []
    for direction in DIRECTIONS:
        sets = judged_by_all(coco, direction)
        confirmed = _pair_ids(sets["eccv"])
        for name, qrels in sets.items():
            row = {"direction": direction, "judgements": name, "n_queries": qrels.shape[0]}
            row["positives"] = float(qrels.counts.mean())
            row["known"] = float(np.isin(confirmed, _pair_ids(qrels)).mean())
            rows.append(row | {"readme": README_RECALL.get((name, direction))})
    return rows


def _pair_ids(qrels: Qrels) -> np.ndarray:
    """Number the judged pairs; all grades are 1."""
    return qrels.query_index * qrels.n_items + qrels.items


def synthetic_ranking(
    coco: CocoJudgements, own: float, other: float, *, seed: int = 0
) -> np.ndarray:
    """Rank all captions for every image that ECCV judged, by noise and knowledge.

        s_ij = e_ij + own [j is a confirmed caption of i] + other [j is a confirmed caption of
        another image],   e_ij ~ N(0, 1)

    Args:
        coco: the judgements.
        own: knowledge of the pairs on file, in standard deviations of the noise.
        other: knowledge of captions of other images that describe this one too.
        seed: seed of the noise; with the same seed, rankers differ in their knowledge alone.

    Returns:
        `(n_judged, DEPTH)` caption positions, best first.
    """
    queries = coco.judged("eccv", "image_to_text")
    confirmed = coco.qrels("eccv", "image_to_text").take_queries(queries)
    is_own = coco.owner[confirmed.items] == queries[confirmed.query_index]
    scores = np.random.default_rng(seed).standard_normal(confirmed.shape, dtype=np.float32)
    scores[confirmed.query_index, confirmed.items] += np.where(is_own, own, other)
    return unadjusted(scores, DEPTH).ids


def judgement_rows(
    coco: CocoJudgements, rankers: Mapping[str, tuple[float, float]] = RANKERS
) -> list[dict]:
    """Evaluate every ranker `(own, other)` by every set of judgements, images to captions."""
    runs = {name: synthetic_ranking(coco, *knowledge) for name, knowledge in rankers.items()}
    rows = []
    for judge, qrels in judged_by_all(coco, "image_to_text").items():
        for name, run in runs.items():
            result = evaluate(run, qrels, ks=[1], metrics=METRICS)
            row = {"judgements": judge, "ranker": name}
            row |= {"n_queries": qrels.shape[0], "n_gallery": qrels.n_items}
            rows.append(row | {m: (result.mean(m), *result.interval(m)) for m in result.per_query})
    return rows


# ---- paired tests; the second system is the first one, truncated


def hits_of_prefix(queries, gallery, qrels: Qrels, dim: int | None = None) -> np.ndarray:
    """Compute hits at 1, `(n_queries,)`, by the cosines of the first `dim` coordinates."""
    queries, gallery = as_embeddings(queries, "queries"), as_embeddings(gallery, "gallery")
    dim = queries.shape[1] if dim is None else check_k(dim, queries.shape[1])
    return _hits(queries[:, :dim], gallery[:, :dim], qrels)


def paired_test_row(a: np.ndarray, b: np.ndarray, groups=None) -> dict:
    """Compare two systems by their hits: sign flips, McNemar's test, and the power of the test set.

    Sign flips keep the clusters `groups` together, McNemar's test cannot. `visible` is the smallest
    difference that a test set of this size shows four times out of five, given the correlation of
    the systems and the effect of the clusters on the paired interval.
    """
    if min(np.ptp(a), np.ptp(b)) == 0:
        raise RetrievalInputError(
            "hits must differ between queries, got a system with all queries right, or none: it has"
            " no correlation"
        )
    test = compare_systems(a, b, groups)
    by_query = np.ptp(paired_bootstrap_interval(a, b))
    visible = minimum_detectable_difference(
        test.n_queries,
        float(np.mean(a)),
        correlation=max(0.0, float(np.corrcoef(a, b)[0, 1])),
        design_effect=((test.high - test.low) / by_query) ** 2 if by_query > 0 else 1.0,
    )
    row = {"n_queries": test.n_queries, "n_clusters": test.n_clusters}
    row |= {"difference": test.difference, "p_flips": test.p_value}
    return row | {"p_mcnemar": mcnemar_exact(a, b).p_value, "visible": visible}


def interval_rows(a: np.ndarray, b: np.ndarray, groups=None) -> list[dict]:
    """Compute the interval of a difference: unpaired, paired by query, and by cluster."""
    value = float(np.mean(a) - np.mean(b))
    # Unpaired, the variances of both means add up, and so do the squared half-widths.
    half = float(np.hypot(*(np.ptp(bootstrap_interval(hits, groups)) / 2 for hits in (a, b))))
    ends = {
        "unpaired": (value - half, value + half),
        "paired by query": paired_bootstrap_interval(a, b),
        "paired by cluster": paired_bootstrap_interval(a, b, groups),
    }
    return [
        {"kind": kind, "value": value, "low": low, "high": high}
        for kind, (low, high) in ends.items()
    ]


def prefix_rows(queries, gallery, qrels: Qrels, dims: Sequence[int], groups=None) -> list[dict]:
    """Compare the whole embedding with several prefixes, before and after Holm's correction."""
    whole = hits_of_prefix(queries, gallery, qrels)
    prefixes = (hits_of_prefix(queries, gallery, qrels, dim) for dim in dims)
    tests = [paired_randomization(whole, hits, groups) for hits in prefixes]
    adjusted = holm([test.p_value for test in tests]).tolist()
    return [
        {"dim": dim, "difference": test.difference, "p": test.p_value, "p_holm": p}
        for dim, test, p in zip(dims, tests, adjusted, strict=True)
    ]


# ---- one unchanged model under every protocol


def protocol_rows(
    text, image, truth: Qrels, remedies: Sequence[LabelledRun] = (), *, n_folds: int = 5
) -> list[dict]:
    """Compute R@1 of one model under each protocol, with its interval by image.

    Args:
        text: `(n_images * c, d)` embeddings of captions, those of one image together.
        image: `(n_images, d)` embeddings.
        truth: all images that each caption is true of.
        remedies: rankings of the same task by other methods.
        n_folds: folds of the protocol with one small gallery per fold.

    Returns:
        Rows `protocol`, `inference`, `value`, `low`, `high` (fractions), `n_queries`, `n_gallery`.
    """
    if len(text) % len(image):
        raise RetrievalInputError(
            f"`text` must hold the same number of captions per image, got {len(text)} captions of"
            f" {len(image)} images"
        )
    each = len(text) // len(image)
    owner = np.arange(len(text)) // each
    on_file = Qrels.from_owner(owner, len(image)).T
    n_images, n_texts = len(image), len(text)
    captions = _hits(text, image, truth)
    by_file = _hits(text, image, on_file)
    text_folds = _fold_hits(text, image, truth, n_folds)
    image_folds = _fold_hits(image, text, truth.T, n_folds)
    rows = [
        _row("captions ask, any true image", captions, owner, n_images),
        _row("only the image on file is right", by_file, owner, n_images),
        _row("only the first caption asks", captions[::each], None, n_images),
        _row(f"{n_folds} folds, captions ask", text_folds, owner, n_images // n_folds),
        _row("images ask", _hits(image, text, truth.T), None, n_texts),
        _row(f"{n_folds} folds, images ask", image_folds, None, n_texts // n_folds),
    ]
    for run in remedies:
        hits = hit_rate_at_k(run.ids, truth, 1)
        rows.append(_row(f"captions ask, {run.method}", hits, owner, n_images, run.inference))
    return rows


def _hits(queries, gallery, qrels: Qrels) -> np.ndarray:
    return evaluate_embeddings(queries, gallery, qrels, ks=[1]).per_query["R@1"]


def _fold_hits(queries, gallery, qrels: Qrels, n_folds: int) -> np.ndarray:
    """Return the hits of all folds in order; folds are equally large."""
    folded = evaluate_folds(queries, gallery, qrels, n_folds=n_folds, ks=[1])
    return np.concatenate([fold.per_query["R@1"] for fold in folded.folds])


def _row(
    protocol: str, hits: np.ndarray, groups, n_gallery: int, inference: str = "inductive"
) -> dict:
    low, high = bootstrap_interval(hits, groups)
    row = {"protocol": protocol, "inference": inference, "value": float(hits.mean())}
    return row | {"low": low, "high": high, "n_queries": hits.size, "n_gallery": n_gallery}
