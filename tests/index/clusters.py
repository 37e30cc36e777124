"""Token vectors as models make them: many near a few directions."""

import numpy as np

from lib.core.token_vectors import Tokens


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def clustered(n, dim=16, n_clusters=20, spread=0.4, seed=0):
    """Unit rows `(n, dim)` around directions that are the same for every seed."""
    directions = unit(np.random.default_rng(99).standard_normal((n_clusters, dim)))
    rng = np.random.default_rng(seed)
    noise = spread * rng.standard_normal((n, dim)) / np.sqrt(dim)
    return unit(directions[rng.integers(n_clusters, size=n)] + noise)


def documents(n, longest=6, seed=0, **options):
    counts = np.random.default_rng(seed + 1).integers(1, longest + 1, n)
    return Tokens.from_flat(clustered(counts.sum(), seed=seed, **options), counts)
