"""Random hyperplanes: a bit for each side of a plane; equal bits estimate the angle."""

import faiss
import numpy as np

from lib.core.checks import RetrievalInputError
from lib.index.base import SEED, switch, whole
from lib.index.capacity import sizes
from lib.index.compressed import RERANK, FullScan
from lib.index.faiss_index import codes_of

MOST_BITS = 2**13  # 256 MB of hyperplanes, and minutes to make them orthogonal


class LSHIndex(FullScan):
    """Scan the signs of random projections and count those that differ.

        b_i(x) = [ <r_i, x> >= 0 ]     P(b_i(q) = b_i(x)) = 1 - angle(q, x) / pi

        s~(q, x) = cos(pi h / n_bits),     h = #{ i : b_i(q) != b_i(x) }

    Scores estimate the cosine, **under every metric**: signs keep the direction of a vector, not
    its length. Re-ranking gives the scores of inner_product and l2. Codes are compared with all n;
    hash tables read few buckets instead (`lib.index.from_scratch.hyperplanes`).

    Args:
        n_bits: hyperplanes, a bit of code each.
        rotate: random orthogonal hyperplanes, or a tight frame where n_bits exceeds the dimension;
            False takes the signs of the first n_bits coordinates. Making them takes n_bits^3 steps.
        seed: of the hyperplanes.
        rerank: k times this many hits are scored again by whole vectors, which are then stored; 0
            for neither.

    Reference: Charikar 2002, "Similarity Estimation Techniques from Rounding Algorithms".
    """

    index_type = "LSH"
    _types = (faiss.IndexLSH,)
    build_known = {"n_bits": whole(256, most=MOST_BITS), "rotate": switch(True), "seed": SEED}
    search_known = RERANK

    def _check(self, index: faiss.Index) -> None:
        """Check nothing: faiss names the metric l2, but compares signs by Hamming distance."""

    def _make(self, n_train: int) -> faiss.Index:
        n_bits, rotate = self._options["n_bits"], self._options["rotate"]
        if not rotate and n_bits > self.dimension:
            raise RetrievalInputError(
                f"n_bits = {n_bits} is more than the {self.dimension} coordinates that have a sign;"
                f" use at most {self.dimension}, or rotate = True"
            )
        train_thresholds = False  # they stay at 0
        index = faiss.IndexLSH(self.dimension, n_bits, rotate, train_thresholds)
        if rotate:
            index.rrot.init(self._options["seed"])
        return index

    def _hits(
        self, queries: np.ndarray, k: int, positions: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
        different, labels, work = super()._hits(queries, k, positions)
        return np.cos(np.pi / self._options["n_bits"] * different), labels, work

    def _among(self, queries: np.ndarray, positions: np.ndarray) -> tuple[faiss.Index, np.ndarray]:
        n_bits = self._options["n_bits"]
        part = faiss.IndexLSH(n_bits, n_bits, False, False)  # for queries projected below
        part.add_sa_codes(codes_of(self._faiss)[positions])
        if self._options["rotate"]:
            return part, self._faiss.rrot.apply(queries)
        return part, queries[:, :n_bits].copy()

    def _similarities(self, distances: np.ndarray) -> np.ndarray:
        return distances  # `_hits` has converted them

    def _structure(self) -> dict[str, int]:
        return {"n_bits": self._faiss.nbits, "rotate": self._faiss.rotate_data}

    def _sizes(self) -> dict[str, int]:
        n_bits, rotate = self._options["n_bits"], self._options["rotate"]
        return sizes.lsh(self.ntotal, self.dimension, n_bits, rotate, rerank=self._raw is not None)
