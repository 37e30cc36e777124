"""No loss hides a value that is not finite: each raises or returns NaN."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

import torch
import torch.nn.functional as F

from lib import losses
from lib.core.checks import RetrievalInputError

B, D = 5, 8
LAST = B + 2  # keys; two belong to no query
KINDS = ("query_to_key", "key_to_query", "both")


def batch(m: int = B) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return tuple(F.normalize(torch.randn(n, D, generator=generator), dim=1) for n in (B, m))


def spoilt() -> Iterator[tuple[str, Callable]]:
    """Ways to spoil a matrix: one value, one row (the last, which masks may leave out), all of
    it.
    """
    for value in (torch.nan, torch.inf, -torch.inf):
        for name, where in (
            ("value", (-1, -1)),
            ("row", -1),
            ("first row", 0),
            ("all", slice(None)),
        ):

            def spoil(x, value=value, where=where):
                x = x.clone()
                x[where] = value
                return x

            yield f"{name} {value}", spoil


def grad_cached(query, key):
    encoder = torch.nn.Linear(D, D)
    return losses.grad_cache_step(
        [encoder, encoder], [query, key], losses.infonce_loss, chunk_size=2
    )


def pair_losses() -> Iterator[tuple[str, int, Callable]]:
    """Name, number of keys, and loss of (queries, keys)."""
    for m, blocked in product((B, LAST), (None, 2)):
        same = torch.eye(B, m, dtype=torch.bool)
        same[:, -1] = True  # the last key is right for all: it leaves every denominator
        for kind in KINDS if m == B else KINDS[:1]:
            options = {"direction": kind, "block_size": blocked}
            for mask in ({}, {"same": same}, {"positives": same}):
                yield (
                    f"infonce {options} {list(mask)}",
                    m,
                    partial(losses.infonce_loss, **options, **mask),
                )
        for reduction, mask in product(("per_query", "mean"), (None, same)):
            options = {"reduction": reduction, "positives": mask, "block_size": blocked}
            yield f"sigmoid {reduction} {blocked}", m, partial(losses.sigmoid_loss, **options)
        yield f"mnr {blocked}", B, partial(losses.mnr_loss, block_size=blocked)
        yield (
            "mnr negatives",
            LAST,
            lambda q, k, size=blocked: losses.mnr_loss(q, k[:B], k[B:], block_size=size),
        )
        yield "distributed infonce", B, partial(losses.distributed_infonce_loss, block_size=blocked)
        yield "distributed mnr", B, partial(losses.distributed_mnr_loss, block_size=blocked)
        ids = torch.tensor([0, 1, 2, 2, 2])
        yield (
            "distributed sigmoid",
            B,
            partial(losses.distributed_sigmoid_loss, ids=ids, block_size=blocked),
        )
    for mining, reduction, kind in product(
        ("all", "semi_hard", "hard"), ("mean", "sum", "active"), KINDS
    ):
        for mask in (None, torch.ones(B, B, dtype=torch.bool)):
            options = {"mining": mining, "reduction": reduction, "direction": kind, "same": mask}
            yield (
                f"mined {mining} {reduction} {kind}",
                B,
                partial(losses.mined_triplet_loss, **options),
            )
    for reduction in ("mean", "sum", "active"):
        given = partial(losses.triplet_loss, reduction=reduction)
        yield f"triplet {reduction}", B, lambda q, k, loss=given: loss(q, k.roll(1, 0), k)
    yield "decorrelation", B, lambda q, k: losses.decorrelation_loss(torch.cat([q, k]))
    yield "matryoshka", B, lambda q, k: losses.matryoshka_loss(losses.infonce_loss, q, k, [2, 4])
    yield "grad cache", B, grad_cached


def logit_losses() -> Iterator[tuple[str, Callable]]:
    """Yield functions of logits or cosines; only InfoNCE takes -inf, as a masked logit."""
    for mining, kind in product(("all", "semi_hard", "hard"), KINDS):
        yield f"mine {mining}", partial(losses.mine_triplets, mining=mining)
        yield (
            f"gradient {mining}",
            partial(losses.triplet_cosine_gradient, mining=mining, direction=kind),
        )
        yield f"infonce gradient {kind}", partial(losses.infonce_logit_gradient, direction=kind)
    yield "sigmoid gradient", losses.sigmoid_logit_gradient
    yield "infonce of logits", losses.infonce_of_logits


def shown(function: Callable, *arguments) -> bool:
    try:
        return bool(torch.isnan(function(*arguments).float()).any())
    except RetrievalInputError:
        return True


def test_every_loss_shows_embeddings_that_are_not_finite():
    hidden = []
    for name, m, loss in pair_losses():
        query, key = batch(m)
        assert torch.isfinite(loss(query, key)), name
        for how, spoil in spoilt():
            hidden += [f"{name}: queries, {how}"] * (not shown(loss, spoil(query), key))
            hidden += [f"{name}: keys, {how}"] * (not shown(loss, query, spoil(key)))
    assert hidden == []


def test_what_reads_logits_shows_them_as_well():
    logits = torch.randn(B, B, generator=torch.Generator().manual_seed(1))
    hidden = [
        f"{name}: {how}"
        for name, loss in logit_losses()
        for how, spoil in spoilt()
        if not (name == "infonce of logits" and "-inf" in how) and not shown(loss, spoil(logits))
    ]
    assert hidden == []


def test_scales_biases_and_margins_that_are_not_finite_are_refused():
    query, key = batch()
    taken = []
    for value in (torch.nan, torch.inf, torch.tensor(torch.nan)):
        for name, call in {
            "temperature": lambda v: losses.infonce_loss(query, key, v),
            "scale": lambda v: losses.mnr_loss(query, key, scale=v),
            "bias": lambda v: losses.sigmoid_loss(query, key, bias=v),
            "margin": lambda v: losses.mined_triplet_loss(query, key, v),
            "init": lambda v: losses.LogitScale(v),
            "bias init": lambda v: losses.LogitBias(v),
        }.items():
            try:
                call(value)
                taken.append(f"{name} = {value}")
            except RetrievalInputError:
                pass
    assert taken == []
