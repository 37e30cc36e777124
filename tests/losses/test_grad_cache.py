"""Gradient caching equals one graph over the whole batch; wrong forms are caught."""

import contextlib
import weakref
from collections import namedtuple

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib.core.checks import RetrievalInputError
from lib.losses import grad_cache_step, infonce_loss, mined_triplet_loss

CHUNKS = [1, 3, 4, 12, 50]
N = 12


class Tower(nn.Module):
    def __init__(self, width=5, dropout=0.0):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, 7), nn.Tanh(), nn.Dropout(dropout), nn.Linear(7, 4)
        )

    def forward(self, x):
        return F.normalize(self.layers(x), dim=-1)


class Pair(nn.Module):
    """Two towers and a learnt temperature, in float64 by default."""

    def __init__(self, dropout=0.0, dtype=torch.float64):
        super().__init__()
        self.query, self.key = Tower(5, dropout), Tower(6, dropout)
        self.log_scale = nn.Parameter(torch.tensor(2.0))
        self.to(dtype)

    def loss(self, query_emb, key_emb):
        return infonce_loss(query_emb, key_emb, (-self.log_scale).exp(), direction="both")

    def gradients(self):
        return {name: p.grad.clone() for name, p in self.named_parameters() if p.grad is not None}


def case(dropout=0.0, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    return Pair(dropout, dtype), [torch.randn(N, 5, dtype=dtype), torch.randn(N, 6, dtype=dtype)]


def one_graph(model, inputs, chunk_size=N, seed=7):
    """All chunks embedded in order, one graph over everything, one backward pass."""
    torch.manual_seed(seed)
    query, key = (
        torch.cat([tower(part) for part in batch.split(chunk_size)])
        for tower, batch in zip((model.query, model.key), inputs)
    )
    loss = model.loss(query, key)
    model.zero_grad()
    loss.backward()
    return loss.detach(), model.gradients(), torch.get_rng_state()


def chunked(model, inputs, chunk_size, seed=7, loss=None):
    torch.manual_seed(seed)
    model.zero_grad()
    value = grad_cache_step(
        [model.query, model.key], inputs, loss or model.loss, chunk_size=chunk_size
    )
    return value, model.gradients(), torch.get_rng_state()


def assert_gradients_equal(found, expected, tolerance):
    assert found.keys() == expected.keys() and "log_scale" in found
    for name in expected:
        torch.testing.assert_close(
            found[name], expected[name], rtol=0, atol=tolerance, msg=lambda m, n=name: n + m
        )


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("chunk_size", CHUNKS)
def test_equals_the_full_batch(chunk_size, dtype, tolerance):
    model, inputs = case(dtype=dtype)
    expected, gradients, _ = one_graph(model, inputs)
    found, by_chunk, _ = chunked(model, inputs, chunk_size)
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)
    assert_gradients_equal(by_chunk, gradients, tolerance)


@pytest.mark.parametrize("chunk_size", CHUNKS)
def test_dropout_is_the_same_in_both_passes(chunk_size):
    model, inputs = case(dropout=0.5)
    expected, gradients, state = one_graph(model, inputs, chunk_size)
    found, by_chunk, after = chunked(model, inputs, chunk_size)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert_gradients_equal(by_chunk, gradients, 1e-12)
    assert after.equal(state)  # what is drawn next does not depend on the chunks


def test_random_numbers_in_the_loss_are_drawn_once():
    model, inputs = case(dropout=0.5)

    plain = model.loss
    model.loss = lambda query, key: plain(
        query, F.normalize(key + 0.1 * torch.randn_like(key), dim=1)
    )
    found, by_chunk, after = chunked(model, inputs, 5)
    expected, gradients, state = one_graph(model, inputs, 5)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert_gradients_equal(by_chunk, gradients, 1e-12)
    assert after.equal(state)


def test_gradients_add_up_over_calls():
    model, inputs = case()
    _, once, _ = chunked(model, inputs, 5)
    grad_cache_step([model.query, model.key], inputs, model.loss, chunk_size=5)
    assert_gradients_equal(model.gradients(), {name: 2 * g for name, g in once.items()}, 1e-12)


def test_a_shared_encoder_gets_both_shares():
    torch.manual_seed(0)
    tower = Tower().double()
    inputs = [torch.randn(N, 5).double(), torch.randn(N, 5).double()]
    infonce_loss(tower(inputs[0]), tower(inputs[1])).backward()
    expected = [p.grad.clone() for p in tower.parameters()]
    tower.zero_grad()
    grad_cache_step([tower, tower], inputs, infonce_loss, chunk_size=5)
    for parameter, gradient in zip(tower.parameters(), expected):
        torch.testing.assert_close(parameter.grad, gradient, rtol=0, atol=1e-12)


def test_inputs_may_be_dicts_and_tuples_and_differ_in_rows():
    model, (query, key) = case()
    more = torch.cat([key, key.flip(0)])  # twice as many keys: the second half are negatives
    encoders = [lambda batch: model.query(batch["x"]), lambda batch: model.key(batch[0] * batch[1])]

    def loss(query_emb, key_emb):
        return infonce_loss(query_emb, key_emb, (-model.log_scale).exp())

    ones = torch.ones(2 * N, 1, dtype=torch.float64)
    loss(model.query(query), model.key(more)).backward()
    expected = model.gradients()
    model.zero_grad()
    grad_cache_step(encoders, [{"x": query}, (more, ones)], loss, chunk_size=5)
    assert_gradients_equal(model.gradients(), expected, 1e-12)


def test_a_named_tuple_of_tensors_is_an_input():
    Batch = namedtuple("Batch", ["words", "mask"])
    model, (query, _) = case()
    batch = Batch(query, torch.ones(len(query), 1))
    sums = []
    for chunk_size in (4, len(query)):
        model.zero_grad()
        grad_cache_step(
            [lambda part: model.query(part.words) * part.mask],
            [batch],
            torch.sum,
            chunk_size=chunk_size,
        )
        sums.append([weight.grad.clone() for weight in model.query.parameters()])
    torch.testing.assert_close(*sums)


def test_a_frozen_encoder_stays_frozen():
    model, inputs = case()
    model.key.requires_grad_(False)
    _, expected, _ = one_graph(model, inputs)
    _, found, _ = chunked(model, inputs, 5)
    assert not any(name.startswith("key") for name in found)
    assert_gradients_equal(found, expected, 1e-12)


def test_a_solved_loss_leaves_gradients_of_zero():
    eye = torch.eye(4)
    towers = [nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)]
    for tower in towers:
        tower.weight.data = torch.eye(4)
    assert grad_cache_step(towers, [eye, eye], mined_triplet_loss, chunk_size=2) == 0
    assert all(not tower.weight.grad.any() for tower in towers)


def test_works_where_gradients_are_off():
    model, inputs = case()
    _, expected, _ = one_graph(model, inputs)
    with torch.no_grad():
        _, found, _ = chunked(model, inputs, 5)
    assert_gradients_equal(found, expected, 1e-12)


def test_autocast_keeps_every_gradient():
    model, inputs = case(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected, gradients, _ = one_graph(model, inputs)
        found, by_chunk, _ = chunked(model, inputs, 5)
    torch.testing.assert_close(found, expected)
    assert_gradients_equal(by_chunk, gradients, 1e-2)  # sums of bfloat16 products, in another order
    assert all(gradient.any() for gradient in by_chunk.values())


# ---- processes and float16


class CountsSyncs(nn.Module):
    """Module like DistributedDataParallel that logs which passes exchange gradients."""

    def __init__(self, module):
        super().__init__()
        self.module, self.syncing, self.log = module, True, []

    @contextlib.contextmanager
    def no_sync(self):
        self.syncing = False
        yield
        self.syncing = True

    def forward(self, x):
        out = self.module(x)
        if torch.is_grad_enabled():
            syncs = self.syncing
            out.register_hook(lambda gradient: self.log.append((syncs, self.syncing)))
        return out


def test_gradients_are_exchanged_in_the_last_chunk_only():
    model, inputs = case()
    _, expected, _ = one_graph(model, inputs)
    query, key = CountsSyncs(model.query), CountsSyncs(model.key)
    model.zero_grad()
    grad_cache_step([query, key.forward], inputs, model.loss, chunk_size=5)
    assert_gradients_equal(model.gradients(), expected, 1e-12)
    # Forward and backward pass of a chunk are in the same state.
    assert query.log == key.log == [(False, False), (False, False), (True, True)]


def test_a_shared_encoder_exchanges_once():
    tower = CountsSyncs(Tower().double())
    inputs = [torch.randn(N, 5).double(), torch.randn(N, 5).double()]
    grad_cache_step([tower, tower], inputs, infonce_loss, chunk_size=6)
    assert tower.log == [(False, False)] * 3 + [(True, True)]
    tower.log.clear()
    fixed = F.normalize(torch.randn(N, 4).double(), dim=1)
    grad_cache_step([tower, tower], inputs, lambda q, k: infonce_loss(q, fixed), chunk_size=6)
    assert tower.log == [(False, False), (True, True)]  # only the first has a gradient


def test_a_scaler_multiplies_every_gradient_and_not_the_returned_loss():
    model, inputs = case(dtype=torch.float32)
    loss, expected, _ = one_graph(model, inputs)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.zero_grad()
    found = grad_cache_step(
        [model.query, model.key], inputs, model.loss, chunk_size=5, scaler=scaler
    )
    torch.testing.assert_close(found, loss)
    scaled = {name: 1024 * gradient for name, gradient in expected.items()}
    assert_gradients_equal(model.gradients(), scaled, 1e-3)
    scaler.unscale_(optimizer)
    assert_gradients_equal(model.gradients(), expected, 1e-6)
    scaler.step(optimizer)
    scaler.update()


# ---- memory


class Saved:
    """Wrapper of a saved tensor that a weak reference can watch."""

    def __init__(self, tensor):
        self.tensor = tensor


def test_one_chunk_of_activations_is_alive_at_a_time():
    model, inputs = case()
    alive, rows_with_graph = weakref.WeakSet(), []

    def keep(tensor):
        saved = Saved(tensor)
        alive.add(saved)
        return saved

    def watched(tower):
        def encode(x):
            assert not alive, "the graph of an earlier chunk is still held"
            if torch.is_grad_enabled():
                rows_with_graph.append(len(x))
            out = tower(x)
            assert bool(alive) == torch.is_grad_enabled()
            return out

        return encode

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved.tensor):
        grad_cache_step(
            [watched(model.query), watched(model.key)], inputs, model.loss, chunk_size=5
        )
    assert rows_with_graph == [5, 5, 2, 5, 5, 2]


def test_the_loss_sees_the_whole_batch_once():
    model, inputs = case()
    seen = []
    chunked(
        model, inputs, 5, loss=lambda q, k: (seen.append((q.shape, k.shape)), model.loss(q, k))[1]
    )
    assert seen == [((N, 4), (N, 4))]


# ---- planted bugs: each fails what the step passes


def accumulate(model, inputs, chunk_size):
    """Average the losses of small batches."""
    parts = list(zip(*(batch.split(chunk_size) for batch in inputs)))
    for query, key in parts:
        (model.loss(model.query(query), model.key(key)) / len(parts)).backward()


def loss_for_every_chunk(model, inputs, chunk_size):
    """Cached features, and the full loss again for each chunk that is encoded with a graph."""
    with torch.no_grad():
        cached = [
            [tower(x) for x in b.split(chunk_size)]
            for tower, b in zip((model.query, model.key), inputs)
        ]
    for i in range(len(cached[0])):
        fresh = [
            tower(b.split(chunk_size)[i]) for tower, b in zip((model.query, model.key), inputs)
        ]
        mixed = [torch.cat([*c[:i], f, *c[i + 1 :]]) for c, f in zip(cached, fresh)]
        model.loss(*mixed).backward()


def without_the_random_state(model, inputs, chunk_size):
    leaves = []
    with torch.no_grad():
        for tower, batch in zip((model.query, model.key), inputs):
            leaves.append(torch.cat([tower(x) for x in batch.split(chunk_size)]).requires_grad_())
    with torch.enable_grad():
        model.loss(*leaves).backward()
    for tower, batch, leaf in zip((model.query, model.key), inputs, leaves):
        for x, gradient in zip(batch.split(chunk_size), leaf.grad.split(chunk_size)):
            tower(x).backward(gradient)


@pytest.mark.parametrize("bug", [accumulate, loss_for_every_chunk, without_the_random_state])
def test_planted_bugs_are_caught(bug):
    model, inputs = case(dropout=0.5)
    _, expected, _ = one_graph(model, inputs, 4)
    torch.manual_seed(7)
    model.zero_grad()
    bug(model, inputs, 4)
    with pytest.raises(AssertionError, match="not close"):
        assert_gradients_equal(model.gradients(), expected, 1e-6)


def test_the_loss_for_every_chunk_counts_the_temperature_once_a_chunk():
    model, inputs = case()
    _, expected, _ = one_graph(model, inputs)
    model.zero_grad()
    loss_for_every_chunk(model, inputs, 4)
    found = model.gradients()
    torch.testing.assert_close(found["log_scale"], 3 * expected["log_scale"])
    torch.testing.assert_close(found["query.layers.0.weight"], expected["query.layers.0.weight"])


# ---- bad input


def test_refuses():
    model, (query, key) = case()
    towers = [model.query, model.key]
    with pytest.raises(RetrievalInputError, match="2 encoders need as many inputs, got 1"):
        grad_cache_step(towers, [query], model.loss, chunk_size=4)
    with pytest.raises(
        RetrievalInputError, match="lists or tuples, one input each, got Sequential and list"
    ):
        grad_cache_step(nn.Sequential(*towers), [query, key], model.loss, chunk_size=4)
    with pytest.raises(RetrievalInputError, match="chunk_size must be at least 1, got 0"):
        grad_cache_step(towers, [query, key], model.loss, chunk_size=0)
    with pytest.raises(
        RetrievalInputError, match=r"same number of rows, at least 1; got \[\(12, 5\), \(3, 5\)\]"
    ):
        grad_cache_step(towers, [(query, query[:3]), key], model.loss, chunk_size=4)
    with pytest.raises(
        RetrievalInputError, match=r"same number of rows, at least 1; got \[\(0, 5\)\]"
    ):
        grad_cache_step(towers, [query[:0], key], model.loss, chunk_size=4)
    with pytest.raises(RetrievalInputError, match="lists, tuples or dicts of them, got 'a photo'"):
        grad_cache_step(towers, [query, ["a photo"]], model.loss, chunk_size=4)
    with pytest.raises(
        RetrievalInputError, match=r"must return \(rows, d\), got \(4,\) for 4 rows"
    ):
        grad_cache_step(
            [lambda x: model.query(x).sum(1), model.key], [query, key], model.loss, chunk_size=4
        )
    with pytest.raises(
        RetrievalInputError, match=r"loss_fn must return a 0-d tensor, got \(12, 4\)"
    ):
        grad_cache_step(towers, [query, key], lambda q, k: q * k, chunk_size=4)
    for without_gradient in (lambda q, k: (q * k).sum().detach(), lambda q, k: torch.tensor(1.0)):
        with pytest.raises(RetrievalInputError, match="must return a loss with a gradient"):
            grad_cache_step(towers, [query, key], without_gradient, chunk_size=4)
    with pytest.raises(RetrievalInputError, match="one dimension for all chunks, got 4 and 2"):
        grad_cache_step([lambda x: x[:, : len(x)]], [query[:6]], torch.sum, chunk_size=4)


def test_refuses_batch_norm_in_training_mode():
    x = torch.randn(8, 5)
    tower = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4))
    for encoder in (tower, tower.forward):
        with pytest.raises(RetrievalInputError, match="batch norm '1' is in training mode"):
            grad_cache_step([encoder, encoder], [x, x], infonce_loss, chunk_size=4)
    grad_cache_step([tower.eval(), tower], [x, x], infonce_loss, chunk_size=4)
