"""The hierarchical navigable small world: a graph of neighbours that a query walks along."""

import faiss
import numpy as np

from lib.index.capacity import sizes
from lib.index.faiss_index import FAISS_METRICS, FaissIndex, one_thread
from lib.index.options import SEED, whole

MOST_LINKS, MOST_EF = 1024, 2**20  # 8 kB of links a vector, 12 MB of list
EF_SEARCH = 64  # without a choice, and with no more hits to find


class HNSWIndex(FaissIndex):
    """A best-first walk over a graph whose upper levels are sparse.

    A vector is linked to up to 2 M others at the bottom and M at each level above it that it
    reaches, which it does with probability M^-l. A query descends greedily to the bottom, then
    keeps the `ef_search` best seen and follows the links of the best not yet followed, until none
    of them can improve the list.

    Args:
        links: M.
        ef_construction: length of that list while a vector looks for its neighbours.
        seed: of the levels. Vectors are added by one thread, so that the graph is the same every
            time.
        ef_search: length of the list for queries; max(64, k) when None. A walk with a number below
            k opens no more vectors than that: less work, less recall, and far below k fewer than k
            hits, filled up with -inf and -1. A walk can fall short of k at any number where parts
            of the graph are not linked.

    Under inner_product hardly anything links to short vectors, and no `ef_search` finds some of
    them.

    Relations: nothing is trained, so vectors of any kind may follow. A vector cannot be removed,
    since paths to others lead through it: build again, or search with `allowed`, which walks over
    what it may not find and so returns fewer than k hits when little is allowed.

    Reference: Malkov and Yashunin 2018, "Efficient and robust approximate nearest neighbor search
    using Hierarchical Navigable Small World graphs".
    """

    index_type = "HNSW"
    _types = (faiss.IndexHNSWFlat,)
    can_remove = False
    build_known = {
        "links": whole(16, least=2, most=MOST_LINKS),
        "ef_construction": whole(100, most=MOST_EF),
        "seed": SEED,
    }
    search_known = {"ef_search": whole(None, most=MOST_EF)}

    @property
    def bottom_links(self) -> np.ndarray:
        """`(ntotal, 2 M)` int64, a copy: positions each vector is linked to at the bottom, -1 in
        free places.

        Links may be set; free places must come last in a row.
        """
        return self._links()[self._bottom()].astype(np.int64)

    @bottom_links.setter
    def bottom_links(self, links: np.ndarray) -> None:
        self._check_grows()
        places = self._links()
        places[self._bottom()] = links
        faiss.copy_array_to_vector(places, self._faiss.hnsw.neighbors)

    def positions_of(self, ids: np.ndarray) -> np.ndarray:
        """The position of each id, -1 where it is not held; any shape."""
        return self._ids.find(np.asarray(ids))

    def _links(self) -> np.ndarray:
        return faiss.vector_to_array(self._faiss.hnsw.neighbors)

    def _bottom(self) -> np.ndarray:
        """Where in all links, which are stored one vector after the other, the bottom ones are."""
        starts = faiss.vector_to_array(self._faiss.hnsw.offsets)[:-1].astype(np.int64)
        return starts[:, None] + np.arange(self._faiss.hnsw.nb_neighbors(0))

    def _make(self, n_train: int) -> faiss.Index:
        index = faiss.IndexHNSWFlat(
            self.dimension, self._options["links"], FAISS_METRICS[self.metric]
        )
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
