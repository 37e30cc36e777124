"""What is accepted at the border of the package; everything inside may then assume it."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Iterable, Sequence

import numpy as np

LISTED = 24  # names that an error spells out; a longer list would hide the rest of the message


class RetrievalInputError(ValueError):
    """An input that cannot be right; the message names the value, where it is, and what to do."""


def as_embeddings(x, name: str, *, dim: int | None = None, allow_empty: bool = False) -> np.ndarray:
    """Returns `x` as finite, C-contiguous float32 rows; what already is one is not copied.

    Args:
        x: `(n, d)` numbers: a numpy array, a torch tensor on any device, or nested lists.
        name: what the caller calls it; every message starts with it.
        dim: the `d` that is expected, if one is.
        allow_empty: whether `n == 0` is meaningful here.

    Returns:
        `(n, d)` float32.

    Raises:
        RetrievalInputError: not real numbers, not two-dimensional, another `d`, empty, or a value that is
            NaN, infinite, or too large for float32 (the message gives row, column and value).
    """
    array = as_real_matrix(x, name, dim=dim, allow_empty=allow_empty)
    with np.errstate(over="ignore", invalid="ignore"):
        rows = np.ascontiguousarray(array, dtype=np.float32)
        # A sum over anything non-finite is non-finite, so one cheap pass clears nearly every input.
        suspicious = not np.isfinite(rows.sum())
    if suspicious:
        finite = np.isfinite(rows)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise RetrievalInputError(
                f"{name} has the value {array[row, column]} in row {row}, column {column}; every value must "
                f"be finite in float32. Find where it comes from: dropping the row would shift all later ids"
            )
    return rows


def as_real_matrix(x, name: str, *, dim: int | None = None, allow_empty: bool = False) -> np.ndarray:
    """Returns `x` as a two-dimensional numpy array of integers or floats, in the dtype it came in.

    Raises:
        RetrievalInputError: not real numbers, not two-dimensional, another `d` than `dim`, or empty.
    """
    if hasattr(x, "detach"):  # a torch tensor; numpy reads neither gradients, nor devices, nor bfloat16
        x = x.detach().cpu()
        x = x.float() if "bfloat16" in str(x.dtype) else x
    try:
        array = np.asarray(x)
    except ValueError as error:  # nested lists of unequal lengths
        raise RetrievalInputError(f"{name} is not a matrix: {error}") from error
    if array.dtype.kind not in "iuf":
        raise RetrievalInputError(
            f"{name} has dtype {array.dtype}; embeddings are real numbers, float32 or int8 at best"
        )
    if array.ndim == 1:
        raise RetrievalInputError(
            f"{name} has shape {array.shape}; expected two axes (rows, dimension). "
            f"For a single vector pass it as {name}[None, :]"
        )
    if array.ndim != 2:
        raise RetrievalInputError(f"{name} has shape {array.shape}; expected two axes (rows, dimension)")
    if dim is not None and array.shape[1] != dim:
        raise RetrievalInputError(
            f"{name} has dimension {array.shape[1]}, expected {dim} (its shape is {array.shape})"
        )
    if array.shape[1] == 0 or (array.shape[0] == 0 and not allow_empty):
        raise RetrievalInputError(f"{name} is empty: its shape is {array.shape}")
    return array


def unit_rows(x, name: str) -> np.ndarray:
    """Returns the rows divided by their Euclidean norm, so that a dot product is a cosine.

        y_i = x_i / sqrt(sum_j x_ij^2)

    Norms are summed in float64: rows of 1e30 do not overflow, and the last bit of the result does not depend
    on the order in which a processor adds.

    Args:
        x: `(n, d)` embeddings.
        name: what the caller calls them.

    Returns:
        `(n, d)` float32.

    Raises:
        RetrievalInputError: what `as_embeddings` refuses, or a row of zeros, which has no direction.
    """
    rows = as_embeddings(x, name, allow_empty=True)
    norms = row_norms(rows, name)
    # Divided in float64, stored in float32 as it goes: no float64 copy of the whole matrix.
    return np.divide(rows, norms[:, None], out=np.empty_like(rows))


def row_norms(rows: np.ndarray, name: str, *, allow_zero: bool = False) -> np.ndarray:
    """Euclidean norms `(n,)` in float64 of checked rows; a row of zeros is an error that names its index."""
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    if not (allow_zero or norms.all()):
        row = int(np.flatnonzero(norms == 0)[0])
        raise RetrievalInputError(
            f"{name} has only zeros in row {row}, which has no direction and so no cosine with anything. "
            f"Check what was encoded there, or use metric='inner_product'"
        )
    return norms


def check_count(value, name: str, *, least: int = 1) -> int:
    """Returns a whole number of at least `least` as `int`; bools and floats are refused."""
    try:
        count = operator.index(value)
    except TypeError:
        count = None
    if count is None or isinstance(value, bool | np.bool_):
        raise RetrievalInputError(f"{name} must be a whole number, got {value!r}")
    if count < least:
        raise RetrievalInputError(f"{name} must be at least {least}, got {count}")
    return count


def check_k(k, n_gallery: int) -> int:
    """Returns `k` as `int` when `1 <= k <= n_gallery`."""
    k = check_count(k, "k")
    if k > n_gallery:
        raise RetrievalInputError(f"k = {k} is more than the gallery holds; ask for k <= {n_gallery}")
    return k


def check_choice(value, allowed: Iterable[str], name: str) -> str:
    """Returns `value` when it is one of `allowed`; the error lists them and guesses what was meant.

    Of more than `LISTED` names it tells how many there are, and the nearest.
    """
    allowed = list(allowed)
    if isinstance(value, str) and value in allowed:
        return value
    known = {name.lower(): name for name in allowed}
    close = difflib.get_close_matches(str(value).lower(), known, n=5, cutoff=0.0)
    listed = ", ".join(map(repr, allowed))
    if len(allowed) > LISTED:
        listed = f"{len(allowed)} names, the nearest are {', '.join(repr(known[name]) for name in close)}"
    similar = (
        difflib.get_close_matches(value.lower(), close, n=1, cutoff=0.5) if isinstance(value, str) else []
    )
    hint = f" Did you mean {known[similar[0]]!r}?" if similar else ""
    raise RetrievalInputError(f"{name} must be one of {listed}; got {value!r}.{hint}")


def check_distinct(ids: Sequence[str], kind: str, name: str) -> None:
    """Refuses an id that is there twice; says which, where, and in what (`name`)."""
    if len(set(ids)) == len(ids):
        return
    seen: dict[str, int] = {}
    for position, one in enumerate(ids):
        if seen.setdefault(one, position) != position:
            raise RetrievalInputError(
                f"{name}: {kind} id {one!r} is there twice, at {seen[one]} and {position}; "
                f"ids must be distinct"
            )
