"""Storage of token vectors: float32, int8, or residuals of a few bits around centroids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from lib.core.checks import (
    RetrievalInputError,
    as_embeddings,
    check_count,
    check_number,
    check_seed,
    real_numbers,
    unit_rows,
)
from lib.core.token_vectors import round_to_int8
from lib.index.exact import topk_exact

BITS = (1, 2, 4)  # those that fill bytes
SAMPLE = 256  # vectors a centroid to train on: more hardly move it
ITERATIONS = 10  # of k-means


class Float32Storage:
    """Store unit vectors, 4 d bytes each; `nearest` are the centroids of tokens."""

    dtype: ClassVar[np.dtype] = np.dtype(np.float32)  # of what `encode` returns

    @classmethod
    def train(
        cls, tokens: np.ndarray, rows: np.ndarray, centroids: np.ndarray, bits: int
    ) -> Float32Storage:
        """Train on tokens as given and as unit rows, both `(n, d)`, and on centroids `(k, d)`."""
        return cls()

    def encode(self, tokens: np.ndarray, rows: np.ndarray, nearest: np.ndarray) -> np.ndarray:
        """Return the stored form of tokens, `(n, ...)`."""
        return rows

    def decode(self, stored: np.ndarray, nearest: np.ndarray) -> np.ndarray:
        """Return tokens `(n, d)`, float32 or int8."""
        return stored

    def token_bytes(self, dim: int) -> int:
        """Return the bytes that `encode` makes of one token."""
        return 4 * dim

    def state(self) -> dict[str, np.ndarray]:
        """Return the arrays from which `restore` makes the same storage, without the centroids."""
        return {}

    @classmethod
    def restore(cls, state: dict[str, np.ndarray], centroids: np.ndarray) -> Float32Storage:
        return cls()


@dataclass(frozen=True)
class Int8Storage(Float32Storage):
    """Store whole numbers from -127 to 127 with one scale for all tokens, d bytes each.

    `largest` is the coordinate of a unit vector that becomes 127, or 0 where all tokens come as
    int8.
    """

    largest: float
    dtype: ClassVar[np.dtype] = np.dtype(np.int8)

    def __post_init__(self) -> None:
        check_number(self.largest, "largest", 0)

    @classmethod
    def train(cls, tokens, rows, centroids, bits) -> Int8Storage:
        return cls(0.0 if tokens.dtype == np.int8 else float(np.abs(rows).max()))

    def encode(self, tokens, rows, nearest) -> np.ndarray:
        if (tokens.dtype == np.int8) != (self.largest == 0):
            kinds = ("int8", "float32") if self.largest == 0 else ("float32", "int8")
            raise RetrievalInputError(
                f"the index was trained on {kinds[0]} tokens, these are {kinds[1]}; their scores"
                " would not compare. Convert one of them, or use two indexes"
            )
        return tokens if self.largest == 0 else round_to_int8(rows, self.largest)

    def token_bytes(self, dim: int) -> int:
        return dim

    def state(self) -> dict[str, np.ndarray]:
        return {"largest": np.array(self.largest)}

    @classmethod
    def restore(cls, state, centroids) -> Int8Storage:
        return cls(state["largest"].tolist())


@dataclass(frozen=True, eq=False)
class ResidualStorage(Float32Storage):
    """Store the difference from the nearest centroid in `bits` bits a dimension.

        v ~ normalise(c + r),    c the centroid of the largest <v, c>
        r_j  the value of the bucket of v_j - c_j

    All dimensions have the same buckets, with quantiles of the residuals of a sample as limits. The
    value of a bucket is the mean of its residuals, which minimises the squared error of c + r.
    (ColBERTv2 takes the median.)

    Args:
        centroids: `(k, d)` float32.
        cutoffs: `(2^bits - 1,)` float32, ascending; a residual equal to one belongs below it.
        values: `(2^bits,)` float32, the decoded value of each bucket.

    Reference: Santhanam et al. 2022, "ColBERTv2: Effective and Efficient Retrieval via Lightweight
    Late Interaction", section 3.3.
    """

    centroids: np.ndarray
    cutoffs: np.ndarray
    values: np.ndarray
    dtype: ClassVar[np.dtype] = np.dtype(np.uint8)

    def __post_init__(self) -> None:
        as_embeddings(self.centroids, "centroids")
        cutoffs, values = real_numbers(self.cutoffs, "cutoffs"), real_numbers(self.values, "values")
        dtypes = {str(part.dtype) for part in (self.centroids, self.cutoffs, self.values)}
        fits = len(cutoffs) in (1, 3, 15) and len(values) == len(cutoffs) + 1
        if not fits or dtypes != {"float32"}:
            raise RetrievalInputError(
                "cutoffs must be 1, 3 or 15 numbers, values one more, and all float32 like the"
                f" centroids, got {len(cutoffs)} and {len(values)}, {' and '.join(sorted(dtypes))}"
            )
        if (np.diff(cutoffs) < 0).any():
            raise RetrievalInputError(f"cutoffs must ascend, got {cutoffs}")

    @property
    def bits(self) -> int:
        return len(self.cutoffs).bit_length()

    @classmethod
    def train(cls, tokens, rows, centroids, bits) -> ResidualStorage:
        residuals = np.sort(rows - centroids[nearest_centroids(rows, centroids)], axis=None)
        n_buckets = 2 ** check_bits(bits)
        cutoffs = np.quantile(residuals, np.arange(1, n_buckets) / n_buckets).astype(np.float32)
        parts = np.split(residuals, np.searchsorted(residuals, cutoffs, side="right"))
        # Where many residuals are equal a bucket can be empty; any value will do there.
        limits = np.concatenate([cutoffs, cutoffs[-1:]])
        pairs = zip(parts, limits)
        values = [part.mean(dtype=np.float64) if part.size else limit for part, limit in pairs]
        return cls(centroids, cutoffs, np.array(values, np.float32))

    def encode(self, tokens, rows, nearest) -> np.ndarray:
        """Return the packed buckets `(n, ceil(d bits / 8))` uint8."""
        residuals = rows - self.centroids[nearest]
        buckets = np.zeros(rows.shape, np.uint8)
        for cutoff in self.cutoffs:
            buckets += residuals > cutoff
        return pack_bits(buckets, self.bits)

    def decode(self, stored, nearest) -> np.ndarray:
        rows = self.values[unpack_bits(stored, self.bits, self.centroids.shape[1])]
        rows += self.centroids[nearest]
        return unit_rows(rows, "decoded vectors")

    def token_bytes(self, dim: int) -> int:
        return -(-dim * self.bits // 8)

    def state(self) -> dict[str, np.ndarray]:
        return {"cutoffs": self.cutoffs, "values": self.values}

    @classmethod
    def restore(cls, state, centroids) -> ResidualStorage:
        storage = cls(centroids, state["cutoffs"], state["values"])
        if storage.bits != state["bits"]:
            raise RetrievalInputError(f"bits must be {storage.bits}, got {state['bits']}")
        return storage


STORAGES: dict[str, type[Float32Storage]] = {
    "float32": Float32Storage,
    "int8": Int8Storage,
    "residual": ResidualStorage,
}


def check_bits(bits) -> int:
    """Return the bits of a dimension when they are 1, 2 or 4."""
    if check_count(bits, "bits") not in BITS:
        raise RetrievalInputError(f"bits must be 1, 2 or 4, which fill bytes, got {bits}")
    return int(bits)


def pack_bits(levels: np.ndarray, bits: int) -> np.ndarray:
    """Pack numbers `(n, d)` below 2^bits into bytes `(n, ceil(d bits / 8))`, lowest bits first."""
    per_byte = 8 // bits
    padded = np.pad(levels.astype(np.uint8), ((0, 0), (0, -levels.shape[1] % per_byte)))
    shifts = bits * np.arange(per_byte, dtype=np.uint8)
    by_byte = padded.reshape(len(padded), padded.shape[1] // per_byte, per_byte)
    return np.bitwise_or.reduce(by_byte << shifts, axis=2)


def unpack_bits(packed: np.ndarray, bits: int, dim: int) -> np.ndarray:
    """Recover the numbers `(n, dim)` uint8 that `pack_bits` packed."""
    shifts = bits * np.arange(8 // bits, dtype=np.uint8)
    levels = packed[:, :, None] >> shifts & np.uint8(2**bits - 1)
    return levels.reshape(len(packed), packed.shape[1] * len(shifts))[:, :dim]


def sample(rows: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Draw at most `n` of the rows, in their order, without replacement."""
    if len(rows) <= n:
        return rows
    chosen = np.random.default_rng(check_seed(seed)).choice(len(rows), n, replace=False)
    return rows[np.sort(chosen)]


def train_centroids(rows: np.ndarray, n_centroids: int, seed: int) -> np.ndarray:
    """Find centroids `(n_centroids, d)` float32 of unit rows by spherical k-means in one thread."""
    if len(rows) < check_count(n_centroids, "n_centroids"):
        raise RetrievalInputError(
            f"{n_centroids} centroids need at least as many vectors to train on, got {len(rows)}."
            " Give more, or choose a smaller n_centroids"
        )
    with threadpool_limits(limits=1):
        kmeans = faiss.Kmeans(
            rows.shape[1],
            n_centroids,
            niter=ITERATIONS,
            seed=seed,
            spherical=True,
            min_points_per_centroid=1,
            max_points_per_centroid=SAMPLE,
        )
        kmeans.train(rows)
    return kmeans.centroids


def nearest_centroids(rows: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Find the centroid of the largest dot product, the first of equals, on any processor."""
    dtype = id_dtype(len(centroids))
    if len(rows) == 0:
        return np.empty(0, dtype)
    return topk_exact(rows, centroids, 1, "inner_product")[1][:, 0].astype(dtype)


def id_dtype(n: int) -> np.dtype:
    """Return the smallest unsigned dtype for the numbers 0 to n - 1."""
    return np.min_scalar_type(n - 1)
