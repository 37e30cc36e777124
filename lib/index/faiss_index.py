"""What the index families have in common that faiss computes: metric, threads, order of hits,
ids.
"""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError
from lib.index.base import VectorSearchIndex
from lib.index.gpu import on_gpu
from lib.index.ids import NO_ID
from lib.index.rerank_vectors import float_rows
from lib.index.saving import REBUILD, Bodies, check_held

FAISS_METRICS = {
    "cosine": faiss.METRIC_INNER_PRODUCT,  # of unit rows
    "inner_product": faiss.METRIC_INNER_PRODUCT,
    "l2": faiss.METRIC_L2,
}
POINTS_PER_CENTROID = (
    39  # fewer, and k-means follows single vectors; faiss warns below the same number
)
SAMPLE_PER_CENTROID = 256  # more hardly move a centroid
ITERATIONS = 10  # of k-means over whole vectors
BODY = "index.faiss"


class FaissIndex(VectorSearchIndex):
    """An index whose vectors faiss holds, as float32 and of unit length under cosine.

    faiss objects are made by their constructors with the metric written out: the constructors
    default to squared distances, whatever the quantiser, and the factory strings switch on training
    that no search uses. Training runs in one thread, so that it gives the same index on every
    machine of a kind.

    Relations: a family implements `_make`, `_parameters`, `_count_work` and `_sizes`.
    """

    _types: ClassVar[tuple[type, ...]]  # of what `_make` makes, without a rotation before it

    @property
    def _compared_by(self) -> str:
        """The metric by which faiss compares what it holds; families of codes may choose
        another.
        """
        return self.metric

    def _set_up(self) -> None:
        self._faiss: faiss.Index | None = None if self.needs_training else self._made(0)
        self._copy: faiss.Index | None = None  # on the GPU, where searches run there
        self.can_filter = (
            self.can_filter and not self.use_gpu
        )  # faiss's GPU code takes no selectors

    @abstractmethod
    def _make(self, n_train: int) -> faiss.Index:
        """The empty faiss index; where it learns, from that many vectors."""

    @abstractmethod
    def _parameters(
        self, selector: faiss.IDSelector | None, k: int
    ) -> faiss.SearchParameters | None:
        """The search options, as faiss takes them."""

    def _inner(self) -> faiss.Index:
        """The index itself, without what turns vectors before it."""
        return self._faiss

    def _structure(self) -> dict[str, Any]:
        """Options that the faiss index shows, to compare a file with its header."""
        return {}

    @abstractmethod
    def _count_work(self, n_queries: int, n_allowed: int | None) -> dict[str, int]:
        """The work of the search that has just been done, from what faiss counted since
        `reset_counters`.
        """

    def _made(self, n_train: int) -> faiss.Index:
        index = self._make(n_train)
        self._check(index)
        return index

    def _check(self, index: faiss.Index) -> None:
        check_metric(index, self._compared_by)

    def _prepare(self, x, name: str, own: bool = False) -> np.ndarray:
        return float_rows(x, name, self.metric, self.dimension, own=own)

    def _train(self, vectors: np.ndarray) -> None:
        index = self._made(len(vectors))
        with one_thread(), matrix_products():
            index.train(vectors)
        self._faiss = index

    def _add(self, vectors: np.ndarray, ids: np.ndarray) -> None:
        self._faiss.add(vectors)
        self._copy = None

    def _remove(self, positions: np.ndarray) -> None:
        self._faiss.remove_ids(faiss.IDSelectorBatch(positions))  # those behind move up, as ours do
        self._copy = None

    def _search(
        self, queries: np.ndarray, k: int, positions: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        scores, labels = self._hits(queries, k, positions)
        return best_first(self._similarities(scores), self._ids_of(labels))

    def _similarities(self, distances: np.ndarray) -> np.ndarray:
        """Scores of which higher is better, from what faiss calls distances."""
        return np.subtract(0, distances, out=distances) if self.metric == "l2" else distances

    def _hits(
        self, queries: np.ndarray, k: int, positions: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores and labels as faiss gives them; notes the work."""
        selector = None if positions is None else self._selector(positions)
        reset_counters()
        found = self._searched().search(queries, k, params=self._parameters(selector, k))
        self._work = self._count_work(len(queries), None if positions is None else positions.size)
        return found

    def _searched(self) -> faiss.Index:
        """The faiss index, or its copy on the GPU, made again after vectors came or went."""
        if not self.use_gpu:
            return self._faiss
        if self._copy is None:
            self._copy = on_gpu(self._faiss)
        return self._copy

    def _ids_of(self, labels: np.ndarray) -> np.ndarray:
        """The ids of what faiss found: it knows positions."""
        return self._ids.at(labels)

    def _positions_of(self, labels: np.ndarray) -> np.ndarray:
        """The positions of what faiss found."""
        return labels

    def _selector(self, positions: np.ndarray) -> faiss.IDSelector:
        """Of positions: a bit each."""
        allowed = np.zeros(self.ntotal, bool)
        allowed[positions] = True
        return faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))

    def _bodies(self) -> Bodies:
        return {
            BODY: lambda stream: faiss.write_index(
                self._faiss, faiss.PyCallbackIOWriter(stream.write)
            )
        }

    def _restore_body(
        self, folder: Path, arrays: dict[str, np.ndarray], n: int, memory_map: bool
    ) -> None:
        self._faiss = faiss.read_index(
            str(folder / BODY), faiss.IO_FLAG_MMAP_IFC if memory_map else 0
        )
        if not isinstance(self._inner(), self._types):
            raise DamagedFileError(f"{folder / BODY} holds no {self.index_type} index. {REBUILD}")
        found = {"dimension": self._faiss.d, **self._structure()}
        check_held(folder, found, {"dimension": self.dimension, **self._options})
        check_held(folder, {"n": self._faiss.ntotal}, {"n": n})
        try:
            self._check(self._faiss)
        except RuntimeError as error:  # codes under cosine were once compared by dot product
            raise RetrievalInputError(
                f"{folder} was saved by a version that compared by another metric: {error}."
                f" {REBUILD}"
            ) from error


def best_first(scores: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hits as `VectorSearchIndex.search` returns them, from those of faiss, which come best first.

    Rows in which neighbours are equal, which is rare for whole vectors and common for short codes,
    are sorted again by id. In place.

    Args:
        scores: `(n_queries, k)` float32, falling within a row.
        ids: `(n_queries, k)` int64, -1 at the end of a row where nothing was found.
    """
    if (ids[:, -1] == NO_ID).any():
        scores[ids == NO_ID] = -np.inf
    tied = np.flatnonzero((scores[:, 1:] == scores[:, :-1]).any(axis=1))
    if tied.size:
        # Of what is not there all ids are -1 already, so that its order among itself does not
        # matter.
        order = np.lexsort((ids[tied], -scores[tied]), axis=-1)
        ids[tied] = np.take_along_axis(ids[tied], order, axis=1)
    return scores, ids


def check_points(found: int, centroids: int, what: str, remedy: str) -> None:
    """Refuses to train on fewer than 39 vectors a centroid."""
    needed = POINTS_PER_CENTROID * centroids
    if found < needed:
        raise RetrievalInputError(
            f"{what} needs at least {POINTS_PER_CENTROID} x {centroids} = {needed} vectors to train"
            f" on, got {found}. Give more, or {remedy}"
        )


def check_at_most(value: int, most: int, name: str, of: str) -> None:
    """Refuses to visit more of something than there is."""
    if value > most:
        raise RetrievalInputError(f"{name} = {value} is more than the {of}; ask for at most {most}")


def check_metric(index: faiss.Index, metric: str) -> None:
    """Refuses a faiss index that, or whose quantiser, compares by another metric than it should."""
    index = faiss.downcast_index(index)
    if index.metric_type != FAISS_METRICS[metric]:
        raise RuntimeError(
            f"{type(index).__name__} has metric {index.metric_type}, expected that of {metric}"
        )
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
    """Writes out what k-means does: iterations, sample, seed, and whether centroids have unit
    length.
    """
    parameters.niter = iterations
    parameters.min_points_per_centroid = POINTS_PER_CENTROID
    parameters.max_points_per_centroid = SAMPLE_PER_CENTROID
    parameters.seed = seed
    parameters.spherical = spherical


@contextmanager
def one_thread() -> Iterator[None]:
    """Runs faiss, and the BLAS that it calls, in one thread, and gives the others back
    afterwards.
    """
    threads = faiss.omp_get_max_threads()
    with threadpool_limits(limits=1):
        faiss.omp_set_num_threads(1)
        try:
            yield
        finally:
            faiss.omp_set_num_threads(threads)


@contextmanager
def matrix_products() -> Iterator[None]:
    """Lets faiss compare many vectors at once by a matrix product, however short they are.

    By itself it takes them one by one as long as all together have fewer than 128,000 numbers, and
    k-means of pieces of 8 numbers then takes seven times as long.
    """
    before = faiss.cvar.distance_compute_blas_threshold
    faiss.cvar.distance_compute_blas_threshold = 1
    try:
        yield
    finally:
        faiss.cvar.distance_compute_blas_threshold = before


def codes_of(index: faiss.IndexFlatCodes) -> np.ndarray:
    """The codes of an index that keeps them in a row, `(n, code_size)` uint8, without copying
    them.
    """
    codes = faiss.rev_swig_ptr(index.codes.data(), index.ntotal * index.code_size)
    return codes.reshape(index.ntotal, index.code_size)


def reset_counters() -> None:
    """faiss counts for the whole process: from here on, only what comes next."""
    faiss.cvar.indexIVF_stats.reset()
    faiss.cvar.hnsw_stats.reset()
