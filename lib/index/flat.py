"""Exact index: all vectors as they are, all compared with every query."""

from pathlib import Path

import faiss
import numpy as np

from lib.core.checks import RetrievalInputError, row_norms
from lib.core.reading import DamagedFileError
from lib.index.base import SearchResult, VectorSearchIndex
from lib.index.capacity import sizes
from lib.index.exact import Gallery
from lib.index.exact_scores import Vectors
from lib.index.faiss_index import FAISS_METRICS, best_first
from lib.index.gpu import on_gpu
from lib.index.ids import NO_ID
from lib.index.saved_files import (
    HEADER,
    REBUILD,
    ROWS,
    Bodies,
    array_writer,
    check_fits,
    read_array,
    shape_text,
)


class FlatIndex(VectorSearchIndex):
    """Search exactly over vectors prepared once; `topk_exact` does the same without an index.

    Float vectors are stored as float32, of unit length under cosine. int8 vectors stay int8: their
    products are exact integers, and under cosine the norms divide afterwards. The first `add`
    decides the type. Large batches of queries use int8 codes of float vectors to skip most of the
    work; the result is the same (`lib.index.exact_filters`).

    On a GPU faiss computes the scores in float32: the last bits differ, and ties at the cut-off go
    to any of the tied vectors. Searches with `allowed` stay on the CPU.
    """

    index_type = "Flat"
    can_use_gpu = True
    can_merge = True

    def _set_up(self) -> None:
        self._parts: list[Vectors] = []  # one per `add`, until the next search joins them
        self._gallery: tuple[Gallery, np.ndarray] | None = None  # and the ids in ascending order
        self._copy: faiss.Index | None = None  # on the GPU

    def _sizes(self) -> dict[str, int]:
        """Count vectors, 8 n of norms and 8 n of the order of ties, without int8 codes."""
        item = self._parts[0].rows.itemsize if self._parts else 4
        vectors = sizes.flat(self.ntotal, self.dimension, item)
        return {**vectors, "norms": 8 * self.ntotal, "ids": 8 * self.ntotal}

    def _add(self, vectors: Vectors, ids: np.ndarray) -> None:
        if self._parts and vectors.rows.dtype != self._parts[0].rows.dtype:
            raise RetrievalInputError(
                f"the index holds {self._parts[0].rows.dtype} vectors, these are"
                f" {vectors.rows.dtype}; their scores would not compare. Convert one of them, or"
                " use two indexes"
            )
        self._parts.append(vectors)
        self._gallery = self._copy = None

    def _merge(self, other: "FlatIndex") -> None:
        for part in other._parts:
            self._add(part, other._ids.array)
        other._parts, other._gallery, other._copy = [], None, None

    def _remove(self, positions: np.ndarray) -> None:
        stored = self._stored()
        rows = np.delete(stored.rows, positions, axis=0)
        lengths = np.delete(stored.lengths, positions)
        self._parts = [Vectors(rows, lengths, stored.divide)] if len(rows) else []
        self._gallery = self._copy = None

    def _search(self, queries: Vectors, k: int, positions: np.ndarray | None) -> SearchResult:
        if positions is not None:
            return self._search_among(queries, k, positions)
        work = {"distances": len(queries) * self.ntotal}
        self._finish()
        if self.use_gpu:
            return SearchResult(*self._search_on_gpu(queries, k), work)
        gallery, ascending_ids = self._gallery
        scores, ranks = gallery.topk(queries, k)
        return SearchResult(scores, ascending_ids[ranks], work)

    def _search_among(self, queries: Vectors, k: int, positions: np.ndarray) -> SearchResult:
        n = positions.size
        gallery, ids = self._ranked(self._stored().take(positions), self._ids.array[positions])
        scores, ranks = gallery.topk(queries, min(k, n))
        filling = ((0, 0), (0, max(0, k - n)))
        return SearchResult(
            np.pad(scores, filling, constant_values=-np.inf),
            np.pad(ids[ranks], filling, constant_values=NO_ID),
            {"distances": len(queries) * n},
        )

    def _finish(self) -> None:
        if self._gallery is None:
            self._gallery = self._ranked(self._stored(), self._ids.array)

    def _search_on_gpu(self, queries: Vectors, k: int) -> tuple[np.ndarray, np.ndarray]:
        if self._copy is None:
            index = faiss.IndexFlat(self.dimension, FAISS_METRICS[self.metric])
            index.add(self._stored().as_float32().numpy())
            self._copy = on_gpu(index)
        scores, positions = self._copy.search(queries.as_float32().numpy(), k)
        return best_first(-scores if self.metric == "l2" else scores, self._ids.at(positions))

    def _ranked(self, items: Vectors, ids: np.ndarray) -> tuple[Gallery, np.ndarray]:
        """Rank the rows by id, because ties go to the smaller id in any order of adding."""
        ascending = np.sort(ids)
        return Gallery(items, self.metric, np.searchsorted(ascending, ids)), ascending

    def _stored(self) -> Vectors:
        """Join the parts and return all vectors."""
        if not self._parts:
            return Vectors(np.empty((0, self.dimension), np.float32), np.empty(0))
        if len(self._parts) > 1:
            rows = np.concatenate([part.rows for part in self._parts])
            lengths = np.concatenate([part.lengths for part in self._parts])
            self._parts = [Vectors(rows, lengths, self._parts[0].divide)]
        return self._parts[0]

    def _state(self) -> dict[str, np.ndarray]:
        return {**super()._state(), "lengths": self._stored().lengths}

    def _bodies(self) -> Bodies:
        return {ROWS: array_writer(self._stored().rows)}

    def _restore_body(self, folder: Path, arrays: dict, n: int, memory_map: bool) -> None:
        rows = read_array(folder / ROWS, memory_map)
        lengths, kind = arrays["lengths"], "int8" if rows.dtype == np.int8 else "float32"
        expected = {"rows": f"{kind} {(n, self.dimension)}", "lengths": f"float64 {(n,)}"}
        check_fits(folder, {"rows": shape_text(rows), "lengths": shape_text(lengths)}, expected)
        divide = self.metric == "cosine" and kind == "int8"
        norms = row_norms(rows, f"{folder / ROWS}", allow_zero=self.metric != "cosine")
        fits = np.allclose(norms, lengths, rtol=1e-9, atol=0)
        if self.metric == "cosine" and not divide:
            fits = fits and np.allclose(norms, 1, atol=1e-5)
        if not fits:
            raise DamagedFileError(
                f"{folder} does not fit together: the rows have other lengths than {HEADER} says"
                f" for {self.metric}. {REBUILD}"
            )
        if len(rows):
            self._parts = [Vectors(rows, lengths, divide)]
