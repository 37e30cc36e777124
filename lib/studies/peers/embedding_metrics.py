"""Measure the cost of an evaluation from embeddings: COCO-5K and larger, ours and clip-benchmark's.

Nothing here is a run or a matrix of scores: every system starts from the same two arrays.
"""

import numpy as np

from lib.core.checks import check_count
from lib.metrics import Qrels, evaluate_both, evaluate_embeddings
from lib.studies.peers.harness import Arrays, CostTable, Job, Progress

USUAL = ("R", "MRR", "R-precision", "MAP@R", "nDCG@10")  # what `crossmodal eval` prints, and nDCG
KS = (1, 5, 10)
WARM_UP_IMAGES = 50
LARGE_DIM = 64
PEER_MOST = 10_000  # texts and images; the peer's matrices grow with their product
ONE_REPEAT = 50_000  # from here on a run takes minutes
SHOWN = (
    "system direction n_queries:, n_gallery:, dim total_s:.3f fastest_s:.3f slowest_s:.3f"
    " memory_mb:,.0f times_ours:.1f repeats threads note"
)


def coco_cost_table(
    n_images: int = 5_000,
    dim: int = 512,
    *,
    repeats: int = 3,
    seed: int = 0,
    progress: Progress = lambda key, done, total: None,
) -> list[dict]:
    """Measure R@1/5/10, MRR and median rank from embeddings of the size of COCO-5K.

    The embeddings are random: the cost depends on the data only through how many items lie within a
    rounding error of each other. Five captions per image and one more for every 500 images are the
    25,010 of COCO-5K. Rows are of each direction and of both in one call; of both with all metrics
    that `crossmodal eval` prints and their intervals; and of clip-benchmark's R@1/5/10 in both, by
    its own loop. `times_ours` is to our row of both. giga_products are 10^9 multiply-adds of the
    scores.
    """
    arrays = coco_inputs(n_images, dim, seed)
    n_captions = len(arrays["captions"])
    sizes = {"image_to_text": (n_images, n_captions), "text_to_image": (n_captions, n_images)}
    both = n_images + n_captions, n_images + n_captions
    columns = {"dim": dim}
    columns["embeddings_mb"] = (arrays["images"].nbytes + arrays["captions"].nbytes) / 1e6
    columns["giga_products"] = n_images * n_captions * dim / 1e9  # one product serves both ways
    table = CostTable(__name__, len(JOBS), progress, with_prepare=True)
    for key in JOBS:
        system, direction = key.split(", ", 1)
        queries, gallery = sizes.get(direction, both)
        of_row = {"system": system, "direction": direction, "n_queries": queries}
        of_row |= {"n_gallery": gallery} | columns
        _named(table.measure(key, arrays, of_row, peer=_unit(table), repeats=repeats))
    return table.rows


def large_cost_table(
    n: int,
    dim: int = LARGE_DIM,
    *,
    repeats: int = 3,
    seed: int = 0,
    progress: Progress = lambda key, done, total: None,
) -> list[dict]:
    """Measure both directions of n texts and n images, one to one, by us and by clip-benchmark.

    We hold a few blocks of scores at a time. The peer holds all of them, twice, and a mask: it is
    left out from `PEER_MOST` on. From `ONE_REPEAT` on each is measured once.
    """
    arrays = paired_inputs(n, dim, seed)
    keys = (f"{OURS}, both", f"{OURS}, both, all metrics", f"{PEER}, both")
    table = CostTable(__name__, len(keys), progress, with_prepare=True)
    for key in keys:
        system, direction = key.split(", ", 1)
        columns = {"system": system, "direction": direction, "n_queries": 2 * n}
        columns |= {"n_gallery": 2 * n, "dim": dim}
        left_out = ""
        if system == PEER and n > PEER_MOST:
            left_out = f"left out: {4 * n * n / 1e9:,.0f} GB of scores"
        options = {"repeats": repeats if n < ONE_REPEAT else 1, "left_out": left_out}
        _named(table.measure(key, arrays, columns, peer=_unit(table), **options))
    return table.rows


def _unit(table: CostTable) -> str | None:
    """Return the job that ratios are to, once it is measured."""
    return UNIT if table.costs.get(UNIT) else None


def _named(row: dict) -> None:
    unit = f"{row['system']}, {row['direction']}" == UNIT
    row |= {"total_s": row["seconds"], "times_ours": 1.0 if unit else row["of_peer_seconds"]}


def coco_inputs(n_images: int, dim: int, seed: int = 0) -> Arrays:
    """Draw unit embeddings of images and of captions near them, and the image of each caption."""
    n_images = check_count(n_images, "n_images", least=WARM_UP_IMAGES)
    owner = np.sort(np.concatenate([np.arange(n_images * 5) // 5, np.arange(n_images // 500)]))
    return _near(owner, n_images, check_count(dim, "dim"), 0.2, seed)


def paired_inputs(n: int, dim: int, seed: int = 0) -> Arrays:
    """Draw unit embeddings of n images, and of one caption of each."""
    n = check_count(n, "n", least=WARM_UP_IMAGES)
    return _near(np.arange(n), n, check_count(dim, "dim"), 0.5, seed)


def _near(owner: np.ndarray, n_images: int, dim: int, signal: float, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((n_images, dim), dtype=np.float32)
    noise = rng.standard_normal((owner.size, dim), dtype=np.float32)
    captions = np.float32(signal) * images[owner] + noise
    for rows in (images, captions):
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return {"images": images, "captions": captions, "owner": owner}


# ---- ours


def _judged(arrays: Arrays):
    qrels = Qrels.from_owner(arrays["owner"], len(arrays["images"]))
    return arrays["images"], arrays["captions"], qrels


def _summary(*evaluations) -> dict[str, float]:
    names = (*(f"R@{k}" for k in KS), "MRR", "MedR")
    return {
        f"{result.direction} {name}": result.value(name) for result in evaluations for name in names
    }


def _image_to_text(judged) -> dict[str, float]:
    return _summary(evaluate_embeddings(*judged, direction="image_to_text"))


def _text_to_image(judged) -> dict[str, float]:
    images, captions, qrels = judged
    return _summary(evaluate_embeddings(captions, images, qrels.T, direction="text_to_image"))


def _both(judged) -> dict[str, float]:
    return _summary(*evaluate_both(*judged))


def _both_with_all(judged) -> dict[str, float]:
    qrels = judged[2]
    evaluations = evaluate_both(*judged, groups=(None, qrels.T.items), metrics=USUAL)
    for result in evaluations:
        for name in (*result.per_query, "MedR", "MeanR"):
            result.interval(name)
    return _summary(*evaluations)


def _first_images(arrays: Arrays) -> Arrays:
    inside = arrays["owner"] < WARM_UP_IMAGES
    return {
        "images": arrays["images"][:WARM_UP_IMAGES],
        "captions": arrays["captions"][inside],
        "owner": arrays["owner"][inside],
    }


# ---- the peer


def _tensors(arrays: Arrays):
    import torch

    return tuple(torch.from_numpy(arrays[name]) for name in ("images", "captions", "owner"))


def _clip_benchmark(tensors) -> dict[str, float]:
    """Compute what `clip_benchmark.metrics.zeroshot_retrieval.evaluate` does, behind its model."""
    import torch
    from clip_benchmark.metrics.zeroshot_retrieval import batchify, recall_at_k

    images, captions, owner = tensors
    scores = captions @ images.t()
    positive = torch.zeros_like(scores, dtype=torch.bool)
    positive[torch.arange(len(scores)), owner] = True
    ways = {"image_to_text": (scores.T, positive.T), "text_to_image": (scores, positive)}
    values = {}
    for direction, pair in ways.items():
        for k in KS:
            found = batchify(recall_at_k, *pair, PEER_BATCH, "cpu", k=k) > 0
            # Its mean is of float32; a float64 one shows whether the same queries are hits.
            values[f"{direction} R@{k}"] = found.double().mean().item()
    return values


OURS, PEER = "ours", "clip-benchmark"
PEER_BATCH = 64  # the default of its command
UNIT = f"{OURS}, both"
_READS = ("images", "captions", "owner")
JOBS = {
    f"{OURS}, image_to_text": Job(_judged, _image_to_text, _first_images, _READS),
    f"{OURS}, text_to_image": Job(_judged, _text_to_image, _first_images, _READS),
    UNIT: Job(
        _judged, _both, _first_images, _READS, note="R@1/5/10, MRR, MedR; one product for both"
    ),
    f"{OURS}, both, all metrics": Job(
        _judged,
        _both_with_all,
        _first_images,
        _READS,
        note="also R-precision, MAP@R, nDCG@10, MeanR, and 95% intervals of all",
    ),
    f"{PEER}, both": Job(
        _tensors,
        _clip_benchmark,
        _first_images,
        _READS,
        "clip_benchmark",
        "R@1/5/10 alone",
    ),
}
