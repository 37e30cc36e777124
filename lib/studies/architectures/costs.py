"""Count bytes, parameters and operations of an architecture, and time its queries."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from scipy.stats import linregress
from scipy.stats import t as student
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lib.core.checks import RetrievalInputError, check_count
from lib.core.token_vectors import Tokens
from lib.index import VectorSearchIndex
from lib.metrics.geometry import to_int8
from lib.models.cross_encoder import CrossEncoder
from lib.models.dual_encoder import DualEncoder
from lib.models.late_interaction import LateInteraction
from lib.models.trained_models import Model
from lib.report import measure
from lib.search import (
    CrossEncoderRetriever,
    DualEncoderRetriever,
    LateInteractionRetriever,
    Retriever,
    Run,
    TwoStageRetriever,
    encode_side,
)

SIZES = (250, 500, 1000, 4000, 16_000)


# ---- counted, the same on every machine


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
    """Count the multiply-adds per query for scores, by gallery size N and architecture.

        dual N d      late interaction N L_q L_d d'      cross-encoder N X      two stages N d + D X

    Args:
        sizes: gallery sizes N.
        dual, late: models with dimensions d and d'.
        pair: `pair_flops` of the cross-encoder, 2 X.
        words, patches: L_q and L_d.
        depth: D.
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
    """Return the functions that encode either side."""
    if isinstance(model, CrossEncoder):
        return {"text": model.read_text, "image": model.read_image}
    return {
        side: lambda inputs, side=side: encode_side(model, inputs, side)
        for side in ("text", "image")
    }


# ---- timed: shown, never compared


def galleries_by_size(
    dual: DualEncoder,
    late: LateInteraction,
    cross: CrossEncoder,
    images: np.ndarray,
    sizes: Sequence[int] = SIZES,
    *,
    depth: int = 50,
) -> dict[int, dict[str, Retriever]]:
    """Build retrievers by gallery size and architecture.

    The images are encoded once and repeated: the cost of a comparison does not depend on content.
    """
    vectors, tokens = to_int8(dual.encode_image(images)), late.encode_image(images).as_int8()
    states, galleries = cross.read_image(images), {}
    for size in sizes:
        repeated = np.resize(np.arange(len(images)), check_count(size, "size"))
        index = VectorSearchIndex(dual.dim, "Flat", metric="cosine")
        index.add(vectors[repeated])
        first = DualEncoderRetriever(dual, index)
        second = CrossEncoderRetriever(cross, states.take(repeated))
        galleries[size] = {
            "dual encoder": first,
            "late interaction": LateInteractionRetriever(late, tokens.take(repeated)),
            "two stages": TwoStageRetriever(first, second, min(depth, size)),
            "cross-encoder": second,
        }
    return galleries


def seconds_by_size(
    galleries: Mapping[int, Mapping[str, Retriever]],
    texts: Sequence[str],
    *,
    k: int = 10,
    repeats: int = 3,
    most_pairs: int = 1000,
) -> dict[str, tuple[list[int], list[list[float]]]]:
    """Measure the seconds from a text to its k best items: `{architecture: (sizes, seconds)}`.

    Args:
        galleries: result of `galleries_by_size`.
        texts: requests, searched one at a time.
        k: number of items.
        repeats: rounds over the texts, after a warm-up.
        most_pairs: largest gallery that a cross-encoder reads.
    """
    seconds_by_name: dict[str, tuple[list[int], list[list[float]]]] = {}
    for size, by_name in galleries.items():
        for name, retriever in by_name.items():
            if isinstance(retriever, CrossEncoderRetriever) and size > most_pairs:
                continue
            sizes, seconds = seconds_by_name.setdefault(name, ([], []))
            sizes.append(size)
            searches = [partial(retriever.by_text, text, k) for text in texts]
            seconds.append([s for search in searches for s in measure(search, repeats=repeats)])
    return seconds_by_name


def timing_rows(
    seconds: Mapping[str, tuple[Sequence[int], Sequence[Sequence[float]]]],
) -> list[dict]:
    """Convert the result of `seconds_by_size` to rows for `report.timing`."""
    return [
        {"": name, "images": f"{size:,}", "seconds": values}
        for name, measured in seconds.items()
        for size, values in zip(*measured, strict=True)
    ]


def fitted_exponent(sizes: Sequence[float], values: Sequence[float]) -> dict[str, float]:
    """Fit p of values = c N^p on logarithms: value, low, high (95%; NaN for two points)."""
    x, y = np.asarray(sizes, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or np.unique(x).size < 2:
        raise RetrievalInputError(
            f"`sizes` must hold two different sizes, one per value, got {x.tolist()} and values"
            f" {y.tolist()}"
        )
    if not (np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)).all():
        raise RetrievalInputError(
            f"sizes and values must be finite and above 0, got {x.tolist()} and {y.tolist()}"
        )
    fit = linregress(np.log(x), np.log(y))
    slope = float(fit.slope)
    if x.size == 2:
        return {"value": slope, "low": np.nan, "high": np.nan}
    half = student.ppf(0.975, x.size - 2) * fit.stderr
    return {"value": slope, "low": float(slope - half), "high": float(slope + half)}
