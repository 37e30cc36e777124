"""Embeddings that are made once by the trained models and kept as int8 in the cache, a chunk at a
time.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from lib.core.paths import artifacts_dir, cache_dir
from lib.core.qrels import Qrels
from lib.core.reading import cached_arrays, recorded_digest
from lib.core.writing import CHECKSUM_SUFFIX
from lib.datasets import icons, scenes
from lib.datasets.scenes.relevance import TRUE
from lib.metrics.geometry import to_int8
from lib.models.dual_encoder import DualEncoder
from lib.models.trained_models import WEIGHTS, load_model

CHUNK = 10_000  # images kept per file: what a stopped run loses at most, seven seconds' work on two cores
N_QUERIES = 1_000
N_LEARN = 10_000
BASE_SEED, QUERY_SEED, LEARN_SEED = (
    0,
    1,
    1,
)  # base and queries: split test; to learn from: split train
Progress = Callable[[int], None]
Arrays = dict[str, np.ndarray]


def scene_images(size: int, progress: Progress | None = None) -> tuple[np.ndarray, Qrels]:
    """The first `size` images of the test split, and which of them each text query is true of.

    Args:
        size: images; a larger cache serves a smaller size.
        progress: called with the number of images that have become ready.

    Returns:
        int8 `(size, d)`, and `Qrels` of shape `(N_QUERIES, size)` at the grade of a true caption.
    """
    parts = [_scene_chunk(number, progress) for number in range(-(-size // CHUNK))]
    base = np.concatenate([part["image"] for part in parts])[:size]
    query, item = (
        np.concatenate([part[key] for part in parts]) for key in ("true_query", "true_item")
    )
    inside = item < size
    grades = np.full(int(inside.sum()), TRUE)
    return base, Qrels.from_pairs(query[inside], item[inside], grades, shape=(N_QUERIES, size))


def scene_queries(progress: Progress | None = None) -> Arrays:
    """int8 rows of the queries `image` and `text`, and of `learn_image` and `learn_text`.

    `image`: images of another stream of the test split. `text`: one caption of each of the first
    images of the base, the five kinds in turn. Both are the same for every size of the base, so
    that sizes compare. The rows to learn from are scenes of the train split, which share no
    composition with base and queries.
    """

    def make() -> Arrays:
        model, learn = _model("scenes"), scenes.sample("train", N_LEARN, LEARN_SEED)
        asked = scenes.sample("test", N_QUERIES, QUERY_SEED)
        arrays = {
            "image": model.encode_image(scenes.render(asked), progress=progress),
            "text": model.encode_text(captions_in_turn(query_scenes())),
            "learn_image": model.encode_image(scenes.render(learn), progress=progress),
            "learn_text": model.encode_text(captions_in_turn(learn)),
        }
        return {name: to_int8(rows) for name, rows in arrays.items()}

    return kept(f"scenes-{model_digest('scenes')}-queries", make)


def icon_names(split: str) -> np.ndarray:
    """int8 rows of the different names of a split, in order of appearance."""

    def make() -> Arrays:
        every = icons.load_icons()
        names = dict.fromkeys(every.names[i] for i in every.positions(split))
        return {
            "text": to_int8(_model("icons").encode_text([icons.phrase_of(name) for name in names]))
        }

    return kept(f"icons-{model_digest('icons')}-{split}-names", make)["text"]


def query_scenes() -> scenes.SceneBatch:
    """The scenes that the text queries describe: the first of every base."""
    return scenes.sample("test", N_QUERIES, BASE_SEED)


def captions_in_turn(batch: scenes.SceneBatch) -> list[str]:
    """Caption i % 5 of scene i."""
    return scenes.caption_choice(batch, np.arange(len(batch)) % scenes.N_CAPTIONS)


def kept(name: str, make: Callable[[], Arrays]) -> Arrays:
    """The arrays of that name from the cache; made, and kept, where they are missing or damaged."""
    return cached_arrays(cache_dir() / "ann" / f"{name}.npz", make)


def model_digest(name: str) -> str:
    """The beginning of the checksum of a model's weights: what was encoded by others is not
    taken.
    """
    sidecar = artifacts_dir() / name / (WEIGHTS + CHECKSUM_SUFFIX)
    return recorded_digest(sidecar, f"Restore it with git, or run: crossmodal train {name}")[:12]


def _scene_chunk(number: int, progress: Progress | None) -> Arrays:
    start = number * CHUNK

    def make() -> Arrays:
        batch = scenes.sample("test", CHUNK, BASE_SEED, start=start)
        rows = _model("scenes").encode_image(scenes.render(batch), progress=progress)
        asked = query_scenes()
        one_each = (
            np.arange(N_QUERIES) * scenes.N_CAPTIONS + np.arange(N_QUERIES) % scenes.N_CAPTIONS
        )
        true = scenes.qrels(asked, batch).take_queries(one_each).at_least(TRUE)
        return {
            "image": to_int8(rows),
            "true_query": true.query_index,
            "true_item": true.items + start,
        }

    return kept(f"scenes-{model_digest('scenes')}-test-{number:05d}", make)


@lru_cache(maxsize=2)
def _model(name: str) -> DualEncoder:
    return load_model(name)
