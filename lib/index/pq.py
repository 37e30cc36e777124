"""Product quantisation: short codes, compared with a query by look-up tables; alone or in cells."""

from typing import Any

import faiss
import numpy as np

from lib.core.checks import RetrievalInputError
from lib.index.base import SEED, switch, whole
from lib.index.capacity import sizes
from lib.index.compressed import RERANK, FullScan, Reranked
from lib.index.faiss_index import FAISS_METRICS, check_points, codes_of, set_k_means
from lib.index.ivf import InvertedFile

FAST_SCAN_BLOCK = 32  # codes that one instruction looks up at once
ITERATIONS = 25  # of k-means in the sub-spaces, where it costs little
# Of OPQ: with 20 the recall@10 of 32 bytes on icons is 2 points lower, with 10 it is 4.
ROTATION_STEPS = 50
ROTATION_POINTS = 2**14  # vectors that OPQ uses; the time grows with both
PRODUCT_CODES = {
    "code_bytes": whole(32),
    "rotate": switch(False),
    "fast_scan": switch(False),
    "seed": SEED,
}


class ProductCodes(Reranked):
    """Base of families with product codes: the numbers of centroids in sub-spaces.

    Under cosine, queries and rows have unit length, but x~, the vector of a code, is shorter by a
    different amount for every x. Codes are therefore compared by the squared distance, and scores
    are

        1 - |q - x~|^2 / 2 = q . x~ + (1 - |x~|^2) / 2

    which estimates the cosine of q and x.
    """

    needs_training = True

    def _set_up(self) -> None:
        code_bytes, fast_scan = self._options["code_bytes"], self._options["fast_scan"]
        sizes.pq(0, self.dimension, code_bytes, fast_scan=fast_scan)  # refuses other code_bytes
        super()._set_up()
        # faiss 1.15 removes codes from blocks, but mixes later ones with remains of the last block.
        self.can_remove = not fast_scan

    def _training(self) -> dict[str, np.ndarray]:
        parts = {**super()._training(), "codebooks": self.codebooks}
        if self._options["rotate"]:
            rotation = faiss.downcast_VectorTransform(self._faiss.chain.at(0))
            parts["rotation"] = faiss.vector_to_array(rotation.A)
        return parts

    @property
    def _compared_by(self) -> str:
        return "l2" if self.metric == "cosine" else self.metric

    def _similarities(self, distances: np.ndarray) -> np.ndarray:
        if self.metric != "cosine":
            return super()._similarities(distances)
        distances *= -0.5
        return np.add(distances, 1, out=distances)

    @property
    def _name(self) -> str:
        return super()._name + (" with fast_scan = True" if self._options["fast_scan"] else "")

    @property
    def codebooks(self) -> np.ndarray:
        """`(M, n_codes, d / M)` float32 centroids of each piece, after the rotation.

        In "IVF-PQ" they are of differences from the centroid of a cell.
        """
        if self._faiss is None:
            raise RetrievalInputError("the index is untrained (no codebooks): call train or add")
        pq = self._inner().pq
        return faiss.vector_to_array(pq.centroids).reshape(pq.M, pq.ksub, pq.dsub)

    def _structure(self) -> dict[str, Any]:
        pq = self._inner().pq
        fast_scan = pq.nbits == sizes.BITS[True]
        return {**super()._structure(), "code_bytes": pq.M * pq.nbits // 8, "fast_scan": fast_scan}

    @property
    def _bits(self) -> int:
        return sizes.BITS[self._options["fast_scan"]]

    @property
    def _sub_quantisers(self) -> int:
        return self._options["code_bytes"] * 8 // self._bits

    def _rotated(self, index: faiss.Index) -> faiss.Index:
        """Put the rotation that OPQ learns before the index, if `rotate` is set."""
        if not self._options["rotate"]:
            return index
        rotation = faiss.OPQMatrix(self.dimension, self._sub_quantisers)
        rotation.niter, rotation.max_train_points = ROTATION_STEPS, ROTATION_POINTS
        # Without a quantiser of its own it would learn for codes of 8 bits.
        quantiser = faiss.ProductQuantizer(self.dimension, self._sub_quantisers, self._bits)
        set_k_means(quantiser.cp, self._options["seed"], iterations=rotation.niter_pq)
        rotation.pq = quantiser
        rotated = faiss.IndexPreTransform(rotation, index)
        rotated.referenced_objects = [rotation, index, quantiser]  # C++ holds pointers to them
        return rotated

    def _inner(self) -> faiss.Index:
        return faiss.downcast_index(self._faiss.index) if self._options["rotate"] else self._faiss

    def _check_code_points(self, n_train: int) -> None:
        fast_scan = self._options["fast_scan"]
        advice = "use index type 'Flat' or 'IVF'" if fast_scan else "choose fast_scan = True"
        check_points(n_train, 2**self._bits, f"a codebook of {self._bits} bits", advice)

    def _set_codes(self, index: faiss.Index) -> None:
        """Set k-means of the sub-spaces, without ordering centroids for Hamming filters."""
        set_k_means(index.pq.cp, self._options["seed"], iterations=ITERATIONS)
        if not self._options["fast_scan"]:
            index.do_polysemous_training = False

    def _code_options(self) -> dict[str, Any]:
        """Return the options that the formulas of `lib.index.capacity.sizes` take."""
        options = {name: self._options[name] for name in ("rotate", "fast_scan")}
        return options | {"rerank": self._raw is not None}


class PQIndex(FullScan, ProductCodes):
    """Scan product codes of all vectors.

        x = (x_1, ..., x_M)   code_m = argmin_j |x_m - c_mj|   s~(q, x) = sum_m s(q_m, c_m code_m)

    Each query makes a table of s(q_m, c_mj), then a vector costs M look-ups. Vectors with equal
    codes tie; `rerank` corrects the order of the best. Under cosine s is the negative squared
    distance of unit rows, and a score is 1 + s~ / 2: an estimate of the cosine. Training needs 39 x
    256 vectors, with fast_scan 39 x 16.

    Args:
        code_bytes: bytes a vector; M, with 256 centroids each. With fast_scan M is twice that, with
            16. M must divide the dimension.
        rotate: learn a rotation first that makes the sub-spaces easier to quantise (OPQ).
        fast_scan: tables of 16 entries, rounded to 8 bits, in registers: several times as fast,
            and less exact. Such an index cannot remove.
        seed: of k-means.
        rerank: k times this many hits are scored again by whole vectors, which are then stored; 0
            for neither.

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
        if self._options["fast_scan"]:  # codes lie in blocks; decoded vectors get the same codes
            part.add(inner.reconstruct_batch(positions))
        else:
            part.add_sa_codes(codes_of(inner)[positions])
        if self._options["rotate"]:
            queries = faiss.downcast_VectorTransform(self._faiss.chain.at(0)).apply(queries)
        return part, queries

    def _sizes(self) -> dict[str, int]:
        if self._faiss is None:
            return {}
        code_bytes = self._options["code_bytes"]
        return sizes.pq(self.ntotal, self.dimension, code_bytes, **self._code_options())


class IVFPQIndex(ProductCodes, InvertedFile):
    """Scan the product codes of the vectors in a few cells: the index of very large collections.

        code of x - c_cell(x), where c is the centroid of its cell
        s~(q, x) = s(q, c + decoded code)

    The difference from the centroid is smaller than the vector, so its code loses less. A query
    costs nlist comparisons with centroids and about n nprobe / nlist look-ups. Under cosine,
    centroids have unit length and scores are as of "PQ".

    Under l2 and cosine a query adds the M x 256 numbers of a cell (M x 16 with fast_scan) to its
    own table in every visited cell: short lists take up to twice as long as under inner_product.
    These nlist x M x 256 floats are computed at load and not counted by `bytes_by_part`.

    Args:
        nlist, nprobe: as of "IVF".
        code_bytes, rotate, fast_scan, seed, rerank: as of "PQ".

    Reference: Jegou, Douze and Schmid 2011, "Product Quantization for Nearest Neighbor Search",
    section IV.
    """

    index_type = "IVF-PQ"
    _types = (faiss.IndexIVFPQ, faiss.IndexIVFPQFastScan)
    build_known = {"nlist": whole(None), **PRODUCT_CODES}
    search_known = {**InvertedFile.search_known, **RERANK}

    def _set_up(self) -> None:
        super()._set_up()
        # faiss 1.15 writes beyond its blocks of codes when it merges such lists.
        self.can_merge = not self._options["fast_scan"]
        if self.use_gpu and self._options["fast_scan"]:
            raise RetrievalInputError("fast_scan must be False on a GPU, got True")

    def _make(self, n_train: int) -> faiss.Index:
        nlist = self._choose_lists(n_train)
        self._check_code_points(n_train)
        metric = FAISS_METRICS[self._compared_by]
        shape = self.dimension, nlist, self._sub_quantisers, self._bits, metric
        if self._options["fast_scan"]:
            index = faiss.IndexIVFPQFastScan(self._quantiser(), *shape, FAST_SCAN_BLOCK)
        else:
            index = faiss.IndexIVFPQ(self._quantiser(), *shape)
        index.by_residual = True
        self._set_codes(index)
        set_k_means(index.cp, self._options["seed"], spherical=self.metric != "l2")
        return self._rotated(index)

    def _parameters(self, selector: faiss.IDSelector | None, k: int) -> faiss.SearchParameters:
        parameters = super()._parameters(selector, k)
        if not self._options["rotate"]:
            return parameters
        return faiss.SearchParametersPreTransform(index_params=parameters)

    def _count_work(self, n_queries: int, n_allowed: int | None) -> dict[str, int]:
        return self._scan_work(n_queries, "codes")

    def _sizes(self) -> dict[str, int]:
        if self._faiss is None:
            return {}
        shape = self.ntotal, self.dimension, self._options["nlist"], self._options["code_bytes"]
        return sizes.ivf_pq(*shape, list_sizes=self.list_sizes, **self._code_options())
