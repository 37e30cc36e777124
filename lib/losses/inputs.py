"""What every loss accepts, and the dot products that every loss starts from."""

import math

import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError


def check_tensor(value, name: str, *, dtype: torch.dtype | None = None) -> None:
    """Refuses what is no dense tensor, of floating point unless another dtype is asked for."""
    if not isinstance(value, Tensor):
        raise RetrievalInputError(
            f"{name} must be a torch tensor, got {type(value).__module__}.{type(value).__name__}; "
            "make one by torch.as_tensor, and remember that only tensors carry a gradient"
        )
    if value.layout != torch.strided:
        raise RetrievalInputError(
            f"{name} is a sparse tensor ({value.layout}); give {name}.to_dense()"
        )
    if value.is_meta:
        raise RetrievalInputError(f"{name} is on the meta device, where tensors hold no values")
    if dtype is None and not value.is_floating_point():
        found = f"{value.dtype} {tuple(value.shape)}"
        raise RetrievalInputError(f"{name} must be floating point, got {found}")


def check_all_finite(value: Tensor, name: str) -> None:
    """Refuses a matrix with a value that is not finite, where the result could not show it."""
    if not torch.isfinite(value).all():
        at = (~torch.isfinite(value)).nonzero()[0].tolist()
        raise RetrievalInputError(
            f"{name} has {value[tuple(at)].item()} at {at}; every value must be finite"
        )


@torch.no_grad()
def one_if_finite(*tensors: Tensor) -> Tensor:
    """1, or NaN where some value is not finite: the factor by which a loss shows what masks would
    hide.

    A mined or masked cell leaves the sum, and with it a NaN whose gradient stays.
    """
    finite = torch.stack([torch.isfinite(tensor).all() for tensor in tensors]).all()
    return torch.where(finite, 1.0, torch.nan)


def check_pairs(query_emb: Tensor, key_emb: Tensor, *, square: bool = False) -> None:
    """Refuses embeddings that cannot be a batch of pairs in which key i belongs to query i.

    Args:
        query_emb: to be (B, d), floating point, B >= 2.
        key_emb: to be (M, d), floating point, M >= B.
        square: whether M must equal B, as where keys look for queries too.

    Raises:
        RetrievalInputError: anything else; the message gives both shapes.
    """
    for name, emb in (("query_emb", query_emb), ("key_emb", key_emb)):
        check_tensor(emb, name)
    shapes = f"query_emb {tuple(query_emb.shape)} and key_emb {tuple(key_emb.shape)}"
    if query_emb.ndim != 2 or key_emb.ndim != 2 or query_emb.shape[1] != key_emb.shape[1]:
        raise RetrievalInputError(f"expected (B, d) and (M, d) embeddings, got {shapes}")
    if query_emb.device != key_emb.device:
        raise RetrievalInputError(
            f"both embeddings must be on one device, got {query_emb.device} and {key_emb.device}"
        )
    if len(query_emb) < 2 or len(key_emb) < 2:
        raise RetrievalInputError(
            "a contrastive loss needs at least 2 pairs, one alone has nothing to be told from; got"
            f" {shapes}"
        )
    if square and len(query_emb) != len(key_emb):
        raise RetrievalInputError(f"this direction needs as many keys as queries, got {shapes}")
    if len(key_emb) < len(query_emb):
        raise RetrievalInputError(f"every query needs its own key, got {shapes}")


def _one_number(value: float | Tensor, name: str) -> float:
    """The value of a number or of a tensor of one; reading a learnt one must not warn about its
    gradient.
    """
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise RetrievalInputError(f"{name} must be one number, got shape {tuple(value.shape)}")
        value = value.detach()
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise RetrievalInputError(f"{name} must be a number, got {value!r}") from error


def check_finite(value: float | Tensor, name: str) -> None:
    """Refuses what is not one finite number, such as a bias."""
    number = _one_number(value, name)
    if not math.isfinite(number):
        raise RetrievalInputError(f"{name} must be finite, got {number}")


def check_positive(value: float | Tensor, name: str) -> None:
    """Refuses what is not one positive, finite number, such as a temperature or a scale."""
    number = _one_number(value, name)
    if not 0 < number < math.inf:  # refuses NaN as well
        raise RetrievalInputError(f"{name} must be positive and finite, got {number}")


def check_margin(margin: float) -> None:
    """Refuses a margin that is negative or not finite."""
    number = _one_number(margin, "margin")
    if not 0 <= number < math.inf:
        raise RetrievalInputError(f"margin must be at least 0 and finite, got {number}")


def check_mask(mask: Tensor, shape: tuple[int, int], name: str) -> None:
    """Refuses a mask that is not bool (B, M)."""
    check_tensor(mask, name, dtype=torch.bool)
    if mask.dtype != torch.bool or tuple(mask.shape) != shape:
        raise RetrievalInputError(
            f"{name} must be bool {shape}, got {mask.dtype} {tuple(mask.shape)}"
        )


def count_positives(positives: Tensor, side: str) -> Tensor:
    """How many keys are right for each row of a bool mask; a row without any is refused.

    Args:
        positives: bool (B, M).
        side: what a row is, "query" or "key", for the message.

    Returns:
        (B,) counts of at least 1.
    """
    counts = positives.sum(dim=1)  # (B,)
    if (counts == 0).any():
        row = int((counts == 0).nonzero()[0])
        raise RetrievalInputError(
            f"positives {tuple(positives.shape)} marks nothing as right for {side} {row}; drop it"
            " from the batch or mark its pair"
        )
    return counts


def wide_dtype(*embeddings: Tensor) -> torch.dtype:
    """The widest of the dtypes, float32 at least.

    bfloat16 keeps 3 digits: at a scale of 100 that alone puts 2% of noise on the gradient.
    """
    dtype = torch.float32
    for emb in embeddings:
        dtype = torch.promote_types(dtype, emb.dtype)
    return dtype


def as_scalar(value: float | Tensor, like: Tensor) -> Tensor:
    """A number, or a tensor of one, as a 0-d tensor of the dtype and device of `like`, gradient
    kept.
    """
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).reshape(())


def cosines(query_emb: Tensor, key_emb: Tensor) -> Tensor:
    """Dot products (B, M) of unit rows, in `wide_dtype` whatever autocast would make of them."""
    dtype = wide_dtype(query_emb, key_emb)
    with torch.autocast(query_emb.device.type, enabled=False):
        return query_emb.to(dtype) @ key_emb.to(dtype).T


def scaled_cosines(query_emb: Tensor, key_emb: Tensor, temperature: float | Tensor) -> Tensor:
    """`cosines` / temperature (B, M); the division is of the (B, d) queries, which is the smaller
    job.
    """
    query = query_emb.to(wide_dtype(query_emb, key_emb))
    return cosines(query / as_scalar(temperature, query), key_emb)
