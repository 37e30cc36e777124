"""What families that compare a query with the code of every vector have in common."""

from abc import abstractmethod

import faiss
import numpy as np

from lib.index.product_codes import Reranked


class FullScan(Reranked):
    """A scan over all codes, or over those of the vectors that are allowed.

    Relations: a family implements `_among`.
    """

    @abstractmethod
    def _among(self, queries: np.ndarray, positions: np.ndarray) -> tuple[faiss.Index, np.ndarray]:
        """An index of the codes at those positions alone, since faiss skips none, and the queries
        for it.
        """

    def _hits(
        self, queries: np.ndarray, k: int, positions: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        if positions is None:
            return super()._hits(queries, k, None)
        part, turned = self._among(queries, positions)
        found, labels = part.search(turned, k)
        self._work = self._count_work(len(queries), positions.size)
        return found, np.where(labels < 0, labels, positions[labels])

    def _parameters(self, selector: faiss.IDSelector | None, k: int) -> None:
        return None

    def _count_work(self, n_queries: int, n_allowed: int | None) -> dict[str, int]:
        return {"codes": n_queries * (self.ntotal if n_allowed is None else n_allowed)}
