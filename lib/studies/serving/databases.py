"""Measure LanceDB and Milvus beside a collection: same vectors, same hits a query, same lists.

All are called in this process by as many threads as there are connections. Exact search is compared
with exact search, and inverted files with inverted files of as many lists, of which as many are
visited; each has centroids of its own, so that recall is stated for each. A hit has id, score, path
and caption.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from lib.search.collection import Collection, Query
from lib.studies.serving import corpus
from lib.studies.serving.load import load_function
from lib.studies.serving.measure import JUDGED, STORE, WARM_UP, K, machine, recall_of

CONCURRENCY = (1, 8)
MOST = 100_000  # vectors: Milvus in a file takes rows one by one
BATCH = 1_000  # rows of an insertion
LONGEST = 1_000  # bytes of a text
SHOWN = ("id", "path", "caption")
Search = Callable[[np.ndarray], list[int]]  # a vector to ids, best first
NOT_RUN = {
    "clip-retrieval": "2.45 needs numpy below 2, pyarrow below 16 and open_clip below 3; and its"
    " service loads CLIP weights from the network before it answers"
}


@dataclass(frozen=True)
class Lists:
    """An inverted file: lists, and how many of them a query visits."""

    nlist: int
    nprobe: int

    @classmethod
    def of(cls, collection: Collection) -> "Lists | None":
        """Read the index of a collection; None where it is searched exactly."""
        stored = collection.manifest.index
        if stored is None:
            return None
        return cls(stored.chosen["config"]["build"]["nlist"], stored.settings["nprobe"])

    def __str__(self) -> str:
        return f"IVF{self.nlist}, nprobe {self.nprobe}"


@contextmanager
def open_collection(collection: Collection, lists: Lists | None, folder: Path) -> Iterator[Search]:
    """Search the collection itself, in one thread a query."""
    with threadpool_limits(limits=1):
        yield lambda row: [
            hit.id for hit in collection.search(Query(vector=row), K, fold=False).hits
        ]


@contextmanager
def open_lancedb(collection: Collection, lists: Lists | None, folder: Path) -> Iterator[Search]:
    """Copy the collection into LanceDB, and search it there."""
    import lancedb
    import pyarrow as pa
    from lancedb.index import IvfFlat

    vectors = collection.vectors(np.arange(len(collection)))
    rows = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), collection.dim)
    columns = collection.table.select(SHOWN).append_column("vector", rows)
    table = lancedb.connect(folder).create_table("rows", columns)
    if lists is not None:
        index = IvfFlat(distance_type="dot", num_partitions=lists.nlist)
        table.create_index("vector", config=index)

    def search(row: np.ndarray) -> list[int]:
        query = table.search(row).distance_type("dot").limit(K).select([*SHOWN, "_distance"])
        query = query.bypass_vector_index() if lists is None else query.nprobes(lists.nprobe)
        return [hit["id"] for hit in query.to_list()]

    yield search


@contextmanager
def open_milvus(collection: Collection, lists: Lists | None, folder: Path) -> Iterator[Search]:
    """Copy the collection into Milvus in a file, and search it there."""
    from pymilvus import DataType, MilvusClient

    client = MilvusClient(uri=str(folder / "milvus.db"))
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=collection.dim)
    for name in SHOWN[1:]:
        schema.add_field(name, DataType.VARCHAR, max_length=LONGEST)
    index, asked = client.prepare_index_params(), {}
    kind, build = "FLAT", {}
    if lists is not None:
        kind, build, asked = "IVF_FLAT", {"nlist": lists.nlist}, {"nprobe": lists.nprobe}
    index.add_index(field_name="vector", index_type=kind, metric_type="IP", params=build)
    client.create_collection("rows", schema=schema, index_params=index)
    for start in range(0, len(collection), BATCH):
        rows = collection.table.slice(start, BATCH).select(SHOWN).to_pylist()
        vectors = collection.vectors(np.arange(start, start + len(rows))).tolist()
        client.insert("rows", [row | {"vector": v} for row, v in zip(rows, vectors, strict=True)])
    client.flush("rows")
    client.load_collection("rows")

    def search(row: np.ndarray) -> list[int]:
        found = client.search(
            "rows", data=[row.tolist()], limit=K, output_fields=list(SHOWN),
            search_params={"metric_type": "IP", "params": asked},
        )  # fmt: skip
        return [hit["id"] for hit in found[0]]

    try:
        yield search
    finally:
        client.close()


SYSTEMS = {
    "collection": (open_collection, ()),
    "LanceDB": (open_lancedb, ("lancedb",)),
    "Milvus in a file": (open_milvus, ("pymilvus", "milvus_lite")),
}


def database_rows(n: int, requests: int = 300, log: corpus.Log = print) -> Iterator[dict]:
    """Yield rows of the systems at one size: speed, recall, seconds to copy and index.

    Args:
        n: vectors, at most 100,000.
        requests: queries of a point, each a vector.
        log: receives what is made.

    Returns:
        Rows: vectors, system, index, the columns of `Load.row`, recall, build_s; or vectors, system
        and a note that says why nothing was measured.
    """
    made = corpus.made_collection(n, log)
    for name, (_, packages) in SYSTEMS.items():
        missing = [package for package in packages if find_spec(package) is None]
        if missing:
            yield {"vectors": n, "system": name, "note": f"not installed: {', '.join(missing)}"}
            continue
        key = {"vectors": n, "system": name, "requests": requests}
        key |= {"measured": [machine(), made.index, CONCURRENCY]}
        yield from STORE.cached_json(key, partial(_measured, name, made, requests))


def _measured(name: str, made: corpus.MadeCollection, requests: int) -> list[dict]:
    collection = Collection(made.path)
    collection.warm_up()
    lists, queries = Lists.of(collection), corpus.vector_queries(max(requests, JUDGED))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        start = time.perf_counter()
        search = stack.enter_context(SYSTEMS[name][0](collection, lists, folder))
        build_s = made.tune_s if name == "collection" else time.perf_counter() - start
        found = np.array([search(row) for row in queries[:JUDGED]])
        row = {"vectors": made.n, "system": name, "index": str(lists or "exact")}
        more = {"recall": recall_of(found, queries[:JUDGED], collection), "build_s": build_s}
        rows = []
        for concurrency in CONCURRENCY:
            load_function(search, queries[:WARM_UP], concurrency)
            load = load_function(search, queries[:requests], concurrency)
            rows.append(row | load.row() | more)
    return rows
