"""What every recipe shares: train, measure, and store model, card and arrays."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lib.core.paths import artifacts_dir, cache_dir
from lib.models.trained_models import Model, round_weights, save_embeddings, save_model
from lib.training.loop import Plan, Stream, Trainer

Objective = Callable[[nn.Module, object], Tensor]


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """Everything that makes one artifact.

    Args:
        data, loss: for the model card.
        batch_size: pairs per step.
        plan: see `lib.training.loop.Plan`.
        bits: of a stored weight, see `save_model`.
    """

    data: str
    loss: str
    batch_size: int
    plan: Plan
    bits: int = 16

    @property
    def identity(self) -> dict[str, object]:
        """What tells a checkpoint of this recipe from another's, besides the plan."""
        return {"data": self.data, "loss": self.loss, "batch_size": self.batch_size}

    @abstractmethod
    def start(self) -> tuple[Model, Stream]:
        """The model before the first step, its weights from torch's seed, and what it is shown."""

    @abstractmethod
    def objective(self) -> Objective:
        """`(network, batch) -> 0-d loss`."""

    @abstractmethod
    def validation(self) -> Callable[[Model], dict[str, float]]:
        """Measures a model on the validation split; "score" decides which weights are kept."""

    @abstractmethod
    def measure(self, model: Model) -> tuple[list[dict], dict]:
        """Rows of the card from the test split, and named arrays to store beside the model."""

    def build(
        self,
        name: str,
        *,
        log: Callable[[str], None] = print,
        progress: Callable[[int, int], None] = lambda step, steps: None,
        folder: Path | None = None,
    ) -> Model:
        """Trains, measures and stores the artifact; see `lib.training.recipes.build`."""
        started = time.monotonic()
        torch.manual_seed(self.plan.seed)
        model, stream = self.start()
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
        model = type(model)(model.config, round_weights(network, self.bits))
        rows, arrays = self.measure(model)
        card = {
            **self.identity,
            "plan": asdict(self.plan),
            "kept_step": trainer.best_step,
            "minutes_last_run": round((time.monotonic() - started) / 60, 1),
            "torch": torch.__version__.split("+")[0],
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
