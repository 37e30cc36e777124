"""Recipes: how a model is trained, measured, and stored with its card."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from lib.core.paths import artifacts_dir, cache_dir
from lib.core.task import RetrievalTask
from lib.metrics import Evaluation
from lib.models.artifact_files import save_embeddings
from lib.models.dual_encoder import DualEncoder
from lib.models.text_side import check_device
from lib.models.tokenizer import Tokenizer
from lib.models.trained_models import Model, class_of, load_model, round_weights, save_model
from lib.search import (
    DEPTH,
    Retriever,
    encode_task,
    evaluate_run,
    evaluate_task,
    retriever_over,
    two_stages_over,
)
from lib.training.interaction_objectives import MatchingObjective, late_interaction_loss
from lib.training.loop import Plan, Stream, Trainer
from lib.training.objectives import matryoshka_infonce

Loss = Callable[[nn.Module, object], Tensor]
"""(network, batch) -> 0-d loss."""


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """Everything that makes one artifact; `data` and `loss` are texts of the model card."""

    data: str
    loss: str
    batch_size: int
    plan: Plan
    bits: int = 16  # of a stored weight, see `save_model`

    @property
    def identity(self) -> dict[str, object]:
        """Describe the run for its checkpoint, besides the plan."""
        return {"data": self.data, "loss": self.loss, "batch_size": self.batch_size}

    @abstractmethod
    def start(self) -> tuple[Model, Stream]:
        """Make the model before the first step, weights from torch's seed, and its batches."""

    @abstractmethod
    def objective(self) -> Loss:
        """Get the training loss."""

    @abstractmethod
    def validation(self) -> Callable[[Model], dict[str, float]]:
        """Get the function that validates a model; "score" decides which weights are kept."""

    @abstractmethod
    def measure(self, model: Model) -> tuple[list[dict], dict]:
        """Measure on the test split: rows of the card, and arrays to store beside the model."""

    def finish(self, model: Model, checkpoint: Path, log: Callable[[str], None]) -> Model:
        """Change a trained model before it is stored; most recipes do not.

        Args:
            model: the trained model, on the CPU.
            checkpoint: of the training; a file for more begins with its name.
            log: called with one line per validation.
        """
        return model

    def build(
        self,
        name: str,
        *,
        log: Callable[[str], None] = print,
        progress: Callable[[int, int], None] = lambda step, steps: None,
        folder: Path | None = None,
        device: str = "cpu",
    ) -> Model:
        """Train, measure and store the artifact; see `lib.training.train_model`."""
        target = check_device(device)
        started, busy = time.monotonic(), time.process_time()
        torch.manual_seed(self.plan.seed)
        model, stream = self.start()
        model.network.to(target)
        validate = self.validation()
        checkpoint = cache_dir() / f"train-{name}.pt"
        trainer = Trainer(
            model.network,
            stream,
            self.objective(),
            self.plan,
            validate=lambda network: validate(type(model)(model.config, network)),
            checkpoint=checkpoint,
            identity=self.identity,
            log=log,
        )
        network = trainer.run(lambda step: progress(step, self.plan.steps))
        model = self.finish(type(model)(model.config, network.cpu()), checkpoint, log)
        model = type(model)(model.config, round_weights(model.network, self.bits))
        rows, arrays = self.measure(model)
        card = {
            **self.identity,
            "plan": asdict(self.plan),
            "kept_step": trainer.best_step,
            "minutes_last_run": round((time.monotonic() - started) / 60, 1),
            # of all threads: what the run takes on one core that does nothing else
            "processor_minutes_last_run": round((time.process_time() - busy) / 60, 1),
            "torch": torch.__version__.split("+")[0],
            "device": target.type if target.type == "cpu" else torch.cuda.get_device_name(target),
            "threads": torch.get_num_threads(),
            "parameters": sum(p.numel() for p in network.parameters()),
            "bits": self.bits,
            "history": asdict(trainer.history),
            "metrics": rows,
        }
        folder = folder or artifacts_dir() / name
        save_model(model, folder, card, bits=self.bits)
        if arrays:
            save_embeddings(name, folder, **arrays)
        for leftover in cache_dir().glob(checkpoint.name + "*"):
            leftover.unlink()
        return model


@dataclass(frozen=True, kw_only=True)
class DualRecipe(Recipe):
    """Recipe of a dual encoder from fresh weights.

    Args:
        decorrelation: weight of the penalty on repeated coordinates, see `matryoshka_infonce`.
        config: tokenizer -> config of the `DualEncoder`.
        tokenizer: () -> Tokenizer.
        stream: (tokenizer, recipe) -> training batches.
        task: (split, direction) -> RetrievalTask.
        export: encoder -> int8 arrays to store beside the model; `test_text` and `test_image` at
            least.
    """

    decorrelation: float
    config: Callable[[Tokenizer], dict]
    tokenizer: Callable[[], Tokenizer]
    stream: Callable[[Tokenizer, "DualRecipe"], Stream]
    task: Callable[..., RetrievalTask]
    export: Callable[[DualEncoder], dict]

    @property
    def identity(self) -> dict[str, object]:
        return {**super().identity, "decorrelation": self.decorrelation}

    def start(self) -> tuple[DualEncoder, Stream]:
        tokenizer = self.tokenizer()
        return DualEncoder(self.config(tokenizer)), self.stream(tokenizer, self)

    def objective(self) -> Loss:
        return partial(matryoshka_infonce, decorrelation=self.decorrelation)

    def validation(self) -> Callable[[DualEncoder], dict[str, float]]:
        task = self.task("validation", "text_to_image")

        def validate(encoder: DualEncoder) -> dict[str, float]:
            report = evaluate_task(*encode_task(encoder, task), task)
            results = {name: report.mean(name) for name in ("R@1", "R@10")}
            # Both ends of the list count; R@1 alone is noisy on some 700 queries.
            return {**results, "score": results["R@1"] + results["R@10"]}

        return validate

    def measure(self, encoder: DualEncoder) -> tuple[list[dict], dict]:
        arrays, rows = self.export(encoder), []
        text, image = arrays["test_text"], arrays["test_image"]
        rows += evaluate_task(text, image, self.task("test", "text_to_image")).rows()
        rows += evaluate_task(image, text, self.task("test", "image_to_text")).rows()
        return rows, arrays


@dataclass(frozen=True, kw_only=True)
class InteractionRecipe(Recipe):
    """Recipe of a model with interaction; its towers start from a committed dual encoder.

    Args:
        name: of the artifact.
        base: artifact of the dual encoder that finds hard negatives, and the candidates of a second
            stage.
        towers: artifact with the towers to start from; `base` by default.
        kind: a key of `lib.models.trained_models.KINDS`; "dual_encoder" is the control with the
            same data.
        interaction: see `LateInteraction` and `CrossEncoder`.
        stream: (model at its start, recipe) -> training batches.
        tasks: split -> its text-to-image tasks; the first decides which weights are kept.
        depth: how many results of the dual encoder a cross-encoder reranks; late interaction
            searches the whole gallery.
    """

    name: str
    base: str
    towers: str = ""
    kind: str
    interaction: dict
    stream: Callable[[Model, "InteractionRecipe"], Stream]
    tasks: Callable[[str], list[RetrievalTask]]
    depth: int = 50
    bits: int = 8

    @property
    def identity(self) -> dict[str, object]:
        return {**super().identity, "base": self.base, "towers": self.towers or self.base}

    @property
    def reads_features(self) -> bool:
        return self.interaction.get("reads") == "features"

    def start(self) -> tuple[Model, Stream]:
        source = load_model(self.towers or self.base)
        config = {"name": self.name, "kind": self.kind, "interaction": self.interaction}
        if self.reads_features:
            shared = {"shared": self.towers} if self.towers else {}
            model = class_of(self.kind)({**config, **shared})
            if shared:
                model.network.tokens.load_state_dict(source.network.state_dict())
        else:
            model = class_of(self.kind)({**source.config, **config})
            _towers(model).load_state_dict(_towers(source).state_dict())
        return model, self.stream(model, self)

    def objective(self) -> Loss:
        if self.kind == "cross_encoder":
            # The dual encoder cannot read features.
            return MatchingObjective(load_model(self.towers if self.reads_features else self.base))
        return late_interaction_loss if self.kind == "late_interaction" else matryoshka_infonce

    def retriever(self, model: Model, task: RetrievalTask) -> Retriever:
        """Make a retriever over a task's gallery; a cross-encoder reranks the dual encoder."""
        if self.kind == "cross_encoder":
            return two_stages_over(task, load_model(self.base), model, self.depth)
        return retriever_over(task, model)

    def validation(self) -> Callable[[Model], dict[str, float]]:
        tasks = self.tasks("validation")

        def validate(model: Model) -> dict[str, float]:
            results = {
                f"R@1 {task.split}": self._evaluate(model, task).mean("R@1") for task in tasks
            }
            return {**results, "score": next(iter(results.values()))}

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
