"""Provide first-stage runs with second-stage scores, for icons, scenes and the hard split.

A cross-encoder reads about a thousand pairs a second, so its logits are committed; late interaction
is scored on the fly. The first stage always compares int8 vectors.
"""

from collections.abc import Callable
from functools import cache, partial

import numpy as np

from lib.core.checks import unit_rows
from lib.core.result_store import ResultStore
from lib.core.task import RetrievalTask
from lib.core.token_vectors import Tokens
from lib.datasets import icons, scenes
from lib.index import VectorSearchIndex
from lib.index.exact import topk_exact
from lib.metrics.geometry import to_int8
from lib.models.artifact_files import load_embeddings
from lib.search import (
    DualEncoderRetriever,
    LateInteractionRetriever,
    Run,
    Work,
    best_first,
    retriever_over,
    two_stages_over,
)
from lib.studies import readme_results
from lib.studies.architectures.rerank_depth import RerankScores, score_lists, share_kept
from lib.studies.architectures.systems import (
    N_IMAGES,
    SAMPLES,
    load_test_task,
    model,
    one_caption_each,
    weights_of,
)

Log, Progress = Callable[[str], None], Callable[[int, int], None]
EXHAUSTIVE = ResultStore("architectures", "crossmodal bench architectures")
HARD = ResultStore("architectures", "crossmodal bench rerank")
EXHAUSTIVE_FILE, HARD_FILE = "scenes_cross_exhaustive.npz", "scenes_cross_hard.npz"
LOGITS = "cross-encoder logit"
CAPTIONS_AT_ONCE = 25
DEPTH = 50
LISTS = 200  # length of the lists on icons
MOVED = 2  # pixels


# ---- a cross-encoder that reads every image for 250 captions


@cache
def sampled_task() -> RetrievalTask:
    """Return the 250 sampled captions of the scenes test with 1,000 images."""
    return load_test_task("scenes").take_queries(SAMPLES["scenes"])


def write_exhaustive_logits(
    log: Log = print, progress: Progress = lambda done, total: None
) -> None:
    """Score all 250,000 pairs and commit their logits (float16); continue a stopped run."""
    task = sampled_task()
    model("scenes_cross")  # raises at once, with advice, where it is missing
    retriever = cache(lambda: retriever_over(task, model("scenes_cross")))  # only if pairs are left

    def read_part(part: slice) -> dict[str, np.ndarray]:
        queries = retriever().encode(task.queries[part], "text")
        items = np.broadcast_to(np.arange(N_IMAGES), (len(queries), N_IMAGES))
        return {"logits": retriever().score(queries, items)}

    key = {"pairs": "exhaustive", "weights": weights_of(["scenes_cross"])}
    arrays = _read_in_parts(EXHAUSTIVE, key, len(task.queries), read_part, log, progress)
    EXHAUSTIVE.save_arrays(EXHAUSTIVE_FILE, logits=arrays["logits"].astype(np.float16))


def _read_in_parts(
    store: ResultStore,
    key: dict,
    n: int,
    read_part: Callable[[slice], dict[str, np.ndarray]],
    log: Log,
    progress: Progress,
) -> dict[str, np.ndarray]:
    """Score n captions, some at a time; cached parts are not scored again."""
    parts = [slice(at, min(at + CAPTIONS_AT_ONCE, n)) for at in range(0, n, CAPTIONS_AT_ONCE)]
    keys = [key | {"first": part.start, "end": part.stop} for part in parts]
    jobs = [(key, partial(read_part, part)) for key, part in zip(keys, parts, strict=True)]
    results = list(store.run(jobs, log=log, progress=progress))
    return {name: np.concatenate([part[name] for part in results]) for name in results[0]}


def _exhaustive_logits() -> np.ndarray:
    return EXHAUSTIVE.arrays(EXHAUSTIVE_FILE)["logits"].astype(np.float32)


def exhaustive_run() -> Run:
    """Return the whole gallery in the order of the committed logits."""
    logits = _exhaustive_logits()
    items = np.broadcast_to(np.arange(N_IMAGES), logits.shape)
    work = Work("cross-encoder", logits.size, 0)
    return Run.of_one_stage(*best_first(logits, items, N_IMAGES), LOGITS, work)


def exhaustive_scores() -> RerankScores:
    """Return the dual encoder's order of the whole gallery, with the logits in that order."""
    run = _dual_on_sample()
    logits = np.take_along_axis(_exhaustive_logits(), run.ids, axis=1)
    return RerankScores(sampled_task(), run, logits, LOGITS)


def share_kept_rows(depths: tuple[int, ...] = (0, 5, 10, 20, 50)) -> list[dict]:
    """Show quality (mAP) and work of two stages against scoring every pair."""
    return share_kept(exhaustive_scores(), exhaustive_run(), depths)


@cache
def _dual_on_sample() -> Run:
    texts, images = readme_results.stored_embeddings("scenes", "text_to_image")
    encoder = model("scenes")
    index = VectorSearchIndex(encoder.dim, "Flat", metric="cosine")
    index.add(images[:N_IMAGES])
    return DualEncoderRetriever(encoder, index).search(texts[SAMPLES["scenes"]], N_IMAGES)


# ---- the hard split of scenes


@cache
def hard_task() -> RetrievalTask:
    """Return the hard split of scenes, one caption a scene; the kinds of captions take turns."""
    return scenes.hard_task("test").take_queries(one_caption_each(np.arange(scenes.N_HARD)))


def cross_on_hard() -> RerankScores:
    """Return the cross-encoder behind the dual encoder, 50 deep, from committed logits."""
    stored = HARD.arrays(HARD_FILE)
    run = Run.of_one_stage(stored["cosines"], stored["ids"].astype(np.int64), "cosine")
    return RerankScores(hard_task(), run, stored["logits"].astype(np.float32), LOGITS)


def write_hard_logits(log: Log = print, progress: Progress = lambda done, total: None) -> None:
    """Commit lists and logits of the hard split; continue a stopped run."""
    task, n = hard_task(), len(hard_task().queries)
    log(f"{n} captions x {DEPTH} of {len(task.gallery):,} images, every pair is scored")
    models = "scenes", "scenes_cross"
    retriever = two_stages_over(task, *map(model, models), DEPTH)

    def read_part(part: slice) -> dict[str, np.ndarray]:
        lists = score_lists(retriever, task.take_queries(range(n)[part]), depth=DEPTH, k=DEPTH)
        return {
            "ids": lists.run.ids.astype(np.uint16),
            "cosines": lists.run.scores.astype(np.float32),
            "logits": lists.scores.astype(np.float16),
        }

    key = {"pairs": "hard", "weights": weights_of(models), "depth": DEPTH, "of": n}
    HARD.save_arrays(HARD_FILE, **_read_in_parts(HARD, key, n, read_part, log, progress))


def late_on_hard(first: Run) -> RerankScores:
    """Score all items of a run of the hard split by late interaction."""
    task = hard_task()
    second = retriever_over(task, model("scenes_late"))
    scores = second.score(second.encode(task.queries, "text").as_int8(), first.ids)
    return RerankScores(task, first, scores, second.score_names[-1])


# ---- icons


def late_on_icons(split: str) -> RerankScores:
    """Return late interaction behind the dual encoder on "test" or "validation", `LISTS` deep."""
    task, (second, queries) = icons.task(split), _icons_late(split)
    run = _icons_dual(split).search(_icons_queries(task), LISTS)
    return RerankScores(task, run, second.score(queries, run.ids), second.score_names[-1])


def late_alone_on_icons(split: str) -> Run:
    """Search with late interaction alone, lists of `LISTS`."""
    second, queries = _icons_late(split)
    return second.search(queries, LISTS)


def cut_dual_on_icons(dim: int) -> Run:
    """Search the test split with the first coordinates of the dual encoder: a weak first stage."""
    sides = (
        np.ascontiguousarray(side[:, :dim])  # the cosine divides by the new lengths
        for side in readme_results.stored_embeddings("icons", "text_to_image")
    )
    return Run.of_one_stage(*topk_exact(*sides, LISTS), f"cosine of {dim} coordinates")


def moved_dual_on_icons(first: RerankScores, pixels: int = MOVED) -> RerankScores:
    """Score lists again with the first stage's own model on drawings moved to the right."""
    task = first.task  # a second stage without new information; pixels wrap around
    moved = to_int8(model("icons").encode_image(np.roll(task.gallery, pixels, axis=2)))
    cosines = unit_rows(_icons_queries(task), "queries") @ unit_rows(moved, "drawings").T
    scores = np.take_along_axis(cosines, first.run.ids, axis=1)
    return RerankScores(task, first.run, scores, f"cosine, drawings moved by {pixels} pixels")


@cache
def _icons_late(split: str) -> tuple[LateInteractionRetriever, Tokens]:
    task = icons.task(split)
    retriever = retriever_over(task, model("icons_late"))
    return retriever, retriever.encode(task.queries, "text").as_int8()


def _icons_dual(split: str) -> DualEncoderRetriever:
    encoder = model("icons")
    index = VectorSearchIndex(encoder.dim, "Flat", metric="cosine")
    index.add(load_embeddings("icons")["all_image"][icons.load_icons().positions(split)])
    return DualEncoderRetriever(encoder, index)


def _icons_queries(task: RetrievalTask) -> np.ndarray:
    if task.split == "test":
        return readme_results.stored_embeddings("icons", "text_to_image")[0]
    return to_int8(model("icons").encode_text(task.queries))
