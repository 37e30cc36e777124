"""Measure `crossmodal serve`: load curves, reloads, memory, start, and its own share of a query.

Each collection is served by a process of its own. Its requests come from this process, in a closed
loop, on the same machine. Results are kept in the cache, and a stopped run goes on.
"""

import json
import platform
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from lib.core.checks import RetrievalInputError, check_count
from lib.core.result_store import ResultStore
from lib.index.tuning.rows import exact_scores_by_block, hits_by_score
from lib.search.collection import Collection
from lib.search.collection.files import CollectionFolder
from lib.search.collection.vectors_only import add_vectors
from lib.search.service.messages import SearchRequest
from lib.studies.serving import corpus
from lib.studies.serving.load import Load, closed_loop, percentile, post
from lib.studies.serving.processes import ServedCollection

STORE = ResultStore("serving", "crossmodal bench serve")
SIZES = (16_000, 100_000, 1_000_000)
CONCURRENCY = (1, 2, 4, 8, 16, 32, 64)
KINDS = ("text", "vector")
REQUESTS = 1_000  # of a point
K = SearchRequest.model_fields["k"].default  # hits of a page
DEPTH = (
    K + 33
)  # that the service asks an index for: copies are folded, and one says if there is more
RELOADED_AT = 8  # connections while the collection is reloaded
RELOADS, RELOAD_EVERY_S, RELOADED_ROWS = 5, 2.0, 100
JUDGED = 200  # queries whose answers are compared with exact search
STARTS = 3
WARM_UP = 16  # requests before those that count, at least one for each connection
Log = Callable[[str], None]


def requests_of(kind: str, n: int, **more: object) -> list[bytes]:
    """Return n requests to POST /search with texts, or with vectors."""
    if kind == "text":
        return [post("/search", {"text": text, **more}) for text in corpus.text_queries(n)]
    return [post("/search", {"vector": row.tolist(), **more}) for row in corpus.vector_queries(n)]


class Serving:
    """A collection of n vectors and its service, which starts when it is first needed.

    Results are kept in the cache by size, machine and index, and are not measured again.
    """

    def __init__(self, n: int, log: Log = print) -> None:
        self.made = corpus.made_collection(n, log)
        self._open = ExitStack()
        self._served: ServedCollection | None = None

    def __enter__(self) -> "Serving":
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    @property
    def served(self) -> ServedCollection:
        """Start the service, or return the one that runs."""
        if self._served is None:
            self._served = self._open.enter_context(ServedCollection(self.made.path))
        return self._served

    def stop(self) -> None:
        """End the service."""
        self._open.close()
        self._served = None

    def _kept(self, what: dict, make: Callable[[], dict]) -> dict:
        what = {"vectors": self.made.n, **what}
        key = what | {"measured": [machine(), self.made.index]}
        return what | STORE.cached_json(key, make)

    # ---- load

    def point(self, kind: str, connections: int, n: int = REQUESTS) -> dict:
        """Measure one point of a load curve, with n requests.

        Returns:
            A row: vectors, queries, during, the columns of `Load.row`, processor_ms (processor time
            of the service a query), own_mb (its memory afterwards), mapped_mb (pages of its files
            in memory, which the system can take back).
        """
        check_count(connections, "concurrency", most=n)
        what = {"queries": kind, "during": "steady", "concurrency": connections, "requests": n}
        return self._kept(what, partial(self._loaded, self._steady, kind, connections, n))

    def point_while_reloading(self, kind: str) -> dict:
        """Measure requests at concurrency 8 while rows are added to the collection five times.

        The service ends with it: for a moment it would still answer with rows that are gone again.
        """
        what = {"queries": kind, "during": "reloads", "concurrency": RELOADED_AT}
        row = self._kept(what, partial(self._loaded, self._reloading, kind))
        self.stop()
        return row

    def _loaded(self, run: Callable[..., Load], *arguments: object) -> dict:
        before = self.served.processor_seconds()
        load = run(*arguments)
        used = self.served.processor_seconds() - before
        row = load.row() | {"processor_ms": 1e3 * used / len(load.latencies)}
        return row | self.served.memory_mb()

    def _steady(self, kind: str, connections: int, n: int) -> Load:
        requests = requests_of(kind, n)
        closed_loop(self.served.port, requests[: max(WARM_UP, connections)], connections)
        return closed_loop(self.served.port, requests, connections)

    def _reloading(self, kind: str) -> Load:
        folder, port = CollectionFolder(self.made.path), self.served.port
        adding = threading.Thread(target=_add_rows, args=(folder,))
        requests = requests_of(kind, REQUESTS)
        closed_loop(port, requests[:WARM_UP], RELOADED_AT)
        adding.start()
        try:
            return closed_loop(port, requests, RELOADED_AT, while_running=adding.is_alive)
        finally:
            adding.join()
            corpus.keep_rows(folder, self.made.n)

    # ---- start, memory, parts of a query

    def start(self) -> dict:
        """Measure the start: seconds from process to first answer, and memory before any query.

        Returns:
            A row: vectors, index (in words), write_s and tune_s of
            `MadeCollection`, start_s (median
            of three), slowest_start_s, own_mb, mapped_mb.
        """
        return self._kept({}, self._start)

    def _start(self) -> dict:
        seconds = []
        for _ in range(STARTS):
            self.stop()
            seconds.append(self.served.start_s)
        made = self.made
        row = {"index": made.index, "write_s": made.write_s, "tune_s": made.tune_s}
        row |= {"start_s": percentile(seconds, 50), "slowest_start_s": max(seconds)}
        return row | self.served.memory_mb()

    def parts(self, kind: str) -> dict:
        """Compare requests one after the other with encoding and search alone, in one thread.

            overhead = p50 of requests - p50 of encoding a text - p50 of the search of its vector

        Returns:
            A row: vectors, queries, requests, whole_ms, encode_ms, search_ms, overhead_ms, recall
            of the hits that were served.
        """
        return self._kept({"queries": kind, "requests": JUDGED}, partial(self._parts, kind))

    def _parts(self, kind: str) -> dict:
        port, requests = self.served.port, requests_of(kind, JUDGED)
        closed_loop(port, requests[:WARM_UP], 1)
        load = closed_loop(port, requests, 1)
        texts, vectors = corpus.text_queries(JUDGED), corpus.vector_queries(JUDGED)
        encode_s = [0.0]
        collection = Collection(self.made.path)
        with threadpool_limits(limits=1):
            collection.warm_up()
            encoder = collection.encoder
            if kind == "text":
                encoder.encode_text(["a text before"])
                encode_s = [_seconds(encoder.encode_text, [text]) for text in texts]
                vectors = encoder.encode_text(texts)
            search_s = [_seconds(collection.nearest, vector, DEPTH) for vector in vectors]
        seconds = {"whole": load.latencies, "encode": encode_s, "search": search_s}
        row = {f"{name}_ms": 1e3 * percentile(values, 50) for name, values in seconds.items()}
        row["overhead_ms"] = row["whole_ms"] - row["encode_ms"] - row["search_ms"]
        load = closed_loop(port, requests_of(kind, JUDGED, fold=False), 1, keep=JUDGED)
        answers = [json.loads(load.answers[at])["hits"] for at in range(JUDGED)]
        found = np.array([[hit["id"] for hit in hits] for hits in answers])
        return row | {"recall": recall_of(found, vectors, collection)}


def machine() -> list[str]:
    """Return what tells measurements of one machine from those of another."""
    return [platform.node(), platform.release(), platform.python_version()]


def recall_of(found: np.ndarray, queries: np.ndarray, collection: Collection) -> float:
    """Compute the share of the true nearest that were found, see `hits_by_score`.

    Args:
        found: (n_queries, k) ids, all of them in the collection.
        queries: (n_queries, dim) unit rows.
        collection: what was searched.
    """
    k = found.shape[1]
    least = exact_scores_by_block(queries, collection, k, "cosine")[:, -1]
    positions = np.minimum(np.searchsorted(collection.ids, found), len(collection.ids) - 1)
    unknown = found[collection.ids[positions] != found]
    if unknown.size:
        raise RetrievalInputError(
            f"found holds id {unknown[0]}, which the collection has not; search it as it is now"
        )
    hits = hits_by_score(queries, positions, collection, least, "cosine")
    return float(hits.mean() / k)


def _seconds(function: Callable, *arguments: object) -> float:
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def _add_rows(folder: CollectionFolder) -> None:
    """Add rows five times, two seconds apart: the service opens the collection each time."""
    for number in range(RELOADS):
        rows, names = corpus.made_rows(number, RELOADED_ROWS)
        manifest = folder.read()
        add_vectors(folder.path, rows, names, model=manifest.model, identity=manifest.identity)
        time.sleep(RELOAD_EVERY_S)
