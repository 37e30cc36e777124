"""Common code of the index families that faiss computes: metric, threads, order of hits, counts."""

import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from lib.core.checks import RetrievalInputError, as_real_matrix, unit_rows
from lib.core.reading import DamagedFileError
from lib.index.base import SearchResult, TooFewVectorsError, VectorSearchIndex
from lib.index.exact_scores import prepare
from lib.index.gpu import on_gpu
from lib.index.ids import NO_ID
from lib.index.saved_files import REBUILD, Bodies, check_fits

FAISS_METRICS = {
    "cosine": faiss.METRIC_INNER_PRODUCT,  # of unit rows
    "inner_product": faiss.METRIC_INNER_PRODUCT,
    "l2": faiss.METRIC_L2,
}
POINTS_PER_CENTROID = 39  # with fewer k-means follows single vectors; faiss warns below it
SAMPLE_PER_CENTROID = 256  # more hardly move a centroid
ITERATIONS = 10  # of k-means over whole vectors
SAFE_SQUARES = 1e-30, 1e30  # squared norms that float32 sums without losing digits
BODY = "index.faiss"
# faiss counts work for the whole process, so searches that read its counters run one at a time.
COUNTERS = threading.Lock()


class FaissIndex(VectorSearchIndex):
    """Base of families with vectors in faiss, as float32 and of unit length under cosine.

    faiss objects are made with an explicit metric: the default is squared distances, and the
    factory strings switch on training that no search uses. Training runs in one thread and gives
    the same index on every machine of a kind.
    """

    _types: ClassVar[tuple[type, ...]]  # of what `_make` makes, without a rotation before it
    _faiss_counts: ClassVar[bool] = False  # whether `_count_work` reads the counters of faiss

    @property
    def _compared_by(self) -> str:
        """Metric by which faiss compares; families of codes can choose another one."""
        return self.metric

    def _set_up(self) -> None:
        self._faiss: faiss.Index | None = None if self.needs_training else self._made(0)
        self._copy: faiss.Index | None = None  # on the GPU, where searches run there
        if self.use_gpu:
            self.can_filter = False  # the GPU code of faiss takes no selectors

    @abstractmethod
    def _make(self, n_train: int) -> faiss.Index:
        """Make the empty faiss index, for training on that many vectors."""

    @abstractmethod
    def _parameters(self, selector: faiss.IDSelector | None, k: int) -> faiss.SearchParameters:
        """Convert the search options for faiss; None where there are none."""

    @abstractmethod
    def _count_work(self, n_queries: int, n_allowed: int | None) -> dict[str, int]:
        """Return the work of a search, by formula or from the counters of faiss."""

    def _inner(self) -> faiss.Index:
        """Return the index without a rotation before it."""
        return self._faiss

    def _structure(self) -> dict[str, Any]:
        """Read options from the faiss index, to compare a file with its header."""
        return {}

    def _made(self, n_train: int) -> faiss.Index:
        index = self._make(n_train)
        self._check(index)
        return index

    def _check(self, index: faiss.Index) -> None:
        check_metric(index, self._compared_by)

    def _prepare(self, x, name: str, copy: bool = False) -> np.ndarray:
        return float_rows(x, name, self.metric, self.dimension, copy=copy)

    def _train(self, vectors: np.ndarray) -> None:
        index = self._made(len(vectors))
        with one_thread(), matrix_products():
            index.train(vectors)
        self._faiss = index

    def _add(self, vectors: np.ndarray, ids: np.ndarray) -> None:
        self._faiss.add(vectors)
        self._copy = None

    def _remove(self, positions: np.ndarray) -> None:
        self._faiss.remove_ids(faiss.IDSelectorBatch(positions))  # later ones move up, as in IdMap
        self._copy = None

    def _search(self, queries: np.ndarray, k: int, positions: np.ndarray | None) -> SearchResult:
        distances, labels, work = self._hits(queries, k, positions)
        hits = best_first(self._similarities(distances), self._ids_of(labels))
        return SearchResult(*hits, work)

    def _similarities(self, distances: np.ndarray) -> np.ndarray:
        """Convert what faiss calls distances to scores of which higher is better."""
        return np.subtract(0, distances, out=distances) if self.metric == "l2" else distances

    def _hits(
        self, queries: np.ndarray, k: int, positions: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
        """Return distances and labels as faiss gives them, and the work."""
        selector = None if positions is None else self._selector(positions)
        n_allowed = None if positions is None else positions.size
        index, parameters = self._searched(), self._parameters(selector, k)
        if self._faiss_counts and not self.counts_work:
            return *index.search(queries, k, params=parameters), {}
        with COUNTERS if self._faiss_counts else nullcontext():
            if self._faiss_counts:
                faiss.cvar.indexIVF_stats.reset()
                faiss.cvar.hnsw_stats.reset()
            distances, labels = index.search(queries, k, params=parameters)
            return distances, labels, self._count_work(len(queries), n_allowed)

    def _searched(self) -> faiss.Index:
        """Return the faiss index, or its copy on the GPU, which is made again after changes."""
        if not self.use_gpu:
            return self._faiss
        if self._copy is None:
            self._copy = on_gpu(self._faiss)
        return self._copy

    def _ids_of(self, labels: np.ndarray) -> np.ndarray:
        """Convert labels to ids; here the labels are positions."""
        return self._ids.at(labels)

    def _positions_of(self, labels: np.ndarray) -> np.ndarray:
        return labels

    def _selector(self, positions: np.ndarray) -> faiss.IDSelector:
        allowed = np.zeros(self.ntotal, bool)
        allowed[positions] = True
        return faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))

    def _bodies(self) -> Bodies:
        return {BODY: faiss_writer(self._faiss)}

    def _restore_body(self, folder: Path, arrays: dict, n: int, memory_map: bool) -> None:
        self._read_faiss(folder / BODY, n, memory_map)

    def _read_faiss(self, path: Path, n: int, memory_map: bool) -> None:
        """Read the faiss index of a file, and check that it is of these options."""
        flags = faiss.IO_FLAG_MMAP_IFC if memory_map else 0
        self._faiss = faiss.read_index(str(path), flags)
        if not isinstance(self._inner(), self._types):
            raise DamagedFileError(f"{path} holds no {self.index_type} index. {REBUILD}")
        actual = {"dimension": self._faiss.d, "n": self._faiss.ntotal, **self._structure()}
        check_fits(path.parent, actual, {"dimension": self.dimension, "n": n, **self._options})
        try:
            self._check(self._faiss)
        except RuntimeError as error:  # codes under cosine were once compared by dot product
            problem = f"was saved by a version that compared by another metric: {error}"
            raise RetrievalInputError(f"{path.parent} {problem}. {REBUILD}") from error


def faiss_writer(index: faiss.Index) -> Callable[[BinaryIO], object]:
    """Return a function that writes a faiss index to a stream."""
    return lambda stream: faiss.write_index(index, faiss.PyCallbackIOWriter(stream.write))


def float_rows(x, name: str, metric: str, dim: int, copy: bool = False) -> np.ndarray:
    """Check embeddings for a library of float32 only; last bits can differ from `prepare`."""
    matrix = as_real_matrix(x, name, dim=dim, allow_empty=True)
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(matrix, np.float32)
    squares = np.einsum("ij,ij->i", rows, rows)
    # Searches do not wait for the checks in float64, which only unusual rows need. NaN fails every
    # comparison.
    low, high = SAFE_SQUARES
    ordinary = bool(len(rows) and low < squares.min() and squares.max() < high)
    if metric == "cosine":
        return rows * (1 / np.sqrt(squares))[:, None] if ordinary else unit_rows(matrix, name)
    if not ordinary:
        vectors = prepare(matrix, name, metric, allow_empty=True, copy=copy)
        return vectors.rows.astype(np.float32, copy=False)
    return rows.copy() if copy and np.may_share_memory(rows, matrix) else rows


def best_first(scores: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Order the ties of hits from faiss by id, and write -inf where there is no hit, in place.

    Scores fall within a row; ids are -1 at the end of a row without more hits. Only rows with equal
    neighbours are sorted again: rare for whole vectors, common for short codes.
    """
    if (ids[:, -1] == NO_ID).any():
        scores[ids == NO_ID] = -np.inf
    tied = np.flatnonzero((scores[:, 1:] == scores[:, :-1]).any(axis=1))
    if tied.size:
        order = np.lexsort((ids[tied], -scores[tied]), axis=-1)
        ids[tied] = np.take_along_axis(ids[tied], order, axis=1)
    return scores, ids


def check_points(n_vectors: int, centroids: int, what: str, advice: str) -> None:
    """Refuse to train on fewer than 39 vectors a centroid."""
    needed = POINTS_PER_CENTROID * centroids
    if n_vectors < needed:
        raise TooFewVectorsError(
            f"{what} needs at least {POINTS_PER_CENTROID} x {centroids} = {needed} vectors to train"
            f" on, got {n_vectors}. Give more, or {advice}"
        )


def check_at_most(value: int, most: int, name: str, what: str) -> None:
    """Refuse to visit more lists or leaves than there are."""
    if value > most:
        raise RetrievalInputError(f"{name} must be at most {most} (the {what}), got {value}")


def check_metric(index: faiss.Index, metric: str) -> None:
    """Refuse a faiss index with another metric, in itself or in its quantiser."""
    index = faiss.downcast_index(index)
    if index.metric_type != FAISS_METRICS[metric]:
        metrics = f"metric {FAISS_METRICS[metric]} ({metric}), got {index.metric_type}"
        raise RuntimeError(f"{type(index).__name__} must have {metrics}")
    for part in ("index", "quantizer"):
        if getattr(index, part, None) is not None:
            check_metric(getattr(index, part), metric)


def set_k_means(
    parameters: faiss.ClusteringParameters,
    seed: int,
    *,
    iterations: int = ITERATIONS,
    spherical: bool = False,
) -> None:
    """Set all parameters of k-means; `spherical` gives centroids unit length."""
    parameters.niter = iterations
    parameters.min_points_per_centroid = 1  # `check_points` has refused too few
    parameters.max_points_per_centroid = SAMPLE_PER_CENTROID
    parameters.seed = seed
    parameters.spherical = spherical


@contextmanager
def one_thread() -> Iterator[None]:
    """Run faiss and its BLAS in one thread, and restore the number of threads afterwards."""
    threads = faiss.omp_get_max_threads()
    with threadpool_limits(limits=1):
        faiss.omp_set_num_threads(1)
        try:
            yield
        finally:
            faiss.omp_set_num_threads(threads)


@contextmanager
def matrix_products() -> Iterator[None]:
    """Make faiss compare many vectors by a matrix product, however short they are.

    By default it does so from 128,000 numbers on; k-means of 8 numbers then takes seven times as
    long.
    """
    before = faiss.cvar.distance_compute_blas_threshold
    faiss.cvar.distance_compute_blas_threshold = 1
    try:
        yield
    finally:
        faiss.cvar.distance_compute_blas_threshold = before


def codes_of(index: faiss.IndexFlatCodes) -> np.ndarray:
    """Return the codes of an index, `(n, code_size)` uint8, without a copy."""
    codes = faiss.rev_swig_ptr(index.codes.data(), index.ntotal * index.code_size)
    return codes.reshape(index.ntotal, index.code_size)
