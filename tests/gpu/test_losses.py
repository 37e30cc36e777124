"""Every loss on a device in float32, forward and gradients, against the CPU in float64."""

from copy import deepcopy
from functools import partial
from itertools import product

import pytest
import torch
from torch import nn

from lib import losses
from lib.models.maxsim import late_interaction_logits, maxsim, maxsim_pairs
from lib.training.interaction_objectives import sample_negatives
from tests.losses.batches import gradients, pairs

B, D = 24, 8
KINDS = ("query_to_key", "key_to_query", "both")


def cases():
    """Name and loss of (queries, keys); masks are made where the queries are."""
    for kind, size, name in product(KINDS, (None, 5), (None, "same", "positives")):

        def infonce(q, k, options, name=name):
            mask = {} if name is None else {name: _equal(q)}
            return losses.infonce_loss(q, k, 0.1, **options, **mask)

        yield (
            f"infonce {kind} {size} {name}",
            partial(infonce, options={"direction": kind, "block_size": size}),
        )
    for size in (None, 5):
        yield (
            f"sigmoid {size}",
            partial(losses.sigmoid_loss, temperature=0.1, bias=-2.0, block_size=size),
        )
        yield (
            f"sigmoid {size}, mask",
            lambda q, k, n=size: losses.sigmoid_loss(
                q, k, 0.1, -2.0, positives=_equal(q), block_size=n
            ),
        )
        yield f"mnr {size}", partial(losses.mnr_loss, block_size=size)
        yield (
            f"mnr {size}, negatives",
            lambda q, k, n=size: losses.mnr_loss(q, k, k.flip(1), block_size=n),
        )
    for mining, reduction, kind in product(
        ("all", "semi_hard", "hard"), ("mean", "active"), ("both",)
    ):
        options = {"mining": mining, "reduction": reduction, "direction": kind}
        yield f"mined {options}", partial(losses.mined_triplet_loss, margin=0.2, **options)
    yield "mined, mask", lambda q, k: losses.mined_triplet_loss(q, k, 0.2, "hard", same=_equal(q))
    yield "triplet", lambda q, k: losses.triplet_loss(q, k, k.roll(1, 0), 0.2)
    yield "decorrelation", lambda q, k: losses.decorrelation_loss(torch.cat([q, k]))
    yield "matryoshka", lambda q, k: losses.matryoshka_loss(losses.infonce_loss, q, k, [2, 4, 8])
    scale = losses.LogitScale(10.0)
    yield "learnt scale", lambda q, k: losses.mnr_loss(q, k, scale=scale.to(q.device, q.dtype)())
    yield "maxsim", lambda q, k: maxsim(*_tokens(q, k), block_bytes=256).square().mean()
    yield (
        "maxsim pairs",
        lambda q, k: (
            maxsim_pairs(*_tokens(q, k)[:2], torch.arange(B // 4, device=q.device)[:, None])
            .square()
            .mean()
        ),
    )
    yield (
        "late interaction",
        lambda q, k: sum(x.square().mean() for x in late_interaction_logits(*_tokens(q, k)[:2])),
    )


def _equal(x):
    ids = torch.arange(B, device=x.device) % (B - 3)
    return ids[:, None] == ids


def _tokens(q, k):
    """Six items of four tokens a side, the first of them padded."""
    sides = [x.unflatten(0, (-1, 4)) for x in (q, k)]
    mask = torch.ones(B // 4, 4, dtype=torch.bool, device=q.device)
    mask[0, 2:] = False
    return *sides, mask, mask.flip(0)


def test_every_loss_is_that_of_the_cpu_in_float64(device):
    wrong = []
    for name, loss in cases():
        expected = gradients(loss, *pairs(B, dim=D))
        found = gradients(loss, *(x.float().to(device) for x in pairs(B, dim=D)))
        assert all(x.device == device for x in found), name
        for what, x, right in zip(("loss", "queries", "keys"), found, expected, strict=True):
            # As numbers: assert_close would compare where they are as well.
            apart = (x.detach().cpu().double() - right).abs().max() / right.abs().max().clamp(
                min=1e-9
            )
            wrong += [f"{name}, {what}: {apart:.1e}"] * (not apart < 1e-4)
    assert wrong == []


def test_closed_gradients_and_mining(device):
    query, key = pairs(B, dim=D)
    cosines = query @ key.T
    found = {}
    for where, matrix in (("cpu", cosines), ("device", cosines.to(device))):
        found[where] = [losses.infonce_logit_gradient(matrix, direction=kind) for kind in KINDS]
        found[where] += [losses.sigmoid_logit_gradient(matrix)]
        for mining in ("all", "semi_hard", "hard"):
            found[where] += [losses.mine_triplets(matrix, mining=mining)]
            found[where] += [losses.triplet_cosine_gradient(matrix, mining=mining)]
    for one, other in zip(found["cpu"], found["device"], strict=True):
        assert other.device == device
        torch.testing.assert_close(other.cpu().double(), one.double())


def test_negatives_are_drawn_alike_on_every_device(device):
    logits, same = torch.randn(9, 9), torch.eye(9, dtype=torch.bool)
    drawn = [
        sample_negatives(logits.to(where), same.to(where), torch.Generator().manual_seed(4))
        for where in ("cpu", device)
    ]
    assert drawn[1].device == device
    assert drawn[0].tolist() == drawn[1].cpu().tolist()


def test_gradient_caching(device):
    torch.manual_seed(0)
    encoders = [nn.Sequential(nn.Linear(D, D), nn.Dropout(p)).double() for p in (0.0, 0.0)]
    inputs = [torch.randn(B, D, dtype=torch.float64) for _ in encoders]

    def grads(where, step):
        # Copies: a module that moves takes along the gradients that were read from it.
        moved = [deepcopy(encoder).to(where) for encoder in encoders]
        loss = step(moved, [x.to(where) for x in inputs])
        return [
            loss.detach().cpu(),
            *(p.grad.cpu() for encoder in moved for p in encoder.parameters()),
        ]

    def whole(moved, batch):
        loss = losses.infonce_loss(
            *(encoder(x) for encoder, x in zip(moved, batch)), direction="both"
        )
        loss.backward()
        return loss

    expected = grads("cpu", whole)
    found = grads(device, partial(losses.grad_cache_step, loss_fn=_both_ways, chunk_size=7))
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-12)


def _both_ways(query, key):
    return losses.infonce_loss(query, key, direction="both")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_embeddings_are_scored_in_float32(device, dtype):
    query, key = (x.to(dtype) for x in pairs(B, dim=D))
    for loss in (losses.infonce_loss, losses.sigmoid_loss, losses.mined_triplet_loss):
        found = loss(query.to(device), key.to(device))
        assert found.dtype == torch.float32
        assert found.item() == pytest.approx(loss(query.double(), key.double()).item(), rel=1e-4)
