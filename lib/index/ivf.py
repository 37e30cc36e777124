"""The inverted file: vectors in the cells of k-means, and a query that visits a few of them."""

import math
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError
from lib.index.capacity import sizes
from lib.index.faiss_index import (
    FAISS_METRICS,
    POINTS_PER_CENTROID,
    FaissIndex,
    check_at_most,
    check_points,
    set_k_means,
)
from lib.index.options import SEED, whole
from lib.index.saving import HEADER, REBUILD

LISTS_PER_ROOT = 4  # cells for each square root of n, as a rule of thumb


class InvertedFile(FaissIndex):
    """What every inverted file does, whatever its lists hold; faiss holds the ids in the lists."""

    needs_training = True
    can_use_gpu = True
    search_known = {"nprobe": whole(8)}

    @property
    def list_sizes(self) -> np.ndarray:
        """`(nlist,)` int64 vectors in each list."""
        lists = self._inverted().invlists
        return np.array([lists.list_size(i) for i in range(lists.nlist)])

    @property
    def centroids(self) -> np.ndarray:
        """`(nlist, d)` float32, in the space of the lists: turned, where codes are."""
        return faiss.downcast_index(self._inverted().quantizer).reconstruct_n(
            0, self._inverted().nlist
        )

    @property
    def imbalance(self) -> float:
        """How much longer the list of a random vector is than if all were equal: nlist sum_i (n_i /
        n)^2.
        """
        return float(self._inverted().invlists.imbalance_factor())

    def _inverted(self) -> faiss.IndexIVF:
        if self._faiss is None:
            raise RetrievalInputError("there are no lists before the index is trained: call train")
        return faiss.extract_index_ivf(self._faiss)

    def _structure(self) -> dict[str, Any]:
        return {**super()._structure(), "nlist": self._inverted().nlist}

    def _quantiser(self) -> faiss.Index:
        """Exact search over centroids, by the metric of what the lists hold."""
        flat = faiss.IndexFlatL2 if self._compared_by == "l2" else faiss.IndexFlatIP
        return flat(self.dimension)

    def _choose_lists(self, n_train: int) -> int:
        """nlist, chosen by size where it was not given, and with the training vectors it needs."""
        nlist = self._options["nlist"] or default_nlist(n_train)
        check_points(n_train, nlist, f"IVF with nlist = {nlist}", "choose a smaller nlist")
        return nlist

    def _train(self, vectors: np.ndarray) -> None:
        nlist = self._choose_lists(len(vectors))
        if "nprobe" in self._given:
            check_nprobe(self._options["nprobe"], nlist)
        super()._train(vectors)
        self._options |= {"nlist": nlist, "nprobe": min(self._options["nprobe"], nlist)}

    def _check_search(self, options: dict[str, Any]) -> None:
        if self.is_trained and "nprobe" in options:
            check_nprobe(options["nprobe"], self._options["nlist"])
        self._given |= options.keys()

    def _add(self, vectors: np.ndarray, ids: np.ndarray) -> None:
        self._faiss.add_with_ids(vectors, ids)
        self._copy = None

    def _remove(self, positions: np.ndarray) -> None:
        self._faiss.remove_ids(faiss.IDSelectorBatch(self._ids.at(positions)))
        self._copy = None

    def _restore(
        self, folder: Path, arrays: dict[str, np.ndarray], n: int, memory_map: bool
    ) -> None:
        super()._restore(folder, arrays, n, memory_map)
        lists = self._inverted().invlists
        ids = (faiss.rev_swig_ptr(lists.get_ids(i), lists.list_size(i)) for i in range(lists.nlist))
        # By their sum, modulo 2^64: a comparison one by one would have to sort them all.
        if (sum(int(each.sum()) for each in ids) - int(self._ids.array.sum())) % 2**64:
            raise DamagedFileError(
                f"{folder} does not fit together: the lists hold other ids than {HEADER}. {REBUILD}"
            )

    def _ids_of(self, labels: np.ndarray) -> np.ndarray:
        return labels

    def _positions_of(self, labels: np.ndarray) -> np.ndarray:
        return self._ids.find(labels)

    def _selector(self, positions: np.ndarray) -> faiss.IDSelector:
        if self._ids.counted:
            return super()._selector(positions)
        return faiss.IDSelectorBatch(self._ids.at(positions))

    def _parameters(self, selector: faiss.IDSelector | None, k: int) -> faiss.SearchParameters:
        options = {} if selector is None else {"sel": selector}
        return faiss.SearchParametersIVF(nprobe=self._options["nprobe"], **options)

    def _scan_work(self, n_queries: int, kind: str) -> dict[str, int]:
        # Lists by formula: for codes in blocks the count of faiss depends on the number of threads.
        coarse = {
            "centroids": n_queries * self._options["nlist"],
            "lists": n_queries * self._options["nprobe"],
        }
        return (
            coarse if self.use_gpu else {kind: faiss.cvar.indexIVF_stats.ndis, **coarse}
        )  # a GPU counts none


class IVFIndex(InvertedFile):
    """Exact comparison with the vectors of a few cells.

        cell(x) = argmax_c s(x, c)        hits of q = best k of { x : cell(x) among the nprobe best
        of q }

    A query costs nlist comparisons with centroids and about n nprobe / nlist with vectors, more
    where cells are unequal (`imbalance`). Scores are exact; what is in no visited cell is not
    found. Where those cells hold fewer than k vectors, -inf and -1 fill up.

    Args:
        nlist: cells; the power of two at or below min(4 sqrt(n), n / 39) for n training vectors
            when None.
        seed: of k-means.
        nprobe: cells that a query visits; all of them make it exact search.

    Raises:
        RetrievalInputError: fewer than 39 training vectors a cell, or nprobe above nlist.

    Relations: "IVF-PQ" is the same with codes in the lists. Under cosine and inner_product
    centroids have unit length, or long ones would attract what has no business there.

    Reference: Sivic and Zisserman 2003, "Video Google"; Jegou, Douze and Schmid 2011, "Product
    Quantization for Nearest Neighbor Search", section IV.
    """

    index_type = "IVF"
    _types = (faiss.IndexIVFFlat,)
    build_known = {"nlist": whole(None), "seed": SEED}

    def _make(self, n_train: int) -> faiss.Index:
        quantiser = self._quantiser()
        nlist = self._choose_lists(n_train)
        index = faiss.IndexIVFFlat(quantiser, self.dimension, nlist, FAISS_METRICS[self.metric])
        set_k_means(index.cp, self._options["seed"], spherical=self.metric != "l2")
        return index

    def _count_work(self, n_queries: int, n_allowed: int | None) -> dict[str, int]:
        return self._scan_work(n_queries, "distances")

    def _sizes(self) -> dict[str, int]:
        if self._faiss is None:
            return {}
        return sizes.ivf(
            self.ntotal, self.dimension, self._options["nlist"], list_sizes=self.list_sizes
        )


def default_nlist(n_train: int) -> int:
    """The power of two at or below min(4 sqrt(n), n / 39), at least 1."""
    most = min(LISTS_PER_ROOT * math.sqrt(n_train), n_train / POINTS_PER_CENTROID)
    return 2 ** int(math.log2(max(1, most)))


def check_nprobe(nprobe: int, nlist: int) -> None:
    """Refuses to visit more lists than there are."""
    check_at_most(nprobe, nlist, "nprobe", "lists")
