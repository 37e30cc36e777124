"""Token vectors in a few bytes: the nearest of some centroids, and a bit or two a dimension for the
rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from lib.core.checks import (
    RetrievalInputError,
    as_embeddings,
    check_count,
    check_seed,
    real_numbers,
    unit_rows,
)
from lib.index.exact import topk_exact

BITS = (1, 2, 4)  # those that fill bytes
SAMPLE = 256  # vectors a centroid to train on: more hardly move it
ITERATIONS = 10  # of k-means


@dataclass(frozen=True)
class Codes:
    """What is stored of n vectors.

    Args:
        centroids: `(n,)` which centroid is nearest, in the smallest unsigned dtype that holds every
            centroid.
        packed: `(n, ceil(d bits / 8))` uint8, the bucket of each dimension, the first in the lowest
            bits.
    """

    centroids: np.ndarray
    packed: np.ndarray

    def __len__(self) -> int:
        return len(self.centroids)

    @property
    def nbytes(self) -> int:
        return self.centroids.nbytes + self.packed.nbytes


@dataclass(frozen=True, eq=False)
class ResidualCodec:
    """Codes of unit vectors: a centroid and, for each dimension, the bucket that the rest falls
    into.

        v ~ normalise(c + r),    c the centroid of the largest <v, c>,    r_j the value of v_j -
        c_j's bucket

    Buckets are the same for all dimensions. Their limits are quantiles of all the residuals of a
    sample, so that each holds as many. The value of a bucket is the mean of what fell into it: no
    other leaves a smaller squared error of c + r. More bits split the same buckets, so on the
    sample that error cannot grow.

    Args:
        centroids: `(k, d)` float32.
        cutoffs: `(2^bits - 1,)` float32, ascending; a residual equal to one belongs below it.
        values: `(2^bits,)` float32, what a bucket is decoded to.

    Relations: `train` finds all three; `lib.core.token_vectors.round_to_int8` is the codec of 8
    bits without centroids. ColBERTv2 gives each bucket its median instead of its mean.

    Reference: Santhanam et al. 2022, "ColBERTv2: Effective and Efficient Retrieval via Lightweight
    Late Interaction", section 3.3.
    """

    centroids: np.ndarray
    cutoffs: np.ndarray
    values: np.ndarray

    def __post_init__(self) -> None:
        as_embeddings(self.centroids, "centroids")
        cutoffs, values = real_numbers(self.cutoffs, "cutoffs"), real_numbers(self.values, "values")
        kinds = {str(part.dtype) for part in (self.centroids, self.cutoffs, self.values)}
        if (
            len(cutoffs) not in (1, 3, 15)
            or len(values) != len(cutoffs) + 1
            or kinds != {"float32"}
        ):
            raise RetrievalInputError(
                "cutoffs must be 1, 3 or 15 numbers, values one more, and all float32 like the"
                f" centroids, got {len(cutoffs)} and {len(values)}, {' and '.join(sorted(kinds))}"
            )
        if (np.diff(cutoffs) < 0).any():
            raise RetrievalInputError(f"cutoffs must ascend, got {cutoffs}")

    @classmethod
    def train(cls, vectors, n_centroids: int, bits: int = 2, seed: int = 0) -> ResidualCodec:
        """Finds centroids and buckets from a sample of the vectors that will be stored.

        Args:
            vectors: `(n, d)`, n at least `n_centroids`; normalised here.
            n_centroids: k.
            bits: for each dimension, 1, 2 or 4.
            seed: of the sample and of k-means, which runs in one thread.

        Raises:
            RetrievalInputError: fewer vectors than centroids, other bits, zero rows or what is not
                finite.
        """
        bits = check_bits(bits)
        rows = sample(
            unit_rows(vectors, "vectors"), check_count(n_centroids, "n_centroids") * SAMPLE, seed
        )
        return cls.around(train_centroids(rows, n_centroids, seed), rows, bits)

    @classmethod
    def around(cls, centroids: np.ndarray, rows: np.ndarray, bits: int) -> ResidualCodec:
        """Buckets for given centroids, from unit rows `(n, d)`."""
        residuals = np.sort(rows - centroids[nearest_centroids(rows, centroids)], axis=None)
        n_buckets = 2 ** check_bits(bits)
        cutoffs = np.quantile(residuals, np.arange(1, n_buckets) / n_buckets).astype(np.float32)
        starts = np.searchsorted(residuals, cutoffs, side="right")
        parts = np.split(residuals, starts)
        # Where many residuals are equal a bucket can be empty: nothing of the sample asks for its
        # value.
        limits = np.concatenate([cutoffs, cutoffs[-1:]])
        values = [
            part.mean(dtype=np.float64) if part.size else limit
            for part, limit in zip(parts, limits)
        ]
        return cls(centroids, cutoffs, np.array(values, np.float32))

    @property
    def dim(self) -> int:
        return self.centroids.shape[1]

    @property
    def bits(self) -> int:
        return len(self.values).bit_length() - 1

    @property
    def bytes_per_vector(self) -> int:
        """ceil(d bits / 8), and what the number of a centroid takes."""
        return packed_bytes(self.dim, self.bits) + id_dtype(len(self.centroids)).itemsize

    def encode(self, vectors) -> Codes:
        """Codes of `(n, d)` vectors, which are normalised here."""
        rows = unit_rows(
            as_embeddings(vectors, "vectors", dim=self.dim, allow_empty=True), "vectors"
        )
        nearest = nearest_centroids(rows, self.centroids)
        return Codes(nearest, self.encode_residuals(rows, nearest))

    def encode_residuals(self, rows: np.ndarray, nearest: np.ndarray) -> np.ndarray:
        """The buckets `(n, ceil(d bits / 8))` uint8 of unit rows whose centroids are known."""
        residuals = rows - self.centroids[nearest]
        buckets = np.zeros(rows.shape, np.uint8)
        for cutoff in self.cutoffs:
            buckets += residuals > cutoff
        return pack_bits(buckets, self.bits)

    def decode(self, codes: Codes) -> np.ndarray:
        """Unit vectors `(n, d)` float32, near those that were encoded."""
        rows = self.values[unpack_bits(codes.packed, self.bits, self.dim)]
        rows += self.centroids[codes.centroids]
        return unit_rows(rows, "decoded vectors")

    def state(self) -> dict[str, np.ndarray]:
        """The arrays that `ResidualCodec(**state)` takes."""
        return {"centroids": self.centroids, "cutoffs": self.cutoffs, "values": self.values}


def check_bits(bits) -> int:
    """Returns the bits of a dimension when they are 1, 2 or 4."""
    if check_count(bits, "bits") not in BITS:
        raise RetrievalInputError(f"bits must be 1, 2 or 4, which fill bytes, got {bits}")
    return int(bits)


def packed_bytes(dim: int, bits: int) -> int:
    """Bytes that a row of `dim` small numbers takes."""
    return -(-dim * bits // 8)


def pack_bits(levels: np.ndarray, bits: int) -> np.ndarray:
    """Numbers `(n, d)` below 2^bits as bytes `(n, ceil(d bits / 8))`, the first in the lowest
    bits.
    """
    a_byte = 8 // bits
    padded = np.pad(levels.astype(np.uint8), ((0, 0), (0, -levels.shape[1] % a_byte)))
    shifts = bits * np.arange(a_byte, dtype=np.uint8)
    by_byte = padded.reshape(len(padded), padded.shape[1] // a_byte, a_byte)
    return np.bitwise_or.reduce(by_byte << shifts, axis=2)


def unpack_bits(packed: np.ndarray, bits: int, dim: int) -> np.ndarray:
    """The numbers `(n, dim)` uint8 that `pack_bits` was given."""
    shifts = bits * np.arange(8 // bits, dtype=np.uint8)
    levels = packed[:, :, None] >> shifts & np.uint8(2**bits - 1)
    return levels.reshape(len(packed), packed.shape[1] * len(shifts))[:, :dim]


def sample(rows: np.ndarray, n: int, seed: int) -> np.ndarray:
    """At most `n` of the rows, in their order, drawn without replacement."""
    if len(rows) <= n:
        return rows
    return rows[
        np.sort(np.random.default_rng(check_seed(seed)).choice(len(rows), n, replace=False))
    ]


def train_centroids(rows: np.ndarray, n_centroids: int, seed: int) -> np.ndarray:
    """Centroids `(n_centroids, d)` float32 of unit rows by spherical k-means, the same for the same
    seed.
    """
    if len(rows) < check_count(n_centroids, "n_centroids"):
        raise RetrievalInputError(
            f"{n_centroids} centroids need at least as many vectors to train on, got {len(rows)}"
        )
    import faiss  # here, so that whoever only searches does not load it

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
    """For each row the centroid of the largest dot product, the first of equals, whatever the
    processor.
    """
    dtype = id_dtype(len(centroids))
    if len(rows) == 0:
        return np.empty(0, dtype)
    return topk_exact(rows, centroids, 1, "inner_product")[1][:, 0].astype(dtype)


def id_dtype(n: int) -> np.dtype:
    """The smallest unsigned dtype that can number `n` things."""
    return np.min_scalar_type(n - 1)
