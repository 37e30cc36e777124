"""One contrastive loss by several libraries, each used as its documentation has it, from the same
embeddings.

All imports of a library are inside its system, so that a process which measures one loads no other.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lib.studies.peers import comparison
from lib.studies.peers.isolated_process import Arrays

SCALE, BIAS = 1 / 0.07, -10.0
BLOCK = 1024
WARM_UP = 64  # pairs


@dataclass(frozen=True)
class System(comparison.System):
    """One implementation of one loss.

    Args:
        loss: what it computes; implementations of the same loss are compared with each other.
        bytes_at: what it was seen to need for B pairs, so that what cannot fit is not tried.
        growth: its seconds grow with B to this power.
    """

    loss: str = ""
    bytes_at: Callable[[int], float] = lambda batch_size: 0.0
    growth: int = 2


def _leaves(arrays: Arrays) -> dict:
    """The arrays as leaves that ask for a gradient, without a copy; a scale and a bias to be
    learnt.
    """
    import torch

    tensors = {name: torch.from_numpy(rows) for name, rows in arrays.items()}
    tensors |= {"scale": torch.tensor(SCALE), "bias": torch.tensor(BIAS)}
    return {name: tensor.requires_grad_() for name, tensor in tensors.items()}


def _first_pairs(arrays: Arrays) -> Arrays:
    return {name: rows[:WARM_UP].copy() for name, rows in arrays.items()}


def _system(forward: Callable[[dict], object], **about) -> System:
    """A system from its forward pass; with backward and what it is compared by."""

    def run(leaves: dict) -> dict[str, float]:
        loss = forward(leaves)
        loss.backward()
        values = {name: _tangential_norm(leaves[name]) for name in ("query", "key")}
        if leaves["scale"].grad is not None:
            values["scale"] = leaves["scale"].grad.item()
        return {"loss": loss.item(), **values}

    return System(_leaves, run, _first_pairs, ("query", "key"), **about)


def _tangential_norm(emb) -> float:
    """Norm of the gradient along the sphere, of a few rows: peers that normalise have no other
    part.
    """
    rows, gradient = emb.detach()[:WARM_UP], emb.grad[:WARM_UP]
    return (gradient - (gradient * rows).sum(dim=1, keepdim=True) * rows).norm().item()


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
        own, other = (torch.arange(len(x["query"])) for _ in range(2))
        loss = getattr(losses, name)(temperature=1 / SCALE)
        return loss(x["query"], own, ref_emb=x["key"], ref_labels=other)

    return forward


def _matrices(count: float) -> Callable[[int], float]:
    """Bytes of so many (B, B) matrices of float32."""
    return lambda batch_size: 4.0 * count * batch_size**2


BOTH, ONE_WAY, SIGMOID = "InfoNCE, both directions", "InfoNCE, one direction", "sigmoid"
ST, PML = "sentence_transformers", "pytorch_metric_learning"
PER_DIRECTION = {"directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"}
JOBS = {
    "open_clip ClipLoss": _system(
        _open_clip("ClipLoss"), loss=BOTH, library="open_clip", bytes_at=_matrices(5)
    ),
    "sentence-transformers MNR, both": _system(
        _sentence_transformers(**PER_DIRECTION), loss=BOTH, library=ST, bytes_at=_matrices(8)
    ),
    "ours, both": _system(
        _ours("infonce_loss", direction="both"), loss=BOTH, bytes_at=_matrices(8)
    ),
    "ours, both, blocked": _system(
        _ours("infonce_loss", direction="both", block_size=BLOCK), loss=BOTH
    ),
    "sentence-transformers MNR": _system(
        _sentence_transformers(), loss=ONE_WAY, library=ST, bytes_at=_matrices(5)
    ),
    "pytorch-metric-learning SupCon": _system(
        _metric_learning("SupConLoss"), loss=ONE_WAY, library=PML, bytes_at=_matrices(14)
    ),
    # Every pair beside every negative pair.
    "pytorch-metric-learning NTXent": _system(
        _metric_learning("NTXentLoss"),
        loss=ONE_WAY,
        library=PML,
        bytes_at=lambda b: 18.0 * b**3,
        growth=3,
    ),
    "ours, one way": _system(_ours("infonce_loss"), loss=ONE_WAY, bytes_at=_matrices(5)),
    "ours, one way, blocked": _system(_ours("infonce_loss", block_size=BLOCK), loss=ONE_WAY),
    "open_clip SigLipLoss": _system(
        _open_clip("SigLipLoss"), loss=SIGMOID, library="open_clip", bytes_at=_matrices(5)
    ),
    "ours, sigmoid": _system(_ours("sigmoid_loss"), loss=SIGMOID, bytes_at=_matrices(5)),
    "ours, sigmoid, blocked": _system(_ours("sigmoid_loss", block_size=BLOCK), loss=SIGMOID),
}
PEER = {
    BOTH: "open_clip ClipLoss",
    ONE_WAY: "sentence-transformers MNR",
    SIGMOID: "open_clip SigLipLoss",
}
