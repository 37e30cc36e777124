"""Measure the cost of contrastive losses, forward and backward, ours and in three libraries."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lib.core.checks import RetrievalInputError, check_choices, check_count, check_number
from lib.studies.peers.harness import Arrays, CostTable, Job, Progress, random_unit_rows

BATCH_SIZES = (1024, 2048, 4096, 8192, 16384, 32768)
SCALE, BIAS = 1 / 0.07, -10.0
BLOCK = 1024
WARM_UP = 64  # pairs
SHOWN = (
    "loss batch_size:, system seconds:.3f fastest_s:.3f slowest_s:.3f memory_mb:,.0f"
    " of_peer_seconds:.2f of_peer_memory:.3f difference:.0e repeats note"
)


@dataclass(frozen=True)
class LossJob(Job):
    """One implementation of one loss.

    Args:
        loss: name of the loss; implementations of one loss are compared with each other.
        bytes_at: measured need of memory for B pairs; what cannot fit is not tried.
        growth: seconds grow with B to this power.
    """

    loss: str = ""
    bytes_at: Callable[[int], float] = lambda batch_size: 0.0
    growth: int = 2


def loss_cost_table(
    batch_sizes: Sequence[int] = BATCH_SIZES,
    *,
    dim: int = 512,
    repeats: int = 5,
    limit_s: float = 120.0,
    memory_bytes: float | None = None,
    systems: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress = lambda key, done, total: None,
) -> list[dict]:
    """Measure seconds and peak memory of each loss with all its gradients, float32.

    Seconds include the page faults of large temporaries. Memory includes the gradients of both
    embeddings, 8 B d bytes, which every implementation needs. Embeddings are random unit vectors:
    the cost does not depend on them.

    Args:
        batch_sizes: B, pairs per batch; measured in ascending order.
        dim: d of the embeddings.
        repeats: timed runs of each; fewer where they would take longer than `limit_s` together.
        limit_s: longest that a single run may take. A size that would take longer, by the growth
            from the size before, is left out; a run of three times as long is stopped.
        memory_bytes: need up to which a system is tried; by default 80% of what is free now.
        systems: names in `JOBS`; all by default. The peer of each loss is the unit of its ratios.
        seed: seed of the embeddings.
        progress: as for `CostTable`.
    """
    chosen = list(JOBS) if systems is None else check_choices(systems, JOBS, "system")
    sizes = sorted({check_count(size, "batch size") for size in batch_sizes})
    check_count(repeats, "repeats")
    check_count(dim, "dim", most=65_536)
    check_number(limit_s, "limit_s", 0, above=True)
    memory_bytes = 0.8 * free_bytes() if memory_bytes is None else memory_bytes
    peers_first = sorted(chosen, key=lambda name: name not in PEER.values())
    table = CostTable(__name__, len(sizes) * len(chosen), progress)
    last: dict[str, tuple[int, float]] = {}  # batch size and seconds of the last measurement
    for size in sizes:
        arrays = loss_inputs(size, dim, seed)
        for name in peers_first:
            job, expected = JOBS[name], None
            if name in last:
                last_size, last_seconds = last[name]
                expected = last_seconds * (size / last_size) ** job.growth
            affordable = max(1, min(repeats, int(limit_s / expected))) if expected else repeats
            row = table.measure(
                name,
                arrays,
                {"loss": job.loss, "batch_size": size, "dim": dim, "system": name},
                peer=PEER[job.loss],
                repeats=affordable,
                limit_s=3 * limit_s,
                left_out=_reason_to_skip(job, size, expected, limit_s, memory_bytes),
            )
            if row["seconds"] is not None:
                last[name] = size, row["seconds"]
    losses, names = list(PEER), list(JOBS)
    return sorted(
        table.rows,
        key=lambda row: (
            losses.index(row["loss"]),
            row["batch_size"],
            names.index(row["system"]),
        ),
    )


def loss_inputs(batch_size: int, dim: int, seed: int = 0) -> Arrays:
    """Draw unit embeddings of queries and keys, (B, d) float32 each."""
    rng = np.random.default_rng(seed)
    return {name: random_unit_rows(rng, batch_size, dim) for name in ("query", "key")}


def free_bytes() -> float:
    """Return the memory a new process could take without swapping; infinite if not known."""
    try:
        with open("/proc/meminfo") as lines:
            return next(
                1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")
            )
    except (OSError, StopIteration):
        pages = ("SC_AVPHYS_PAGES", "SC_PAGE_SIZE")
        known = all(name in getattr(os, "sysconf_names", {}) for name in pages)
        return math.prod(float(os.sysconf(name)) for name in pages) if known else math.inf


def loss_job(forward: Callable[[dict], object], **about) -> LossJob:
    """Make the job of a loss from its forward pass."""

    def run(leaves: dict) -> dict[str, float]:
        loss = forward(leaves)
        loss.backward()
        values = {name: _tangential_norm(leaves[name]) for name in ("query", "key")}
        if leaves["scale"].grad is not None:
            values["scale"] = leaves["scale"].grad.item()
        return {"loss": loss.item(), **values}

    return LossJob(_leaves, run, _first_pairs, ("query", "key"), **about)


def distributed_check_table(
    ranks: int, batch_size: int | None = None, *, dim: int = 64
) -> list[dict]:
    """Format how far losses over gloo processes are from the full batch, and what they exchange.

    Args:
        ranks: processes to start.
        batch_size: pairs of all processes together, a multiple of `ranks`; about 256 by default.
        dim: coordinates of an embedding.
    """
    from lib.losses.distributed_check import compare_with_one_process  # torch, of no use above

    ranks = check_count(ranks, "ranks")
    if batch_size is not None and batch_size % ranks:
        raise RetrievalInputError(
            f"a batch of {batch_size} pairs cannot be shared equally by {ranks} processes; give a"
            f" multiple of {ranks}"
        )
    size = {"n_per_process": (batch_size or 256) // ranks, "dim": dim}
    return [
        {
            "loss": row["loss"],
            "loss differs by": f"{row['loss_difference']:.0e}",
            "gradient differs by": f"{row['gradient_difference']:.0e}",
            "kB gathered by a process": f"{row['gathered_bytes'] / 1e3:,.1f}",
            "kB from its neighbour": f"{row['neighbour_bytes'] / 1e3:,.1f}",
        }
        for row in compare_with_one_process(ranks=ranks, **size)
    ]


def _reason_to_skip(
    job: LossJob, size: int, expected: float | None, limit_s: float, memory_bytes: float
) -> str:
    needed = job.bytes_at(size)
    if needed > memory_bytes:
        return (
            f"left out: it needs about {needed / 1e9:.0f} GB, the limit is"
            f" {memory_bytes / 1e9:.1f} GB"
        )
    if expected is not None and expected > limit_s:
        return f"left out: it would take about {expected:.0f} s, the limit is {limit_s:.0f} s"
    return ""


def _leaves(arrays: Arrays) -> dict:
    """Make leaf tensors that share the arrays, and a scale and a bias to learn."""
    import torch

    tensors = {name: torch.from_numpy(rows) for name, rows in arrays.items()}
    tensors |= {"scale": torch.tensor(SCALE), "bias": torch.tensor(BIAS)}
    return {name: tensor.requires_grad_() for name, tensor in tensors.items()}


def _first_pairs(arrays: Arrays) -> Arrays:
    return {name: rows[:WARM_UP].copy() for name, rows in arrays.items()}


def _tangential_norm(emb) -> float:
    """Compute the norm of the gradient along the sphere: peers that normalise have no other."""
    rows, gradient = emb.detach()[:WARM_UP], emb.grad[:WARM_UP]
    return (gradient - (gradient * rows).sum(dim=1, keepdim=True) * rows).norm().item()


# ---- each library as its documentation calls it


def _ours(name: str, **options) -> Callable[[dict], object]:
    def forward(x: dict):
        from lib import losses

        more = {"bias": x["bias"]} if name == "sigmoid_loss" else {}
        return getattr(losses, name)(x["query"], x["key"], 1 / x["scale"], **more, **options)

    return forward


def _open_clip(name: str) -> Callable[[dict], object]:
    def forward(x: dict):
        from open_clip import loss

        more = (x["bias"],) if name == "SigLipLoss" else ()
        return getattr(loss, name)()(x["query"], x["key"], x["scale"], *more)

    return forward


def _sentence_transformers(**options) -> Callable[[dict], object]:
    def forward(x: dict):
        from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

        loss = MultipleNegativesRankingLoss(None, scale=SCALE, **options)
        return loss.compute_loss_from_embeddings([x["query"], x["key"]], None)

    return forward


def _metric_learning(name: str) -> Callable[[dict], object]:
    def forward(x: dict):
        import torch
        from pytorch_metric_learning import losses

        # Two tensors of labels: given one, the library takes the keys for the queries themselves.
        labels, key_labels = (torch.arange(len(x["query"])) for _ in range(2))
        loss = getattr(losses, name)(temperature=1 / SCALE)
        return loss(x["query"], labels, ref_emb=x["key"], ref_labels=key_labels)

    return forward


def _matrices(count: float) -> Callable[[int], float]:
    """Count the bytes of so many (B, B) matrices of float32."""
    return lambda batch_size: 4.0 * count * batch_size**2


BOTH, ONE_WAY, SIGMOID = "InfoNCE, both directions", "InfoNCE, one direction", "sigmoid"
ST, PML = "sentence_transformers", "pytorch_metric_learning"
PER_DIRECTION = {"directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"}
PEER = {
    BOTH: "open_clip ClipLoss",
    ONE_WAY: "sentence-transformers MNR",
    SIGMOID: "open_clip SigLipLoss",
}
JOBS = {
    "open_clip ClipLoss": loss_job(
        _open_clip("ClipLoss"), loss=BOTH, library="open_clip", bytes_at=_matrices(5)
    ),
    "sentence-transformers MNR, both": loss_job(
        _sentence_transformers(**PER_DIRECTION), loss=BOTH, library=ST, bytes_at=_matrices(8)
    ),
    "ours, both": loss_job(
        _ours("infonce_loss", direction="both"), loss=BOTH, bytes_at=_matrices(8)
    ),
    "ours, both, blocked": loss_job(
        _ours("infonce_loss", direction="both", block_size=BLOCK), loss=BOTH
    ),
    "sentence-transformers MNR": loss_job(
        _sentence_transformers(), loss=ONE_WAY, library=ST, bytes_at=_matrices(5)
    ),
    "pytorch-metric-learning SupCon": loss_job(
        _metric_learning("SupConLoss"), loss=ONE_WAY, library=PML, bytes_at=_matrices(14)
    ),
    # Every pair beside every negative pair.
    "pytorch-metric-learning NTXent": loss_job(
        _metric_learning("NTXentLoss"),
        loss=ONE_WAY,
        library=PML,
        bytes_at=lambda batch_size: 18.0 * batch_size**3,
        growth=3,
    ),
    "ours, one way": loss_job(_ours("infonce_loss"), loss=ONE_WAY, bytes_at=_matrices(5)),
    "ours, one way, blocked": loss_job(_ours("infonce_loss", block_size=BLOCK), loss=ONE_WAY),
    "open_clip SigLipLoss": loss_job(
        _open_clip("SigLipLoss"), loss=SIGMOID, library="open_clip", bytes_at=_matrices(5)
    ),
    "ours, sigmoid": loss_job(_ours("sigmoid_loss"), loss=SIGMOID, bytes_at=_matrices(5)),
    "ours, sigmoid, blocked": loss_job(_ours("sigmoid_loss", block_size=BLOCK), loss=SIGMOID),
}
