"""Hashing by random hyperplanes: one bit for each side of a plane, and hash tables of such bits."""

import numpy as np

from lib.core.checks import RetrievalInputError, as_embeddings, check_count, check_seed
from lib.index.from_scratch.cells import best_of_pairs
from lib.index.ids import spans


def draw_hyperplanes(d: int, n_bits: int, seed: int = 0) -> np.ndarray:
    """Draw Gaussian normals of planes through the origin, `(n_bits, d)`: all directions alike."""
    d = check_count(d, "d", most=2**15)
    shape = check_count(n_bits, "n_bits", most=2**30 // d), d  # 4 GB of float32
    return np.random.default_rng(check_seed(seed)).standard_normal(shape, dtype=np.float32)


def draw_frame(d: int, n_bits: int, seed: int = 0) -> np.ndarray:
    """Draw normals from a random rotation: `(n_bits, d)`.

    Up to d of them are orthogonal. More than d are a tight frame, `W^T W = 1`: the first d columns
    of a rotation in n_bits dimensions.
    """
    n = max(check_count(n_bits, "n_bits", most=2**15), check_count(d, "d", most=2**15))
    return np.linalg.qr(draw_hyperplanes(n, n, seed))[0][:n_bits, :d]


def signatures(rows, hyperplanes: np.ndarray) -> np.ndarray:
    """Compute bits `h_b(x) = [w_b . x >= 0]`, `(n, ceil(n_bits / 8))` uint8, lowest bit first."""
    rows = as_embeddings(rows, "rows", dim=hyperplanes.shape[1])
    return np.packbits(rows @ hyperplanes.T >= 0, axis=1, bitorder="little")


def hamming(queries: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Count the bits that differ, `(n_queries, n)` int64."""
    if queries.shape[1:] != codes.shape[1:]:
        n_bytes = queries.shape[1:], codes.shape[1:]
        raise RetrievalInputError(f"signatures must have one length, got {n_bytes} bytes")
    distances = np.zeros((len(queries), len(codes)), np.int64)
    for byte in range(codes.shape[1]):
        distances += np.bitwise_count(queries[:, None, byte] ^ codes[None, :, byte])
    return distances


def collision_probability(cosine):
    """Compute the probability that both vectors lie on the same side of one random plane.

        P[h(x) = h(y)] = 1 - theta / pi,    theta = arccos(cosine)

    The plane separates them when its trace in their common plane falls into the angle between them,
    which is theta of pi. So the Hamming distance of n bits estimates the angle: `theta ~ pi hamming
    / n`.

    Reference: Charikar 2002, "Similarity estimation techniques from rounding algorithms".
    """
    cosine = np.asarray(cosine, float)
    outside = ~(np.abs(cosine) <= 1)
    if outside.any():
        raise RetrievalInputError(f"cosine must be between -1 and 1, got {cosine[outside][0]}")
    return 1 - np.arccos(cosine) / np.pi


def hit_probability(cosine, bits: int, tables: int):
    """Compute the probability to share a bucket in at least one table: `1 - (1 - p^bits)^tables`.

    An S-curve in the cosine. More bits make buckets purer and hits rarer; more tables give more
    chances and cost more memory.

    Reference: Indyk and Motwani 1998, "Approximate nearest neighbors".
    """
    same_bucket = collision_probability(cosine) ** check_count(bits, "bits")
    return 1 - (1 - same_bucket) ** check_count(tables, "tables")


def bucket_keys(rows, hyperplanes: np.ndarray) -> np.ndarray:
    """Compute the bucket of each row in each table `(tables, bits, d)`: `(n, tables)` int64."""
    tables, bits, d = hyperplanes.shape
    check_count(bits, "bits of a bucket", most=62)
    rows = as_embeddings(rows, "rows", dim=d)
    sides = (rows @ hyperplanes.reshape(-1, d).T >= 0).reshape(len(rows), tables, bits)
    return sides @ (1 << np.arange(bits))


def search_buckets(
    queries, rows, hyperplanes: np.ndarray, k: int, metric: str = "inner_product"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the k best of the rows that share a bucket with the query in any table.

    Returns:
        `(scores, ids, scored)` as `search_cells`; a query with empty buckets has no hits.
    """
    query_keys, row_keys = bucket_keys(queries, hyperplanes), bucket_keys(rows, hyperplanes)
    pairs = []
    for query_bucket, row_bucket in zip(query_keys.T, row_keys.T):  # a table, all queries at once
        order = np.argsort(row_bucket, kind="stable")
        ordered = row_bucket[order]
        first, last = (np.searchsorted(ordered, query_bucket, side) for side in ("left", "right"))
        query, at = spans(first, last - first)
        pairs.append(query * len(row_keys) + order[at])
    query, item = np.divmod(np.unique(np.concatenate(pairs)), len(row_keys))  # each pair once
    hits = best_of_pairs(queries, rows, query, item, k, metric)
    return *hits, np.bincount(query, minlength=len(query_keys))
