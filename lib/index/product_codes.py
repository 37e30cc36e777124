"""What the families with product codes share: the quantiser's options, a learnt rotation,
re-ranking.
"""

from pathlib import Path
from typing import Any

import faiss
import numpy as np

from lib.core.checks import RetrievalInputError
from lib.index.capacity import sizes
from lib.index.faiss_index import FaissIndex, best_first, check_points, set_k_means
from lib.index.options import SEED, switch, whole
from lib.index.rerank_vectors import RawVectors, number_of
from lib.index.saving import ROWS, Bodies, array_writer, check_held, form, read_array

FAST_SCAN_BLOCK = 32  # codes that one instruction looks up at once
ITERATIONS = 25  # of k-means in the sub-spaces, where it costs little
ROTATION_STEPS = (
    50  # of OPQ: with 20 the recall@10 of 32 bytes on icons is 2 points lower, with 10 it is 4
)
ROTATION_POINTS = 2**14  # vectors it looks at; the time grows with both
PRODUCT_CODES = {
    "code_bytes": whole(32),
    "rotate": switch(False),
    "fast_scan": switch(False),
    "seed": SEED,
}
RERANK = {"rerank": whole(0, least=0)}


class Reranked(FaissIndex):
    """A family of codes that can score the best `rerank` k of them again, by whole vectors.

    Whole vectors are kept where `rerank` is not 0 when the index is made. It may change afterwards;
    at 0 scores are those of the codes.
    """

    def _set_up(self) -> None:
        super()._set_up()
        self._raw: RawVectors | None = None
        if self._options["rerank"]:
            self._raw = RawVectors(np.empty((0, self.dimension), np.float32))

    def _check_search(self, options: dict[str, Any]) -> None:
        if options.get("rerank") and self._raw is None:
            raise RetrievalInputError(
                f"rerank = {options['rerank']} needs the vectors themselves, which this index does"
                f" not keep; make one with rerank = {options['rerank']} from the start"
            )
        super()._check_search(options)

    def _add(self, vectors: np.ndarray, ids: np.ndarray) -> None:
        super()._add(vectors, ids)
        if self._raw is not None:
            self._raw.append(vectors)

    def _finish(self) -> None:
        if self._raw is not None:
            self._raw.join()

    def _remove(self, positions: np.ndarray) -> None:
        super()._remove(positions)
        if self._raw is not None:
            self._raw.remove(positions)

    def _search(
        self, queries: np.ndarray, k: int, positions: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        factor = self._options["rerank"]
        if not factor:
            return super()._search(queries, k, positions)
        _, labels = self._hits(queries, min(k * factor, self.ntotal), positions)
        candidates = self._positions_of(labels)
        self._work["distances"] = self._work.get("distances", 0) + number_of(candidates)
        scores, found = self._raw.best(queries, candidates, k, self.metric)
        return best_first(scores, self._ids.at(found))

    def _bodies(self) -> Bodies:
        raw = {} if self._raw is None else {ROWS: array_writer(self._raw.rows)}
        return {**super()._bodies(), **raw}

    def _restore_body(
        self, folder: Path, arrays: dict[str, np.ndarray], n: int, memory_map: bool
    ) -> None:
        super()._restore_body(folder, arrays, n, memory_map)
        if (folder / ROWS).is_file():
            rows = read_array(folder / ROWS, memory_map)
            check_held(folder, {"rows": form(rows)}, {"rows": f"float32 {(n, self.dimension)}"})
            self._raw = RawVectors(rows)


class ProductCodes(Reranked):
    """A family whose vectors become the numbers of centroids in sub-spaces.

    Under cosine, rows and queries have unit length, but x~, what a code stands for, is shorter, and
    by another amount for every x. A dot product takes that length for similarity. So codes are
    compared by the squared distance, and scores are

        1 - |q - x~|^2 / 2 = q . x~ + (1 - |x~|^2) / 2

    which is the cosine of q and x~ only where |x~| = 1; otherwise it estimates that of q and x.
    """

    needs_training = True

    def _set_up(self) -> None:
        # The formula refuses code_bytes that do not divide the dimension.
        sizes.pq(
            0, self.dimension, self._options["code_bytes"], fast_scan=self._options["fast_scan"]
        )
        super()._set_up()
        # faiss 1.15 removes codes from blocks, but mixes what is added next with remains of the
        # last block.
        self.can_remove = not self._options["fast_scan"]

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
        """`(M, n_codes, d / M)` float32 centroids of each piece, in the space of the codes.

        That space is turned under rotate, and holds differences from a cell's centroid in "IVF-PQ".
        """
        if self._faiss is None:
            raise RetrievalInputError(
                "there are no codebooks before the index is trained: call train"
            )
        quantiser = self._inner().pq
        shape = quantiser.M, quantiser.ksub, quantiser.dsub
        return faiss.vector_to_array(quantiser.centroids).reshape(shape)

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
        """The index behind the rotation that OPQ learns, where one is asked for."""
        if not self._options["rotate"]:
            return index
        rotation = faiss.OPQMatrix(self.dimension, self._sub_quantisers)
        rotation.niter, rotation.max_train_points = ROTATION_STEPS, ROTATION_POINTS
        # Its own quantiser, or it would learn for codes of 8 bits whatever the index has.
        quantiser = faiss.ProductQuantizer(self.dimension, self._sub_quantisers, self._bits)
        set_k_means(quantiser.cp, self._options["seed"], iterations=rotation.niter_pq)
        rotation.pq = quantiser
        whole = faiss.IndexPreTransform(rotation, index)
        whole.referenced_objects = [rotation, index, quantiser]  # C++ holds bare pointers to them
        return whole

    def _inner(self) -> faiss.Index:
        """The index without the rotation before it."""
        return faiss.downcast_index(self._faiss.index) if self._options["rotate"] else self._faiss

    def _check_code_points(self, n_train: int) -> None:
        check_points(
            n_train, 2**self._bits, f"a codebook of {self._bits} bits", "choose fast_scan = True"
        )

    def _set_codes(self, index: faiss.Index) -> None:
        """k-means of the sub-spaces; no annealing of their order, which only Hamming filters would
        use.
        """
        set_k_means(index.pq.cp, self._options["seed"], iterations=ITERATIONS)
        if not self._options["fast_scan"]:
            index.do_polysemous_training = False

    def _code_options(self) -> dict[str, Any]:
        """What the formulas of `lib.index.capacity.sizes` want to know."""
        names = {"rotate": self._options["rotate"], "fast_scan": self._options["fast_scan"]}
        return names | {"rerank": self._raw is not None}
