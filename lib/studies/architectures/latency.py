"""How long a query waits, by architecture and size of the gallery. Timing: shown, never
compared.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import t as student

from lib.core.checks import RetrievalInputError, check_count
from lib.index import VectorSearchIndex
from lib.metrics.geometry import to_int8
from lib.models.cross_encoder import CrossEncoder
from lib.models.dual_encoder import DualEncoder
from lib.models.late_interaction import LateInteraction
from lib.report import measure
from lib.search import (
    CrossEncoderRetriever,
    DualEncoderRetriever,
    LateInteractionRetriever,
    Retriever,
    TwoStageRetriever,
)

SIZES = (250, 500, 1000, 4000, 16_000)


def galleries(
    dual: DualEncoder,
    late: LateInteraction,
    cross: CrossEncoder,
    images: np.ndarray,
    sizes: Sequence[int] = SIZES,
    *,
    depth: int = 50,
) -> dict[int, dict[str, Retriever]]:
    """Retrievers over galleries of several sizes, by size and architecture.

    The images are encoded once and repeated as often as needed: what a comparison costs does not
    depend on what is compared.

    Args:
        dual, late, cross: the models.
        images: uint8, as they take them.
        sizes: of the galleries.
        depth: of the rerank by the cross-encoder.
    """
    vectors, tokens = to_int8(dual.encode_image(images)), late.encode_image(images).as_int8()
    states, made = cross.read_image(images), {}
    for size in sizes:
        again = np.resize(np.arange(len(images)), check_count(size, "size"))
        index = VectorSearchIndex(dual.dim, "Flat", metric="cosine")
        index.add(vectors[again])
        first = DualEncoderRetriever(dual, index)
        read = CrossEncoderRetriever(cross, states.take(again))
        made[size] = {
            "dual encoder": first,
            "late interaction": LateInteractionRetriever(late, tokens.take(again)),
            "two stages": TwoStageRetriever(first, read, min(depth, size)),
            "cross-encoder": read,
        }
    return made


def seconds_by_size(
    made: Mapping[int, Mapping[str, Retriever]],
    texts: Sequence[str],
    *,
    k: int = 10,
    repeats: int = 3,
    most_pairs: int = 1000,
) -> dict[str, tuple[list[int], list[list[float]]]]:
    """Seconds from a text to its k best items, encoding of the text included, one text at a time.

    Args:
        made: `galleries` by size.
        texts: each is one request.
        k: items asked for.
        repeats: rounds over the texts, after one that does not count.
        most_pairs: a cross-encoder over a larger gallery is not waited for.

    Returns:
        `{architecture: (sizes, seconds)}`, of each size the seconds of every text and round.
    """
    found: dict[str, tuple[list[int], list[list[float]]]] = {}
    for size, by_name in made.items():
        for name, retriever in by_name.items():
            if isinstance(retriever, CrossEncoderRetriever) and size > most_pairs:
                continue
            took = [
                second
                for text in texts
                for second in measure(lambda text=text: retriever.by_text(text, k), repeats=repeats)
            ]
            sizes, seconds = found.setdefault(name, ([], []))
            sizes.append(size)
            seconds.append(took)
    return found


def as_rows(found: Mapping[str, tuple[Sequence[int], Sequence[Sequence[float]]]]) -> list[dict]:
    """What `seconds_by_size` found as rows of `report.timing`."""
    return [
        {"": name, "images": f"{size:,}", "seconds": seconds}
        for name, measured in found.items()
        for size, seconds in zip(*measured, strict=True)
    ]


def fitted_exponent(sizes: Sequence[float], values: Sequence[float]) -> dict[str, float]:
    """The exponent p of values = c N^p by least squares on logarithms, with its 95% interval.

        p = cov(log N, log v) / var(log N),   p -/+ t_{0.975, n-2} s / sqrt(sum (log N - mean)^2)

    Args:
        sizes: at least two different ones, above 0.
        values: one a size, above 0.

    Returns:
        value, low and high; the ends are NaN for two points, through which a line always goes.

    Raises:
        RetrievalInputError: lists of different lengths, fewer than two different sizes, or numbers
            that have no logarithm.
    """
    x, y = np.asarray(sizes, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or np.unique(x).size < 2:
        raise RetrievalInputError(
            f"sizes {x.tolist()} and values {y.tolist()} give no line; give two sizes"
        )
    if not (np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)).all():
        raise RetrievalInputError(
            f"sizes {x.tolist()} and values {y.tolist()} must be finite and above 0"
        )
    x, y = np.log(x), np.log(y)
    x = x - x.mean()
    slope = (x @ y) / (x @ x)
    if x.size == 2:
        return {"value": float(slope), "low": np.nan, "high": np.nan}
    rest = y - y.mean() - slope * x
    error = np.sqrt((rest @ rest) / (x.size - 2) / (x @ x))
    half = student.ppf(0.975, x.size - 2) * error
    return {"value": float(slope), "low": float(slope - half), "high": float(slope + half)}
