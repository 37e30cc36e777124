"""Inverted file: vectors in the cells of k-means, of which a query visits a few."""

import math
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError
from lib.index.base import SEED, whole
from lib.index.capacity import sizes
from lib.index.faiss_index import (
    FAISS_METRICS,
    POINTS_PER_CENTROID,
    FaissIndex,
    check_at_most,
    check_points,
    set_k_means,
)
from lib.index.saved_files import HEADER, REBUILD

LISTS_PER_ROOT = 4  # cells for each square root of n, as a rule of thumb


class InvertedFile(FaissIndex):
    """Common code of inverted files of whole vectors and of codes; faiss keeps ids in the lists."""

    needs_training = True
    can_use_gpu = True
    can_merge = True
    search_known = {"nprobe": whole(8)}
    _faiss_counts = True

    @property
    def list_sizes(self) -> np.ndarray:
        """`(nlist,)` int64 vectors in each list."""
        lists = self._inverted().invlists
        return np.array([lists.list_size(i) for i in range(lists.nlist)])

    @property
    def centroids(self) -> np.ndarray:
        """`(nlist, d)` float32, in the space of the lists, which is rotated with `rotate`."""
        inverted = self._inverted()
        return faiss.downcast_index(inverted.quantizer).reconstruct_n(0, inverted.nlist)

    @property
    def imbalance(self) -> float:
        """Length of the list of a random vector over the mean length: nlist sum_i (n_i / n)^2."""
        return float(self._inverted().invlists.imbalance_factor())

    def _inverted(self) -> faiss.IndexIVF:
        if self._faiss is None:
            raise RetrievalInputError("the index is untrained and has no lists: call train or add")
        return faiss.extract_index_ivf(self._faiss)

    def _structure(self) -> dict[str, Any]:
        return {**super()._structure(), "nlist": self._inverted().nlist}

    def _quantiser(self) -> faiss.Index:
        """Make exact search over centroids, by the metric of the lists."""
        flat = faiss.IndexFlatL2 if self._compared_by == "l2" else faiss.IndexFlatIP
        return flat(self.dimension)

    def _choose_lists(self, n_train: int) -> int:
        """Return nlist: as given if there are enough training vectors, or chosen by size."""
        chosen = self._options["nlist"]
        nlist = chosen or default_nlist(n_train)
        if chosen or not n_train:  # one list, the choice for few vectors, needs no 39 of them
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

    def _merge(self, other: "InvertedFile") -> None:
        self._faiss.merge_from(other._faiss, 0)  # the ids stand in the lists, nothing is added
        self._copy = other._copy = None

    def _training(self) -> dict[str, np.ndarray]:
        return {**super()._training(), "centroids": self.centroids}

    def _restore(self, folder: Path, arrays: dict, n: int, memory_map: bool) -> None:
        super()._restore(folder, arrays, n, memory_map)
        lists = self._inverted().invlists
        ids = (faiss.rev_swig_ptr(lists.get_ids(i), lists.list_size(i)) for i in range(lists.nlist))
        # By their sum, modulo 2^64: a comparison one by one would have to sort them all.
        if (sum(int(part.sum()) for part in ids) - int(self._ids.array.sum())) % 2**64:
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
        n_lists, nprobe = self._options["nlist"], self._options["nprobe"]
        coarse = {"centroids": n_queries * n_lists, "lists": n_queries * nprobe}
        if self.use_gpu:  # a GPU does not count the rest
            return coarse
        return {kind: faiss.cvar.indexIVF_stats.ndis, **coarse}


class IVFIndex(InvertedFile):
    """Compare queries exactly with the vectors of a few cells.

        cell(x) = argmax_c s(x, c)
        hits of q = best k of { x : cell(x) among the nprobe best of q }

    A query costs nlist comparisons with centroids and about n nprobe / nlist with vectors, more
    where cells are unequal (`imbalance`). Scores are exact; vectors in other cells are not
    returned. Under cosine and inner_product centroids have unit length, because long ones would
    attract too many vectors.

    Args:
        nlist: cells; the power of two at or below min(4 sqrt(n), n / 39) for n training vectors
            when None. A given nlist needs 39 training vectors a cell.
        seed: of k-means.
        nprobe: cells that a query visits; all of them make it exact search.

    Reference: Sivic and Zisserman 2003, "Video Google"; Jegou, Douze and Schmid 2011, "Product
    Quantization for Nearest Neighbor Search", section IV.
    """

    index_type = "IVF"
    _types = (faiss.IndexIVFFlat,)
    build_known = {"nlist": whole(None), "seed": SEED}

    def _make(self, n_train: int) -> faiss.Index:
        nlist, metric = self._choose_lists(n_train), FAISS_METRICS[self.metric]
        index = faiss.IndexIVFFlat(self._quantiser(), self.dimension, nlist, metric)
        set_k_means(index.cp, self._options["seed"], spherical=self.metric != "l2")
        return index

    def _count_work(self, n_queries: int, n_allowed: int | None) -> dict[str, int]:
        return self._scan_work(n_queries, "distances")

    def _sizes(self) -> dict[str, int]:
        if self._faiss is None:
            return {}
        nlist = self._options["nlist"]
        return sizes.ivf(self.ntotal, self.dimension, nlist, list_sizes=self.list_sizes)


def default_nlist(n_train: int) -> int:
    """Return the power of two at or below min(4 sqrt(n), n / 39), at least 1."""
    most = min(LISTS_PER_ROOT * math.sqrt(n_train), n_train / POINTS_PER_CENTROID)
    return 2 ** int(math.log2(max(1, most)))


def check_nprobe(nprobe: int, nlist: int) -> None:
    """Refuse to visit more lists than there are."""
    check_at_most(nprobe, nlist, "nprobe", "lists")
