"""Recipe of `pictures`: one model for icons, emoji and search terms, on a frozen text tower."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lib.core.paths import artifacts_dir
from lib.core.task import RetrievalTask
from lib.datasets import icon_terms, pictures
from lib.datasets.icons import DIRECTIONS
from lib.datasets.picture_gallery import store_gallery
from lib.index.exact import topk_exact
from lib.metrics import Evaluation
from lib.metrics.geometry import to_int8
from lib.models.dual_encoder import DualEncoder
from lib.models.gradients import gradient_features
from lib.models.published_tokenizer import PublishedTokenizer
from lib.models.text_tower import TextStates
from lib.search import DEPTH, encode_task, evaluate_run
from lib.training.loop import Plan
from lib.training.picture_batches import PictureStream
from lib.training.recipe import DualRecipe
from lib.training.sentence_tuning import tune_on_sentences

NAMES = ("R", "recall", "MRR")  # metrics of tasks from names
TERMS = ("nDCG@10", "R@10", "recall@10")


@dataclass(frozen=True)
class PictureSet:
    """One test or validation set of `pictures`.

    Args:
        key: names its texts among the stored embeddings, for example `"icons_test"`.
        task: direction -> its task; pictures in colour.
        positions: int (n_gallery,), its pictures in `lib.datasets.pictures`.
        metrics: names as in `lib.metrics.evaluate`.
        directions: the directions that are measured.
        validated: the metrics that are shown while the model is trained.
    """

    key: str
    task: Callable[[str], RetrievalTask]
    positions: np.ndarray
    metrics: tuple[str, ...]
    directions: tuple[str, ...]
    validated: tuple[str, ...]


def picture_sets(split: str) -> list[PictureSet]:
    """Return the sets of a split: names of icons and of emoji, and search terms of icons.

    Beside `"test"`, on which older choices for icons were made, stands `"test_b"`.
    """
    corpus = pictures.load_pictures()
    chosen = [("icons", split), ("emoji", split)]
    if split == "test":
        chosen.insert(1, ("icons", pictures.TEST_B))
    sets = [
        PictureSet(
            f"{source}_{part}",
            partial(pictures.task, part, source=source),
            corpus.positions(part, [source]),
            NAMES,
            DIRECTIONS,
            ("R@1", "R@10") if source == "icons" else ("R@10",),
        )
        for source, part in chosen
    ]

    def terms_task(direction: str) -> RetrievalTask:
        return pictures.in_colour(icon_terms.task(split, direction))

    # Icons come first in the corpus: their positions are the same in both.
    positions = icon_terms.positions_with_terms(split)
    directions = ("text_to_image",)
    return [
        *sets,
        PictureSet(f"terms_{split}", terms_task, positions, TERMS, directions, TERMS[:1]),
    ]


@dataclass(frozen=True, kw_only=True)
class PictureRecipe(DualRecipe):
    """Recipe of a dual encoder of `lib.datasets.pictures`.

    The names of icons decide which weights are kept; other sets are shown beside them. Stored are
    the embeddings of all icons and coloured emoji, `all_image`, and of the texts of each test set,
    `<key>_text` (see `PictureSet`).

    Args:
        states: tokenizer -> function from texts to frozen states.
        tuning: of the head on sentences, after the training; none without a plan.
        sets: split -> its sets.
    """

    states: Callable[[PublishedTokenizer], Callable[[Sequence[str]], TextStates]] | None = None
    tuning: Plan | None = None
    sets: Callable[[str], list[PictureSet]] = picture_sets

    def start(self) -> tuple[DualEncoder, PictureStream]:
        encoder, stream = super().start()
        gradients = encoder.network.visual.trunk.gradients
        gradients.fit_scale(_gradients(stream.corpus, stream.order.positions))
        return encoder, stream

    def finish(
        self, model: DualEncoder, checkpoint: Path, log: Callable[[str], None]
    ) -> DualEncoder:
        if self.tuning is None:
            return model
        return tune_on_sentences(
            model,
            pictures.load_training_pictures(),
            self.states(model.tokenizer),
            self.tuning,
            checkpoint=checkpoint.with_name(checkpoint.name + ".sentences"),
            log=log,
        )

    def build(self, name: str, *, folder: Path | None = None, **options) -> DualEncoder:
        """Train, measure and store the artifact, with the concepts and splits of its pictures."""
        model = super().build(name, folder=folder, **options)
        store_gallery(folder or artifacts_dir() / name)
        return model

    def validation(self) -> Callable[[DualEncoder], dict[str, float]]:
        tasks = [(part, part.task("text_to_image")) for part in self.sets("validation")]

        def validate(encoder: DualEncoder) -> dict[str, float]:
            results = {}
            for part, task in tasks:
                report = _evaluate(*encode_task(encoder, task), task, part.validated)
                label = part.key.split("_")[0]
                results |= {f"{label} {name}": report.mean(name) for name in part.validated}
            return {**results, "score": results["icons R@1"] + results["icons R@10"]}

        return validate

    def measure(self, encoder: DualEncoder) -> tuple[list[dict], dict]:
        arrays, rows = self.export(encoder), []
        for part in self.sets("test"):
            sides = {"text": arrays[f"{part.key}_text"]}
            sides["image"] = arrays["all_image"][part.positions]
            for direction in part.directions:
                task = part.task(direction)
                queries, gallery = sides[task.query_modality], sides[task.gallery_modality]
                report = _evaluate(queries, gallery, task, part.metrics)
                rows += [{"corpus": task.name, **row} for row in report.rows()]
        return rows, arrays


def _gradients(corpus: pictures.Pictures, positions: np.ndarray, chunk: int = 512) -> Tensor:
    """Compute the gradient features of some pictures as they are, without warps or inks."""
    parts = [positions[start : start + chunk] for start in range(0, len(positions), chunk)]
    return torch.cat([torch.from_numpy(gradient_features(corpus.pixels(part))) for part in parts])


def _evaluate(
    queries: np.ndarray, gallery: np.ndarray, task: RetrievalTask, metrics: tuple[str, ...]
) -> Evaluation:
    run = topk_exact(queries, gallery, min(DEPTH, len(gallery)), metric="cosine")
    return evaluate_run(run, task, metrics=metrics)


def picture_embeddings(encoder: DualEncoder, chunk: int = 2048) -> dict[str, np.ndarray]:
    """Encode all icons and coloured emoji, and the texts of every test set, as int8."""
    corpus = pictures.load_pictures()
    gallery = corpus.positions(sources=pictures.GALLERIES)
    images = [
        to_int8(encoder.encode_image(corpus.pixels(gallery[start : start + chunk])))
        for start in range(0, len(gallery), chunk)
    ]
    texts = {
        f"{part.key}_text": to_int8(encoder.encode_text(part.task("text_to_image").queries))
        for part in picture_sets("test")
    }
    return {"all_image": np.concatenate(images), **texts}
