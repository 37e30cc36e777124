"""Blocked losses equal those of the whole matrix, for every block size, without any matrix."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.loss import ClipLoss, SigLipLoss
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lib.core.checks import RetrievalInputError
from lib.losses import infonce_loss, matryoshka_loss, mnr_loss, sigmoid_loss
from lib.losses.blocked import LogitTiles, _softplus_sums_and_sigmoid_, blocks, on_diagonal
from tests.losses.batches import pairs

# With 5 queries: single cells, sizes that divide and that do not, the whole batch, and more than
# it.
SIZES = (1, 2, 3, 5, 8, 64)
INFONCE = [(infonce_loss, {"direction": d}) for d in ("query_to_key", "key_to_query", "both")]
SIGMOID = [(sigmoid_loss, {"reduction": reduction}) for reduction in ("per_query", "mean")]
MASKED = [(*case, masked) for case in INFONCE for masked in ("plain", "same", "positives")]
MASKED += [(*case, masked) for case in SIGMOID for masked in ("plain", "positives")]


def marked(n_queries, n_keys, seed=0):
    """Make a mask that is not symmetric and includes the diagonal."""
    cells = torch.rand(n_queries, n_keys, generator=torch.Generator().manual_seed(seed)) < 0.3
    return cells | torch.eye(n_queries, n_keys, dtype=torch.bool)


def value_and_gradients(loss, query, key, *numbers, **options):
    inputs = [torch.as_tensor(x).detach().clone().requires_grad_() for x in (query, key, *numbers)]
    value = loss(*inputs, **options)
    return value.detach(), *torch.autograd.grad(value, inputs)


def assert_equal(found, expected, tolerance):
    for mine, other in zip(found, expected, strict=True):
        assert mine.dtype == other.dtype
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance)


class Allocations(TorchDispatchMode):
    """Records the largest tensor that any operation returns, and which operations there were."""

    def __enter__(self):
        self.largest, self.calls = 0, []
        return super().__enter__()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.calls.append(function.overloadpacket.__name__)
        sizes = [x.numel() for x in tree_leaves(result) if isinstance(x, torch.Tensor)]
        self.largest = max([self.largest, *sizes])
        return result


# ---- the same as without blocks


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("loss", "options", "masked"), MASKED)
def test_loss_and_gradients_equal_those_of_the_whole_matrix(loss, options, masked, size):
    numbers = [torch.tensor(0.05, dtype=torch.float64)]
    numbers += [torch.tensor(-3.0, dtype=torch.float64)] if loss is sigmoid_loss else []
    options = options if masked == "plain" else {**options, masked: marked(5, 5)}
    expected = value_and_gradients(loss, *pairs(5), *numbers, **options)
    assert_equal(
        value_and_gradients(loss, *pairs(5), *numbers, block_size=size, **options), expected, 1e-12
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("masked", ["plain", "positives"])
@pytest.mark.parametrize("loss", [infonce_loss, sigmoid_loss])
def test_more_keys_than_queries(loss, masked, size):
    options = {} if masked == "plain" else {masked: marked(5, 12)}
    query, key = pairs(5, 12)
    expected = value_and_gradients(loss, query, key, **options)
    assert_equal(value_and_gradients(loss, query, key, block_size=size, **options), expected, 1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 20), st.integers(0, 20), st.integers(1, 24), st.integers(0, 10_000))
def test_any_shape_and_any_block(n, extra, size, seed):
    query, key = pairs(n, n + extra, seed=seed)
    for loss in (infonce_loss, sigmoid_loss):
        expected = value_and_gradients(loss, query, key)
        assert_equal(value_and_gradients(loss, query, key, block_size=size), expected, 1e-12)


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("masked", ["plain", "same", "positives"])
@pytest.mark.parametrize("direction", ["query_to_key", "key_to_query", "both"])
def test_gradcheck_of_infonce(direction, masked, size):
    query, key = (x.requires_grad_() for x in pairs(4))
    temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    options = {} if masked == "plain" else {masked: marked(4, 4)}
    assert torch.autograd.gradcheck(
        lambda q, k, t: infonce_loss(q, k, t, direction=direction, block_size=size, **options),
        (query, key, temperature),
    )


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("masked", ["plain", "positives"])
@pytest.mark.parametrize("reduction", ["per_query", "mean"])
def test_gradcheck_of_sigmoid(reduction, masked, size):
    query, key = (x.requires_grad_() for x in pairs(4, 5))
    numbers = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (0.3, -1.0)]
    options = {} if masked == "plain" else {masked: marked(4, 5)}
    assert torch.autograd.gradcheck(
        lambda q, k, t, b: sigmoid_loss(
            q, k, t, b, reduction=reduction, block_size=size, **options
        ),
        (query, key, *numbers),
    )


def test_the_other_losses_pass_it_on():
    query, key = pairs(6, dim=8)
    negatives = pairs(4, dim=8, seed=1)[0]
    torch.testing.assert_close(
        mnr_loss(query, key, negatives, block_size=4), mnr_loss(query, key, negatives)
    )
    torch.testing.assert_close(
        matryoshka_loss(infonce_loss, query, key, [4, 8], block_size=4),
        matryoshka_loss(infonce_loss, query, key, [4, 8]),
    )


# ---- peers


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_equals_open_clip_in_value_and_gradient(dtype, tolerance):
    query, key = pairs(50, dim=16, dtype=dtype)
    scale, bias = torch.tensor(1 / 0.07, dtype=dtype), torch.tensor(-4.0, dtype=dtype)
    found = value_and_gradients(
        lambda q, k, s: infonce_loss(q, k, 1 / s, direction="both", block_size=16),
        query,
        key,
        scale,
    )
    assert_equal(found, value_and_gradients(ClipLoss(), query, key, scale), tolerance)
    found = value_and_gradients(
        lambda q, k, s, b: sigmoid_loss(q, k, 1 / s, b, block_size=16), query, key, scale, bias
    )
    assert_equal(found, value_and_gradients(SigLipLoss(), query, key, scale, bias), tolerance)


# ---- memory and work


@pytest.mark.parametrize("masked", ["plain", "positives"])
@pytest.mark.parametrize(("loss", "options"), INFONCE + SIGMOID)
def test_no_operation_makes_a_whole_matrix(loss, options, masked):
    n, dim, size = 300, 4, 32  # a matrix has 90,000 cells, a tile 1,024, embeddings 1,200
    query, key = (x.requires_grad_() for x in pairs(n, dim=dim))
    options = options if masked == "plain" else {**options, masked: marked(n, n)}
    with Allocations() as plain:
        loss(query, key, **options).backward()
    with Allocations() as blocked:
        loss(query, key, block_size=size, **options).backward()
    # Tiles are views of two pieces of memory. A mask's counts, and its slices, are the caller's own
    # size.
    assert plain.largest == n * n
    assert blocked.largest <= (2 * size * size if masked == "plain" else n * n)
    assert blocked.calls.count("mm") >= math.ceil(n / size) ** 2


@pytest.mark.parametrize("loss", [infonce_loss, sigmoid_loss])
def test_without_gradients_only_the_loss_is_computed(loss):
    query, key = (x.requires_grad_() for x in pairs(8))
    with Allocations() as seen, torch.no_grad():
        value = loss(query, key, block_size=4)
    assert not value.requires_grad
    assert seen.calls.count("mm") == 4 and "addmm_" not in seen.calls


@pytest.mark.parametrize("loss", [infonce_loss, sigmoid_loss])
def test_a_frozen_side_costs_no_products(loss):
    query, key = pairs(8)
    expected = value_and_gradients(loss, query, key)
    query = query.clone().requires_grad_()
    with Allocations() as seen:
        loss(query, key, block_size=4).backward()
    torch.testing.assert_close(query.grad, expected[1])
    assert seen.calls.count("addmm_") == 4


@pytest.mark.parametrize("loss", [infonce_loss, sigmoid_loss])
def test_a_learnt_temperature_over_frozen_embeddings(loss):
    query, key = pairs(8)
    temperature = torch.tensor(0.2, dtype=torch.float64)
    expected = value_and_gradients(loss, query, key, temperature)
    temperature.requires_grad_()
    loss(query, key, temperature, block_size=3).backward()
    torch.testing.assert_close(temperature.grad, expected[3])


@pytest.mark.parametrize("loss", [infonce_loss, sigmoid_loss])
def test_backward_can_run_again_but_not_be_differentiated(loss):
    query, key = (x.requires_grad_() for x in pairs(5))
    value = loss(query, key, block_size=2)
    first = torch.autograd.grad(value, (query, key), retain_graph=True)
    again = torch.autograd.grad(3 * value, (query, key), retain_graph=True)
    torch.testing.assert_close([3 * x for x in first], list(again))
    with pytest.raises(RetrievalInputError, match="once only.*leave block_size out"):
        torch.autograd.grad(value, query, create_graph=True)
    torch.autograd.grad(loss(query, key), query, create_graph=True)


# ---- precision


@pytest.mark.parametrize(("loss", "options"), [*INFONCE, (sigmoid_loss, {"bias": -10.0})])
def test_float32_at_scale_100_is_as_good_as_without_blocks(loss, options):
    query, key = pairs(200, dim=16, dtype=torch.float32)
    exact = value_and_gradients(loss, query.double(), key.double(), 0.01, **options)
    for block_size in (None, 64):
        found = value_and_gradients(loss, query, key, 0.01, block_size=block_size, **options)
        assert found[0].item() == pytest.approx(exact[0].item(), rel=1e-6)
        for mine, right in zip(found[1:3], exact[1:3]):
            assert (mine.double() - right).norm() < 3e-6 * right.norm()


@pytest.mark.parametrize("loss", [infonce_loss, sigmoid_loss])
def test_opposite_embeddings_at_a_huge_scale_stay_finite(loss):
    eye = torch.eye(4)
    for key in (eye, -eye):
        plain = value_and_gradients(loss, eye, key, 1e-3)
        assert all(torch.isfinite(x).all() for x in plain)
        assert_equal(value_and_gradients(loss, eye, key, 1e-3, block_size=2), plain, 1e-6)


@pytest.mark.parametrize("loss", [infonce_loss, sigmoid_loss])
def test_half_precision_and_autocast_are_computed_in_float32(loss):
    query, key = pairs(8, dim=4, dtype=torch.float32)
    half = query.bfloat16().requires_grad_(), key.half().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(*half, 0.01, block_size=3)
        value.backward()
    wide = value_and_gradients(loss, half[0].float(), half[1].float(), 0.01)
    assert value.dtype == torch.float32 and half[0].grad.dtype == torch.bfloat16
    torch.testing.assert_close(value.detach(), wide[0], rtol=1e-6, atol=0)
    torch.testing.assert_close(half[1].grad, wide[2].half())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_softplus_keeps_its_digits_everywhere(dtype):
    x = torch.tensor(
        [-700, -80, -30, -10, -5, -1, -1e-3, 0, 1e-3, 1, 5, 12, 20, 80, 700], dtype=dtype
    )
    rows = x[:, None].clone()
    found = _softplus_sums_and_sigmoid_(rows, torch.empty_like(rows))
    # 1e-38 is where float32 has no more normal numbers; a loss that small is 0.
    expected = torch.from_numpy(np.logaddexp(0, x.double().numpy()))
    rtol = 1e-6 if dtype == torch.float32 else 1e-13
    torch.testing.assert_close(found.double(), expected, rtol=rtol, atol=1e-38)
    torch.testing.assert_close(rows[:, 0], x.sigmoid())


# ---- pieces


def test_blocks_cover_the_range_once():
    assert [range(10)[b] for b in blocks(10, 4)] == [range(4), range(4, 8), range(8, 10)]
    assert blocks(3, 8) == [slice(0, 3)]


def test_tiles_make_the_matrix_and_share_their_memory():
    query, key = pairs(5, 7)
    tiles = LogitTiles(query, key, torch.tensor(2.0), 3, torch.tensor(-1.0))
    whole = torch.empty(5, 7, dtype=torch.float64)
    places = set()
    for r in tiles.row_blocks:
        for c in tiles.column_blocks:
            whole[r, c] = tile = tiles(r, c)
            places.add(tile.data_ptr())
            assert on_diagonal(r, c) == bool(torch.eye(5, 7)[r, c].any())
    torch.testing.assert_close(whole, 2 * query @ key.T - 1)
    assert len(places) == 1


@pytest.mark.parametrize("loss", [infonce_loss, sigmoid_loss, mnr_loss])
@pytest.mark.parametrize("size", [0, -4, 2.5, True])
def test_refuses_a_block_size_below_1_or_not_whole(loss, size):
    with pytest.raises(RetrievalInputError, match=f"block_size must be .*got {size}"):
        loss(*pairs(5), block_size=size)


def test_refuses_what_the_whole_matrix_refuses():
    query, key = pairs(5)
    nothing = torch.zeros(5, 5, dtype=torch.bool)
    for loss in (infonce_loss, sigmoid_loss):
        with pytest.raises(RetrievalInputError, match="nothing as right for query 0"):
            loss(query, key, positives=nothing, block_size=2)
        with pytest.raises(RetrievalInputError, match="at least 2 pairs"):
            loss(query[:1], key, block_size=2)
        with pytest.raises(RetrievalInputError, match="temperature must be positive"):
            loss(query, key, 0.0, block_size=2)
