"""Encoders, scorers and training on a device: the same rows, scores and steps as on the CPU."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from lib.index import TokenIndex
from lib.models.cross_encoder import CrossEncoder
from lib.models.encoder import load_encoder
from lib.models.late_interaction import LateInteraction
from lib.search import CrossEncoderRetriever, LateInteractionRetriever
from lib.studies.losses.train_trial import encoded
from lib.training.batches import Batch
from lib.training.interaction_objectives import MatchingObjective, late_interaction_loss
from lib.training.loop import Plan, Trainer, _to_device
from lib.training.objectives import OBJECTIVES
from tests.models.toy import (
    WORDS,
    interaction_config,
    small_images,
    toy_encoder,
    toy_images,
    write_open_clip,
)  # fmt: skip

FEATURES = {"reads": "features", "features": 64 * 11, "hashed": 97, "hidden": 8}


def on_both(model, device, call):
    """What a call gives with the network on the CPU, then on the device."""
    here = call(model)
    model.network.to(device)
    return here, call(model)


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_dual_encoder(device):
    def rows(model):
        return np.concatenate(
            [model.encode_image(toy_images(), batch_size=3), model.encode_text(WORDS)]
        )

    here, there = on_both(toy_encoder(), device, rows)
    assert there.dtype == np.float32
    assert_close(there, here)


@pytest.mark.parametrize("changes", [{}, FEATURES])
def test_late_interaction_and_its_search(device, changes):
    torch.manual_seed(0)
    model = LateInteraction(interaction_config(**changes))

    def scores(model):
        items, queries = model.encode_image(small_images()), model.encode_text(WORDS)
        index = TokenIndex(model.dim, n_centroids=2, bits=4)
        index.train(items)
        index.add(items)
        runs = [LateInteractionRetriever(model, held).search(queries, 5) for held in (items, index)]
        pairs = LateInteractionRetriever(model, items).score(
            queries, np.tile([3, 1, -1], (len(WORDS), 1))
        )
        return items.vectors, queries.vectors, queries.mask, *(run.scores for run in runs), pairs

    for here, there in zip(*on_both(model, device, scores), strict=True):
        assert_close(there, here)


@pytest.mark.parametrize("changes", [{}, FEATURES])
def test_cross_encoder_and_its_search(device, changes):
    torch.manual_seed(0)
    model = CrossEncoder(interaction_config(**changes))

    def scores(model):
        retriever = CrossEncoderRetriever(model, model.read_image(small_images()))
        return retriever.search(retriever.encode(WORDS, "text"), 5).scores

    here, there = on_both(model, device, scores)
    assert_close(there, here)


def pair_batch(n=6, size=32):
    model = toy_encoder()
    generator = torch.Generator().manual_seed(1)
    tokens = torch.from_numpy(model.tokenizer.encode((WORDS * n)[:n]))
    return Batch(
        torch.rand(n, 3, size, size, generator=generator), tokens, torch.eye(n, dtype=torch.bool)
    )


class OneBatch:
    """Always the same batch, made on the CPU, in one of the forms that a stream may choose."""

    def __init__(self, form):
        self.form = form

    def batch(self, step):
        return self.form(pair_batch(size=16))


def objective_of(batch, name):
    def loss(network, given):
        return OBJECTIVES[name](network, batch(given))

    return loss


FORMS = {
    "dataclass": (lambda b: b, lambda b: b),
    "tuple": (lambda b: (b.images, b.tokens, b.positives), lambda b: Batch(*b)),
    "dict": (vars, lambda b: Batch(**b)),
}


@pytest.mark.parametrize("form", FORMS)
def test_trainer(device, form):
    give, take = FORMS[form]
    torch.manual_seed(0)
    network = toy_encoder().network.to(device)
    network.logit_bias = nn.Parameter(torch.tensor(0.0, device=device))
    OBJECTIVES["sigmoid"].prepare(network, 6)
    before = [p.detach().clone() for p in network.parameters()]
    trainer = Trainer(
        network, OneBatch(give), objective_of(take, "sigmoid"), Plan(steps=3, warmup=1)
    )
    trainer.run()
    assert np.isfinite([row["loss"] for row in trainer.history.loss]).all()
    assert any((p != old).any() for p, old in zip(trainer.network.parameters(), before))


def test_interaction_losses(device):
    torch.manual_seed(0)
    config = interaction_config()
    late, cross = LateInteraction(config), CrossEncoder(config)
    dual = toy_encoder(vision=config["vision"], image_size=32)
    for cheaper in (None, dual, late):  # the cheaper model is brought to where the batch is
        loss = late_interaction_loss if cheaper is None else MatchingObjective(cheaper)
        model = late if cheaper is None else cross
        found = []
        for where in ("cpu", device):
            network = model.network.to(where)
            torch.manual_seed(5)
            found.append(loss(network, _to_device(pair_batch(), torch.device(where))).item())
        assert found[1] == pytest.approx(found[0], rel=1e-3)


@dataclass
class Nested:
    pair: tuple
    note: str


class Named(NamedTuple):
    left: Tensor
    right: list


def test_tensors_of_a_batch_are_to_device_at_any_depth(device):
    one, two, three = (torch.full((2,), float(i)) for i in range(3))
    moved = _to_device({"a": Nested((one, [two]), "n"), "b": Named(three, [None, 5])}, device)
    assert (
        moved["a"].note == "n" and isinstance(moved["b"], Named) and moved["b"].right == [None, 5]
    )
    tensors = [moved["a"].pair[0], moved["a"].pair[1][0], moved["b"].left]
    assert [x.device for x in tensors] == [device] * 3
    assert [x.tolist() for x in tensors] == [[0, 0], [1, 1], [2, 2]]


def test_rows_of_a_trained_network(device):
    network, batch = toy_encoder().network, pair_batch(size=16)
    here = encoded(network, batch.images, batch.tokens)
    there = encoded(network.to(device), batch.images, batch.tokens)
    for one, other in zip(here, there, strict=True):
        assert_close(other, one)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_published_models(device, precision, tmp_path, monkeypatch):
    folder = write_open_clip(tmp_path / "model")
    pixels = np.random.default_rng(0).integers(0, 256, (9, 40, 32, 3), dtype=np.uint8)
    pictures, texts = [Image.fromarray(x) for x in pixels], ["a red car", "dogs on a beach", "x"]
    plain = load_encoder("mine", folder)
    model = load_encoder("mine", folder, precision=precision, device=str(device), batch_size=4)
    for name, inputs in (
        ("encode_image", pictures),
        ("encode_text", texts),
        ("encode_video", [pixels] * 2),
    ):
        found, expected = getattr(model, name)(inputs), getattr(plain, name)(inputs)
        assert found.dtype == np.float32
        assert (found * expected).sum(axis=1).min() > (0.99 if precision != "fp32" else 0.9999)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_training_step_in_half_precision(device, dtype):
    """What a reader writes around our losses: autocast, and for fp16 a scaler of gradients."""
    network, batch = toy_encoder().network.to(device), _to_device(pair_batch(size=16), device)
    network.logit_bias = nn.Parameter(torch.tensor(0.0, device=device))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler(
        device.type, enabled=device.type == "cuda" and dtype == torch.float16
    )
    for name in OBJECTIVES:
        OBJECTIVES[name].prepare(network, len(batch.images))
        before = {key: value.detach().clone() for key, value in network.named_parameters()}
        scale = math.inf
        while scaler.get_scale() < scale:  # a scaler leaves out steps until its scale fits
            scale = scaler.get_scale()
            with torch.autocast(device.type, dtype=dtype):
                loss = OBJECTIVES[name](network, batch)
            optimizer.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        assert torch.isfinite(loss), name
        moved = [key for key, value in network.named_parameters() if (value != before[key]).any()]
        assert any(key.startswith("visual") for key in moved), name
        assert any(key.startswith("text") for key in moved), name
