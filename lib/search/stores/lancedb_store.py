"""LanceDB: an embedded database in a folder, searched exactly. One process writes at a time."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from lib.core.checks import RetrievalInputError
from lib.core.writing import make_folder, only_writer
from lib.search.stores.base import DIGEST, ID, VECTOR, Store, StoreHead
from lib.search.stores.conditions import KINDS, Sql
from lib.search.stores.requirements import require

PICTURES, HEAD = "pictures", "head"


class LanceStore(Store):
    """A collection in LanceDB."""

    engine = "LanceDB"
    batch_rows = 10_000
    dialect = Sql()

    def __init__(self, address: str, folder: Path, *, make: bool = False) -> None:
        super().__init__(address)
        os.environ.setdefault("LANCEDB_LOG", "error")  # else it warns of each table that it makes
        lancedb = require("lancedb", "lancedb", address)
        self._folder = folder
        names: list[str] = []
        if folder.exists():
            if not folder.is_dir():
                raise RetrievalInputError(f"{folder} is a file; give a folder for LanceDB")
            here = {p.name for p in folder.iterdir() if not p.name.endswith(".lock")}
            strange = sorted(here - {f"{PICTURES}.lance", f"{HEAD}.lance"})
            if strange:
                raise RetrievalInputError(
                    f"{address} was not made by `crossmodal collection copy`: it holds"
                    f" {strange[0]!r}. Give a new or an empty folder"
                )
            names = sorted(here)
        self._db = self._pictures = None
        if names or make:
            with self.asking():
                self._db = lancedb.connect(str(folder))
        if names == [f"{PICTURES}.lance"]:
            raise RetrievalInputError(
                f"{address} was not made by `crossmodal collection copy`: it has no table {HEAD!r}."
                " Give a new or an empty folder"
            )
        if f"{HEAD}.lance" in names:
            with self.asking():
                rows = self._db.open_table(HEAD).to_arrow().to_pylist()
                if rows:
                    self.head = StoreHead.read(rows[0]["text"], address)
                    self._pictures = self._db.open_table(PICTURES)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let one process at a time write."""
        make_folder(self._folder)
        with only_writer(self._folder / PICTURES):
            yield

    def create(self, head: StoreHead) -> None:
        vectors = pa.list_(pa.float32(), head.dim)
        fields = [(ID, pa.int64()), (VECTOR, vectors), (DIGEST, pa.string())]
        fields += [(c.field, KINDS[c.kind]) for c in head.columns if c.name != ID]
        with self.asking():  # the text of the head comes last: without it, this is begun again
            self._db.create_table(HEAD, schema=pa.schema([("text", pa.string())]), mode="overwrite")
            self._pictures = self._db.create_table(
                PICTURES, schema=pa.schema(fields), mode="overwrite"
            )
        self.write_head(head)

    def write_head(self, head: StoreHead) -> None:
        with self.asking():
            text = pa.table({"text": [head.write()]})
            self._db.create_table(HEAD, text, mode="overwrite")
        self.head = head

    def write(self, rows: pa.Table) -> None:
        with self.asking():
            merge = self._pictures.merge_insert(ID).when_matched_update_all()
            merge.when_not_matched_insert_all().execute(rows)

    def remove(self, ids: Sequence[int]) -> None:
        for start in range(0, len(ids), self.batch_rows):
            with self.asking():
                self._pictures.delete(self.among_ids(ids[start : start + self.batch_rows]))

    def finish(self) -> None:
        """Put small pieces together, and index the ids."""
        from lancedb.index import BTree

        with self.asking():
            self._pictures.optimize()
            if self._pictures.count_rows():
                self._pictures.create_index(ID, config=BTree(), replace=True)

    def scan(self, fields: Sequence[str]) -> Iterator[pa.Table]:
        with self.asking():
            yield self._pictures.search().select(list(fields)).limit(None).to_arrow()

    def count(self, allowed: str | None = None) -> int:
        with self.asking():
            return self._pictures.count_rows(allowed)

    def fetch(self, ids: Sequence[int], fields: Sequence[str]) -> list[dict]:
        with self.asking():
            query = self._pictures.search().where(self.among_ids(ids)).select(list(fields))
            return query.limit(len(ids)).to_arrow().to_pylist()

    def found(
        self, vector: np.ndarray, k: int, allowed: str | None
    ) -> tuple[np.ndarray, np.ndarray]:
        with self.asking():
            query = self._pictures.search(np.asarray(vector, np.float32), vector_column_name=VECTOR)
            query = query.distance_type("dot").limit(k).select([ID, VECTOR, "_distance"])
            if allowed is not None:
                query = query.where(allowed, prefilter=True)
            table = query.to_arrow().combine_chunks()
            rows = table[VECTOR].combine_chunks()
            rows = rows.chunk(0) if isinstance(rows, pa.ChunkedArray) else rows
            return table[ID].to_numpy(), rows.flatten().to_numpy().reshape(-1, self.dim)
