"""Documents of several vectors each: compressed tokens, and candidates for an exact MaxSim."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, as_embeddings, check_choice, check_count, unit_rows
from lib.core.reading import DamagedFileError, load_arrays, reading
from lib.core.token_vectors import Tokens
from lib.core.writing import save_arrays
from lib.index.base import MOST_DIMENSIONS, SEED
from lib.index.ids import spans
from lib.index.saved_files import REBUILD, check_fits, shape_text
from lib.index.token_index.candidates import Candidates, CentroidLists
from lib.index.token_index.storage import (
    SAMPLE,
    STORAGES,
    Float32Storage,
    check_bits,
    id_dtype,
    nearest_centroids,
    sample,
    train_centroids,
)

FORMAT = 1  # of the saved file; other formats are refused
HEADER = ("dimension", "storage", "bits", "seed")
ARRAYS = ("centroids", "nearest", "kept", "counts")


class TokenIndex:
    """Store compressed token vectors of documents, and find candidate documents for a query.

    Every token belongs to the nearest of k centroids. A query token selects the documents that have
    a token at one of its `nprobe` nearest centroids; documents selected by any token of a query are
    its candidates. Where those are too many, the best stay, with centroids in place of tokens:

        s~(q, d) = sum_i max_j <q_i, c(d_j)>

    The caller computes the exact MaxSim of candidates, with `documents` and
    `lib.models.maxsim.maxsim_pairs`. Tokens are normalised when they are added, except int8 ones in
    an int8 index.

    Args:
        dimension: d of the tokens.
        storage: "float32", unit vectors of 4 d bytes; "int8", whole numbers with one scale for all,
            d bytes, with exact dot products with int8 queries; "residual", `bits` a dimension (see
            `lib.index.token_index.storage.ResidualStorage`). The number of each token's centroid
            comes on top.
        n_centroids: k; the power of two at or below 16 sqrt(training tokens) when None, as in
            PLAID.
        bits: of "residual": 1, 2 or 4.
        seed: of the training sample and of k-means, which runs in one thread.

    Reference: Santhanam et al. 2022, "PLAID: An Efficient Engine for Late Interaction Retrieval".
    """

    def __init__(
        self,
        dimension: int,
        storage: str = "residual",
        *,
        n_centroids: int | None = None,
        bits: int = 2,
        seed: int = 0,
    ) -> None:
        self.dimension = check_count(dimension, "dimension", most=MOST_DIMENSIONS)
        self.storage = check_choice(storage, STORAGES, "storage")
        self.n_centroids = None if n_centroids is None else check_count(n_centroids, "n_centroids")
        self.bits, self.seed = check_bits(bits), SEED.check(seed, "seed")
        self._storage: Float32Storage | None = None  # made in training, like the centroids
        self._centroids = np.empty((0, dimension), np.float32)
        self._counts = np.empty(0, np.int64)  # tokens of each document
        self._nearest: list[np.ndarray] = []  # centroids of tokens, a part per `add`
        self._stored: list[np.ndarray] = []  # stored tokens, likewise
        self._lists: CentroidLists | None = None

    @property
    def ntotal(self) -> int:
        """Number of documents in the index."""
        return len(self._counts)

    @property
    def counts(self) -> np.ndarray:
        """`(ntotal,)` tokens of each document."""
        return self._counts

    def train(self, tokens: Tokens) -> None:
        """Find centroids, and what the storage needs, on a sample of documents.

        It is optional: `add` trains an untrained index on the first documents.
        """
        if self.ntotal:
            raise RetrievalInputError(
                f"the index holds {self.ntotal} documents, coded by its centroids; train a new one"
            )
        vectors = self._flat(tokens)
        if self.n_centroids is None:
            most = max(1, min(len(vectors), 16 * math.sqrt(len(vectors))))
            self.n_centroids = 2 ** int(math.log2(most))
        vectors = sample(vectors, SAMPLE * self.n_centroids, self.seed)
        rows = unit_rows(vectors, "tokens")
        self._centroids = train_centroids(rows, self.n_centroids, self.seed)
        self._storage = STORAGES[self.storage].train(vectors, rows, self._centroids, self.bits)

    def add(self, tokens: Tokens) -> None:
        """Add documents; their ids are the next positions. The first ones train the index."""
        vectors = self._flat(tokens)
        if self._storage is None:
            self.train(tokens)
        rows = unit_rows(vectors, "tokens")
        nearest = nearest_centroids(rows, self._centroids)
        self._stored.append(self._storage.encode(vectors, rows, nearest))
        self._nearest.append(nearest)
        self._counts = np.concatenate([self._counts, tokens.counts])
        self._lists = None

    def candidates(
        self, queries: Tokens, nprobe: int = 4, max_candidates: int | None = None
    ) -> Candidates:
        """Find the documents that share a centroid with a query, best by their centroids.

        Approximate scores, and the selection, are the same on every machine with the same
        centroids; of equal scores the smaller ids stay.

        Args:
            queries: token vectors, float32 or int8.
            nprobe: centroids per query token, from 1 to k; with k all documents are candidates.
            max_candidates: most per query; all when None.

        Returns:
            `Candidates`: rows can differ in length, and a query can have none.
        """
        self._flat(queries)
        if self.ntotal == 0:
            raise RetrievalInputError("the index is empty: add documents before a search")
        if check_count(nprobe, "nprobe") > len(self._centroids):
            n = len(self._centroids)
            raise RetrievalInputError(f"nprobe must be at most {n} (the centroids), got {nprobe}")
        most = None if max_candidates is None else check_count(max_candidates, "max_candidates")
        return self._joined().candidates(queries, nprobe, most)

    def documents(self, ids) -> Tokens:
        """Decompress the tokens of documents: float32, or int8 where they are stored as int8.

        Args:
            ids: `(n,)` positions, in any order, also several times.

        Returns:
            `Tokens` of n documents, in the order of `ids`.
        """
        ids = np.asarray(ids)
        if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
            got = f"{ids.dtype} {ids.shape}"
            raise RetrievalInputError(f"ids must be a list of whole numbers, got {got}")
        outside = (ids < 0) | (ids >= self.ntotal)
        if outside.any():
            most = self.ntotal - 1
            raise RetrievalInputError(f"ids must be 0 to {most}, got {ids[outside][0]}")
        if self.ntotal == 0:
            return Tokens(np.zeros((0, 1, self.dimension), np.float32))
        ids, lists = ids.astype(np.int64), self._joined()
        counts = self._counts[ids]
        _, at = spans(lists.starts[ids], counts)
        rows = self._storage.decode(self._stored[0][at], self._nearest[0][at])
        return Tokens.from_flat(rows, counts)

    def bytes_by_part(self) -> dict[str, int]:
        """Count bytes by part, with their total, for n documents of T tokens and k centroids.

        tokens T times 4 d, d or ceil(d bits / 8); centroid_ids T times 1, 2 or 4; centroids 4 k d;
        lists 4 for each document at each of its centroids, and 8 (k + 1); counts 8 n; codec:
        buckets, or a scale.
        """
        state = {} if self._storage is None else self._storage.state()
        cost = {
            "tokens": 0,
            "centroid_ids": 0,
            "centroids": self._centroids.nbytes,
            "lists": 0,
            "counts": self._counts.nbytes,
            "codec": sum(array.nbytes for array in state.values()),
        }
        if self.ntotal:
            lists = self._joined()
            token_bytes = self._storage.token_bytes(self.dimension)
            cost["tokens"] = int(self._counts.sum()) * token_bytes
            cost["centroid_ids"] = lists.nearest.nbytes
            cost["lists"] = lists.documents.nbytes + lists.limits.nbytes
        return {**cost, "total": sum(cost.values())}

    def save(self, path: str | os.PathLike) -> str:
        """Write the index to an `.npz` file with a checksum, atomically; return its SHA-256."""
        if self.ntotal == 0:
            raise RetrievalInputError("the index is empty: add documents before saving it")
        lists = self._joined()
        header = {name: np.array(getattr(self, name)) for name in HEADER}
        values = (self._centroids, lists.nearest, self._stored[0], self._counts)
        arrays = dict(zip(ARRAYS, values)) | self._storage.state()
        return save_arrays(Path(path), token_index=np.array(FORMAT), **header, **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> TokenIndex:
        """Read an index that `save` wrote, after checking every byte."""
        arrays = load_arrays(path, rebuild=REBUILD)
        if "token_index" not in arrays or arrays["token_index"].tolist() != FORMAT:
            raise RetrievalInputError(f"{path} does not hold a token index of format {FORMAT}")
        with reading(path, "no token index", REBUILD):
            dimension, storage, bits, seed = (arrays[name].tolist() for name in HEADER)
            centroids, nearest, stored, counts = (arrays[name] for name in ARRAYS)
            index = cls(dimension, storage, n_centroids=len(centroids), bits=bits, seed=seed)
            index._storage = STORAGES[storage].restore(arrays, centroids)
            width = index._storage.token_bytes(dimension) // index._storage.dtype.itemsize
            expected = {
                "centroids": f"float32 {(len(centroids), dimension)}",
                "nearest": f"{id_dtype(len(centroids))} {(len(nearest),)}",
                "kept": f"{index._storage.dtype} {(len(nearest), width)}",
                "counts": f"int64 {(len(counts),)}",
            }
            check_fits(path, {name: shape_text(arrays[name]) for name in ARRAYS}, expected)
            check_fits(path, {"tokens": len(nearest)}, {"tokens": counts.sum()})
            as_embeddings(centroids, "centroids")
            if counts.min(initial=1) < 1 or nearest.max(initial=0) >= len(centroids):
                raise DamagedFileError(
                    f"{path} has a document without tokens or a token without a centroid. {REBUILD}"
                )
        index._centroids, index._counts = centroids, counts
        index._nearest, index._stored = [nearest], [stored]
        return index

    def _flat(self, tokens: Tokens) -> np.ndarray:
        """Return the tokens without padding, `(T, d)`, after a check of d."""
        if tokens.dim != self.dimension:
            dims = f"{self.dimension}, got {tokens.dim}"
            raise RetrievalInputError(f"tokens must have dimension {dims}")
        return tokens.flat()[0]

    def _joined(self) -> CentroidLists:
        """Join the parts of all `add` calls and return their inverted lists."""
        if self._lists is None:
            self._nearest = [np.concatenate(self._nearest)]
            self._stored = [np.concatenate(self._stored)]
            self._lists = CentroidLists(self._centroids, self._nearest[0], self._counts)
        return self._lists

    def __repr__(self) -> str:
        return (
            f"TokenIndex(dimension={self.dimension}, storage={self.storage!r}, "
            f"n_centroids={self.n_centroids}, ntotal={self.ntotal:,})"
        )
