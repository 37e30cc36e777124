"""Random hyperplanes: a bit for each side, and as many equal bits as the angle is small."""

import faiss
import numpy as np

from lib.core.checks import RetrievalInputError
from lib.index.capacity import sizes
from lib.index.faiss_index import codes_of
from lib.index.full_scan import FullScan
from lib.index.options import SEED, switch, whole
from lib.index.product_codes import RERANK

MOST_BITS = 2**13  # 256 MB of hyperplanes, and minutes to make them at right angles


class LSHIndex(FullScan):
    """A scan over signs of projections, compared by how many differ.

        b_i(x) = [ <r_i, x> >= 0 ]     P(b_i(q) = b_i(x)) = 1 - angle(q, x) / pi

        s~(q, x) = cos(pi h / n_bits),     h = #{ i : b_i(q) != b_i(x) }

    Scores estimate the cosine, **whatever the metric is**: signs keep the direction of a vector and
    nothing of its length. Under inner_product and l2 this finds near directions; re-ranking gives
    them their scores.

    Args:
        n_bits: hyperplanes, a bit of code each.
        rotate: random orthogonal hyperplanes, or a tight frame where n_bits exceeds the dimension;
            False takes the signs of the first n_bits coordinates. Making them takes n_bits^3 steps.
        seed: of the hyperplanes.
        rerank: k times this many are scored again by whole vectors, which are kept for it; 0 for
            neither.

    Raises:
        RetrievalInputError: more bits than dimensions without rotation.

    Relations: codes are compared with all n, unlike hash tables, which look into few buckets and
    need many tables for the same recall (`lib.index.from_scratch`).

    Reference: Charikar 2002, "Similarity Estimation Techniques from Rounding Algorithms".
    """

    index_type = "LSH"
    _types = (faiss.IndexLSH,)
    build_known = {"n_bits": whole(256, most=MOST_BITS), "rotate": switch(True), "seed": SEED}
    search_known = RERANK

    def _check(self, index: faiss.Index) -> None:
        """Nothing to check: faiss calls the metric l2, but signs are compared by Hamming
        distance.
        """

    def _make(self, n_train: int) -> faiss.Index:
        n_bits, rotate = self._options["n_bits"], self._options["rotate"]
        if not rotate and n_bits > self.dimension:
            raise RetrievalInputError(
                f"n_bits = {n_bits} is more than the {self.dimension} coordinates that have a sign;"
                f" use at most {self.dimension}, or rotate = True"
            )
        index = faiss.IndexLSH(
            self.dimension, n_bits, rotate, False
        )  # False: thresholds at 0, not learnt
        if rotate:
            index.rrot.init(self._options["seed"])
        return index

    def _hits(
        self, queries: np.ndarray, k: int, positions: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        different, labels = super()._hits(queries, k, positions)
        return np.cos(np.pi / self._options["n_bits"] * different), labels

    def _among(self, queries: np.ndarray, positions: np.ndarray) -> tuple[faiss.Index, np.ndarray]:
        n_bits = self._options["n_bits"]
        part = faiss.IndexLSH(n_bits, n_bits, False, False)  # of queries that are projected already
        part.add_sa_codes(codes_of(self._faiss)[positions])
        rotated = self._options["rotate"]
        return part, self._faiss.rrot.apply(queries) if rotated else queries[:, :n_bits].copy()

    def _similarities(self, distances: np.ndarray) -> np.ndarray:
        return distances  # made in `_hits`, for every metric

    def _structure(self) -> dict[str, int]:
        return {"n_bits": self._faiss.nbits, "rotate": self._faiss.rotate_data}

    def _sizes(self) -> dict[str, int]:
        n_bits, rotate = self._options["n_bits"], self._options["rotate"]
        return sizes.lsh(self.ntotal, self.dimension, n_bits, rotate, rerank=self._raw is not None)
