"""Fill an index with rows: in this process, or by the workers of a cluster.

Workers fill copies of the trained index with a block of rows each, and the copies are merged in the
order of the blocks. The index is the same as that of one process: the same vectors in the same
order, in the same lists or graphs.
"""

import copy
import time
from collections.abc import Iterator, Mapping

import numpy as np

from lib.core.workers import HERE, Workers
from lib.index import HNSWIndex, HNSWShardsIndex, VectorSearchIndex
from lib.index.tuning.rows import BLOCK, VectorRows, blocks

Block = tuple[np.ndarray, np.ndarray]  # ids, vectors


def fill_index(
    index: VectorSearchIndex,
    rows: VectorRows,
    ids: np.ndarray | None = None,
    workers: Workers = HERE,
) -> float:
    """Add rows to an empty index; return the seconds it took, without the reading of the rows.

    Workers share the building of inverted files and of "HNSW shards". One graph cannot be built in
    parts, and a fast scan of product codes in cells cannot be merged: these grow in this process.

    Args:
        index: trained, if its family is trained.
        rows: read a block at a time.
        ids: `(n,)`; positions when None.
        workers: of a cluster; this process alone by default.
    """
    if isinstance(index, HNSWShardsIndex):
        return _add_graphs(index, rows, ids, workers)
    if workers is not HERE and index.needs_training and index.can_merge:
        return _merge_blocks(index, rows, ids, workers)
    seconds = 0.0
    for block_ids, vectors in _blocks(rows, ids, BLOCK):
        start = time.perf_counter()
        index.add(vectors, block_ids)
        seconds += time.perf_counter() - start
    return seconds


def filled_copy(block: Block, empty: VectorSearchIndex) -> VectorSearchIndex:
    """Return a copy of a trained, empty index with a block of vectors."""
    ids, vectors = block
    index = copy.deepcopy(empty)
    index.add(vectors, ids)
    return index


def graph_of(block: Block, options: Mapping[str, object]) -> HNSWIndex:
    """Build the graph of a block of vectors."""
    _, vectors = block
    graph = HNSWIndex(vectors.shape[1], **options)
    graph.add(vectors)
    return graph


def _merge_blocks(
    index: VectorSearchIndex, rows: VectorRows, ids: np.ndarray | None, workers: Workers
) -> float:
    start = time.perf_counter()
    for done in workers.map(filled_copy, _blocks(rows, ids, BLOCK), copy.deepcopy(index)):
        index.merge(done.result)
    return time.perf_counter() - start


def _add_graphs(
    index: HNSWShardsIndex, rows: VectorRows, ids: np.ndarray | None, workers: Workers
) -> float:
    start = time.perf_counter()
    shards = _blocks(rows, ids, index.build_options["shard_rows"])
    for done in workers.map(graph_of, shards, index.graph_options):
        index.add_shard(done.result, done.input[0])
    return time.perf_counter() - start


def _blocks(rows: VectorRows, ids: np.ndarray | None, size: int) -> Iterator[Block]:
    for first, vectors in blocks(rows, size):
        positions = np.arange(first, first + len(vectors))
        yield positions if ids is None else ids[positions], vectors
