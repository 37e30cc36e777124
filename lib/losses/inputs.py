"""Validate the inputs of the losses and compute their similarities."""

import math

import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError


def check_tensor(value, name: str, *, dtype: torch.dtype | None = None) -> None:
    """Refuse anything but a dense tensor of floating point, or of any dtype if one is given."""
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
        raise RetrievalInputError(f"{name} must be floating point, got {shape_of(value)}")
    if dtype is None and value.element_size() < 2:  # torch does not compute in 8 bits
        raise RetrievalInputError(f"{name} is {value.dtype}; give {name}.float()")


def shape_of(*tensors: Tensor) -> str:
    """Format dtype and shape of tensors for an error message."""
    return ", ".join(f"{tensor.dtype} {tuple(tensor.shape)}" for tensor in tensors)


def check_all_finite(value: Tensor, name: str) -> None:
    """Refuse a matrix with NaN or infinity, for results that could not show it."""
    if not torch.isfinite(value).all():
        place = (~torch.isfinite(value)).nonzero()[0].tolist()
        raise RetrievalInputError(
            f"{name} has {value[tuple(place)].item()} at {place}; every value must be finite"
        )


@torch.no_grad()
def one_if_finite(*tensors: Tensor) -> Tensor:
    """Compute a factor for a loss: 1, or NaN where an input is not finite.

    A masked cell leaves the sum of the loss. Without this factor its NaN would be hidden there,
    but stay in the gradient.
    """
    finite = torch.stack([torch.isfinite(tensor).all() for tensor in tensors]).all()
    return torch.where(finite, 1.0, torch.nan)


def check_pairs(query_emb: Tensor, key_emb: Tensor, *, square: bool = False) -> None:
    """Refuse embeddings that are not (B, d) and (M, d) with M >= B >= 2; `square` needs M = B."""
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
            f"a contrastive loss needs at least 2 pairs: one pair has no negatives; got {shapes}"
        )
    if square and len(query_emb) != len(key_emb):
        raise RetrievalInputError(f"this direction needs as many keys as queries, got {shapes}")
    if len(key_emb) < len(query_emb):
        raise RetrievalInputError(f"every query needs its own key, got {shapes}")


def _one_number(value: float | Tensor, name: str) -> float:
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise RetrievalInputError(f"{name} must be one number, got shape {tuple(value.shape)}")
        value = value.detach()  # torch warns where a value with gradient is read as a float
    try:
        if isinstance(value, str | bytes | bool):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise RetrievalInputError(f"{name} must be a number, got {value!r}") from error


def check_finite(value: float | Tensor, name: str) -> None:
    """Refuse anything but one finite number, such as a bias."""
    number = _one_number(value, name)
    if not math.isfinite(number):
        raise RetrievalInputError(f"{name} must be finite, got {number}")


def check_positive(value: float | Tensor, name: str) -> None:
    """Refuse anything but one positive, finite number, such as a temperature."""
    number = _one_number(value, name)
    if not 0 < number < math.inf:  # refuses NaN as well
        raise RetrievalInputError(f"{name} must be positive and finite, got {number}")


def check_not_negative(value: float, name: str) -> float:
    """Return one finite number of at least 0, such as a margin, as `float`."""
    number = _one_number(value, name)
    if not 0 <= number < math.inf:
        raise RetrievalInputError(f"{name} must be at least 0 and finite, got {number}")
    return number


def check_mask(mask: Tensor, shape: tuple[int, int], name: str) -> None:
    """Refuse a mask that is not bool (B, M)."""
    check_tensor(mask, name, dtype=torch.bool)
    if mask.dtype != torch.bool or tuple(mask.shape) != shape:
        raise RetrievalInputError(f"{name} must be bool {shape}, got {shape_of(mask)}")


def count_positives(positives: Tensor, side: str) -> Tensor:
    """Count the positives of each row, (B,); refuse a row without any. `side` names a row."""
    counts = positives.sum(dim=1)  # (B,)
    if (counts == 0).any():
        row = int((counts == 0).nonzero()[0])
        raise RetrievalInputError(
            f"positives {tuple(positives.shape)} marks nothing as right for {side} {row}; drop it"
            " from the batch or mark its pair"
        )
    return counts


def wide_dtype(*embeddings: Tensor) -> torch.dtype:
    """Find the widest dtype, float32 at least.

    bfloat16 has 3 digits: at a scale of 100 they alone put 2% of noise on the gradient.
    """
    dtype = torch.float32
    for emb in embeddings:
        dtype = torch.promote_types(dtype, emb.dtype)
    return dtype


def as_scalar(value: float | Tensor, like: Tensor) -> Tensor:
    """Convert a number to a 0-d tensor with the dtype and device of `like`; keep its gradient."""
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).reshape(())


def cosines(query_emb: Tensor, key_emb: Tensor) -> Tensor:
    """Compute dot products (B, M) of unit rows in `wide_dtype`, also under autocast."""
    dtype = wide_dtype(query_emb, key_emb)
    with torch.autocast(query_emb.device.type, enabled=False):
        return query_emb.to(dtype) @ key_emb.to(dtype).T


def scaled_cosines(query_emb: Tensor, key_emb: Tensor, temperature: float | Tensor) -> Tensor:
    """Compute `cosines` / temperature, (B, M)."""
    # Dividing the (B, d) queries is less work than dividing the (B, M) products.
    query = query_emb.to(wide_dtype(query_emb, key_emb))
    return cosines(query / as_scalar(temperature, query), key_emb)
