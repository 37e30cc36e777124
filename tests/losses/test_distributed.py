"""Losses over two and three gloo processes equal the full batch in one; wrong gathers do not.

Three processes, because between two the next and the previous neighbour are the same.
"""

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from open_clip.loss import ClipLoss, SigLipLoss
from torch import nn

from lib.core.checks import RetrievalInputError
from lib.losses import (
    average_gradients,
    distributed_infonce_loss,
    distributed_mnr_loss,
    distributed_sigmoid_loss,
    gather_own_first,
    grad_cache_step,
    infonce_loss,
    mnr_loss,
    sigmoid_loss,
)
from lib.losses.distributed import _shift, pass_to_next, rank_and_world
from lib.losses.distributed_check import (
    CASES,
    compare_with_one_process,
    differences,
    full_batch,
    main,
    own_rows,
    run_processes,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not dist.is_available() or not dist.is_gloo_available(), reason="no gloo here"
    ),
]


def full_infonce(q, k, ids, t, b):
    return infonce_loss(q, k, t, direction="both")


def full_sigmoid(q, k, ids, t, b):
    return sigmoid_loss(q, k, t, b)


# ---- peers that are right, and what is wrong in ways that were published


def open_clip(local_loss, gather_with_grad):
    def loss(q, k, ids, t, b):
        rank, world = rank_and_world()
        peer = ClipLoss(local_loss, gather_with_grad, rank=rank, world_size=world)
        return peer(q, k, 1 / t)

    return loss


def open_clip_sigmoid(q, k, ids, t, b):
    rank, world = rank_and_world()
    return SigLipLoss(rank=rank, world_size=world)(q, k, 1 / t, b)


PEERS = {
    "ClipLoss, local, with gradient": (open_clip(True, True), full_infonce),
    "ClipLoss, global, with gradient": (open_clip(False, True), full_infonce),
    "SigLipLoss": (open_clip_sigmoid, full_sigmoid),
}


def gather_without_gradient(q, k, ids, t, b):
    others = gather_own_first(k.detach())[len(k) :]
    return infonce_loss(q, torch.cat([k, others]), t)


def round_the_ring(move):
    def loss(q, k, ids, t, b):
        total, keys = sigmoid_loss(q, k, t, b), k
        for _ in range(rank_and_world()[1] - 1):
            keys = move(keys)
            total = total + F.softplus(q @ keys.T / t + b).sum() / len(q)
        return total

    return loss


class WrongWayBack(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows):
        return _shift(rows, 1)

    @staticmethod
    def backward(ctx, gradient):
        return _shift(gradient, 1)


BUGS = {
    "each process alone": (lambda q, k, ids, t, b: full_infonce(q, k, ids, t, b), full_infonce),
    "a gather without gradient": (
        gather_without_gradient,
        lambda q, k, ids, t, b: infonce_loss(q, k, t),
    ),
    "open_clip's default": (open_clip(False, False), full_infonce),
    "open_clip, local, without gradient": (open_clip(True, False), full_infonce),
    "the gathered loss times the number of processes": (
        lambda q, k, ids, t, b: (
            distributed_infonce_loss(q, k, t, direction="both") * rank_and_world()[1]
        ),
        full_infonce,
    ),
    "duplicates known within a process only": (
        lambda q, k, ids, t, b: distributed_infonce_loss(
            q, k, t, ids=ids + 100 * rank_and_world()[0]
        ),
        lambda q, k, ids, t, b: infonce_loss(q, k, t, same=ids[:, None] == ids),
    ),
    "a ring without gradient": (round_the_ring(lambda k: pass_to_next(k.detach())), full_sigmoid),
}
# The forms with which the bugs are planted, right: what the tests below catch is the bug alone.
HONEST = {
    "a ring by hand": (round_the_ring(pass_to_next), full_sigmoid),
    "the wrong way back, between two": (round_the_ring(WrongWayBack.apply), full_sigmoid),
}


# ---- what each process does


def cached_in_chunks():
    """GradCache over processes, gradients averaged by hand, against the full batch in one graph."""
    towers, batch = full_batch(5)
    reference, _ = full_batch(5)
    expected = reference(full_infonce, *batch)
    expected.backward()

    def loss(q, k):
        return distributed_infonce_loss(q, k, (-towers.log_scale).exp(), direction="both")

    encoders = [
        lambda x: F.normalize(towers.query(x), dim=1),
        lambda x: F.normalize(towers.key(x), dim=1),
    ]
    share = grad_cache_step(encoders, own_rows(batch)[:2], loss, chunk_size=2)
    average_gradients(towers.parameters())
    dist.all_reduce(share)
    found = {"loss": (share / rank_and_world()[1] - expected).abs().item()}
    for (name, parameter), right in zip(towers.named_parameters(), reference.parameters()):
        found[name] = (parameter.grad - right.grad).abs().max().item()
    return found


def wrapped_in_chunks():
    """GradCache through DistributedDataParallel, one exchange of gradients for each encoder."""
    towers, batch = full_batch(5)
    reference, _ = full_batch(5)
    reference(full_infonce, *batch).backward()
    exchanges = []

    def count(_, bucket):
        exchanges.append(bucket.buffer().numel())
        future = dist.all_reduce(bucket.buffer() / rank_and_world()[1], async_op=True).get_future()
        return future.then(lambda done: done.value()[0])

    encoders = [nn.parallel.DistributedDataParallel(part) for part in (towers.query, towers.key)]
    for encoder in encoders:
        encoder.register_comm_hook(None, count)

    def loss(q, k):
        q, k = F.normalize(q, dim=1), F.normalize(k, dim=1)
        return distributed_infonce_loss(q, k, (-towers.log_scale).exp(), direction="both")

    grad_cache_step(encoders, own_rows(batch)[:2], loss, chunk_size=2)
    average_gradients([towers.log_scale])
    found = {"exchanges": len(exchanges)}
    for (name, parameter), right in zip(towers.named_parameters(), reference.parameters()):
        if name != "bias":
            found[name] = (parameter.grad - right.grad).abs().max().item()
    return found


def refusal(call):
    try:
        call()
    except RetrievalInputError as error:
        return str(error)
    return ""


def uneven():
    rank, _ = rank_and_world()
    rows = F.normalize(torch.ones(4 + (rank == 0), 3), dim=1)
    return {
        "infonce": refusal(lambda: distributed_infonce_loss(rows, rows)),
        "mnr": refusal(lambda: distributed_mnr_loss(rows, rows)),
        "sigmoid": refusal(lambda: distributed_sigmoid_loss(rows, rows)),
    }


def collectives():
    rank, world = rank_and_world()
    rows = torch.full((2, 1), float(rank), requires_grad=True)
    gathered = gather_own_first(rows)
    # In process r the gradient of the row at place j is 10 r + j; each row gets the sum.
    (gathered[:, 0] * (10.0 * rank + torch.arange(2 * world))).sum().backward()
    half = torch.ones(2, 1, dtype=torch.bfloat16)
    return {
        "order": gathered[::2, 0].tolist(),
        "gradient": rows.grad[:, 0].tolist(),
        "next": pass_to_next(rows.detach())[0, 0].item(),
        "half": str(gather_own_first(half).dtype),
        "ids": str(gather_own_first(torch.arange(2)).dtype),
    }


def results_of_a_process():
    found = {
        name: differences(*losses)
        for table in (CASES, PEERS, BUGS, HONEST)
        for name, losses in table.items()
    }
    found |= {"in chunks": cached_in_chunks(), "uneven": uneven(), "collectives": collectives()}
    return found | {"in chunks, wrapped": wrapped_in_chunks()}


@pytest.fixture(scope="module", params=[2, 3], ids=["two", "three"])
def by_rank(request):
    """Results of the processes, one dict a rank."""
    return run_processes(results_of_a_process, request.param)


def largest(found):
    return max(value for name, value in found.items() if name != "value")


# ---- tests


@pytest.mark.parametrize("name", [*CASES, "in chunks"])
def test_loss_and_gradient_equal_the_full_batch_in_one_process(by_rank, name):
    for found in by_rank:
        assert "log_scale" in found[name] and "query.weight" in found[name]
        assert largest(found[name]) < 1e-12


def test_chunks_through_ddp_exchange_gradients_once(by_rank):
    for found in by_rank:
        assert found["in chunks, wrapped"].pop("exchanges") == 2  # query and key encoder
        assert largest(found["in chunks, wrapped"]) < 1e-12


def test_comparison_with_one_process_counts_the_bytes_received():
    names, world, b, d = ["InfoNCE, query to key", "InfoNCE, both", "sigmoid"], 2, 4, 3
    rows = compare_with_one_process(names, ranks=world, n_per_process=b, dim=d)
    assert [row["loss"] for row in rows] == names
    assert all(max(row["loss_difference"], row["gradient_difference"]) < 1e-12 for row in rows)
    # One block of float64 keys from each other process, and its gradients back.
    block = 2 * (world - 1) * b * d * 8
    assert [row["gathered_bytes"] for row in rows] == [block, 2 * block, 0]
    assert [row["neighbour_bytes"] for row in rows] == [0, 0, block]
    with pytest.raises(RetrievalInputError, match="n_per_process must be at least 2, got 1"):
        compare_with_one_process(n_per_process=1)


@pytest.mark.parametrize("name", PEERS)
def test_open_clip_agrees_with_the_same_reference(by_rank, name):
    assert largest(by_rank[0][name]) < 1e-12


@pytest.mark.parametrize("name", BUGS)
def test_planted_bugs_are_caught(by_rank, name):
    assert largest(by_rank[0][name]) > 1e-3


@pytest.mark.parametrize(
    "name",
    ["a gather without gradient", "open_clip's default", "open_clip, local, without gradient"],
)
def test_a_lost_gradient_does_not_show_in_the_loss_nor_in_the_temperature(by_rank, name):
    found = by_rank[0][name]
    assert max(found["loss"], found["log_scale"]) < 1e-12 < 1e-3 < found["key.weight"]


def test_the_ring_must_send_gradients_back_the_way_they_came(by_rank):
    assert largest(by_rank[0]["a ring by hand"]) < 1e-12
    wrong_way = largest(by_rank[0]["the wrong way back, between two"])
    assert wrong_way < 1e-12 if len(by_rank) == 2 else wrong_way > 1e-3


def test_uneven_batches_are_refused_by_every_process(by_rank):
    shapes = [(5, 3)] + [(4, 3)] * (len(by_rank) - 1)
    for found in by_rank:
        for message in found["uneven"].values():
            assert f"the same shape in every process, got {shapes} by rank" in message


def test_gathered_rows_come_own_first_and_their_gradients_go_home(by_rank):
    world = len(by_rank)
    for rank, found in enumerate(by_rank):
        assert found["collectives"]["order"] == [(rank + step) % world for step in range(world)]
        # At process s the rows of process r stand at place 2 ((r - s) mod W).
        gradient = sum(10 * s + 2 * ((rank - s) % world) for s in range(world))
        assert found["collectives"]["gradient"] == [gradient, gradient + world]
        assert found["collectives"]["next"] == (rank - 1) % world
        assert found["collectives"]["half"] == "torch.float32"
        assert found["collectives"]["ids"] == "torch.int64"


# ---- one process, no group


def one_process_batch():
    generator = torch.Generator().manual_seed(0)
    return (
        F.normalize(torch.randn(6, 4, generator=generator), dim=1).requires_grad_()
        for _ in range(3)
    )


def test_without_a_process_group_each_is_the_plain_loss():
    query, key, negatives = one_process_batch()
    ids = torch.tensor([0, 1, 2, 3, 0, 1])
    same = ids[:, None] == ids
    pairs = [
        (distributed_infonce_loss(query, key), infonce_loss(query, key)),
        (
            distributed_infonce_loss(query, key, 0.2, direction="both", ids=ids),
            infonce_loss(query, key, 0.2, direction="both", same=same),
        ),
        (distributed_mnr_loss(query, key), mnr_loss(query, key)),
        (distributed_mnr_loss(query, key, negatives, 10.0), mnr_loss(query, key, negatives, 10.0)),
        (distributed_sigmoid_loss(query, key), sigmoid_loss(query, key)),
        (distributed_sigmoid_loss(query, key, ids=ids), sigmoid_loss(query, key, positives=same)),
    ]
    for found, expected in pairs:
        torch.testing.assert_close(found, expected)
    average_gradients([query])
    assert query.grad is None and gather_own_first(key) is key


def test_refuses():
    query, key, _ = one_process_batch()
    with pytest.raises(RetrievalInputError, match="'both'; got 'symmetric'"):
        distributed_infonce_loss(query, key, direction="symmetric")
    for loss in (distributed_infonce_loss, distributed_mnr_loss, distributed_sigmoid_loss):
        with pytest.raises(RetrievalInputError, match="at least 2 pairs"):
            loss(query[:1], key[:1])
        with pytest.raises(RetrievalInputError, match="as many keys as queries"):
            loss(query[:3], key)
        with pytest.raises(RetrievalInputError, match=r"got torch.int64"):
            loss(query.long(), key.long())
    for loss in (distributed_infonce_loss, distributed_sigmoid_loss):
        with pytest.raises(
            RetrievalInputError, match=r"ids must be 6 integers, got torch.int64 \(5,\)"
        ):
            loss(query, key, ids=torch.arange(5))
        with pytest.raises(
            RetrievalInputError, match=r"ids must be 6 integers, got torch.float32 \(6,\)"
        ):
            loss(query, key, ids=torch.ones(6))
    with pytest.raises(
        RetrievalInputError, match=r"\(K, d\) or \(b, K, d\), got \(4,\) for anchors \(6, 4\)"
    ):
        distributed_mnr_loss(query, key, key[0])
    with pytest.raises(RetrievalInputError, match=r"got \(5, 1, 4\) for anchors \(6, 4\)"):
        distributed_mnr_loss(query, key, key[1:, None])  # of five anchors
    with pytest.raises(RetrievalInputError, match=r"at least one row, got shape \(0, 4\)"):
        gather_own_first(key[:0])


def test_the_check_for_torchrun(monkeypatch, capsys):
    launched = dict(
        RANK="0", WORLD_SIZE="1", LOCAL_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT="0"
    )
    for name, value in launched.items():
        monkeypatch.setenv(name, value)
    assert main() == 0
    assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()] == list(CASES)
    assert main(tolerance=-1) == 1 and not dist.is_initialized()
