"""Training loop for every loss and architecture: seeded, resumable, with averaged weights."""

import copy
import hashlib
import io
import math
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from lib.core.checks import check_count
from lib.core.reading import DamagedFileError
from lib.core.writing import atomic_path, optional_write


class Stream(Protocol):
    """Training batches as a pure function of the step: a run can stop and continue anywhere."""

    def batch(self, step: int) -> object: ...


@dataclass(frozen=True)
class Plan:
    """Hyperparameters of a training run.

    Args:
        steps: optimizer steps.
        learning_rate: peak; linear warm-up, then half a cosine down to 2% of it.
        warmup: steps of warm-up.
        weight_decay: of AdamW, on matrices and filters only; embeddings, norms, biases and the
            temperature are exempt.
        average: decay of the exponential moving average of the weights. The average is validated
            and stored.
        clip: largest gradient norm.
        max_scale: the learnt 1 / temperature is clamped to [1, max_scale] *after* each step. A
            clamp inside the forward pass has no gradient beyond the bound: it would stay there.
        validate_every: steps between validations.
        seed: of the initial weights (in recipes) and dropout; streams have their own.
    """

    steps: int
    learning_rate: float = 1e-3
    warmup: int = 100
    weight_decay: float = 0.2
    average: float = 0.998
    clip: float = 1.0
    max_scale: float = 100.0
    validate_every: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        check_count(self.steps, "steps")
        check_count(self.validate_every, "validate_every")


@dataclass
class History:
    """Log of a run: `loss` rows {step, loss, scale, rate}, `validation` rows {step, ...}."""

    loss: list[dict] = field(default_factory=list)
    validation: list[dict] = field(default_factory=list)


def learning_rate_at(step: int, plan: Plan) -> float:
    """Compute the rate: linear warm-up, then cosine decay to 2% of the peak at the last step."""
    ramp = min(1.0, (step + 1) / max(1, plan.warmup))
    decay = 0.02 + 0.98 * (1 + math.cos(math.pi * step / plan.steps)) / 2
    return plan.learning_rate * ramp * decay


def parameter_groups(
    network: nn.Module, weight_decay: float, rate_factors: Mapping[str, float] | None = None
) -> list[dict]:
    """Group parameters: decay for matrices, none for embeddings, norms, biases and scalars.

    Args:
        network: any module.
        weight_decay: of matrices and filters.
        rate_factors: prefix of parameter names -> factor on their learning rate, 1 for others; the
            first prefix that fits counts.
    """
    factors = rate_factors or {}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {(1.0, True): [], (1.0, False): []}
    for name, parameter in network.named_parameters():
        decays = parameter.ndim > 1 and "embedding" not in name
        factor = next((f for prefix, f in factors.items() if name.startswith(prefix)), 1.0)
        groups.setdefault((factor, decays), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": weight_decay * decays, "rate_factor": factor}
        for (factor, decays), parameters in groups.items()
    ]


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Update average <- decay * average + (1 - decay) * network; the decay starts small."""
    decay = min(decay, (1 + step) / (10 + step))
    current = network.state_dict()
    for name, mean in average.state_dict().items():
        if mean.is_floating_point():
            mean.lerp_(current[name], 1 - decay)
        else:
            mean.copy_(current[name])


class BatchesAhead:
    """Make the batches of the next steps in threads while a GPU computes.

    Args:
        stream: its batches depend on the step alone, so that threads do not change them.
        steps: number of steps; no batch is made beyond.
        threads: threads, and batches that are made ahead.
    """

    def __init__(self, stream: Stream, steps: int, threads: int = 4) -> None:
        self.stream, self.steps, self.threads = stream, steps, threads
        self.pool = ThreadPoolExecutor(threads)
        self.waiting: dict[int, Future] = {}

    def batch(self, step: int) -> object:
        for ahead in range(step, min(step + self.threads + 1, self.steps)):
            if ahead not in self.waiting:
                self.waiting[ahead] = self.pool.submit(self.stream.batch, ahead)
        return self.waiting.pop(step).result()


DIGEST = hashlib.sha256().digest_size  # bytes at the end of a checkpoint


def fast_bfloat16() -> bool:
    """Tell whether this CPU multiplies bfloat16 in hardware; emulation is slower than float32."""
    # Private, and newer than the oldest torch we accept. Without an answer float32 is safe.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)


class Trainer:
    """Train a network on batches; call `run`, read `history`.

    Args:
        network: any module; a `logit_scale` parameter (log of 1 / temperature) is clamped.
        stream: `stream.batch(step)` is the batch of `objective`.
        objective: `(network, batch) -> 0-d loss`.
        plan: hyperparameters.
        validate: `(averaged network) -> {name: value}`, called every `plan.validate_every` steps
            and at the end; `"score"` decides which averaged weights are the `best`.
        checkpoint: file for the state after each validation, to resume from; it ends with its own
            SHA-256. A damaged one, or one of another plan, identity or network, is refused.
        identity: plain values that describe the run (data, batch size, weights of the loss). The
            checkpoint stores them: no run continues as another one.
        rate_factors: see `parameter_groups`; a pretrained part is trained at a lower rate.
        log: called with one line of text per validation.
    """

    def __init__(
        self,
        network: nn.Module,
        stream: Stream,
        objective: Callable[[nn.Module, object], Tensor],
        plan: Plan,
        *,
        validate: Callable[[nn.Module], dict] | None = None,
        checkpoint: Path | None = None,
        identity: Mapping[str, object] | None = None,
        rate_factors: Mapping[str, float] | None = None,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.identity = {**asdict(plan), **(identity or {})}
        self.network, self.stream, self.objective, self.plan = network, stream, objective, plan
        self.validate, self.checkpoint, self.log = validate, checkpoint, log
        self.device = next(network.parameters()).device
        if self.device.type != "cpu":
            self.stream = BatchesAhead(stream, plan.steps)
        self.average = copy.deepcopy(network).eval()
        self.best = copy.deepcopy(network.state_dict())
        self.best_score = -math.inf
        self.best_step = 0
        self.optimizer = torch.optim.AdamW(
            parameter_groups(network, plan.weight_decay, rate_factors), betas=(0.9, 0.98)
        )
        self.history = History()
        self.step = 0
        if checkpoint is not None:
            self._resume()

    def run(self, progress: Callable[[int], None] = lambda step: None) -> nn.Module:
        """Train to the last step; return the averaged network with the best weights."""
        self.network.train()
        while self.step < self.plan.steps:
            self._one_step()
            progress(self.step)
            if self._is_validation_due():
                self._checkpoint_and_validate()
        self.average.load_state_dict(self.best)
        return self.average.eval()

    def _is_validation_due(self) -> bool:
        return self.step % self.plan.validate_every == 0 or self.step == self.plan.steps

    def _one_step(self) -> None:
        rate = learning_rate_at(self.step, self.plan)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("rate_factor", 1.0)
        # The same dropout in a resumed run.
        torch.manual_seed(self.plan.seed * 1_000_003 + self.step)
        # Outside autocast, which would round the geometry of the images to 3 digits.
        batch = _to_device(self.stream.batch(self.step), self.device)
        kind = self.device.type
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=kind != "cpu" or fast_bfloat16()):
            loss = self.objective(self.network, batch)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.step} with learning rate {rate:.2g};"
                " lower the rate"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.clip)
        self.optimizer.step()
        scale = getattr(self.network, "logit_scale", None)
        if scale is not None and scale.requires_grad:  # a fixed scale is what it was set to
            with torch.no_grad():
                scale.clamp_(0.0, math.log(self.plan.max_scale))
        update_average(self.average, self.network, self.plan.average, self.step)
        self.step += 1
        if self.step % 10 == 0 or self._is_validation_due():
            row = {"step": self.step, "loss": loss.item(), "rate": rate}
            if scale is not None:
                row["scale"] = scale.exp().item()
            self.history.loss.append(row)

    def _checkpoint_and_validate(self) -> None:
        results = self.validate(self.average) if self.validate is not None else {}
        self.network.train()
        score = results.get("score", self.step)  # without validation the last weights are best
        if score > self.best_score:
            self.best_score, self.best_step = score, self.step
            self.best = copy.deepcopy(self.average.state_dict())
        self.history.validation.append({"step": self.step, **results})
        values = "  ".join(f"{name} {value:.4g}" for name, value in results.items())
        loss = self.history.loss[-1]["loss"]
        self.log(f"step {self.step:6d}/{self.plan.steps}  loss {loss:.3f}  {values}")
        if self.checkpoint is not None:
            content = io.BytesIO()
            torch.save(self._state(), content)
            digest = hashlib.sha256(content.getbuffer()).digest()
            # One file with its checksum: a run killed between two files would leave a state that
            # cannot be trusted.
            with optional_write(), atomic_path(self.checkpoint) as temporary:
                temporary.write_bytes(content.getvalue() + digest)

    def _state(self) -> dict:
        return {
            "identity": self.identity,
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
            "best_score": self.best_score,
            "best_step": self.best_step,
            "history": asdict(self.history),
        }

    def _resume(self) -> None:
        restart = "Delete it to train from the start."
        if not self.checkpoint.is_file():
            return
        content = self.checkpoint.read_bytes()
        content, digest = content[:-DIGEST], content[-DIGEST:]
        if hashlib.sha256(content).digest() != digest:
            raise DamagedFileError(
                f"{self.checkpoint} is damaged: it differs from its own SHA-256. {restart}"
            )
        try:
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            stored = state.get("identity", {})
            if stored != self.identity:
                keys = dict.fromkeys([*stored, *self.identity])
                pairs = ((key, stored.get(key), self.identity.get(key)) for key in keys)
                changed = ", ".join(
                    f"{key} {old} -> {new}" for key, old, new in pairs if old != new
                )
                raise DamagedFileError(
                    f"{self.checkpoint} belongs to another plan ({changed}). {restart}"
                )
            self.average.load_state_dict(state["best"])  # refuses the weights of another network
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.network.load_state_dict(state["network"])
            self.best = state["best"]
            self.best_score, self.best_step = float(state["best_score"]), int(state["best_step"])
            self.history = History(**state["history"])
            self.step = min(check_count(state["step"], "step"), self.plan.steps)
        except DamagedFileError:
            raise
        except Exception as error:  # torch raises many types for the state of another network
            raise DamagedFileError(
                f"{self.checkpoint} belongs to another network: {error}. {restart}"
            ) from error
        self.log(f"resumed at step {self.step}")


def _to_device(batch: object, device: torch.device) -> object:
    """Move the tensors of a batch, also in dataclasses, dicts, lists and tuples, to the device."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    if is_dataclass(batch):
        moved = {key: _to_device(value, device) for key, value in vars(batch).items()}
        return replace(batch, **moved)
    if isinstance(batch, dict):
        return {key: _to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        parts = [_to_device(part, device) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    return batch
