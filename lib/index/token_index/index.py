"""Documents of several vectors each: their tokens, compressed, and candidates for an exact
MaxSim.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, as_embeddings, check_choice, check_count, unit_rows
from lib.core.reading import DamagedFileError, load_arrays, reading
from lib.core.token_vectors import Tokens
from lib.core.writing import save_arrays
from lib.index.options import MOST_DIMENSIONS, SEED
from lib.index.pairs import spans
from lib.index.saving import REBUILD, check_held, form
from lib.index.token_index.candidates import Candidates, CentroidLists
from lib.index.token_index.residual_codec import (
    SAMPLE,
    check_bits,
    id_dtype,
    nearest_centroids,
    sample,
    train_centroids,
)
from lib.index.token_index.storage import STORAGES, TokenStorage

FORMAT = 1  # of the saved file; a file of another format is refused, not guessed at
HEADER = ("dimension", "storage", "bits", "seed")
ARRAYS = ("centroids", "nearest", "kept", "counts")


class TokenIndex:
    """Token vectors of documents, compressed, and the few documents that a query should be compared
    with.

    Every token belongs to the nearest of k centroids. A query token asks for the documents that
    have a token at one of its `nprobe` nearest centroids; what any token of a query asks for is a
    candidate. Where those are too many, the ones stay that score best with centroids in place of
    tokens:

        s~(q, d) = sum_i max_j <q_i, c(d_j)>

    The exact MaxSim of candidates is the caller's, with `documents` and
    `lib.models.maxsim.maxsim_pairs`.

    Args:
        dimension: d of the tokens.
        storage: "float32", unit vectors of 4 d bytes; "int8", whole numbers with one scale for all,
            d bytes, whose dot products with int8 queries are exact; "residual", `bits` a dimension,
            see `ResidualCodec`. The number of each token's centroid comes on top.
        n_centroids: k; the power of two at or below 16 sqrt(tokens to train on) when None, as in
            PLAID.
        bits: of "residual": 1, 2 or 4.
        seed: of the sample to train on and of k-means, which runs in one thread.

    Raises:
        RetrievalInputError: unknown storage, other bits, or numbers below 1.

    Relations: `lib.models.maxsim.maxsim` over all documents is what this avoids, and by which its
    recall is measured. Tokens are normalised when they are added, int8 ones in an int8 index
    excepted.

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
        self._codec: TokenStorage | None = None  # it and the centroids come with training
        self._centroids = np.empty((0, dimension), np.float32)
        self._counts = np.empty(0, np.int64)  # tokens of each document
        self._nearest: list[
            np.ndarray
        ] = []  # centroids of tokens, by `add`, until they are needed as one
        self._kept: list[np.ndarray] = []  # what the storage makes of tokens, likewise
        self._lists: CentroidLists | None = None

    @property
    def ntotal(self) -> int:
        """How many documents the index holds."""
        return len(self._counts)

    @property
    def counts(self) -> np.ndarray:
        """`(ntotal,)` tokens of each document."""
        return self._counts

    def train(self, tokens: Tokens) -> None:
        """Finds centroids, and what else the storage needs, from documents like those to come.

        Raises:
            RetrievalInputError: another dimension, a token of zeros, fewer tokens than centroids,
                or an index that holds documents, which were coded by what it has learnt before.
        """
        if self.ntotal:
            raise RetrievalInputError(
                f"the index holds {self.ntotal} documents, coded by its centroids; train a new one"
            )
        given = self._flat(tokens)
        if self.n_centroids is None:
            self.n_centroids = 2 ** int(
                math.log2(max(1, min(len(given), 16 * math.sqrt(len(given)))))
            )
        given = sample(given, SAMPLE * self.n_centroids, self.seed)
        rows = unit_rows(given, "tokens")
        self._centroids = train_centroids(rows, self.n_centroids, self.seed)
        self._codec = STORAGES[self.storage].train(given, rows, self._centroids, self.bits)

    def add(self, tokens: Tokens) -> None:
        """Adds documents, whose ids are the next positions; trains on them where nothing was
        trained yet.

        Raises:
            RetrievalInputError: another dimension, a token of zeros, int8 tokens after float32 ones
                or the reverse where storage is int8, or what `train` refuses.
        """
        given = self._flat(tokens)
        if self._codec is None:
            self.train(tokens)
        rows = unit_rows(given, "tokens")
        nearest = nearest_centroids(rows, self._centroids)
        self._kept.append(self._codec.encode(given, rows, nearest))
        self._nearest.append(nearest)
        self._counts = np.concatenate([self._counts, tokens.counts])
        self._lists = None

    def candidates(
        self, queries: Tokens, nprobe: int = 4, max_candidates: int | None = None
    ) -> Candidates:
        """Documents that share a centroid with a query, the best of them by their centroids.

        Approximate scores, and so the choice, are the same on every machine that has the same
        centroids; of equal scores the smaller ids stay.

        Args:
            queries: token vectors, float32 or int8.
            nprobe: centroids that a query token asks, from 1 to k; with k all documents are found.
            max_candidates: most for a query; all when None.

        Returns:
            `Candidates`: rows may differ in length, and a query may have none.

        Raises:
            RetrievalInputError: an empty index, another dimension, `nprobe` outside 1 to k, or
                `max_candidates` below 1.
        """
        self._flat(queries)
        if self.ntotal == 0:
            raise RetrievalInputError(
                "the index is empty: add documents before asking for candidates"
            )
        if check_count(nprobe, "nprobe") > len(self._centroids):
            raise RetrievalInputError(
                f"nprobe = {nprobe} is more than the centroids; ask for at most"
                f" {len(self._centroids)}"
            )
        most = None if max_candidates is None else check_count(max_candidates, "max_candidates")
        return self._joined().candidates(queries, nprobe, most)

    def documents(self, ids) -> Tokens:
        """The tokens of documents, decompressed: float32, or int8 where they are stored so.

        Args:
            ids: `(n,)` positions, in any order, also several times.

        Returns:
            `Tokens` of n documents, in the order of `ids`.

        Raises:
            RetrievalInputError: ids that are no positions of documents.
        """
        ids = np.asarray(ids)
        if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
            raise RetrievalInputError(
                f"ids must be a list of whole numbers, got {ids.dtype} {ids.shape}"
            )
        outside = (ids < 0) | (ids >= self.ntotal)
        if outside.any():
            raise RetrievalInputError(
                f"there is no document {ids[outside][0]}: the index holds {self.ntotal}, counted"
                " from 0"
            )
        if self.ntotal == 0:
            return Tokens(np.zeros((0, 1, self.dimension), np.float32))
        ids, lists = ids.astype(np.int64), self._joined()
        counts = self._counts[ids]
        _, at = spans(lists.starts[ids], counts)
        return Tokens.from_flat(self._codec.decode(self._kept[0][at], self._nearest[0][at]), counts)

    def cost(self) -> dict[str, int]:
        """Bytes by what they are spent on, with their total, for n documents of T tokens and k
        centroids.

        tokens T times 4 d, d or ceil(d bits / 8); centroid_ids T times 1, 2 or 4; centroids 4 k d;
        lists 4 for each document at each of its centroids, and 8 (k + 1); counts 8 n; codec:
        buckets, or a scale.
        """
        lists, codec = (self._joined(), self._codec) if self.ntotal else (None, self._codec)
        n_tokens = int(self._counts.sum())
        cost = {
            "tokens": n_tokens * codec.token_bytes(self.dimension) if lists else 0,
            "centroid_ids": lists.nearest.nbytes if lists else 0,
            "centroids": self._centroids.nbytes,
            "lists": lists.documents.nbytes + lists.limits.nbytes if lists else 0,
            "counts": self._counts.nbytes,
            "codec": sum(array.nbytes for array in codec.state().values()) if codec else 0,
        }
        return {**cost, "total": sum(cost.values())}

    def save(self, path: str | os.PathLike) -> str:
        """Writes the index to a sealed `.npz` file, atomically; returns its SHA-256."""
        if self.ntotal == 0:
            raise RetrievalInputError("the index is empty: add documents before saving it")
        lists = self._joined()
        header = {name: np.array(getattr(self, name)) for name in HEADER}
        values = (self._centroids, lists.nearest, self._kept[0], self._counts)
        arrays = dict(zip(ARRAYS, values)) | self._codec.state()
        return save_arrays(Path(path), token_index=np.array(FORMAT), **header, **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> TokenIndex:
        """Reads what `save` wrote.

        Raises:
            DamagedFileError: the file differs from its checksum, or its parts do not fit together.
            MissingFileError: the file or its checksum is not there.
            RetrievalInputError: not a token index, or another format.
        """
        arrays = load_arrays(path, rebuild=REBUILD)
        if "token_index" not in arrays or arrays["token_index"].tolist() != FORMAT:
            raise RetrievalInputError(f"{path} does not hold a token index of format {FORMAT}")
        with reading(path, "no token index", REBUILD):
            dimension, storage, bits, seed = (arrays[name].tolist() for name in HEADER)
            centroids, nearest, kept, counts = (arrays[name] for name in ARRAYS)
            index = cls(dimension, storage, n_centroids=len(centroids), bits=bits, seed=seed)
            index._codec = STORAGES[storage].restore(arrays, centroids)
            width = index._codec.token_bytes(dimension) // index._codec.dtype.itemsize
            expected = {
                "centroids": f"float32 {(len(centroids), dimension)}",
                "nearest": f"{id_dtype(len(centroids))} {(len(nearest),)}",
                "kept": f"{index._codec.dtype} {(len(nearest), width)}",
                "counts": f"int64 {(len(counts),)}",
            }
            check_held(path, {name: form(arrays[name]) for name in ARRAYS}, expected)
            check_held(path, {"tokens": len(nearest)}, {"tokens": counts.sum()})
            as_embeddings(centroids, "centroids")
            if counts.min(initial=1) < 1 or nearest.max(initial=0) >= len(centroids):
                raise DamagedFileError(
                    f"{path} has a document without tokens or a token without a centroid. {REBUILD}"
                )
        index._centroids, index._counts = centroids, counts
        index._nearest, index._kept = [nearest], [kept]
        return index

    def _flat(self, tokens: Tokens) -> np.ndarray:
        """The tokens that count, `(T, d)`, of the right dimension."""
        if tokens.dim != self.dimension:
            raise RetrievalInputError(
                f"tokens have dimension {tokens.dim}, expected {self.dimension}"
            )
        return tokens.flat()[0]

    def _joined(self) -> CentroidLists:
        """The inverted lists of all that was added; makes one array of its parts first."""
        if self._lists is None:
            self._nearest = [np.concatenate(self._nearest)]
            self._kept = [np.concatenate(self._kept)]
            self._lists = CentroidLists(self._centroids, self._nearest[0], self._counts)
        return self._lists

    def __repr__(self) -> str:
        return (
            f"TokenIndex(dimension={self.dimension}, storage={self.storage!r}, "
            f"n_centroids={self.n_centroids}, ntotal={self.ntotal:,})"
        )
