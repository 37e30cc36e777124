"""Items of several vectors each, such as the words of a text or the patches of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib.core.checks import RetrievalInputError, as_array, check_finite, check_number, whole_numbers

INT8_MAX = 127


@dataclass(frozen=True, eq=False, repr=False)
class Tokens:
    """Token vectors of n items, padded to the longest item.

    `lib.models.maxsim` scores them, `lib.index.TokenIndex` stores them.

    Args:
        vectors: `(n, L, d)` floats, which become float32, or int8; all finite, padding too. A
            contiguous float32 or int8 array is not copied.
        mask: `(n, L)` bool, True where a token counts, at any position; at least one in each item.
            None: all count.
    """

    vectors: np.ndarray
    mask: np.ndarray | None = None

    def __post_init__(self) -> None:
        vectors = _checked_vectors(as_array(self.vectors, "vectors"))
        shape = vectors.shape[:2]
        mask = np.ones(shape, bool) if self.mask is None else as_array(self.mask, "mask")
        if mask.dtype != bool or mask.shape != shape:
            got = f"{mask.dtype} {mask.shape}"
            raise RetrievalInputError(f"mask must be bool {shape}, one a token, got {got}")
        _refuse_empty(mask.any(axis=1))
        object.__setattr__(self, "vectors", vectors)
        object.__setattr__(self, "mask", mask)

    @classmethod
    def from_flat(cls, vectors: np.ndarray, counts: np.ndarray) -> Tokens:
        """Build tokens from one token after the other; the inverse of `flat`.

        Args:
            vectors: `(T, d)`, the tokens of item 0 first.
            counts: `(n,)` tokens of each item, at least 1; they add up to T.
        """
        counts = whole_numbers(counts, "counts")
        _refuse_empty(counts > 0)
        vectors = as_array(vectors, "vectors")
        if vectors.ndim != 2 or counts.sum() != len(vectors):
            n = f"{counts.sum():.0f} rows (the sum of counts)"
            raise RetrievalInputError(f"vectors must have {n}, got {vectors.shape}")
        mask = np.arange(counts.max(initial=1)) < counts[:, None]
        padded = np.zeros((*mask.shape, vectors.shape[1]), vectors.dtype)
        padded[mask] = vectors
        return cls(padded, mask)

    @classmethod
    def concatenate(cls, parts: Sequence[Tokens]) -> Tokens:
        """Join the items of several parts in order, padded with zeros to the longest item."""
        is_list = isinstance(parts, list | tuple)
        if not is_list or not all(isinstance(part, Tokens) for part in parts):
            raise RetrievalInputError(f"parts must be a list of Tokens, got {type(parts).__name__}")
        if not parts:
            raise RetrievalInputError("parts must hold at least one Tokens, got none")
        kinds = {f"{part.vectors.dtype} of dimension {part.dim}" for part in parts}
        if len(kinds) > 1:
            got = " and ".join(sorted(kinds))
            raise RetrievalInputError(f"parts must have one dimension and dtype, got {got}")
        shape = sum(map(len, parts)), max(part.mask.shape[1] for part in parts)
        vectors = np.zeros((*shape, parts[0].dim), parts[0].vectors.dtype)
        mask = np.zeros(shape, bool)
        start = 0
        for part in parts:
            here = slice(start, start + len(part)), slice(part.mask.shape[1])
            vectors[here], mask[here] = part.vectors, part.mask
            start += len(part)
        return cls(vectors, mask)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dim(self) -> int:
        return self.vectors.shape[2]

    @property
    def counts(self) -> np.ndarray:
        """`(n,)` number of tokens that count in each item."""
        return self.mask.sum(axis=1)

    @property
    def n_tokens(self) -> int:
        return int(self.mask.sum())

    @property
    def nbytes(self) -> int:
        """Bytes of the tokens that count: n_tokens d times 4 (int8: 1), without padding."""
        return self.n_tokens * self.dim * self.vectors.itemsize

    def flat(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the tokens that count, in order: vectors `(T, d)` and the item `(T,)` of each."""
        return self.vectors[self.mask], np.repeat(np.arange(len(self)), self.counts)

    def take(self, rows: slice | Sequence[int] | np.ndarray) -> Tokens:
        """Take the items at these positions, in this order."""
        return Tokens(self.vectors[rows], self.mask[rows])

    def as_int8(self, largest: float | None = None) -> Tokens:
        """Round coordinates to whole numbers from -127 to 127, with one scale for all tokens.

            x -> round(127 x / largest), cut off at 127

        MaxSim compares the tokens of an item with each other, so they must share a scale. A scale
        for each token, as in `lib.metrics.geometry.to_int8`, would change which token is best.

        Args:
            largest: the coordinate that becomes 127, above 0; None: the largest of these tokens.

        Returns:
            `Tokens` of int8. Their dot products are whole numbers below 2^24 for d <= 1024, exact
            in float32 in any order of the sum.
        """
        if largest is None:
            largest = float(np.abs(self.flat()[0]).max(initial=0))
        return Tokens(round_to_int8(self.vectors, largest), self.mask)

    def __repr__(self) -> str:
        n, length, dim = self.vectors.shape
        sizes = f"{n:,} items, {self.n_tokens:,} tokens in {length} columns"
        return f"Tokens({sizes}, {dim} x {self.vectors.dtype})"


def round_to_int8(x: np.ndarray, largest: float) -> np.ndarray:
    """Round numbers to int8: round(127 x / largest), cut off at -127 and 127."""
    check_number(largest, "largest", 0, above=True)
    x = as_array(x, "x")
    if x.dtype.kind not in "iuf":
        raise RetrievalInputError(f"x must be real numbers, got {x.dtype} {x.shape}")
    return np.rint(x * np.float32(INT8_MAX / largest)).clip(-INT8_MAX, INT8_MAX).astype(np.int8)


def _refuse_empty(has_tokens: np.ndarray) -> None:
    if not has_tokens.all():
        raise RetrievalInputError(
            f"every item must have a token, got none in item {int(has_tokens.argmin())}. Leave it"
            " out, or give it one token that stands for an empty item"
        )


def _checked_vectors(vectors: np.ndarray) -> np.ndarray:
    """Return `(n, L, d)` contiguous and finite vectors, float32 or int8."""
    if vectors.ndim != 3 or 0 in vectors.shape[1:]:
        expected = "(items, tokens, dimension), the last two not empty"
        raise RetrievalInputError(f"vectors must have shape {expected}, got {vectors.shape}")
    if vectors.dtype == np.int8:
        return np.ascontiguousarray(vectors)
    if vectors.dtype.kind != "f":
        raise RetrievalInputError(f"vectors must be floats or int8, got {vectors.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):
        floats = np.ascontiguousarray(vectors, np.float32)
        # A sum over anything non-finite is non-finite: one fast pass clears nearly every input.
        suspicious = not np.isfinite(floats.sum())
    if suspicious:
        advice = "values must be finite in float32, padding too. Find its source"
        check_finite(vectors, "vectors", advice, finite=np.isfinite(floats))
    return floats
