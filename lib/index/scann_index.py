"""ScaNN: cells, 4-bit codes that spare the direction of the query, and re-ranking, by Google's
library.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import faiss
import numpy as np

from lib.core.checks import RetrievalInputError
from lib.index.base import VectorSearchIndex
from lib.index.capacity import sizes
from lib.index.faiss_index import best_first, check_at_most, check_points
from lib.index.ids import NO_ID
from lib.index.options import real, whole
from lib.index.rerank_vectors import float_rows
from lib.index.saving import Bodies, check_held, form, read_array

CENTROIDS = 16  # of a block: codes of 4 bits
MEASURES = {"cosine": "dot_product", "inner_product": "dot_product", "l2": "squared_l2"}
CONFIGURED = {
    "dot_product": "DotProduct",
    "squared_l2": "SquaredL2",
}  # the same, as a saved index names them
NPY = re.compile(r'asset_path: "([^"]*\.npy)"')
ASSETS = "scann_assets.pbtxt"
SAMPLE = 100_000  # vectors that k-means of cells and of blocks looks at; the library's own default


class ScaNNIndex(VectorSearchIndex):
    """A scan over score-aware codes in a few cells, then whole vectors for the best of them.

        code of x = argmin over codewords c of  h |r parallel to x|^2 + |r orthogonal to x|^2,   r =
        x - c

    Queries whose score with x is high are nearly parallel to x, so an error along x changes those
    scores most; h > 1 grows with the threshold, and at 0 this is product quantisation.

    It learns from the very vectors it holds, when `finish` is called or when it is first searched
    or saved, and takes no others afterwards. The library counts no work and takes no seed: built
    twice in a process with one thread it gives the same hits, but in another process others, so its
    recall is known only up to that spread. It is always built in one thread.

    Args:
        n_leaves: cells; the square root of n when None, or n / 39 where that is less.
        dims_per_block: dimensions that share a code of 4 bits.
        anisotropic_threshold: cosine of the angle within which queries count, from 0 up to 1.
        leaves_to_search: cells that a query visits.
        rerank: k times this many are scored again by whole vectors; at 0 none are, and none are
            kept, which is settled when the index is made.

    Raises:
        RetrievalInputError: the package is not there, vectors after the index was built, fewer than
            39 of them a cell or than 39 x 16.

    Relations: the nearest in faiss is "IVF-PQ" with fast_scan and rerank, whose codes weigh errors
    in all directions alike.

    Reference: Guo et al. 2020, "Accelerating Large-Scale Inference with Anisotropic Vector
    Quantization".
    """

    index_type = "ScaNN"
    can_remove = False
    can_filter = False
    build_known = {
        "n_leaves": whole(None),
        "dims_per_block": whole(2),
        "anisotropic_threshold": real(0.2, 0.0, 1.0),
    }
    search_known = {"leaves_to_search": whole(8), "rerank": whole(10, least=0)}

    def _set_up(self) -> None:
        self._library = scann_library()
        self._parts: list[np.ndarray] = []  # what was added, until the library takes it over
        self._searcher: Any = None

    def _prepare(self, x, name: str, own: bool = False) -> np.ndarray:
        return float_rows(x, name, self.metric, self.dimension, own=own)

    def _check_search(self, options: dict[str, Any]) -> None:
        if "rerank" in options and bool(options["rerank"]) != bool(self._options["rerank"]):
            raise RetrievalInputError(
                f"rerank = {options['rerank']}, but this index was made with"
                f" {self._options['rerank']}; whether it keeps whole vectors is settled then. Make"
                " another index"
            )
        if self._searcher is not None and "leaves_to_search" in options:
            check_at_most(
                options["leaves_to_search"], self._options["n_leaves"], "leaves_to_search", "leaves"
            )
        self._given |= options.keys()

    def _add(self, vectors: np.ndarray, ids: np.ndarray) -> None:
        if self._searcher is not None:
            raise RetrievalInputError(
                "this ScaNN index is built: it has learnt from the vectors it holds and takes no"
                " others. Add everything before the first search, or make a new index"
            )
        self._parts.append(vectors)

    def _finish(self) -> None:
        if self._searcher is not None:
            return
        n, options = self.ntotal, self._options
        leaves = options["n_leaves"] or max(1, min(round(n**0.5), n // 39))
        check_points(
            n, max(leaves, CENTROIDS), f"ScaNN with n_leaves = {leaves}", "choose fewer leaves"
        )
        if "leaves_to_search" in self._given:
            check_at_most(options["leaves_to_search"], leaves, "leaves_to_search", "leaves")
        options |= {
            "n_leaves": leaves,
            "leaves_to_search": min(options["leaves_to_search"], leaves),
        }
        rows = np.concatenate(self._parts)
        builder = self._library.builder(rows, 1, MEASURES[self.metric]).set_n_training_threads(1)
        builder.tree(leaves, options["leaves_to_search"], training_sample_size=min(n, SAMPLE))
        builder.score_ah(options["dims_per_block"], options["anisotropic_threshold"])
        if options["rerank"]:
            builder.reorder(options["rerank"])
        with silent():
            self._searcher = builder.build()
        self._parts = []

    def _search(
        self, queries: np.ndarray, k: int, positions: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        self._finish()
        self._work = {}
        factor, leaves = self._options["rerank"], self._options["leaves_to_search"]
        candidates = min(k * factor, self.ntotal) if factor else None
        threads = faiss.omp_get_max_threads()
        if threads > 1 and len(queries) > 1:
            self._searcher.set_num_threads(threads)
            search = self._searcher.search_batched_parallel
        else:
            search = self._searcher.search_batched
        found, distances = search(queries, k, candidates, leaves)
        # Where it finds fewer than k it says item 0 at a distance that is not a number.
        positions = np.where(np.isnan(distances), NO_ID, found.astype(np.int64))
        return best_first(-distances if self.metric == "l2" else distances, self._ids.at(positions))

    def _sizes(self) -> dict[str, int]:
        if self.ntotal == 0:
            return {}
        self._finish()
        names = "n_leaves", "dims_per_block", "rerank"
        n_leaves, dims_per_block, rerank = (self._options[name] for name in names)
        return sizes.scann(
            self.ntotal, self.dimension, n_leaves, dims_per_block, rerank=bool(rerank)
        )

    def _bodies(self) -> Bodies:
        if self.ntotal == 0:
            raise RetrievalInputError(
                "a ScaNN index without vectors has nothing to save: add some first"
            )
        self._finish()
        room = tempfile.TemporaryDirectory()  # goes when the last of the writers below does
        with silent():
            self._searcher.serialize(room.name, relative_path=True)
        return {name: partial(_copy, room, name) for name in sorted(os.listdir(room.name))}

    def _restore_body(
        self, folder: Path, arrays: dict[str, np.ndarray], n: int, memory_map: bool
    ) -> None:
        assets, blocks = (
            (folder / ASSETS).read_text(),
            -(-self.dimension // self._options["dims_per_block"]),
        )
        expected = {
            "hashed_dataset.npy": f"uint8 {(n, blocks)}",
            "datapoint_to_token.npy": f"int32 {(n,)}",
        }
        if self._options["rerank"]:
            expected["dataset.npy"] = f"float32 {(n, self.dimension)}"
        check_held(folder, {"files": sorted(NPY.findall(assets))}, {"files": sorted(expected)})
        check_held(
            folder, {name: form(read_array(folder / name, True)) for name in expected}, expected
        )
        # Not the library's own loader, which would unpickle a file of that folder.
        library = self._library
        with silent():
            searcher = library.scann_pybind.ScannNumpy(str(folder), assets)
        self._searcher = library.ScannSearcher(searcher)
        made = self._searcher.config()
        found = {
            "n": self._searcher.size(),
            "dimension": int(re.search(r"input_dim: (\d+)", made)[1]),
            "metric": re.search(r'distance_measure: "(.*?)Distance"', made)[1],
            "n_leaves": int(re.search(r"num_children: (\d+)", made)[1]),
        }
        metric = CONFIGURED[MEASURES[self.metric]]
        expected = {"n": n, "dimension": self.dimension, "metric": metric, **self._options}
        check_held(folder, found, expected)


def scann_library() -> ModuleType:
    """The part of the scann package that works without TensorFlow.

    Raises:
        RetrievalInputError: it is not installed.
    """
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
    """Drops what C++ logs to stderr; Python's exceptions still say what went wrong."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


def _copy(room: tempfile.TemporaryDirectory, name: str, stream: BinaryIO) -> None:
    with open(Path(room.name) / name, "rb") as file:
        while piece := file.read(2**20):
            stream.write(piece)
