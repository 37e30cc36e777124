"""Training loop: it learns, resumes bit for bit, and refuses damaged checkpoints."""

import hashlib
import io
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError
from lib.losses import infonce_loss
from lib.training import loop
from lib.training.loop import (
    BatchesAhead,
    Plan,
    Trainer,
    learning_rate_at,
    parameter_groups,
    update_average,
)

PLAN = Plan(steps=24, learning_rate=0.02, warmup=4, validate_every=8, average=0.9)


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    """Use float32 on every machine; the test of autocast turns bfloat16 on by itself."""
    monkeypatch.setattr(loop, "fast_bfloat16", lambda: False)


class TwoTowers(nn.Module):
    """Dropout, batch norm and a temperature: everything a resumed run could get wrong."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        hidden = nn.Linear(6, width), nn.BatchNorm1d(width), nn.Dropout(0.2)
        self.left = nn.Sequential(*hidden, nn.Linear(width, 4))
        self.right = nn.Linear(6, 4)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))


def network(seed: int = 0, width: int = 8) -> TwoTowers:
    torch.manual_seed(seed)
    return TwoTowers(width)


class Pairs:
    """Eight random pairs a step, a pure function of the step."""

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        points = torch.randn(8, 6, generator=torch.Generator().manual_seed(step))
        return points, points.flip(1)


class OneBatch:
    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        return Pairs().batch(0)


def objective(towers, batch):
    left, right = (
        nn.functional.normalize(x, dim=1) for x in (towers.left(batch[0]), towers.right(batch[1]))
    )
    return infonce_loss(left, right, 1 / towers.logit_scale.exp(), direction="both")


def same_weights(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


class Interrupted(Exception):
    pass


def interrupt_at(step: int):
    def progress(now: int) -> None:
        if now == step:
            raise Interrupted

    return progress


# ---- schedule, decay, average


def test_learning_rate_by_hand():
    plan = Plan(steps=100, learning_rate=1.0, warmup=10)
    assert learning_rate_at(0, plan) == pytest.approx(0.1)  # the first of ten equal steps up
    assert learning_rate_at(50, plan) == pytest.approx(0.51)  # half way down from 1 to 0.02
    assert learning_rate_at(100, plan) == pytest.approx(0.02)
    rates = [learning_rate_at(step, plan) for step in range(100)]
    assert max(rates) <= 1 and rates.index(max(rates)) == 9
    assert all(a > b for a, b in zip(rates[9:], rates[10:], strict=False)) and rates[-1] < 0.021


def test_no_warmup_starts_at_the_peak():
    assert learning_rate_at(0, Plan(steps=10, learning_rate=0.5, warmup=0)) == 0.5


def test_decay_is_for_matrices_and_filters_only():
    module = nn.ModuleDict({"embedding": nn.Embedding(3, 2), "conv": nn.Conv2d(1, 2, 3)})
    module.update({"norm": nn.BatchNorm2d(2), "head": nn.Linear(2, 2)})
    module.register_parameter("positional_embedding", nn.Parameter(torch.zeros(5, 2)))
    module.register_parameter("logit_scale", nn.Parameter(torch.tensor(1.0)))
    decayed, free = parameter_groups(module, 0.3)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    assert {names[id(p)] for p in decayed["params"]} == {"conv.weight", "head.weight"}
    assert decayed["weight_decay"] == 0.3 and free["weight_decay"] == 0
    assert len(decayed["params"]) + len(free["params"]) == len(names)


def test_a_pretrained_part_is_trained_at_its_own_rate():
    module = nn.ModuleDict({"tower": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    groups = parameter_groups(module, 0.3, {"tower.": 0.25})
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    found = {
        names[id(p)]: (group["rate_factor"], group["weight_decay"])
        for group in groups
        for p in group["params"]
    }
    assert found == {
        "tower.weight": (0.25, 0.3),
        "tower.bias": (0.25, 0.0),
        "head.weight": (1.0, 0.3),
        "head.bias": (1.0, 0.0),
    }


def test_a_factor_of_0_locks_a_part():
    towers = network()
    before = {name: p.detach().clone() for name, p in towers.named_parameters()}
    Trainer(towers, Pairs(), objective, PLAN, rate_factors={"right.": 0.0}).run()
    moved = {name for name, p in towers.named_parameters() if not torch.equal(before[name], p)}
    assert {"right.weight", "right.bias"} == before.keys() - moved


def test_average_by_hand():
    kept, current = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        kept.weight.fill_(1.0), current.weight.fill_(3.0)
    update_average(kept, current, decay=0.75, step=1000)
    assert kept.weight.item() == 1.5  # 0.75 * 1 + 0.25 * 3
    update_average(kept, current, decay=0.75, step=0)
    assert kept.weight.item() == pytest.approx(0.1 * 1.5 + 0.9 * 3)  # the first step keeps a tenth


def test_average_copies_counters():
    kept, current = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    current.num_batches_tracked.fill_(7)
    update_average(kept, current, decay=0.9, step=5)
    assert kept.num_batches_tracked == 7


# ---- learning


def test_overfits_eight_pairs():
    plan = Plan(
        steps=150, learning_rate=0.02, warmup=5, weight_decay=0.0, average=0.9, validate_every=50
    )
    trainer = Trainer(network(), OneBatch(), objective, plan)
    trained = trainer.run()
    left, right = trained.left(OneBatch().batch(0)[0]), trained.right(OneBatch().batch(0)[1])
    cosines = nn.functional.normalize(left, dim=1) @ nn.functional.normalize(right, dim=1).T
    assert cosines.argmax(1).tolist() == list(range(8))
    assert trainer.history.loss[-1]["loss"] < trainer.history.loss[0]["loss"] / 3


def test_logs_loss_rate_and_scale_and_reports_progress():
    seen, lines = [], []
    trainer = Trainer(network(), Pairs(), objective, PLAN, log=lines.append)
    trainer.run(seen.append)
    assert seen == list(range(1, 25))
    # Every tenth step, and every validation.
    assert [row["step"] for row in trainer.history.loss] == [8, 10, 16, 20, 24]
    assert set(trainer.history.loss[0]) == {"step", "loss", "rate", "scale"}
    assert trainer.history.loss[-1]["rate"] == learning_rate_at(23, PLAN)
    assert [row["step"] for row in trainer.history.validation] == [8, 16, 24]
    assert len(lines) == 3 and "step     24/24" in lines[-1]


def test_returns_evaluation_mode_and_validates_in_it():
    modes = []

    def validate(average):
        modes.append(average.training)
        return {"score": 0.0}

    assert not Trainer(network(), Pairs(), objective, PLAN, validate=validate).run().training
    assert modes == [False] * 3


def test_trains_in_training_mode_whatever_validation_left_behind():
    modes = []

    def watched(towers, batch):
        modes.append(towers.training)
        return objective(towers, batch)

    trainer = Trainer(
        network().eval(),
        Pairs(),
        watched,
        PLAN,
        validate=lambda average: trainer.network.eval() and {},
    )
    trainer.run()
    assert modes == [True] * 24


def test_keeps_the_best_validated_average():
    scores, kept = iter([1.0, 5.0, 2.0]), []

    def validate(average):
        kept.append({key: value.clone() for key, value in average.state_dict().items()})
        return {"score": next(scores)}

    trainer = Trainer(network(), Pairs(), objective, PLAN, validate=validate)
    trained = trainer.run()
    assert trainer.best_step == 16 and trainer.best_score == 5.0
    assert same_weights(trained.state_dict(), kept[1]) and not same_weights(kept[1], kept[2])


def test_without_validation_the_last_average_is_kept():
    trainer = Trainer(network(), Pairs(), objective, PLAN)
    trained = trainer.run()
    assert trainer.best_step == 24 and trained is trainer.average


def test_the_temperature_is_clamped_after_the_step_in_both_directions():
    def push(sign):
        return lambda towers, batch: sign * towers.logit_scale + 0 * towers.right(batch[0]).sum()

    plan = replace(PLAN, learning_rate=1.0, max_scale=50.0, clip=10.0)
    for sign, bound in ((-1, 50.0), (1, 1.0)):
        trainer = Trainer(network(), Pairs(), push(sign), plan)
        trainer.run()
        assert trainer.network.logit_scale.exp().item() == pytest.approx(bound)
        assert (
            trainer.network.logit_scale.grad.item() == sign
        )  # a clamp in the forward pass would make it 0
        assert trainer.history.loss[-1]["scale"] == pytest.approx(bound)


def test_a_scale_that_is_not_learnt_stays_what_it_was_set_to():
    towers = network()
    towers.logit_scale.requires_grad_(False).fill_(math.log(400.0))
    trainer = Trainer(towers, Pairs(), objective, PLAN)
    trainer.run()
    assert trainer.network.logit_scale.exp().item() == pytest.approx(400.0)


def test_gradients_are_clipped():
    norms = []

    class Watched(Trainer):
        def _one_step(self):
            super()._one_step()
            grads = [p.grad for p in self.network.parameters() if p.grad is not None]
            norms.append(math.sqrt(sum(float((g**2).sum()) for g in grads)))

    Watched(network(), Pairs(), lambda n, b: 1e4 * objective(n, b), replace(PLAN, clip=0.5)).run()
    assert max(norms) < 0.5 + 1e-4


def test_a_network_without_temperature_trains():
    trainer = Trainer(
        nn.Linear(6, 1), Pairs(), lambda net, batch: net(batch[0]).square().mean(), PLAN
    )
    trainer.run()
    assert "scale" not in trainer.history.loss[0]


def test_autocast_covers_the_objective_but_not_the_batch(monkeypatch):
    monkeypatch.setattr(loop, "fast_bfloat16", lambda: True)
    seen = {}

    class Stream(Pairs):
        def batch(self, step):
            seen["batch"] = (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
            return super().batch(step)

    def watched(towers, batch):
        seen["objective"] = towers.right(batch[1]).dtype
        return objective(towers, batch)

    Trainer(network(), Stream(), watched, replace(PLAN, steps=1)).run()
    assert seen == {"batch": torch.float32, "objective": torch.bfloat16}


# ---- repeating, stopping, going on


def test_the_same_seed_gives_the_same_weights_whatever_was_drawn_before():
    first = Trainer(network(), Pairs(), objective, PLAN).run().state_dict()
    torch.rand(1000)
    assert same_weights(first, Trainer(network(), Pairs(), objective, PLAN).run().state_dict())
    other = (
        Trainer(network(), Pairs(), objective, replace(PLAN, seed=1)).run().state_dict()
    )  # other dropout
    assert not same_weights(first, other)


@pytest.mark.parametrize("stop", [1, 8, 11, 17, 24])
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, stop):
    def trainer(checkpoint, seed=0):
        def validate(average):
            return {"score": -average.right.weight.square().sum().item()}

        return Trainer(
            network(seed), Pairs(), objective, PLAN, validate=validate, checkpoint=checkpoint
        )

    whole = trainer(None)
    expected = whole.run().state_dict()
    stopped = trainer(tmp_path / "state.pt")
    with pytest.raises(Interrupted):
        stopped.run(interrupt_at(stop))
    stored = (stop - 1) // 8 * 8  # progress is reported before the state of that step is stored
    resumed = trainer(
        tmp_path / "state.pt", seed=99 if stored else 0
    )  # initial weights are overwritten
    assert resumed.step == stored
    found = resumed.run().state_dict()
    assert same_weights(found, expected)
    assert same_weights(resumed.network.state_dict(), whole.network.state_dict())
    assert resumed.history == whole.history
    assert (resumed.best_step, resumed.best_score) == (whole.best_step, whole.best_score)


def test_a_finished_run_is_read_back_without_training(tmp_path):
    first = (
        Trainer(network(), Pairs(), objective, PLAN, checkpoint=tmp_path / "state.pt")
        .run()
        .state_dict()
    )
    seen, lines = [], []
    again = Trainer(
        network(5), Pairs(), objective, PLAN, checkpoint=tmp_path / "state.pt", log=lines.append
    )
    assert same_weights(again.run(seen.append).state_dict(), first)
    assert seen == [] and lines == ["resumed at step 24"]


def test_refuses_a_checkpoint_of_another_plan(tmp_path):
    Trainer(network(), Pairs(), objective, PLAN, checkpoint=tmp_path / "state.pt").run()
    with pytest.raises(DamagedFileError, match=r"another plan \(steps 24 -> 30\)\. Delete it"):
        Trainer(
            network(), Pairs(), objective, replace(PLAN, steps=30), checkpoint=tmp_path / "state.pt"
        )


def test_refuses_a_checkpoint_of_another_identity(tmp_path):
    Trainer(
        network(),
        Pairs(),
        objective,
        PLAN,
        checkpoint=tmp_path / "state.pt",
        identity={"batch_size": 8},
    ).run()
    with pytest.raises(DamagedFileError, match=r"another plan \(batch_size 8 -> 16\)\. Delete it"):
        Trainer(
            network(),
            Pairs(),
            objective,
            PLAN,
            checkpoint=tmp_path / "state.pt",
            identity={"batch_size": 16},
        )


def test_refuses_a_checkpoint_of_another_network(tmp_path):
    Trainer(network(), Pairs(), objective, PLAN, checkpoint=tmp_path / "state.pt").run()
    with pytest.raises(DamagedFileError, match="another network"):
        Trainer(network(width=16), Pairs(), objective, PLAN, checkpoint=tmp_path / "state.pt")


def test_refuses_a_damaged_checkpoint(tmp_path):
    path = tmp_path / "state.pt"
    Trainer(network(), Pairs(), objective, PLAN, checkpoint=path).run()
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(
        DamagedFileError, match="state.pt is damaged.*Delete it to train from the start"
    ):
        Trainer(network(), Pairs(), objective, PLAN, checkpoint=path)


def test_a_run_killed_after_any_rename_goes_on_from_its_last_state(tmp_path, monkeypatch):
    """Nothing is renamed after the state: whatever stands in the folder then is whole."""
    path, states = tmp_path / "state.pt", []
    whole = Path.replace

    def replaced(self, target):
        result = whole(self, target)
        states.append({one.name: one.read_bytes() for one in tmp_path.iterdir() if one.is_file()})
        return result

    monkeypatch.setattr(Path, "replace", replaced)
    Trainer(network(), Pairs(), objective, PLAN, checkpoint=path).run()
    assert len(states) == 3
    for step, state in zip((8, 16, 24), states, strict=True):
        path.write_bytes(state["state.pt"])
        assert Trainer(network(), Pairs(), objective, PLAN, checkpoint=path).step == step


def test_a_state_with_something_missing_is_refused(tmp_path):
    path = tmp_path / "state.pt"
    trainer = Trainer(network(), Pairs(), objective, PLAN, checkpoint=path)
    trainer.run()
    state = trainer._state()
    for key in state.keys() - {"identity"}:
        content = io.BytesIO()
        torch.save({**state, key: None}, content)
        path.write_bytes(content.getvalue() + hashlib.sha256(content.getvalue()).digest())
        with pytest.raises(DamagedFileError, match="state.pt belongs to another .*Delete it"):
            Trainer(network(), Pairs(), objective, PLAN, checkpoint=path)


def test_a_loss_that_is_not_a_number_stops_the_run_before_the_weights_change(tmp_path):
    def breaks(towers, batch):
        return objective(towers, batch) * (
            math.nan if torch.equal(batch[0], Pairs().batch(9)[0]) else 1
        )

    trainer = Trainer(network(), Pairs(), breaks, PLAN, checkpoint=tmp_path / "state.pt")
    with pytest.raises(
        FloatingPointError, match=r"nan at step 9 with learning rate 0\.0\d+; lower"
    ):
        trainer.run()
    assert all(torch.isfinite(p).all() for p in trainer.network.parameters())


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"steps": 2.5}, {"validate_every": 0}])
def test_refuses_a_plan_that_cannot_run(wrong):
    with pytest.raises(RetrievalInputError, match=next(iter(wrong))):
        replace(PLAN, **wrong)


def test_bfloat16_is_probed_without_private_functions_being_there(monkeypatch):
    monkeypatch.undo()
    assert isinstance(loop.fast_bfloat16(), bool)
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, probe, raising=False)
    assert loop.fast_bfloat16() is False


def test_batches_made_ahead_are_those_of_their_steps():
    made = []

    class Recorded(Pairs):
        def batch(self, step):
            made.append(step)
            return super().batch(step)

    ahead = BatchesAhead(Recorded(), steps=12, threads=3)
    for step in range(2, 12):  # from the step of a resumed run to the last one
        for found, expected in zip(ahead.batch(step), Pairs().batch(step), strict=True):
            assert torch.equal(found, expected)
    assert sorted(made) == list(range(2, 12))  # each once, none beyond the end


def test_an_error_in_a_batch_made_ahead_stops_the_run():
    class Broken(Pairs):
        def batch(self, step):
            if step == 3:
                raise ValueError("no step 3")
            return super().batch(step)

    ahead = BatchesAhead(Broken(), steps=10)
    assert [len(ahead.batch(step)) for step in range(3)] == [2, 2, 2]
    with pytest.raises(ValueError, match="no step 3"):
        ahead.batch(3)
