"""What an architecture costs, counted: bytes, parameters, floating-point operations. The same
everywhere.
"""

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
from lib.search import DualEncoderRetriever, Retriever, Run, TwoStageRetriever, encode_side


def flops(call: Callable, *inputs) -> int:
    """Floating-point operations of a call's matrix products and convolutions: 2 for a multiply-add.

    Additions, activations and normalisations, a few percent more, are not counted.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(
        False
    )  # fused kernels are opaque to the counter: they count 0
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            call(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return counter.get_total_flops()


def encoder_flops(model: Model, text: str, image: np.ndarray) -> dict[str, int]:
    """Operations to encode one text and one image, `{"text": ..., "image": ...}`; a search pays
    them once.
    """
    read = _sides(model)
    return {"text": flops(read["text"], [text]), "image": flops(read["image"], image[None])}


def pair_flops(model: Model, text: str, image: np.ndarray) -> int:
    """Operations to score one encoded text with one encoded image.

    dual encoder      2 d
    late interaction  2 L_q L_d d
    cross-encoder     a pass of the joint transformer over 1 + L_q + L_d places, counted
    """
    if isinstance(model, DualEncoder):
        return 2 * model.dim
    read = _sides(model)
    query, item = read["text"]([text]), read["image"](image[None])
    if isinstance(model, LateInteraction):
        return 2 * query.n_tokens * item.n_tokens * model.dim
    return flops(model.score, query, item)


def parameters(models: Sequence[Model]) -> int:
    """Weights of all models together."""
    return sum(weight.numel() for model in models for weight in model.network.parameters())


def stored_bytes(retriever: Retriever) -> float:
    """Bytes an item that a retriever keeps between queries, all its stages together.

    Vectors and tokens as their index holds them, ids and norms included; for a cross-encoder the
    float32 states that it reads with each query.
    """
    if isinstance(retriever, TwoStageRetriever):
        return stored_bytes(retriever.first) + stored_bytes(retriever.second)
    if isinstance(retriever, DualEncoderRetriever):
        return retriever.index.cost()["total"] / retriever.n_items
    items = retriever.items
    return (
        items.nbytes if isinstance(items, Tokens) else items.cost()["total"]
    ) / retriever.n_items


def scoring_flops(run: Run, models: Sequence[Model], pair: int) -> float:
    """Operations a query for all scores behind a run, those of every stage; encoding is left out.

        sum over stages:  2 d products,   for a cross-encoder  pair * pairs

    Args:
        run: with its work.
        models: of its stages.
        pair: `pair_flops` of the cross-encoder among them, if there is one.
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


def scoring_by_size(
    sizes: Sequence[int],
    dual: Model,
    late: Model,
    pair: int,
    *,
    words: int,
    patches: int,
    depth: int,
) -> dict[str, np.ndarray]:
    """Multiply-adds a query for scores, by size of the gallery: what `seconds_by_size` has to
    follow.

        dual N d      late interaction N L_q L_d d'      cross-encoder N X      two stages N d + D X

    Args:
        sizes: of the gallery, N.
        dual, late: whose dimensions d and d' count.
        pair: `pair_flops` of the cross-encoder, 2 X.
        words, patches: L_q and L_d.
        depth: D.

    Returns:
        `{architecture: (n_sizes,)}`, and "two stages, second alone", which does not know N.
    """
    n = np.asarray(sizes, dtype=np.float64)
    second = np.full(n.shape, depth * pair / 2)
    return {
        "dual encoder": n * dual.dim,
        "late interaction": n * words * patches * late.dim,
        "two stages": n * dual.dim + second,
        "cross-encoder": n * pair / 2,
        "two stages, second alone": second,
    }


def _sides(model: Model) -> dict[str, Callable]:
    if isinstance(model, CrossEncoder):
        return {"text": model.read_text, "image": model.read_image}
    return {
        side: lambda inputs, side=side: encode_side(model, inputs, side)
        for side in ("text", "image")
    }
