"""Models with interaction: late interaction and cross-encoders, grown from the committed dual encoders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lib.datasets import scenes
from lib.interaction_objectives import Matching, late_interaction_loss
from lib.metrics import Evaluation
from lib.models.artifacts import Model, load_model
from lib.models.cross_encoder import CrossEncoder
from lib.models.dual_encoder import DualEncoder
from lib.models.late_interaction import LateInteraction
from lib.recipes.base import Objective, Recipe
from lib.retrieval import DEPTH, Retriever, evaluate_run
from lib.retrieval.galleries import retriever_over, two_stages_over
from lib.streams import SceneStream
from lib.task import RetrievalTask
from lib.training import Plan, Stream

KINDS: dict[str, type[Model]] = {"late_interaction": LateInteraction, "cross_encoder": CrossEncoder}


@dataclass(frozen=True, kw_only=True)
class InteractionRecipe(Recipe):
    """A model with interaction, its towers those of a committed dual encoder when training starts.

    Args:
        name: of the artifact.
        base: artifact of the dual encoder.
        kind: a key of `KINDS`.
        interaction: see `LateInteraction` and `CrossEncoder`.
        stream: (dual encoder, recipe) -> training batches.
        tasks: split -> the text-to-image tasks it is judged by; the first decides which weights are kept.
        depth: how many of the dual encoder's answers a cross-encoder rereads; late interaction searches all.
    """

    name: str
    base: str
    kind: str
    interaction: dict
    stream: Callable[[DualEncoder, InteractionRecipe], Stream]
    tasks: Callable[[str], list[RetrievalTask]]
    depth: int = 50
    bits: int = 8

    @property
    def identity(self) -> dict[str, object]:
        return {**super().identity, "base": self.base}

    def start(self) -> tuple[Model, Stream]:
        dual = load_model(self.base)
        config = {**dual.config, "name": self.name, "kind": self.kind, "interaction": self.interaction}
        model = KINDS[self.kind](config)
        model.network.towers.load_state_dict(dual.network.state_dict())
        return model, self.stream(dual, self)

    def objective(self) -> Objective:
        return Matching(load_model(self.base)) if self.kind == "cross_encoder" else late_interaction_loss

    def retriever(self, model: Model, task: RetrievalTask) -> Retriever:
        """Over a task's gallery: late interaction alone, a cross-encoder behind the dual encoder."""
        if self.kind == "late_interaction":
            return retriever_over(task, model)
        return two_stages_over(task, load_model(self.base), model, self.depth)

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


def _scene_tasks(split: str) -> list[RetrievalTask]:
    """The hard split decides; the usual one is reported beside it."""
    n = 100 if split == "validation" else scenes.N_HARD
    return [scenes.hard_task(split, n_scenes=n), scenes.task(split, n_images=2 * n)]


def _scene_stream(dual: DualEncoder, recipe: InteractionRecipe) -> Stream:
    # Another seed than the dual encoder's stream, so that these scenes are new to its towers too.
    return SceneStream(dual.tokenizer, recipe.batch_size, recipe.plan.seed + 1, twins=True)


SCENES = {
    "data": "scenes, endless train stream, half of each batch twins of the other half",
    "base": "scenes",
    "batch_size": 128,
    "stream": _scene_stream,
    "tasks": _scene_tasks,
}
SCENE_PATCHES = {"maps": 1, "patches": 16, "image_width": 192, "width": 128, "heads": 4, "dropout": 0.0}

INTERACTION_RECIPES = {
    recipe.name: recipe
    for recipe in (
        InteractionRecipe(
            name="scenes_late",
            kind="late_interaction",
            loss="two-way InfoNCE of both FILIP scores, learnt temperature, several positives",
            plan=Plan(steps=800, learning_rate=1e-3, weight_decay=0.1, average=0.99, validate_every=100),
            interaction={**SCENE_PATCHES, "layers": 1, "dim": 64},
            **SCENES,
        ),
        InteractionRecipe(
            name="scenes_cross",
            kind="cross_encoder",
            loss="binary cross-entropy, two wrong pairs for each right one, hard by the dual encoder",
            plan=Plan(steps=1200, learning_rate=1e-3, weight_decay=0.1, average=0.99, validate_every=200),
            interaction={**SCENE_PATCHES, "layers": 2},
            depth=20,
            **SCENES,
        ),
    )
}
