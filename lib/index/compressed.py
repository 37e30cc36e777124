"""Common code of the families of compressed vectors: scans of all codes, and re-ranking."""

from abc import abstractmethod
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from lib.core.checks import RetrievalInputError
from lib.index.base import SearchResult, whole
from lib.index.faiss_index import FaissIndex, best_first
from lib.index.ids import NO_ID
from lib.index.saved_files import ROWS, Bodies, array_writer, check_fits, read_array, shape_text

RERANK = {"rerank": whole(0, least=0)}


class RawVectors:
    """Whole vectors by position, `(n, d)` float32, to score chosen ones exactly."""

    def __init__(self, rows: np.ndarray) -> None:
        self._parts = [rows]  # joined when they are needed, not at every `append`

    @property
    def rows(self) -> np.ndarray:
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0]

    def append(self, rows: np.ndarray) -> None:
        self._parts.append(rows)

    def remove(self, positions: np.ndarray) -> None:
        self._parts = [np.delete(self.rows, positions, axis=0)]

    def best(
        self, queries: np.ndarray, candidates: np.ndarray, k: int, metric: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find scores and positions `(n_queries, k)` of the best candidates by whole vectors.

        Candidates are `(n_queries, m >= k)` int64 positions, -1 for none, like the results.
        """
        n_queries, m = candidates.shape
        rows = self.rows
        scores, positions = np.empty((n_queries, k), np.float32), np.empty((n_queries, k), np.int64)
        by_metric = faiss.knn_L2sqr_by_idx if metric == "l2" else faiss.knn_inner_products_by_idx
        pointers = (faiss.swig_ptr(array) for array in (queries, rows, candidates))
        shape = rows.shape[1], n_queries, len(rows), m, k
        by_metric(*pointers, *shape, faiss.swig_ptr(scores), faiss.swig_ptr(positions), m)
        return np.subtract(0, scores) if metric == "l2" else scores, positions


class Reranked(FaissIndex):
    """Base of families that can score the best `rerank` k hits again by whole vectors.

    Whole vectors are stored if `rerank` is not 0 when the index is made; at 0 scores are those of
    the codes.
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

    def _merge(self, other: "Reranked") -> None:
        super()._merge(other)
        if self._raw is not None:
            self._raw.append(other._raw.rows)

    def _finish(self) -> None:
        if self._raw is not None:
            _ = self._raw.rows  # joins the parts

    def _remove(self, positions: np.ndarray) -> None:
        super()._remove(positions)
        if self._raw is not None:
            self._raw.remove(positions)

    def _search(self, queries: np.ndarray, k: int, positions: np.ndarray | None) -> SearchResult:
        factor = self._options["rerank"]
        if not factor:
            return super()._search(queries, k, positions)
        _, labels, work = self._hits(queries, min(k * factor, self.ntotal), positions)
        candidates = self._positions_of(labels)
        n_candidates = int(np.count_nonzero(candidates != NO_ID))
        scores, best = self._raw.best(queries, candidates, k, self.metric)
        work = work | {"distances": work.get("distances", 0) + n_candidates}
        return SearchResult(*best_first(scores, self._ids.at(best)), work)

    def _bodies(self) -> Bodies:
        raw = {} if self._raw is None else {ROWS: array_writer(self._raw.rows)}
        return {**super()._bodies(), **raw}

    def _restore_body(self, folder: Path, arrays: dict, n: int, memory_map: bool) -> None:
        super()._restore_body(folder, arrays, n, memory_map)
        if (folder / ROWS).is_file():
            rows = read_array(folder / ROWS, memory_map)
            expected = {"rows": f"float32 {(n, self.dimension)}"}
            check_fits(folder, {"rows": shape_text(rows)}, expected)
            self._raw = RawVectors(rows)


class FullScan(Reranked):
    """Base of families that compare a query with all codes, or with those of `allowed`."""

    @abstractmethod
    def _among(self, queries: np.ndarray, positions: np.ndarray) -> tuple[faiss.Index, np.ndarray]:
        """Make an index of codes at some positions, and its queries; faiss takes no selectors."""

    def _hits(
        self, queries: np.ndarray, k: int, positions: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
        if positions is None:
            return super()._hits(queries, k, None)
        part, turned = self._among(queries, positions)
        distances, labels = part.search(turned, k)
        labels = np.where(labels < 0, labels, positions[labels])
        return distances, labels, self._count_work(len(queries), positions.size)

    def _parameters(self, selector: faiss.IDSelector | None, k: int) -> None:
        return None

    def _count_work(self, n_queries: int, n_allowed: int | None) -> dict[str, int]:
        return {"codes": n_queries * (self.ntotal if n_allowed is None else n_allowed)}
