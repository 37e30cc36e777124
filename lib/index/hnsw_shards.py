"""Graphs of a part of the vectors each, built side by side and searched one after the other."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_k
from lib.index.base import SearchResult, VectorSearchIndex, whole
from lib.index.faiss_index import faiss_writer, float_rows
from lib.index.hnsw import HNSWIndex
from lib.index.ids import NO_ID
from lib.index.saved_files import Bodies

SHARD_ROWS = 100_000


def merge_hits(found: Sequence[SearchResult], k: int) -> SearchResult:
    """Merge the hits of the same queries in several shards: the k best of all.

    Exact: whatever is among the k best of all is among the k best of its shard. Equal scores go by
    the smaller id, as in one index. The work is the sum.

    Args:
        found: a result for each shard, `(n_queries, any k)`; -1 and -inf where there is no hit.
        k: hits per query, at most those of all shards together.
    """
    if not found:
        raise RetrievalInputError("found must have the result of at least one shard, got none")
    rows = {len(result.ids) for result in found}
    if len(rows) > 1:
        raise RetrievalInputError(f"found must be of the same queries, got {sorted(rows)} of them")
    scores = np.concatenate([result.scores for result in found], axis=1)
    ids = np.concatenate([result.ids for result in found], axis=1)
    k = check_k(k, ids.shape[1])
    order = np.lexsort((ids, -scores), axis=-1)[:, :k]
    work: dict[str, int] = {}
    for result in found:
        work |= {name: work.get(name, 0) + count for name, count in result.work.items()}
    best = (np.take_along_axis(array, order, axis=1) for array in (scores, ids))
    return SearchResult(*best, work)


class HNSWShardsIndex(VectorSearchIndex):
    """Split the vectors over graphs of equal size, and search all of them.

        hits of q = best k of { best k of q in shard 1, ..., best k of q in shard S }

    One graph of n vectors cannot be built in parts, and each insertion walks it. Graphs of shards
    are built side by side (`lib.index.tuning.filling`), and stand on any number of machines; a
    query walks every one of them: S walks instead of one, each a little shorter. The vectors go to
    the shards in the order of adding, so a shard is the same wherever it is built.

    Args:
        shard_rows: vectors of a graph.
        links, ef_construction, seed, ef_search: of each graph, as of "HNSW".
    """

    index_type = "HNSW shards"
    can_remove = False
    build_known = {"shard_rows": whole(SHARD_ROWS), **HNSWIndex.build_known}
    search_known = HNSWIndex.search_known

    def _set_up(self) -> None:
        self._shards: list[HNSWIndex] = []

    @property
    def n_shards(self) -> int:
        """Number of graphs."""
        return len(self._shards)

    @property
    def graph_options(self) -> dict[str, object]:
        """Options of each graph, as `HNSWIndex` takes them."""
        known = HNSWIndex.build_known | HNSWIndex.search_known
        return {"metric": self.metric, **{name: self._options[name] for name in known}}

    def set_search(self, **options) -> None:
        """Change search options of all graphs."""
        super().set_search(**options)
        for shard in self._shards:
            shard.set_search(**options)

    def add_shard(self, graph: HNSWIndex, ids=None) -> None:
        """Add a graph that was built elsewhere, of the options `graph_options`.

        Args:
            graph: of at most `shard_rows` vectors; its own ids are dropped.
            ids: `(n,)` of its vectors, by position; the next positions when None.
        """
        self._check_can_change()
        mine = {"dimension": self.dimension, **self.graph_options}
        its = {"dimension": graph.dimension, "metric": graph.metric, **graph._options}
        differ = [name for name in mine if mine[name] != its[name] and name != "ef_search"]
        if differ:
            name = differ[0]
            raise RetrievalInputError(f"{name} of the graph must be {mine[name]}, got {its[name]}")
        most, last = self._options["shard_rows"], self._shards[-1:]
        if graph.ntotal > most or (last and last[0].ntotal < most):
            raise RetrievalInputError(
                f"graphs must have {most:,} vectors, only the last one fewer; got"
                f" {[shard.ntotal for shard in (*last, graph)]}"
            )
        new_ids = self._ids.new(ids, graph.ntotal)
        graph.set_search(**self.search_options)
        self._shards.append(graph)
        self._ids.append(new_ids)

    def _prepare(self, x, name: str, copy: bool = False) -> np.ndarray:
        return float_rows(x, name, self.metric, self.dimension, copy=copy)

    def _add(self, vectors: np.ndarray, ids: np.ndarray) -> None:
        while len(vectors):
            if not self._shards or self._shards[-1].ntotal == self._options["shard_rows"]:
                self._shards.append(HNSWIndex(self.dimension, **self.graph_options))
            shard = self._shards[-1]
            room = self._options["shard_rows"] - shard.ntotal
            positions = np.arange(shard.ntotal, shard.ntotal + len(vectors[:room]))
            shard._add(vectors[:room], positions)  # prepared already
            shard._ids.append(positions)
            vectors = vectors[room:]

    def _search(self, queries: np.ndarray, k: int, positions: np.ndarray | None) -> SearchResult:
        found, start = [], 0
        for shard in self._shards:
            shard.counts_work = self.counts_work
            inside = None
            if positions is not None:
                first, end = np.searchsorted(positions, [start, start + shard.ntotal])
                inside = positions[first:end] - start
            if inside is None or inside.size:
                scores, at = result = shard._search(queries, min(k, shard.ntotal), inside)
                ids = self._ids.at(np.where(at == NO_ID, NO_ID, at + start))
                found.append(SearchResult(scores, ids, result.work))
            start += shard.ntotal
        return _padded(merge_hits(found, min(k, sum(one.ids.shape[1] for one in found))), k)

    def _sizes(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for shard in self._shards:
            parts = shard._sizes()
            sizes |= {name: sizes.get(name, 0) + size for name, size in parts.items()}
        return sizes

    def _bodies(self) -> Bodies:
        return {
            _file_of(number): faiss_writer(shard._faiss)
            for number, shard in enumerate(self._shards)
        }

    def _restore_body(self, folder: Path, arrays: dict, n: int, memory_map: bool) -> None:
        most = self._options["shard_rows"]
        for number, start in enumerate(range(0, n, most)):
            shard = HNSWIndex(self.dimension, **self.graph_options)
            shard.restore_from(folder / _file_of(number), min(most, n - start), memory_map)
            self._shards.append(shard)


def _file_of(number: int) -> str:
    return f"shard-{number:05d}.faiss"


def _padded(result: SearchResult, k: int) -> SearchResult:
    """Fill the rows of a result up to k hits."""
    missing = ((0, 0), (0, k - result.ids.shape[1]))
    return SearchResult(
        np.pad(result.scores, missing, constant_values=-np.inf),
        np.pad(result.ids, missing, constant_values=NO_ID),
        result.work,
    )
