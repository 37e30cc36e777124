"""Validation of the arguments of public functions; the code inside may then rely on them."""

import difflib
import math
import operator
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from numbers import Real

import numpy as np

LARGEST_INT64 = 2**63 - 1
LARGEST_TABLE = 2**30  # cells of a table with one cell for each number from 0; 8 GiB of int64
LISTED = 24  # names that an error lists; a longer list would hide the rest of the message


class RetrievalInputError(ValueError):
    """An input that cannot be right; the message names the value, where it is, and what to do."""


# ---- arrays


def as_array(x, name: str) -> np.ndarray:
    """Return numbers, labels or flags as a numpy array of their dtype.

    A torch tensor may need a gradient, be on any device, or hold bfloat16, which becomes float32.
    Refused is what numpy would misread: masks that hide values, sparse matrices, mappings, sets,
    text, iterators, rows of unequal lengths.
    """
    if isinstance(x, list | tuple):
        kinds = set(map(type, x))
        if any(hasattr(kind, "detach") or issubclass(kind, np.ma.MaskedArray) for kind in kinds):
            x = [as_array(row, f"{name}[{i}]") for i, row in enumerate(x)]
    elif isinstance(x, np.ma.MaskedArray):
        if np.ma.is_masked(x):
            raise RetrievalInputError(
                f"{name} must not hide values, got a masked array with {np.ma.count_masked(x)}"
                f" hidden. Drop them, or pass {name}.data to use them"
            )
    elif isinstance(x, str | bytes | Mapping | Set | Iterator) or hasattr(x, "tocsr"):
        raise RetrievalInputError(
            f"{name} must be an array or a list, got {type(x).__name__}; pass its values in order"
        )
    elif hasattr(x, "detach"):
        return _from_tensor(x, name)
    try:
        return np.asarray(x)
    except (ValueError, TypeError, OverflowError) as error:  # nested lists of unequal lengths
        raise RetrievalInputError(f"{name} must be an array of numbers: {error}") from error


def _from_tensor(x, name: str) -> np.ndarray:
    if getattr(x, "is_sparse", False) or "strided" not in str(x.layout):
        raise RetrievalInputError(f"{name} is a sparse tensor ({x.layout}); give {name}.to_dense()")
    if x.device.type == "meta":
        raise RetrievalInputError(f"{name} is on the meta device, where tensors hold no values")
    x = x.detach().cpu()
    if "float" in str(x.dtype) and x.element_size() < 4:  # numpy has no bfloat16
        x = x.float()
    return x.resolve_conj().resolve_neg().numpy()


def whole_numbers(x, name: str, ndim: int = 1) -> np.ndarray:
    """Return whole numbers, such as ids, as int64 with that many axes; refuse floats."""
    array = as_array(x, name)
    if array.dtype == object and all(isinstance(value, int) for value in array.flat):
        largest = max(array.flat, key=abs)
        bits = f"a number of {largest.bit_length()} bits"
        raise RetrievalInputError(f"{name} holds {bits}; whole numbers end at 2^63 - 1 here")
    if array.ndim != ndim or (array.size and array.dtype.kind not in "iu"):
        axes = {1: "a list of whole numbers", 2: "rows of whole numbers"}[ndim]
        raise RetrievalInputError(f"{name} must be {axes}, got {array.dtype} {array.shape}")
    if array.dtype == np.uint64 and array.size and array.max() > LARGEST_INT64:
        raise RetrievalInputError(f"{name} holds {array.max()}; whole numbers end at 2^63 - 1 here")
    return array.astype(np.int64, copy=False)


def real_numbers(x, name: str, *, infinite: bool = False) -> np.ndarray:
    """Return at least one number or flag as `(n,)` float64, finite unless `infinite`, never NaN."""
    array = as_array(x, name)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "biuf":
        got = f"{array.dtype} {array.shape}"
        raise RetrievalInputError(f"{name} must be a list of at least one number, got {got}")
    array = array.astype(np.float64)
    wrong = np.flatnonzero(np.isnan(array) if infinite else ~np.isfinite(array))
    if wrong.size:
        raise RetrievalInputError(f"{name}[{wrong[0]}] is {array[wrong[0]]}, which is not finite")
    return array


def as_embeddings(x, name: str, *, dim: int | None = None, allow_empty: bool = False) -> np.ndarray:
    """Return embeddings as finite, C-contiguous float32 rows, without a copy where they are.

    Args:
        x: `(n, d)` numbers: a numpy array, a torch tensor on any device, or nested lists.
        name: name of the argument, for messages.
        dim: the expected d, if any.
        allow_empty: whether n may be 0.

    Returns:
        `(n, d)` float32.
    """
    array = as_real_matrix(x, name, dim=dim, allow_empty=allow_empty)
    with np.errstate(over="ignore", invalid="ignore"):
        rows = np.ascontiguousarray(array, dtype=np.float32)
        # A sum over anything non-finite is non-finite: one fast pass clears nearly every input.
        suspicious = not np.isfinite(rows.sum())
    if suspicious:
        advice = "values must be finite in float32. Find its source: without the row, ids shift"
        check_finite(array, name, advice, finite=np.isfinite(rows))
    return rows


def as_real_matrix(
    x, name: str, *, dim: int | None = None, allow_empty: bool = False
) -> np.ndarray:
    """Return `(n, d)` integers or floats as a numpy array of their dtype."""
    array = as_array(x, name)
    if array.dtype.kind not in "iuf":
        raise RetrievalInputError(
            f"{name} must be real numbers, such as float32, got {array.dtype}"
        )
    if array.ndim != 2:
        advice = f". For a single vector pass it as {name}[None, :]" if array.ndim == 1 else ""
        shape = f"{array.shape}{advice}"
        raise RetrievalInputError(f"{name} must have shape (rows, dimension), got {shape}")
    if dim is not None and array.shape[1] != dim:
        raise RetrievalInputError(
            f"{name} must have dimension {dim}, got {array.shape[1]} (its shape is {array.shape})"
        )
    if array.shape[1] == 0 or (array.shape[0] == 0 and not allow_empty):
        raise RetrievalInputError(f"{name} is empty: its shape is {array.shape}")
    return array


def check_finite(
    array: np.ndarray, name: str, advice: str, *, finite: np.ndarray | None = None
) -> None:
    """Refuse values that are not finite; the error names the first one and its place.

    Args:
        array: numbers with one to three axes.
        name, advice: for the message `"<name> has the value <v> in row <r>, column <c>; <advice>"`.
        finite: what counts as finite, of the same shape; computed when None.
    """
    finite = np.isfinite(array) if finite is None else finite
    if not finite.all():
        place = np.argwhere(~finite)[0]
        axes = {1: ("row",), 2: ("row", "column"), 3: ("item", "token", "column")}[array.ndim]
        where = ", ".join(f"{axis} {at}" for axis, at in zip(axes, place))
        value = array[tuple(place)]
        raise RetrievalInputError(f"{name} has the value {value} in {where}; {advice}")


def unit_rows(x, name: str) -> np.ndarray:
    """Divide rows by their Euclidean norm; dot products are then cosines.

        y_i = x_i / sqrt(sum_j x_ij^2)

    Norms are summed in float64: rows of 1e30 do not overflow, and the last bit of the result does
    not depend on the order in which a processor adds.

    Args:
        x: `(n, d)` embeddings without a row of zeros.
        name: name of the argument, for messages.

    Returns:
        `(n, d)` float32.
    """
    rows = as_embeddings(x, name, allow_empty=True)
    norms = row_norms(rows, name)
    # Divide in float64 and store float32 at once: no float64 copy of the whole matrix.
    return np.divide(rows, norms[:, None], out=np.empty_like(rows))


def row_norms(rows: np.ndarray, name: str, *, allow_zero: bool = False) -> np.ndarray:
    """Return Euclidean norms `(n,)` in float64 of checked rows; a row of zeros is an error."""
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    if not (allow_zero or norms.all()):
        row = int(np.flatnonzero(norms == 0)[0])
        raise RetrievalInputError(
            f"{name} has only zeros in row {row}, and a cosine needs a direction. Check what was"
            " encoded there, or use metric='inner_product'"
        )
    return norms


# ---- numbers and switches


def check_count(value, name: str, *, least: int = 1, most: int = LARGEST_INT64) -> int:
    """Return a whole number from `least` to `most` as `int`; bools and floats are refused."""
    try:
        count = operator.index(value)
    except TypeError:
        count = None
    if count is None or isinstance(value, bool | np.bool_):
        raise RetrievalInputError(f"{name} must be a whole number, got {value!r}")
    if count < least:
        raise RetrievalInputError(f"{name} must be at least {least}, got {count}")
    if count > most:
        shown = f"{count:,}" if count < 2**64 else f"a number of {count.bit_length()} bits"
        raise RetrievalInputError(f"{name} must be at most {most:,}, got {shown}")
    return count


def whole_number_of(text: str, *, most_digits: int = 9) -> int | None:
    """Return the number from 0 that a text writes in digits of ASCII, or None.

    Python refuses to convert thousands of digits, with an error that names no file.
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= most_digits else None


def check_number(
    value,
    name: str,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: bool = False,
    below: bool = False,
) -> float:
    """Return a finite number from `low` to `high`; `above` and `below` exclude the ends."""
    number = value
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # numpy scalar, 0-d tensor
        number = value.item()
    fits = (
        isinstance(number, Real)
        and not isinstance(number, bool)
        and abs(number) <= sys.float_info.max  # math.isfinite(10**400) is an OverflowError
        and (low < number if above else low <= number)
        and (number < high if below else number <= high)
    )
    if not fits:
        if high < math.inf:
            ends = [f"not {end:g}" for end, excluded in ((low, above), (high, below)) if excluded]
            expected = f"between {low:g} and {high:g}" + (f" ({', '.join(ends)})" if ends else "")
        else:
            expected = "a finite number"
            if low > -math.inf:
                expected += f" {'above' if above else 'of at least'} {low:g}"
        raise RetrievalInputError(f"{name} must be {expected}, got {value!r}")
    return float(number)


def check_seed(seed, name: str = "seed") -> int:
    """Return a seed from 0 to 2^63 - 1 as `int`."""
    return check_count(seed, name, least=0)


def check_table(size: int, name: str) -> int:
    """Return the size of a table with one cell for each number below it, if memory can hold it."""
    if size > LARGEST_TABLE:
        raise RetrievalInputError(
            f"{name} = {size} needs a table of {size * 8 / 2**30:,.0f} GiB. Number your ids from 0"
            " without gaps, by np.unique(ids, return_inverse=True)"
        )
    return size


def check_threads(value, name: str = "threads") -> int:
    """Return a number of threads, at most one for each processor: 100,000 would crash a library."""
    return check_count(value, name, most=os.cpu_count() or 1)


def check_switch(value, name: str) -> bool:
    """Return True or False as `bool`; "no" and 0 are refused, because "no" is true in Python."""
    if not isinstance(value, bool | np.bool_):
        raise RetrievalInputError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def check_k(k, n_gallery: int) -> int:
    """Return `k` as `int` when `1 <= k <= n_gallery`."""
    k = check_count(k, "k")
    if k > n_gallery:
        raise RetrievalInputError(f"k must be between 1 and {n_gallery} (the gallery), got {k}")
    return k


# ---- names and ids


def check_choice(value, allowed: Iterable[str], name: str) -> str:
    """Return `value` when it is one of `allowed`; the error lists them and suggests the nearest."""
    allowed = list(allowed)
    if isinstance(value, str) and value in allowed:
        return value
    known = {choice.lower(): choice for choice in allowed}
    close = difflib.get_close_matches(str(value).lower(), known, n=5, cutoff=0.0)
    listed = ", ".join(map(repr, allowed))
    if len(allowed) > LISTED:
        nearest = ", ".join(repr(known[choice]) for choice in close)
        listed = f"{len(allowed)} names, the nearest are {nearest}"
    hint = ""
    if isinstance(value, str):
        similar = difflib.get_close_matches(value.lower(), close, n=1, cutoff=0.5)
        hint = f" Did you mean {known[similar[0]]!r}?" if similar else ""
    raise RetrievalInputError(f"{name} must be one of {listed}; got {value!r}.{hint}")


def check_choices(values, allowed: Iterable[str], name: str) -> list[str]:
    """Return a list of names, each checked by `check_choice`; one text alone is refused."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise RetrievalInputError(f"{name} must be a list of names, got {values!r}")
    allowed = list(allowed)
    return [check_choice(value, allowed, name) for value in values]


def check_distinct(ids: Sequence[str], kind: str, name: str) -> None:
    """Refuse an id that occurs twice in `name`; the error gives both positions."""
    if len(set(ids)) == len(ids):
        return
    positions: dict[str, int] = {}
    for position, text in enumerate(ids):
        if positions.setdefault(text, position) != position:
            places = f"{positions[text]} and {position}"
            raise RetrievalInputError(f"{name}: {kind} ids must differ, got {text!r} at {places}")


def is_unicode(text: str) -> bool:
    """Return True if a text can be written as UTF-8; JSON can hold unpaired surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
