"""The exact index: every vector is kept as it is and every query sees all of them."""

from pathlib import Path

import faiss
import numpy as np

from lib.core.checks import RetrievalInputError, row_norms
from lib.core.reading import DamagedFileError
from lib.index.base import VectorSearchIndex
from lib.index.capacity import sizes
from lib.index.exact import Gallery
from lib.index.exact_scores import Vectors
from lib.index.faiss_index import FAISS_METRICS, best_first
from lib.index.gpu import on_gpu
from lib.index.ids import NO_ID
from lib.index.saving import (
    HEADER,
    REBUILD,
    ROWS,
    Bodies,
    array_writer,
    check_held,
    form,
    read_array,
)


class FlatIndex(VectorSearchIndex):
    """Exact search over vectors that are prepared once.

    Float vectors are stored as float32, of unit length under cosine, so that a search is a plain
    product. int8 vectors stay int8: their products are exact integers, and under cosine the norms
    divide afterwards. The first `add` decides which of the two the index holds. Large batches of
    queries use int8 codes of float vectors to skip most of the work; the answer is the same
    (`lib.index.exact_filters`).

    On a GPU faiss computes the scores, in float32, so that the last bits differ, and ties at the
    cut-off go to whom it finds first; searches with `allowed` stay on the CPU.

    Relations: `lib.index.exact.topk_exact` is the same search without an index; the reference by
    which the recall of every other family is measured.
    """

    index_type = "Flat"
    can_use_gpu = True

    def _set_up(self) -> None:
        self._parts: list[
            Vectors
        ] = []  # what was added, one entry each, until the next search joins them
        self._gallery: Gallery | None = None
        self._copy: faiss.Index | None = None  # on the GPU

    def _sizes(self) -> dict[str, int]:
        """Besides vectors, 8 n of norms and 8 n of the order of ties.

        Codes that some processors use to search large batches faster are not counted: n d bytes
        more.
        """
        item = self._parts[0].rows.itemsize if self._parts else 4
        return {
            **sizes.flat(self.ntotal, self.dimension, item),
            "norms": 8 * self.ntotal,
            "ids": 8 * self.ntotal,
        }

    def _add(self, vectors: Vectors, ids: np.ndarray) -> None:
        if self._parts and vectors.rows.dtype != self._parts[0].rows.dtype:
            raise RetrievalInputError(
                f"the index holds {self._parts[0].rows.dtype} vectors, these are"
                f" {vectors.rows.dtype}; their scores would not compare. Convert one of them, or"
                " use two indexes"
            )
        self._parts.append(vectors)
        self._gallery = self._copy = None

    def _remove(self, positions: np.ndarray) -> None:
        self._join()
        (held,) = self._parts
        rows, lengths = np.delete(held.rows, positions, axis=0), np.delete(held.lengths, positions)
        self._parts = [Vectors(rows, lengths, held.divide)] if len(rows) else []
        self._gallery = self._copy = None

    def _search(
        self, queries: Vectors, k: int, positions: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        self._join()
        n = self.ntotal if positions is None else positions.size
        self._work = {"distances": len(queries) * n}
        if positions is not None:
            ids = self._ids.array[positions]
            scores, ranks = self._by_rank(self._parts[0].take(positions), ids).topk(
                queries, min(k, n)
            )
            filling = ((0, 0), (0, max(0, k - n)))
            scores = np.pad(scores, filling, constant_values=-np.inf)
            return scores, np.pad(np.sort(ids)[ranks], filling, constant_values=NO_ID)
        self._finish()
        if self.use_gpu:
            return self._search_on_gpu(queries, k)
        scores, ranks = self._gallery.topk(queries, k)
        return scores, self._ascending[ranks]

    def _finish(self) -> None:
        self._join()
        if self._gallery is None:
            self._gallery = self._by_rank(self._parts[0], self._ids.array)
            self._ascending = np.sort(self._ids.array)

    def _search_on_gpu(self, queries: Vectors, k: int) -> tuple[np.ndarray, np.ndarray]:
        if self._copy is None:
            index = faiss.IndexFlat(self.dimension, FAISS_METRICS[self.metric])
            index.add(self._parts[0].as_float32().numpy())
            self._copy = on_gpu(index)
        scores, positions = self._copy.search(queries.as_float32().numpy(), k)
        return best_first(-scores if self.metric == "l2" else scores, self._ids.at(positions))

    def _by_rank(self, items: Vectors, ids: np.ndarray) -> Gallery:
        """Ties go to the smaller id, whatever the order of adding: rank the rows by their ids."""
        return Gallery(items, self.metric, np.searchsorted(np.sort(ids), ids))

    def _join(self) -> None:
        if len(self._parts) > 1:
            rows = np.concatenate([part.rows for part in self._parts])
            lengths = np.concatenate([part.lengths for part in self._parts])
            self._parts = [Vectors(rows, lengths, self._parts[0].divide)]

    def _state(self) -> dict[str, np.ndarray]:
        return {**super()._state(), "lengths": self._held().lengths}

    def _bodies(self) -> Bodies:
        return {ROWS: array_writer(self._held().rows)}

    def _held(self) -> Vectors:
        self._join()
        return (
            self._parts[0]
            if self._parts
            else Vectors(np.empty((0, self.dimension), np.float32), np.empty(0))
        )

    def _restore_body(
        self, folder: Path, arrays: dict[str, np.ndarray], n: int, memory_map: bool
    ) -> None:
        rows = read_array(folder / ROWS, memory_map)
        lengths, kind = arrays["lengths"], "int8" if rows.dtype == np.int8 else "float32"
        expected = {"rows": f"{kind} {(n, self.dimension)}", "lengths": f"float64 {(n,)}"}
        check_held(folder, {"rows": form(rows), "lengths": form(lengths)}, expected)
        divide = self.metric == "cosine" and kind == "int8"
        norms = row_norms(rows, f"{folder / ROWS}", allow_zero=self.metric != "cosine")
        if not (
            np.allclose(norms, lengths, rtol=1e-9, atol=0)
            and (self.metric != "cosine" or divide or np.allclose(norms, 1, atol=1e-5))
        ):
            raise DamagedFileError(
                f"{folder} does not fit together: the rows have other lengths than {HEADER} says"
                f" for {self.metric}. {REBUILD}"
            )
        if len(rows):
            self._parts = [Vectors(rows, lengths, divide)]
