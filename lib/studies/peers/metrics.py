"""What ranking metrics cost: five of them by five libraries, and COCO-5K from embeddings."""

from collections.abc import Callable, Sequence

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.metrics import Qrels, evaluate_both, evaluate_embeddings
from lib.studies.peers import comparison
from lib.studies.peers.isolated_process import Arrays, Job, measure_alone
from lib.studies.peers.metrics_systems import BASELINE, METRICS, K
from lib.studies.peers.metrics_systems import JOBS as SYSTEMS

RELEVANT_SHARE = 0.01
SHOWN = dict.fromkeys(("system", "takes", "direction", "n_metrics"), "{}") | {
    "n_queries": "{:,}",
    "n_gallery": "{:,}",
    **dict.fromkeys(("prepare_s", "run_s", "total_s", "fastest_s", "slowest_s"), "{:.3f}"),
    "memory_mb": "{:,.0f}",
    "times_ours": "{:.1f}",
    "note": "{}",
}
SYSTEMS_MODULE, THIS_MODULE = "lib.studies.peers.metrics_systems", "lib.studies.peers.metrics"


def table(
    n_queries: int = 10_000,
    n_candidates: int = 1_000,
    *,
    repeats: int = 3,
    systems: Sequence[str] = tuple(SYSTEMS),
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> list[dict]:
    """Seconds and memory of hit rate@10, recall@10, MRR, MAP and nDCG@10 by every library, one
    thread each.

    Every system starts from the same matrices of scores (no two alike in a row) and of grades
    (about 1% of the candidates are relevant, graded 1 to 3; at least one per query), in a process
    of its own. Turning them into what the library takes counts; importing it and compiling it do
    not. Two of our rows start later, from what an index returns already ranked.

    Args:
        n_queries: number of queries.
        n_candidates: items scored per query, at least 10: the whole gallery, so that all
            definitions agree.
        repeats: timed runs of each.
        systems: which of `systems.JOBS`; ours from scores, the unit of the ratio, is always
            measured.
        seed: of scores and grades.
        progress: takes what comes next, how many rows are done, and how many there are.

    Returns:
        Tidy rows: system, takes, n_metrics, prepare_s, run_s, total_s (medians of processor time,
        see `measure_alone`), fastest_s, slowest_s, memory_mb, times_ours (total over that of ours
        from scores), difference (largest of the means from ours), n_queries, n_gallery, repeats,
        note. For a library that is not installed the numbers are None and the note says how to
        install it.

    Raises:
        RetrievalInputError: an unknown system, or sizes that are too small.
    """
    chosen = [check_choice(name, SYSTEMS, "system") for name in systems]
    arrays = inputs(n_queries, n_candidates, seed)
    names, rows = dict.fromkeys([BASELINE, *chosen]), []
    progress(BASELINE, 0, len(names))
    ours = measure_alone(SYSTEMS_MODULE, BASELINE, arrays, repeats=repeats)
    for name in names:
        system = SYSTEMS[name]
        progress(name, max(1, len(rows)), len(names))
        cost = None
        if system.is_installed:
            cost = (
                ours
                if name == BASELINE
                else measure_alone(SYSTEMS_MODULE, name, arrays, repeats=repeats)
            )
        rows.append(
            {"system": name, "takes": system.takes}
            | compared(cost, ours)
            | {
                "n_queries": len(arrays["scores"]),
                "n_gallery": arrays["scores"].shape[1],
                "repeats": repeats,
            }
            | {"note": system.note if cost else f"not installed: {comparison.INSTALL}"}
        )
    return rows


def compared(cost, ours) -> dict[str, float | int | None]:
    """The measured columns of one system beside ours; None in all of them where there is no
    cost.
    """
    if cost is None:
        return dict.fromkeys(["n_metrics", *ours.row(), "times_ours", "difference"])
    apart = [abs(cost.values[name] - ours.values[name]) for name in METRICS if name in cost.values]
    row = cost.row()
    return {
        "n_metrics": len(apart),
        **row,
        "times_ours": row["total_s"] / ours.row()["total_s"],
        "difference": max(apart),
    }


def as_text(rows: Sequence[dict]) -> list[dict]:
    """Either table for reading: the columns of `SHOWN` that it has, empty where a library is
    missing.
    """
    return comparison.as_text(rows, SHOWN)


def inputs(n_queries: int, n_candidates: int, seed: int = 0) -> Arrays:
    """Scores, their ranking, and grades; the scores of a query are 1 to n in some order, so nothing
    ties.
    """
    n_queries, n_candidates = (
        check_count(n_queries, "n_queries"),
        check_count(n_candidates, "n_candidates"),
    )
    if n_candidates < K:
        raise RetrievalInputError(
            f"n_candidates is {n_candidates}; metrics at {K} need at least {K}"
        )
    rng = np.random.default_rng(seed)
    in_order = np.arange(1, n_candidates + 1, dtype=np.float32)
    scores = rng.permuted(np.tile(in_order, (n_queries, 1)), axis=1)
    relevant = rng.random(scores.shape, dtype=np.float32) < RELEVANT_SHARE
    relevant[np.arange(n_queries), rng.integers(n_candidates, size=n_queries)] = True
    grades = rng.integers(1, 4, scores.shape, dtype=np.int8) * relevant
    ids = np.argsort(-scores, axis=1)
    return {
        "scores": scores,
        "grades": grades,
        "ids": ids,
        "ranked": np.take_along_axis(scores, ids, axis=1),
    }


# ---- COCO-5K from embeddings


def coco_table(
    n_images: int = 5_000,
    dim: int = 512,
    *,
    repeats: int = 3,
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> list[dict]:
    """Seconds and memory of R@1/5/10, MRR and median rank from embeddings of the size of COCO-5K.

    Made embeddings: what this costs depends on the sizes, and on the data only through how many
    items lie within a rounding error of each other. Five captions per image and one more for every
    500 images, which are the 25,010 of COCO-5K.

    Args:
        n_images: 5,000 for COCO-5K; at least 50.
        dim: of the embeddings.
        repeats: timed runs of each.
        seed: of the embeddings.
        progress: as of `table`.

    Returns:
        Tidy rows, for each direction and for both in one call: direction, n_queries, n_gallery,
        dim, total_s (median), fastest_s, slowest_s, memory_mb above the embeddings, embeddings_mb,
        giga_products (multiply-adds of the scores, 10^9), repeats.
    """
    arrays = coco_inputs(n_images, dim, seed)
    n_captions = len(arrays["captions"])
    sizes = {"image_to_text": (n_images, n_captions), "text_to_image": (n_captions, n_images)}
    rows = []
    for direction in JOBS:
        progress(f"COCO-5K from embeddings, {direction}", len(rows), len(JOBS))
        cost = measure_alone(THIS_MODULE, direction, arrays, repeats=repeats).row()
        asked, found = sizes.get(direction, (n_images + n_captions,) * 2)
        rows.append(
            {"direction": direction, "n_queries": asked, "n_gallery": found, "dim": dim}
            | {name: cost[name] for name in ("total_s", "fastest_s", "slowest_s", "memory_mb")}
            | {
                "embeddings_mb": sum(arrays[name].nbytes for name in ("images", "captions")) / 1e6,
                "giga_products": n_images
                * n_captions
                * dim
                * (1 if direction in sizes else 2)
                / 1e9,
                "repeats": repeats,
            }
        )
    return rows


def coco_inputs(n_images: int, dim: int, seed: int = 0) -> Arrays:
    """Unit embeddings of images, of captions near their image, and the image of each caption."""
    n_images, dim = check_count(n_images, "n_images"), check_count(dim, "dim")
    if n_images < WARM_UP_IMAGES:
        raise RetrievalInputError(
            f"n_images is {n_images}; the warm-up needs at least {WARM_UP_IMAGES}"
        )
    rng = np.random.default_rng(seed)
    owner = np.sort(np.concatenate([np.arange(n_images * 5) // 5, np.arange(n_images // 500)]))
    images = rng.standard_normal((n_images, dim), dtype=np.float32)
    noise = rng.standard_normal((owner.size, dim), dtype=np.float32)
    captions = 0.2 * images[owner] + noise
    for rows in (images, captions):
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return {"images": images, "captions": captions, "owner": owner}


WARM_UP_IMAGES = 50


def _first_images(arrays: Arrays) -> Arrays:
    inside = arrays["owner"] < WARM_UP_IMAGES
    images = arrays["images"][:WARM_UP_IMAGES]
    return {
        "images": images,
        "captions": arrays["captions"][inside],
        "owner": arrays["owner"][inside],
    }


def _judged(arrays: Arrays):
    qrels = Qrels.from_owner(arrays["owner"], len(arrays["images"]))
    return arrays["images"], arrays["captions"], qrels


def _summary(*evaluations) -> dict[str, float]:
    names = ("R@1", "R@5", "R@10", "MRR", "MedR")
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


COCO_READS = ("images", "captions", "owner")
JOBS = {
    "image_to_text": Job(_judged, _image_to_text, _first_images, COCO_READS),
    "text_to_image": Job(_judged, _text_to_image, _first_images, COCO_READS),
    "both": Job(_judged, _both, _first_images, COCO_READS),
}
