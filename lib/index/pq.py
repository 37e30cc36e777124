"""Product quantisation: short codes of all vectors, compared with a query by table look-ups."""

import faiss
import numpy as np

from lib.index.capacity import sizes
from lib.index.faiss_index import FAISS_METRICS, codes_of
from lib.index.full_scan import FullScan
from lib.index.product_codes import FAST_SCAN_BLOCK, PRODUCT_CODES, RERANK, ProductCodes


class PQIndex(FullScan, ProductCodes):
    """A scan over codes of all vectors.

        x = (x_1, ..., x_M)   code_m = argmin_j |x_m - c_mj|   s~(q, x) = sum_m s(q_m, c_m code_m)

    Each query makes a table of s(q_m, c_mj), then a vector costs M look-ups. Scores are those of
    what the codes stand for, so near vectors with equal codes tie; `rerank` corrects the order of
    the best. Under cosine s is the negative squared distance of unit rows, and a score is 1 + s~ /
    2: an estimate of the cosine, and the cosine of q and what the code stands for only where that
    has length 1.

    Args:
        code_bytes: bytes a vector; M, with 256 centroids each. With fast_scan M is twice that, with
            16.
        rotate: whether a rotation is learnt first that makes the sub-spaces easier to quantise
            (OPQ). It starts from one that faiss fixes; `seed` is of k-means.
        fast_scan: tables of 16 entries, rounded to 8 bits, which fit into registers: several times
            as fast, and less exact. Such an index cannot remove.
        seed: of k-means.
        rerank: k times this many are scored again by whole vectors, which are kept for it; 0 for
            neither.

    Raises:
        RetrievalInputError: code_bytes that do not divide the dimension (twice code_bytes with
            fast_scan), or fewer than 39 x 256 training vectors (39 x 16 with fast_scan).

    Relations: "IVF-PQ" scans the codes of a few cells. faiss's factory strings train the same
    codebooks and then spend most of the time on an order of centroids that this search does not
    use.

    Reference: Jegou, Douze and Schmid 2011, "Product Quantization for Nearest Neighbor Search"; Ge
    et al. 2013, "Optimized Product Quantization"; Andre, Kermarrec and Le Scouarnec 2015, "Cache
    locality is not enough: high-performance nearest neighbor search with product quantization fast
    scan".
    """

    index_type = "PQ"
    _types = (faiss.IndexPQ, faiss.IndexPQFastScan)
    build_known = PRODUCT_CODES
    search_known = RERANK

    def _make(self, n_train: int) -> faiss.Index:
        self._check_code_points(n_train)
        index = self._empty()
        self._set_codes(index)
        return self._rotated(index)

    def _empty(self) -> faiss.Index:
        shape = self.dimension, self._sub_quantisers, self._bits, FAISS_METRICS[self._compared_by]
        if self._options["fast_scan"]:
            return faiss.IndexPQFastScan(*shape, FAST_SCAN_BLOCK)
        return faiss.IndexPQ(*shape)

    def _among(self, queries: np.ndarray, positions: np.ndarray) -> tuple[faiss.Index, np.ndarray]:
        inner, part = self._inner(), self._empty()
        part.pq, part.is_trained = inner.pq, True  # the same codebooks
        if self._options[
            "fast_scan"
        ]:  # codes lie in blocks; what they stand for has the same codes again
            part.add(inner.reconstruct_batch(positions))
        else:
            part.add_sa_codes(codes_of(inner)[positions])
        if self._options["rotate"]:
            queries = faiss.downcast_VectorTransform(self._faiss.chain.at(0)).apply(queries)
        return part, queries

    def _sizes(self) -> dict[str, int]:
        if self._faiss is None:
            return {}
        return sizes.pq(
            self.ntotal, self.dimension, self._options["code_bytes"], **self._code_options()
        )
