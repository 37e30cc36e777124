"""Count bytes, parameters and operations of an architecture, the same on every machine."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lib.core.token_vectors import Tokens
from lib.models.cross_encoder import CrossEncoder
from lib.models.dual_encoder import DualEncoder
from lib.models.late_interaction import LateInteraction
from lib.models.trained_models import Model
from lib.search import (
    DualEncoderRetriever,
    Retriever,
    Run,
    TwoStageRetriever,
    encode_side,
)


def flops(call: Callable, *inputs) -> int:
    """Count the operations of matrix products and convolutions in a call: 2 for a multiply-add."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the counter sees 0 in fused kernels
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            call(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return counter.get_total_flops()


def encoder_flops(model: Model, text: str, image: np.ndarray) -> dict[str, int]:
    """Count the operations to encode one text and one image: `{"text": ..., "image": ...}`."""
    encoders = _sides(model)
    return {"text": flops(encoders["text"], [text]), "image": flops(encoders["image"], image[None])}


def pair_flops(model: Model, text: str, image: np.ndarray) -> int:
    """Count the operations to score one encoded text with one encoded image.

    dual encoder      2 d
    late interaction  2 L_q L_d d
    cross-encoder     a pass of the joint transformer over 1 + L_q + L_d places, counted
    """
    if isinstance(model, DualEncoder):
        return 2 * model.dim
    encoders = _sides(model)
    query, item = encoders["text"]([text]), encoders["image"](image[None])
    if isinstance(model, LateInteraction):
        return 2 * query.n_tokens * item.n_tokens * model.dim
    return flops(model.score, query, item)


def parameters(models: Sequence[Model]) -> int:
    """Count the weights of all models together."""
    return sum(weight.numel() for model in models for weight in model.network.parameters())


def stored_bytes(retriever: Retriever) -> float:
    """Count the bytes per item that all stages of a retriever keep between queries."""
    if isinstance(retriever, TwoStageRetriever):
        return stored_bytes(retriever.first) + stored_bytes(retriever.second)
    if isinstance(retriever, DualEncoderRetriever):
        return retriever.index.bytes_by_part()["total"] / retriever.n_items
    items = retriever.items
    # A cross-encoder's items are the float32 states that it reads with each query.
    total = items.nbytes if isinstance(items, Tokens) else items.bytes_by_part()["total"]
    return total / retriever.n_items


def scoring_flops(run: Run, models: Sequence[Model], pair: int) -> float:
    """Count the operations per query for all scores of a run; encoding is left out.

    sum over stages:  2 d products,   for a cross-encoder  pair * pairs
    """
    total = 0
    for work in run.work:
        if work.scorer == "cross-encoder":
            total += pair * work.pairs
        else:
            kind = DualEncoder if work.scorer == "dual encoder" else LateInteraction
            (dim,) = {model.dim for model in models if isinstance(model, kind)}
            total += 2 * dim * work.products
    return total / len(run)


def _sides(model: Model) -> dict[str, Callable]:
    """Return the functions that encode either side."""
    if isinstance(model, CrossEncoder):
        return {"text": model.read_text, "image": model.read_image}
    return {
        side: lambda inputs, side=side: encode_side(model, inputs, side)
        for side in ("text", "image")
    }
