"""Systems that are compared, and the vectors of what they search."""

from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np

from lib.core.task import RetrievalTask
from lib.datasets import emoji, pictures, sketches
from lib.index.exact import topk_exact
from lib.metrics.geometry import to_int8
from lib.models.sketch_baselines import (
    EdgeHistograms,
    EdgeMapTower,
    GridLayout,
    JoinedEncoders,
)
from lib.models.trained_models import load_model
from lib.search import encode_side

TOWER, PLAIN = "sketch tower", "picture tower"
HISTOGRAMS, JOINED = "edge histograms", "tower and histograms"


class SketchSystem:
    """An encoder of sketches and pictures, and its vectors of both galleries, encoded once.

    Args:
        name: in tables.
        encoder: with `encode_image`, and `encode_sketch` where sketches are encoded otherwise.
    """

    def __init__(self, name: str, encoder) -> None:
        self.name, self.encoder = name, encoder

    @cached_property
    def emoji(self) -> np.ndarray:
        """Vectors of all emoji in colour, int8."""
        return to_int8(encode_side(self.encoder, emoji.load_emoji().color, "picture"))

    @cached_property
    def icons(self) -> np.ndarray:
        """Vectors of the icons of the test split, int8."""
        corpus = pictures.load_pictures()
        pixels = corpus.pixels(corpus.positions("test", ["icons"]))
        return to_int8(encode_side(self.encoder, pixels, "icon"))

    def gallery(self, task: RetrievalTask) -> np.ndarray:
        """Take the vectors of the gallery of a task of the test split, or of all emoji."""
        if task.direction == "sketch_to_icon":
            return self.icons
        n = len(task.gallery)
        return self.emoji if n == len(self.emoji) else self.emoji[sketches.emoji_places("test")]

    def run(self, task: RetrievalTask) -> tuple[np.ndarray, np.ndarray]:
        """Rank the whole gallery for each sketch of a task."""
        queries = to_int8(encode_side(self.encoder, task.queries, "sketch"))
        gallery = self.gallery(task)
        return topk_exact(queries, gallery, len(gallery), metric="cosine")


def load_systems() -> list[SketchSystem]:
    """Load all systems: the trained tower, the picture tower, and what needs no training."""
    plain, tower = load_model("pictures"), load_model("sketches")
    return [
        SketchSystem(TOWER, tower),
        SketchSystem(PLAIN, plain),
        SketchSystem("edges, picture tower", EdgeMapTower(plain)),
        SketchSystem(HISTOGRAMS, EdgeHistograms()),
        SketchSystem("ink in a grid", GridLayout()),
        SketchSystem(JOINED, JoinedEncoders(tower, EdgeHistograms())),
    ]


# key: the task, by whether sketches are deformed
TASKS: Mapping[str, Callable[[bool], RetrievalTask]] = {
    "pictures, split": lambda deformed: sketches.task("test", deformed=deformed),
    "pictures, all": lambda deformed: sketches.task("test", gallery="all", deformed=deformed),
    "icons": lambda deformed: sketches.task("test", "sketch_to_icon", deformed=deformed),
}
HAND_DRAWN: Mapping[str, Callable[[], RetrievalTask]] = {
    "hand drawn, pictures, all": lambda: sketches.hand_drawn_task(),
    "hand drawn, pictures, unseen": lambda: _unseen(sketches.hand_drawn_task()),
    "hand drawn, icons": lambda: sketches.hand_drawn_task(
        "sketch_to_icon", split="test", gallery="split"
    ),
}


def _unseen(task: RetrievalTask) -> RetrievalTask:
    """Keep the recorded drawings whose concept is in no training split."""
    trained = sketches.emoji_groups()[sketches.emoji_places("train")]
    return task.take_queries(~np.isin(task.query_groups, trained))
