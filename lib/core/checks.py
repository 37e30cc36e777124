"""What is accepted at the border of the package; everything inside may then assume it."""

import difflib
import math
import operator
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from numbers import Real

import numpy as np

LARGEST_INT64 = 2**63 - 1
LARGEST_TABLE = 2**30  # cells of a table that has one for each number from 0; 8 GiB of int64
LISTED = 24  # names that an error spells out; a longer list would hide the rest of the message


class RetrievalInputError(ValueError):
    """An input that cannot be right; the message names the value, where it is, and what to do."""


def as_array(x, name: str) -> np.ndarray:
    """Returns numbers, labels or flags as a numpy array in the dtype they came in: the one way into
    numpy.

    A torch tensor may need a gradient, be on any device, or hold bfloat16, which becomes float32.

    Raises:
        RetrievalInputError: what numpy would read as something else than was meant: a masked array
            whose mask hides values, a sparse matrix, a mapping (its keys), a set (any order), text,
            an iterator, rows of unequal lengths.
    """
    if isinstance(x, list | tuple):
        kinds = set(map(type, x))
        if any(hasattr(kind, "detach") or issubclass(kind, np.ma.MaskedArray) for kind in kinds):
            x = [as_array(row, f"{name}[{i}]") for i, row in enumerate(x)]
    elif isinstance(x, np.ma.MaskedArray):
        if np.ma.is_masked(x):
            raise RetrievalInputError(
                f"{name} is a masked array with {np.ma.count_masked(x)} hidden values, which"
                f" nothing here can leave out. Drop them yourself, or give {name}.data if they"
                " count"
            )
    elif isinstance(x, str | bytes | Mapping | Set | Iterator) or hasattr(x, "tocsr"):
        raise RetrievalInputError(
            f"{name} must be an array or a list, got {type(x).__name__}; give its values in order,"
            " as a list or by numpy"
        )
    elif hasattr(x, "detach"):
        if getattr(x, "is_sparse", False) or "strided" not in str(x.layout):
            raise RetrievalInputError(
                f"{name} is a sparse tensor ({x.layout}); give {name}.to_dense()"
            )
        if x.device.type == "meta":
            raise RetrievalInputError(f"{name} is on the meta device, where tensors hold no values")
        x = x.detach().cpu()
        x = (
            x.float() if "float" in str(x.dtype) and x.element_size() < 4 else x
        )  # numpy has no bfloat16
        return x.resolve_conj().resolve_neg().numpy()
    try:
        return np.asarray(x)
    except (ValueError, TypeError, OverflowError) as error:  # nested lists of unequal lengths
        raise RetrievalInputError(
            f"{name} is not a matrix or a list of numbers: {error}"
        ) from error


def whole_numbers(x, name: str, ndim: int = 1) -> np.ndarray:
    """Returns `x` as int64 with that many axes, such as ids; floats and what overflows are
    refused.
    """
    array = as_array(x, name)
    if array.ndim != ndim or (array.size and array.dtype.kind not in "iu"):
        axes = {1: "a list of whole numbers", 2: "rows of whole numbers"}[ndim]
        raise RetrievalInputError(f"{name} must be {axes}, got {array.dtype} {array.shape}")
    if array.dtype == np.uint64 and array.size and array.max() > LARGEST_INT64:
        raise RetrievalInputError(f"{name} holds {array.max()}; whole numbers end at 2^63 - 1 here")
    return array.astype(np.int64, copy=False)


def real_numbers(x, name: str, *, infinite: bool = False) -> np.ndarray:
    """Returns `x` as `(n,)` float64 without NaN, n >= 1; flags count 0 and 1, infinity only if
    asked for.
    """
    array = as_array(x, name)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "biuf":
        raise RetrievalInputError(
            f"{name} must be a list of at least one number, got {array.dtype} {array.shape}"
        )
    array = array.astype(np.float64)
    wrong = np.flatnonzero(np.isnan(array) if infinite else ~np.isfinite(array))
    if wrong.size:
        raise RetrievalInputError(f"{name}[{wrong[0]}] is {array[wrong[0]]}, which is not finite")
    return array


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
        RetrievalInputError: not real numbers, not two-dimensional, another `d`, empty, or a value
            that is NaN, infinite, or too large for float32 (the message gives row, column and
            value).
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
                f"{name} has the value {array[row, column]} in row {row}, column {column}; every"
                " value must be finite in float32. Find where it comes from: dropping the row"
                " would shift all later ids"
            )
    return rows


def as_real_matrix(
    x, name: str, *, dim: int | None = None, allow_empty: bool = False
) -> np.ndarray:
    """Returns `x` as a two-dimensional numpy array of integers or floats, in the dtype it came in.

    Raises:
        RetrievalInputError: not real numbers, not two-dimensional, another `d` than `dim`, or
            empty.
    """
    array = as_array(x, name)
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
        raise RetrievalInputError(
            f"{name} has shape {array.shape}; expected two axes (rows, dimension)"
        )
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

    Norms are summed in float64: rows of 1e30 do not overflow, and the last bit of the result does
    not depend on the order in which a processor adds.

    Args:
        x: `(n, d)` embeddings.
        name: what the caller calls them.

    Returns:
        `(n, d)` float32.

    Raises:
        RetrievalInputError: what `as_embeddings` refuses, or a row of zeros, which has no
            direction.
    """
    rows = as_embeddings(x, name, allow_empty=True)
    norms = row_norms(rows, name)
    # Divided in float64, stored in float32 as it goes: no float64 copy of the whole matrix.
    return np.divide(rows, norms[:, None], out=np.empty_like(rows))


def row_norms(rows: np.ndarray, name: str, *, allow_zero: bool = False) -> np.ndarray:
    """Euclidean norms `(n,)` in float64 of checked rows; a row of zeros is an error that names its
    index.
    """
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    if not (allow_zero or norms.all()):
        row = int(np.flatnonzero(norms == 0)[0])
        raise RetrievalInputError(
            f"{name} has only zeros in row {row}, which has no direction and so no cosine with"
            " anything. Check what was encoded there, or use metric='inner_product'"
        )
    return norms


def check_count(value, name: str, *, least: int = 1, most: int = LARGEST_INT64) -> int:
    """Returns a whole number from `least` to `most` as `int`; bools and floats are refused."""
    try:
        count = operator.index(value)
    except TypeError:
        count = None
    if count is None or isinstance(value, bool | np.bool_):
        raise RetrievalInputError(f"{name} must be a whole number, got {value!r}")
    if count < least:
        raise RetrievalInputError(f"{name} must be at least {least}, got {count}")
    if count > most:
        told = f"{count:,}" if count < 2**64 else f"a number of {count.bit_length()} bits"
        raise RetrievalInputError(f"{name} must be at most {most:,}, got {told}")
    return count


def check_number(
    value,
    name: str,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: bool = False,
    below: bool = False,
) -> float:
    """Returns a finite number from `low` to `high` as `float`; `above` and `below` leave out the
    ends.
    """
    number = value
    if getattr(value, "ndim", None) == 0 and hasattr(
        value, "item"
    ):  # numpy scalars, 0-d arrays and tensors
        number = value.item()
    outside = [f"not {end:g}" for end, left_out in ((low, above), (high, below)) if left_out]
    if high < math.inf:
        range_ = f"between {low:g} and {high:g}" + f" ({', '.join(outside)})" * bool(outside)
    else:
        range_ = "a finite number" + f" {'above' if above else 'of at least'} {low:g}" * (
            low > -math.inf
        )
    # Not math.isfinite, which raises OverflowError for 10**400.
    fits = isinstance(number, Real) and not isinstance(number, bool)
    fits = fits and abs(number) <= sys.float_info.max
    if (
        not fits
        or not low <= number <= high
        or (above and number == low)
        or (below and number == high)
    ):
        raise RetrievalInputError(f"{name} must be {range_}, got {value!r}")
    return float(number)


def check_seed(seed, name: str = "seed") -> int:
    """Returns a seed from 0 to 2^63 - 1 as `int`."""
    return check_count(seed, name, least=0)


def check_table(size: int, name: str) -> int:
    """Refuses a table of one cell for each number below `size` that no memory holds; returns
    `size`.
    """
    if size > LARGEST_TABLE:
        raise RetrievalInputError(
            f"{name} = {size} asks for a table of {size * 8 / 2**30:,.0f} GiB. Positions are"
            " counted from 0 without gaps: number your ids by np.unique(ids, return_inverse=True)"
        )
    return size


def check_threads(value, name: str = "threads") -> int:
    """Returns a number of threads, at most one for each processor: a library asked for 100,000
    dies.
    """
    return check_count(value, name, most=os.cpu_count() or 1)


def check_switch(value, name: str) -> bool:
    """Returns True or False as `bool`; "no" and 0 are refused, since they read as something
    else.
    """
    if not isinstance(value, bool | np.bool_):
        raise RetrievalInputError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def check_k(k, n_gallery: int) -> int:
    """Returns `k` as `int` when `1 <= k <= n_gallery`."""
    k = check_count(k, "k")
    if k > n_gallery:
        raise RetrievalInputError(
            f"k = {k} is more than the gallery holds; ask for k <= {n_gallery}"
        )
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
        listed = (
            f"{len(allowed)} names, the nearest are"
            f" {', '.join(repr(known[name]) for name in close)}"
        )
    similar = (
        difflib.get_close_matches(value.lower(), close, n=1, cutoff=0.5)
        if isinstance(value, str)
        else []
    )
    hint = f" Did you mean {known[similar[0]]!r}?" if similar else ""
    raise RetrievalInputError(f"{name} must be one of {listed}; got {value!r}.{hint}")


def check_choices(values, allowed: Iterable[str], name: str) -> list[str]:
    """Returns a list of names, each `check_choice`; a name alone is refused: its letters are no
    list.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise RetrievalInputError(
            f"{name} must be a list of names, got {values!r}; write [{values!r}]"
        )
    allowed = list(allowed)
    return [check_choice(value, allowed, name) for value in values]


def is_unicode(text: str) -> bool:
    """Tell whether a text can be written as UTF-8; JSON can hold unpaired surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_distinct(ids: Sequence[str], kind: str, name: str) -> None:
    """Refuses an id that is there twice; says which, where, and in what (`name`)."""
    if len(set(ids)) == len(ids):
        return
    seen: dict[str, int] = {}
    for position, one in enumerate(ids):
        if seen.setdefault(one, position) != position:
            raise RetrievalInputError(
                f"{name}: {kind} id {one!r} is there twice, at {seen[one]} and {position}; "
                "ids must be distinct"
            )
