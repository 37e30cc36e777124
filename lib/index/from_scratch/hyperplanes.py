"""Hashing by random hyperplanes: which side of each plane a vector lies on, as bits."""

import numpy as np

from lib.core.checks import RetrievalInputError, as_embeddings, check_count, check_seed
from lib.index.from_scratch.hits import best_of_pairs
from lib.index.token_index.candidates import spans


def draw_hyperplanes(d: int, n_bits: int, seed: int = 0) -> np.ndarray:
    """Normals of planes through the origin, Gaussian, so that no direction is preferred: `(n_bits,
    d)`.
    """
    d = check_count(d, "d", most=2**15)
    shape = check_count(n_bits, "n_bits", most=2**30 // d), d  # 4 GB of float32
    return np.random.default_rng(check_seed(seed)).standard_normal(shape, dtype=np.float32)


def draw_frame(d: int, n_bits: int, seed: int = 0) -> np.ndarray:
    """Normals from a random rotation: `(n_bits, d)`.

    Up to d of them stand at right angles. More cannot: then they are a tight frame, `W^T W = 1`,
    the first d columns of a rotation in n_bits dimensions.
    """
    n = max(check_count(n_bits, "n_bits", most=2**15), check_count(d, "d", most=2**15))
    return np.linalg.qr(draw_hyperplanes(n, n, seed))[0][:n_bits, :d]


def signatures(rows, hyperplanes: np.ndarray) -> np.ndarray:
    """One bit a plane, `h_b(x) = [w_b . x >= 0]`, packed: `(n, ceil(n_bits / 8))` uint8, lowest bit
    first.
    """
    rows = as_embeddings(rows, "rows", dim=hyperplanes.shape[1])
    return np.packbits(rows @ hyperplanes.T >= 0, axis=1, bitorder="little")


def hamming(queries: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """How many bits differ, `(n_queries, n)` int64."""
    if queries.shape[1:] != codes.shape[1:]:
        raise RetrievalInputError(
            f"signatures of {queries.shape[1:]} and {codes.shape[1:]} bytes differ"
        )
    distances = np.zeros((len(queries), len(codes)), np.int64)
    for byte in range(codes.shape[1]):
        distances += np.bitwise_count(queries[:, None, byte] ^ codes[None, :, byte])
    return distances


def collision_probability(cosine):
    """The chance that one random plane leaves both vectors on the same side.

        P[h(x) = h(y)] = 1 - theta / pi,    theta = arccos(cosine)

    The plane separates them when its trace in their common plane falls into the angle between them,
    which is theta of pi. So the Hamming distance of n bits estimates the angle: `theta ~ pi hamming
    / n`.

    Reference: Charikar 2002, "Similarity estimation techniques from rounding algorithms".
    """
    cosine = np.asarray(cosine, float)
    if not (np.abs(cosine) <= 1).all():
        raise RetrievalInputError(
            f"a cosine lies between -1 and 1, got {cosine[~(np.abs(cosine) <= 1)].flat[0]}"
        )
    return 1 - np.arccos(cosine) / np.pi


def hit_probability(cosine, bits: int, tables: int):
    """The chance to share a bucket in at least one table: `1 - (1 - p^bits)^tables`, an S-curve in
    cosine.

    More bits make buckets purer and hits rarer; more tables give more chances and cost more memory.

    Reference: Indyk and Motwani 1998, "Approximate nearest neighbors".
    """
    together = collision_probability(cosine) ** check_count(bits, "bits")
    return 1 - (1 - together) ** check_count(tables, "tables")


def bucket_keys(rows, hyperplanes: np.ndarray) -> np.ndarray:
    """The bucket of each row in each table, as the number its bits spell: `(n, tables)` int64.

    Args:
        hyperplanes: `(tables, bits, d)`, at most 62 bits a table.
    """
    tables, bits, d = hyperplanes.shape
    if bits > 62:
        raise RetrievalInputError(f"a bucket number holds at most 62 bits, got {bits}")
    rows = as_embeddings(rows, "rows", dim=d)
    sides = (rows @ hyperplanes.reshape(-1, d).T >= 0).reshape(len(rows), tables, bits)
    return sides @ (1 << np.arange(bits))


def search_buckets(
    queries, rows, hyperplanes: np.ndarray, k: int, metric: str = "inner_product"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores the rows that share a bucket with the query in any table, and keeps the k best.

    Returns:
        `(scores, ids, scored)` as `search_cells`; a query whose buckets are empty finds nothing.
    """
    asked, held = bucket_keys(queries, hyperplanes), bucket_keys(rows, hyperplanes)
    pairs = []
    for mine, theirs in zip(asked.T, held.T):  # one table at a time, all queries at once
        order = np.argsort(theirs, kind="stable")
        first, last = (np.searchsorted(theirs[order], mine, side) for side in ("left", "right"))
        query, at = spans(first, last - first)
        pairs.append(query * len(held) + order[at])
    query, item = np.divmod(np.unique(np.concatenate(pairs)), len(held))  # each pair once
    return *best_of_pairs(queries, rows, query, item, k, metric), np.bincount(
        query, minlength=len(asked)
    )
