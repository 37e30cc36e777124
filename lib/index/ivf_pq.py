"""Product codes in the cells of k-means: the index of very large collections."""

import faiss

from lib.core.checks import RetrievalInputError
from lib.index.capacity import sizes
from lib.index.faiss_index import FAISS_METRICS, set_k_means
from lib.index.ivf import InvertedFile
from lib.index.options import whole
from lib.index.product_codes import FAST_SCAN_BLOCK, PRODUCT_CODES, RERANK, ProductCodes


class IVFPQIndex(ProductCodes, InvertedFile):
    """A scan over codes of the vectors in a few cells.

        code of x - c_cell(x), where c is the centroid of its cell        s~(q, x) = s(q, c +
        decoded code)

    What is coded is the difference from the centroid, which is smaller than the vector and so loses
    less. A query costs nlist comparisons with centroids and about n nprobe / nlist look-ups in
    codes. Under cosine scores are 1 - |q - x~|^2 / 2, as of "PQ"; centroids have unit length, so
    that distances and dot products choose the same cells.

    Args:
        nlist, nprobe: as of "IVF".
        code_bytes, rotate, fast_scan, seed, rerank: as of "PQ".

    Raises:
        RetrievalInputError: what "IVF" and "PQ" refuse.

    Relations: `index.list_sizes` and `index.imbalance` say how even the cells are. Under l2 and
    cosine a query adds the M x 256 numbers of a cell (M x 16 with fast_scan) to its own table in
    every cell that it visits, which inner_product does not need: short lists take up to twice as
    long, and batches of a fast scan longer. Those numbers, nlist x M x 256 floats, stay in memory,
    are made again when the index is loaded, and are not counted.

    Reference: Jegou, Douze and Schmid 2011, "Product Quantization for Nearest Neighbor Search",
    section IV.
    """

    index_type = "IVF-PQ"
    _types = (faiss.IndexIVFPQ, faiss.IndexIVFPQFastScan)
    build_known = {"nlist": whole(None), **PRODUCT_CODES}
    search_known = {**InvertedFile.search_known, **RERANK}

    def _set_up(self) -> None:
        super()._set_up()
        if self.use_gpu and self._options["fast_scan"]:
            raise RetrievalInputError(
                "faiss has no fast scan on a GPU; use fast_scan = False there"
            )

    def _make(self, n_train: int) -> faiss.Index:
        nlist = self._choose_lists(n_train)
        self._check_code_points(n_train)
        shape = (
            self.dimension,
            nlist,
            self._sub_quantisers,
            self._bits,
            FAISS_METRICS[self._compared_by],
        )
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
