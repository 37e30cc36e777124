"""Hierarchical navigable small world: a graph of neighbours that a search walks along."""

from pathlib import Path

import faiss
import numpy as np

from lib.index.base import SEED, whole
from lib.index.capacity import sizes
from lib.index.faiss_index import FAISS_METRICS, FaissIndex, one_thread
from lib.index.ids import IdMap

MOST_LINKS, MOST_EF = 1024, 2**20  # 8 kB of links a vector, 12 MB of list
EF_SEARCH = 64  # the default, unless k is larger


class HNSWIndex(FaissIndex):
    """Search best-first over a graph with sparse upper levels.

    A vector is linked to up to 2 M others at the bottom and M at each level above, which it reaches
    with probability M^-l for level l. A search descends greedily to the bottom, then follows the
    links of the best vector not yet followed, with a list of the `ef_search` best seen, until none
    can improve the list.

    There is no training, so vectors of any kind can follow. A vector cannot be removed, because
    paths to others lead through it: build again, or search with `allowed`, which returns fewer than
    k hits when little is allowed. Under inner_product few links lead to short vectors.

    Args:
        links: M.
        ef_construction: length of that list during `add`.
        seed: of the levels. One thread adds vectors: the graph is the same every time.
        ef_search: length of the list for queries; max(64, k) when None. Below k it gives less
            recall and possibly fewer than k hits.

    Reference: Malkov and Yashunin 2018, "Efficient and robust approximate nearest neighbor search
    using Hierarchical Navigable Small World graphs".
    """

    index_type = "HNSW"
    _types = (faiss.IndexHNSWFlat,)
    _faiss_counts = True
    can_remove = False
    build_known = {
        "links": whole(16, least=2, most=MOST_LINKS),
        "ef_construction": whole(100, most=MOST_EF),
        "seed": SEED,
    }
    search_known = {"ef_search": whole(None, most=MOST_EF)}

    @property
    def bottom_links(self) -> np.ndarray:
        """`(ntotal, 2 M)` int64 copy of the bottom links, -1 where free; can be set."""
        return self._links()[self._bottom()].astype(np.int64)

    @bottom_links.setter
    def bottom_links(self, links: np.ndarray) -> None:
        self._check_can_change()
        places = self._links()
        places[self._bottom()] = links
        faiss.copy_array_to_vector(places, self._faiss.hnsw.neighbors)

    def positions_of(self, ids: np.ndarray) -> np.ndarray:
        """Return the position of each id, -1 where it is not in the index; any shape."""
        return self._ids.find(np.asarray(ids))

    def restore_from(self, path: Path, n: int, memory_map: bool) -> None:
        """Read the graph of n vectors that stands in one file of a larger index."""
        self._read_faiss(path, n, memory_map)
        self._ids = IdMap(n)
        self.memory_mapped = memory_map

    def _links(self) -> np.ndarray:
        return faiss.vector_to_array(self._faiss.hnsw.neighbors)

    def _bottom(self) -> np.ndarray:
        """Places of the bottom links among all links, which are stored vector by vector."""
        starts = faiss.vector_to_array(self._faiss.hnsw.offsets)[:-1].astype(np.int64)
        return starts[:, None] + np.arange(self._faiss.hnsw.nb_neighbors(0))

    def _make(self, n_train: int) -> faiss.Index:
        metric = FAISS_METRICS[self.metric]
        index = faiss.IndexHNSWFlat(self.dimension, self._options["links"], metric)
        index.hnsw.efConstruction = self._options["ef_construction"]
        index.hnsw.rng = faiss.RandomGenerator(self._options["seed"])
        return index

    def _add(self, vectors: np.ndarray, ids: np.ndarray) -> None:
        with one_thread():
            super()._add(vectors, ids)

    def _parameters(self, selector: faiss.IDSelector | None, k: int) -> faiss.SearchParameters:
        options = {} if selector is None else {"sel": selector}
        ef_search = self._options["ef_search"] or max(EF_SEARCH, k)
        return faiss.SearchParametersHNSW(efSearch=ef_search, **options)

    def _count_work(self, n_queries: int, n_allowed: int | None) -> dict[str, int]:
        return {"distances": faiss.cvar.hnsw_stats.ndis}

    def _structure(self) -> dict[str, int]:
        return {"links": self._faiss.hnsw.nb_neighbors(1)}

    def _sizes(self) -> dict[str, int]:
        places = self._faiss.hnsw.neighbors.size()
        return sizes.hnsw(self.ntotal, self.dimension, self._options["links"], n_links=places)
