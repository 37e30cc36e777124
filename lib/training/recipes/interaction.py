"""Models with interaction: late interaction and cross-encoders, and how each is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from lib.core.task import RetrievalTask
from lib.datasets import icons, scenes
from lib.metrics import Evaluation
from lib.models.tokenizer import Tokenizer
from lib.models.trained_models import KINDS, Model, load_model
from lib.search import DEPTH, Retriever, evaluate_run, retriever_over, two_stages_over
from lib.training.batches import PairStream, SceneStream
from lib.training.interaction_objectives import Matching, late_interaction_loss
from lib.training.loop import Plan, Stream
from lib.training.recipes.base import Objective, Recipe
from lib.training.recipes.dual import LOSS, contrastive


@dataclass(frozen=True, kw_only=True)
class InteractionRecipe(Recipe):
    """A model with interaction. If it has towers, those start as a committed dual encoder's.

    Args:
        name: of the artifact.
        base: artifact of the dual encoder that finds hard negatives and the candidates of a second
            stage.
        towers: artifact whose towers it grows from; `base` when empty.
        kind: a key of `lib.models.trained_models.KINDS`; "dual_encoder" is the control, which sees
            the same data.
        interaction: see `LateInteraction` and `CrossEncoder`.
        stream: (model at its start, recipe) -> training batches.
        tasks: split -> the text-to-image tasks it is judged by; the first decides which weights are
            kept.
        depth: how many of the dual encoder's answers a cross-encoder rereads; late interaction
            searches all.
    """

    name: str
    base: str
    towers: str = ""
    kind: str
    interaction: dict
    stream: Callable[[Model, InteractionRecipe], Stream]
    tasks: Callable[[str], list[RetrievalTask]]
    depth: int = 50
    bits: int = 8

    @property
    def identity(self) -> dict[str, object]:
        return {**super().identity, "base": self.base, "towers": self.towers or self.base}

    def start(self) -> tuple[Model, Stream]:
        source, own = load_model(self.towers or self.base), {"name": self.name, "kind": self.kind}
        if self.interaction.get("reads") == "features":
            shared = {"shared": self.towers} if self.towers else {}
            model = KINDS[self.kind]({**own, **shared, "interaction": self.interaction})
            if shared:
                model.network.tokens.load_state_dict(source.network.state_dict())
        else:
            model = KINDS[self.kind]({**source.config, **own, "interaction": self.interaction})
            _towers(model).load_state_dict(_towers(source).state_dict())
        return model, self.stream(model, self)

    def objective(self) -> Objective:
        if self.kind == "cross_encoder":
            features = (
                self.interaction.get("reads") == "features"
            )  # which the dual encoder cannot read
            return Matching(load_model(self.towers if features else self.base))
        return late_interaction_loss if self.kind == "late_interaction" else contrastive

    def retriever(self, model: Model, task: RetrievalTask) -> Retriever:
        """Over a task's gallery: a cross-encoder behind the dual encoder, the others alone."""
        if self.kind == "cross_encoder":
            return two_stages_over(task, load_model(self.base), model, self.depth)
        return retriever_over(task, model)

    def validation(self) -> Callable[[Model], dict[str, float]]:
        tasks = self.tasks("validation")

        def validate(model: Model) -> dict[str, float]:
            found = {f"R@1 {task.split}": self._evaluate(model, task).mean("R@1") for task in tasks}
            return {**found, "score": next(iter(found.values()))}

        return validate

    def measure(self, model: Model) -> tuple[list[dict], dict]:
        rows = []
        for task in self.tasks("test"):
            rows += self._evaluate(model, task).rows()
        return rows, {}

    def _evaluate(self, model: Model, task: RetrievalTask) -> Evaluation:
        retriever = self.retriever(model, task)
        queries = retriever.encode(task.queries, task.query_modality)
        return evaluate_run(retriever.search(queries, min(DEPTH, len(task.gallery))), task)


def _towers(model: Model) -> nn.Module:
    return getattr(model.network, "towers", model.network)


def _scene_tasks(split: str, n_validation: int = 100) -> list[RetrievalTask]:
    """The hard split decides; the usual one is reported beside it."""
    n = n_validation if split == "validation" else scenes.N_HARD
    return [scenes.hard_task(split, n_scenes=n), scenes.task(split, n_images=2 * n)]


def _scene_stream(model: Model, recipe: InteractionRecipe) -> Stream:
    # Another seed than the dual encoder's stream, so that these scenes are new to its towers too.
    tokenizer = Tokenizer.from_dict(model.config["tokenizer"])
    return SceneStream(tokenizer, recipe.batch_size, recipe.plan.seed + 1, twins=True)


def _icon_features(model: Model, recipe: InteractionRecipe) -> Stream:
    """Pairs of features of the training icons; a fresh model takes its scale from them."""
    corpus = icons.load_icons()
    positions = corpus.positions("train")
    names = [icons.phrase_of(corpus.names[i]) for i in positions]
    images = model.network.images_in(corpus.images[positions])
    if "shared" not in model.config:
        model.network.fit_scale(images)
    _, same_name = np.unique(names, return_inverse=True)
    texts = torch.from_numpy(model.network.texts_in(names))
    return PairStream(images, texts, same_name, recipe.batch_size, recipe.plan.seed)


SCENES = {
    "data": "scenes, endless train stream, half of each batch twins of the other half",
    "base": "scenes",
    "batch_size": 128,
    "stream": _scene_stream,
    "tasks": _scene_tasks,
}
SCENE_PATCHES = {
    "maps": 1,
    "patches": 16,
    "image_width": 192,
    "width": 128,
    "heads": 4,
    "dropout": 0.0,
}
ICON_FEATURES = {"reads": "features", "features": 64 * 9, "hashed": 4096, "patches": 8, "dim": 128}

INTERACTION_RECIPES = {
    recipe.name: recipe
    for recipe in (
        InteractionRecipe(
            name="scenes_late",
            kind="late_interaction",
            loss="two-way InfoNCE of both FILIP scores, learnt temperature, several positives",
            plan=Plan(
                steps=800, learning_rate=1e-3, weight_decay=0.1, average=0.99, validate_every=100
            ),
            interaction={**SCENE_PATCHES, "layers": 1, "dim": 64},
            **SCENES,
        ),
        InteractionRecipe(
            name="scenes_twins",
            kind="dual_encoder",
            loss=LOSS,
            plan=Plan(
                steps=800, learning_rate=1e-3, weight_decay=0.1, average=0.99, validate_every=100
            ),
            interaction={},
            **SCENES,
        ),
        InteractionRecipe(
            name="icons_late",
            data="icons, train split, hand-made features of drawings and names",
            base="icons",
            kind="late_interaction",
            loss="two-way InfoNCE of both FILIP scores, learnt temperature, several positives",
            batch_size=256,
            plan=Plan(
                steps=2200, learning_rate=2e-3, weight_decay=0.3, average=0.99, validate_every=220
            ),
            interaction={**ICON_FEATURES, "width": 256, "dropout": 0.3},
            stream=_icon_features,
            tasks=lambda split: [icons.task(split)],
        ),
        InteractionRecipe(
            name="icons_cross",
            data="icons, train split, hand-made features of drawings and names",
            base="icons",
            # It stays as it is: with 14,000 pairs, what is trained again only learns them by heart.
            towers="icons_late",
            kind="cross_encoder",
            loss=(
                "binary cross-entropy, two wrong pairs for each right one, hard by late interaction"
            ),
            batch_size=256,
            plan=Plan(
                steps=800, learning_rate=1e-3, weight_decay=0.3, average=0.99, validate_every=200
            ),
            interaction={
                **ICON_FEATURES,
                "hidden": 256,
                "dropout": 0.1,
                "width": 128,
                "heads": 4,
                "layers": 2,
            },
            stream=_icon_features,
            tasks=lambda split: [icons.task(split)],
        ),
        InteractionRecipe(
            name="scenes_cross",
            kind="cross_encoder",
            # The dual encoder's own towers never knew direction: from those it learns several times
            # slower.
            towers="scenes_late",
            loss=(
                "binary cross-entropy, two wrong pairs for each right one, hard by the dual encoder"
            ),
            plan=Plan(
                steps=1200, learning_rate=1e-3, weight_decay=0.1, average=0.99, validate_every=200
            ),
            interaction={**SCENE_PATCHES, "layers": 2},
            depth=20,
            **{**SCENES, "tasks": partial(_scene_tasks, n_validation=50)},
        ),
    )
}
