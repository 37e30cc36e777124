"""What the second stages of the suite say of the dual encoders' answers: icons, scenes and the hard
split.

A cross-encoder reads about a thousand pairs a second, so its logits are stored; late interaction is
scored when it is asked for. The first stage always compares int8 vectors.
"""

from functools import cache
from pathlib import Path

import numpy as np

from lib.core.checks import unit_rows
from lib.core.paths import artifacts_dir
from lib.core.reading import load_arrays
from lib.core.task import RetrievalTask
from lib.core.token_vectors import Tokens
from lib.core.writing import save_arrays
from lib.datasets import icons, scenes
from lib.index import VectorSearchIndex
from lib.index.exact import topk_exact
from lib.metrics.geometry import to_int8
from lib.models.trained_models import load_embeddings, load_model
from lib.search import (
    CrossEncoderRetriever,
    DualEncoderRetriever,
    LateInteractionRetriever,
    Run,
    retriever_over,
    two_stages_over,
)
from lib.studies import readme_results
from lib.studies.architectures.exhaustive_cross_encoder import LOGITS, Log, Progress, read_in_parts
from lib.studies.architectures.registry import weights_of
from lib.studies.architectures.rerank_depth import Reading, read
from lib.studies.matryoshka import shorten_embeddings

DEPTH = 50
LISTS = 200
MOVED = 2
HARD = "scenes_cross_hard.npz"
T2I = "text_to_image"
REBUILD = "Restore it with git, or make it again with: crossmodal bench rerank"


@cache
def hard_task() -> RetrievalTask:
    """The hard split of scenes, one caption a scene; the kinds of captions take turns."""
    whole, scene = scenes.hard_task("test"), np.arange(scenes.N_HARD)
    return whole.take_queries(scenes.N_CAPTIONS * scene + scene % scenes.N_CAPTIONS)


def cross_on_hard() -> Reading:
    """The committed cross-encoder behind the dual encoder, 50 deep, from stored lists and
    logits.
    """
    stored = load_arrays(_path(HARD), rebuild=REBUILD)
    run = Run.of_one_stage(stored["cosines"], stored["ids"].astype(np.int64), "cosine")
    return Reading(hard_task(), run, stored["logits"].astype(np.float32), LOGITS)


def read_again(reading: Reading, n_queries: int, depth: int) -> np.ndarray:
    """Logits of the first items of the first queries, by the committed cross-encoder, now.

    Args:
        reading: whose lists.
        n_queries: how many queries, from the first.
        depth: how many items of each.

    Returns:
        `(n_queries, depth)` float32, near the reading's own scores: those are float16, and the last
        bits of a logit depend on the machine.
    """
    model, task = load_model("scenes_cross"), reading.task
    wanted, at = np.unique(reading.run.ids[:n_queries, :depth], return_inverse=True)
    found = CrossEncoderRetriever(model, model.read_image(task.gallery[wanted]))
    return found.score(found.encode(task.queries[:n_queries], "text"), at.reshape(n_queries, depth))


def late_on_hard(first: Run) -> Reading:
    """Late interaction behind the dual encoder, scored now for all items of the run."""
    task = hard_task()
    second = retriever_over(task, load_model("scenes_late"))
    scores = second.score(second.encode(task.queries, "text").as_int8(), first.ids)
    return Reading(task, first, scores, second.score_names[-1])


def late_on_icons(split: str) -> Reading:
    """Late interaction over hand-made features behind the dual encoder, `LISTS` deep.

    Args:
        split: "test", whose dual encoder's embeddings are stored, or "validation", whose names are
            encoded.
    """
    task, (second, asked) = icons.task(split), _icons_late(split)
    run = _icons_dual(split).search(_icons_queries(task), LISTS)
    return Reading(task, run, second.score(asked, run.ids), second.score_names[-1])


def late_alone_on_icons(split: str) -> Run:
    """The list of the same model without a first stage, `LISTS` long."""
    second, asked = _icons_late(split)
    return second.search(asked, LISTS)


def cut_dual_on_icons(dim: int) -> Run:
    """The dual encoder's first coordinates alone on the test split, `LISTS` long: weak at will."""
    sides = (
        shorten_embeddings(side, dim, "first, normalised again")
        for side in readme_results.stored_embeddings("icons", T2I)
    )
    return Run.of_one_stage(*topk_exact(*sides, LISTS), f"cosine of {dim} coordinates")


def moved_dual_on_icons(first: Reading, pixels: int = MOVED) -> Reading:
    """The first stage's own model again, on drawings moved to the right: it knows nothing new.

    Args:
        first: any reading of a split of icons, for its lists.
        pixels: how far; what leaves on the right comes back on the left.
    """
    model, task = load_model("icons"), first.task
    moved = to_int8(model.encode_image(np.roll(task.gallery, pixels, axis=2)))
    cosines = unit_rows(_icons_queries(task), "queries") @ unit_rows(moved, "drawings").T
    scores = np.take_along_axis(cosines, first.run.ids, axis=1)
    return Reading(task, first.run, scores, f"cosine, drawings moved by {pixels} pixels")


def collect(log: Log = print, progress: Progress = lambda done, of: None) -> Path:
    """Writes the stored lists and logits of the hard split, from the committed models; goes on
    where it stopped."""
    task, n = hard_task(), len(hard_task().queries)
    log(f"{n} captions x {DEPTH} of {len(task.gallery):,} images, every pair is read")
    models = "scenes", "scenes_cross"
    retriever = two_stages_over(task, *map(load_model, models), DEPTH)

    def part(now: slice) -> dict[str, np.ndarray]:
        reading = read(retriever, task.take_queries(range(n)[now]), depth=DEPTH, k=DEPTH)
        return {
            "ids": reading.run.ids.astype(np.uint16),
            "cosines": reading.run.scores.astype(np.float32),
            "logits": reading.scores.astype(np.float16),
        }

    name = f"hard-{weights_of(models)}-{DEPTH}-of-{n}"
    save_arrays(_path(HARD), **read_in_parts(name, n, part, log, progress))
    return _path(HARD)


@cache
def _icons_late(split: str) -> tuple[LateInteractionRetriever, Tokens]:
    task = icons.task(split)
    retriever = retriever_over(task, load_model("icons_late"))
    return retriever, retriever.encode(task.queries, "text").as_int8()


def _icons_dual(split: str) -> DualEncoderRetriever:
    """The dual encoder over the stored embeddings of a split's drawings."""
    encoder = load_model("icons")
    index = VectorSearchIndex(encoder.dim, "Flat", metric="cosine")
    index.add(load_embeddings("icons")["all_image"][icons.load_icons().positions(split)])
    return DualEncoderRetriever(encoder, index)


def _icons_queries(task: RetrievalTask) -> np.ndarray:
    if task.split == "test":
        return readme_results.stored_embeddings("icons", T2I)[0]
    return to_int8(load_model("icons").encode_text(task.queries))


def _path(name: str) -> Path:
    return artifacts_dir() / "architectures" / name
