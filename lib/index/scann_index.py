"""ScaNN: cells, score-aware 4-bit codes, and re-ranking, by Google's library."""

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import faiss
import numpy as np

from lib.core.checks import RetrievalInputError, check_number
from lib.index.base import Option, SearchResult, VectorSearchIndex, whole
from lib.index.capacity import sizes
from lib.index.faiss_index import (
    POINTS_PER_CENTROID,
    best_first,
    check_at_most,
    check_points,
    float_rows,
)
from lib.index.ids import NO_ID
from lib.index.saved_files import Bodies, check_fits, read_array, shape_text

CENTROIDS = 16  # of a block: codes of 4 bits
MEASURES = {"cosine": "dot_product", "inner_product": "dot_product", "l2": "squared_l2"}
SAVED_MEASURES = {"dot_product": "DotProduct", "squared_l2": "SquaredL2"}  # names in a saved index
NPY = re.compile(r'asset_path: "([^"]*\.npy)"')
ASSETS = "scann_assets.pbtxt"
BUILDING = threading.Lock()  # two first searches of one index must not both build it
SAMPLE = 100_000  # vectors for k-means of cells and of blocks; the library's own default


class ScaNNIndex(VectorSearchIndex):
    """Scan score-aware codes in a few cells, then score the best again by whole vectors.

        code of x = argmin over codewords c of  h |r parallel to x|^2 + |r orthogonal to x|^2
        with r = x - c

    Queries with a high score are nearly parallel to x, so an error along x changes those scores
    most; h > 1 grows with the threshold, and at 0 this is product quantisation.

    It is trained on the vectors it holds, in `finish` or in the first search or save, and takes no
    others afterwards. The library counts no work and takes no seed: another process gives other
    hits, so recall has a spread. It is built in one thread. The nearest index in faiss is "IVF-PQ"
    with fast_scan and rerank.

    Args:
        n_leaves: cells; when None the square root of n, or n / 39 where that is less.
        dims_per_block: dimensions that share a code of 4 bits.
        anisotropic_threshold: cosine of the angle within which queries count, from 0 up to 1.
        leaves_to_search: cells that a query visits.
        rerank: k times this many hits are scored again; 0 stores no whole vectors, and this choice
            is fixed when the index is made.

    Reference: Guo et al. 2020, "Accelerating Large-Scale Inference with Anisotropic Vector
    Quantization".
    """

    index_type = "ScaNN"
    can_remove = False
    can_filter = False
    build_known = {
        "n_leaves": whole(None),
        "dims_per_block": whole(2),
        "anisotropic_threshold": Option(0.2, partial(check_number, low=0, high=1, below=True)),
    }
    search_known = {"leaves_to_search": whole(8), "rerank": whole(10, least=0)}

    def _set_up(self) -> None:
        self._library = scann_library()
        self._parts: list[np.ndarray] = []  # added vectors, until the library takes them over
        self._searcher: Any = None

    def _prepare(self, x, name: str, copy: bool = False) -> np.ndarray:
        return float_rows(x, name, self.metric, self.dimension, copy=copy)

    def _check_search(self, options: dict[str, Any]) -> None:
        if "rerank" in options and bool(options["rerank"]) != bool(self._options["rerank"]):
            raise RetrievalInputError(
                f"rerank = {options['rerank']}, but this index was made with"
                f" {self._options['rerank']}; whether it keeps whole vectors is settled then. Make"
                " another index"
            )
        if self._searcher is not None and "leaves_to_search" in options:
            self._check_leaves(options["leaves_to_search"], self._options["n_leaves"])
        self._given |= options.keys()

    def _check_leaves(self, leaves_to_search: int, n_leaves: int) -> None:
        check_at_most(leaves_to_search, n_leaves, "leaves_to_search", "leaves")

    def _add(self, vectors: np.ndarray, ids: np.ndarray) -> None:
        if self._searcher is not None:
            raise RetrievalInputError(
                "this ScaNN index is built: it has learnt from the vectors it holds and takes no"
                " others. Add everything before the first search, or make a new index"
            )
        self._parts.append(vectors)

    def _finish(self) -> None:
        with BUILDING:
            if self._searcher is None:
                self._build()

    def _build(self) -> None:
        n, options = self.ntotal, self._options
        leaves = options["n_leaves"] or max(1, min(round(n**0.5), n // POINTS_PER_CENTROID))
        advice = "choose fewer leaves" if leaves > CENTROIDS else "use index type 'Flat'"
        check_points(n, max(leaves, CENTROIDS), f"ScaNN with n_leaves = {leaves}", advice)
        if "leaves_to_search" in self._given:
            self._check_leaves(options["leaves_to_search"], leaves)
        nprobe = min(options["leaves_to_search"], leaves)
        options |= {"n_leaves": leaves, "leaves_to_search": nprobe}
        rows = np.concatenate(self._parts)
        builder = self._library.builder(rows, 1, MEASURES[self.metric]).set_n_training_threads(1)
        builder.tree(leaves, options["leaves_to_search"], training_sample_size=min(n, SAMPLE))
        builder.score_ah(options["dims_per_block"], options["anisotropic_threshold"])
        if options["rerank"]:
            builder.reorder(options["rerank"])
        with silent():
            self._searcher = builder.build()
        self._parts = []

    def _search(self, queries: np.ndarray, k: int, positions: np.ndarray | None) -> SearchResult:
        self._finish()
        factor, leaves = self._options["rerank"], self._options["leaves_to_search"]
        candidates = min(k * factor, self.ntotal) if factor else None
        threads = faiss.omp_get_max_threads()
        if threads > 1 and len(queries) > 1:
            self._searcher.set_num_threads(threads)
            search = self._searcher.search_batched_parallel
        else:
            search = self._searcher.search_batched
        items, distances = search(queries, k, candidates, leaves)
        # Where ScaNN finds fewer than k it returns item 0 at a distance of NaN.
        positions = np.where(np.isnan(distances), NO_ID, items.astype(np.int64))
        scores = -distances if self.metric == "l2" else distances
        return SearchResult(*best_first(scores, self._ids.at(positions)), {})

    def _sizes(self) -> dict[str, int]:
        if self.ntotal == 0:
            return {}
        self._finish()
        leaves, dims_per_block = self._options["n_leaves"], self._options["dims_per_block"]
        rerank = bool(self._options["rerank"])
        return sizes.scann(self.ntotal, self.dimension, leaves, dims_per_block, rerank=rerank)

    def _bodies(self) -> Bodies:
        if self.ntotal == 0:
            raise RetrievalInputError("the index is empty: add vectors before save")
        self._finish()
        folder = tempfile.TemporaryDirectory()  # deleted with the last of the writers below
        with silent():
            self._searcher.serialize(folder.name, relative_path=True)
        return {name: partial(_copy, folder, name) for name in sorted(os.listdir(folder.name))}

    def _restore_body(self, folder: Path, arrays: dict, n: int, memory_map: bool) -> None:
        assets = (folder / ASSETS).read_text()
        blocks = -(-self.dimension // self._options["dims_per_block"])
        expected = {
            "hashed_dataset.npy": f"uint8 {(n, blocks)}",
            "datapoint_to_token.npy": f"int32 {(n,)}",
        }
        if self._options["rerank"]:
            expected["dataset.npy"] = f"float32 {(n, self.dimension)}"
        check_fits(folder, {"files": sorted(NPY.findall(assets))}, {"files": sorted(expected)})
        actual = {name: shape_text(read_array(folder / name, True)) for name in expected}
        check_fits(folder, actual, expected)
        # Not the library's own loader, which would unpickle a file of that folder.
        with silent():
            searcher = self._library.scann_pybind.ScannNumpy(str(folder), assets)
        self._searcher = self._library.ScannSearcher(searcher)
        config = self._searcher.config()
        actual = {
            "n": self._searcher.size(),
            "dimension": int(re.search(r"input_dim: (\d+)", config)[1]),
            "metric": re.search(r'distance_measure: "(.*?)Distance"', config)[1],
            "n_leaves": int(re.search(r"num_children: (\d+)", config)[1]),
        }
        metric = SAVED_MEASURES[MEASURES[self.metric]]
        expected = {"n": n, "dimension": self.dimension, "metric": metric, **self._options}
        check_fits(folder, actual, expected)


def scann_library() -> ModuleType:
    """Import the part of the scann package that works without TensorFlow."""
    try:
        from scann.scann_ops.py import scann_ops_pybind
    except ImportError as error:
        raise RetrievalInputError(
            "index type 'ScaNN' needs the package scann, which exists for Linux only: pip install"
            " 'crossmodal-retrieval[ann]'. The nearest without it is index type 'IVF-PQ' with"
            " fast_scan = True and rerank = 10"
        ) from error
    return scann_ops_pybind


@contextmanager
def silent() -> Iterator[None]:
    """Drop what C++ logs to stderr; errors still come as Python exceptions."""
    sys.stderr.flush()
    stderr = os.dup(2)
    devnull = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(devnull, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(devnull)
        os.close(stderr)


def _copy(folder: tempfile.TemporaryDirectory, name: str, stream: BinaryIO) -> None:
    with open(Path(folder.name) / name, "rb") as file:
        while piece := file.read(2**20):
            stream.write(piece)
