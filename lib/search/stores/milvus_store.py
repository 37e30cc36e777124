"""Milvus by its address: a file (milvus-lite) or a server, searched exactly (index FLAT).

Two Milvus collections: NAME holds the pictures, NAME_head the head. The token of a server is read
from the environment variable CROSSMODAL_MILVUS_TOKEN.
"""

import errno
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.core.writing import (
    UnwritableFileError,
    is_locked,
    make_folder,
    only_writer,
    unwritable,
)
from lib.search.stores.base import DIGEST, ID, VECTOR, Store, StoreHead
from lib.search.stores.conditions import KINDS, MilvusExpression
from lib.search.stores.requirements import require

TOKEN = "CROSSMODAL_MILVUS_TOKEN"
PAGE = 10_000  # rows of one answer; Milvus gives at most 16,384
LONGEST = 65_535  # bytes of a text
EMPTY = {"whole": 0, "number": 0.0, "bool": False, "text": ""}  # where the value is null
TIMEOUT_S = 60.0


class MilvusStore(Store):
    """A collection in Milvus."""

    engine = "Milvus"
    batch_rows = 1_000
    dialect = MilvusExpression()
    most_fields = 64
    known_fields = True

    def __init__(
        self, address: str, uri: str, name: str, *, file: bool = False, make: bool = False
    ) -> None:
        super().__init__(address)
        self._milvus = require("pymilvus", "milvus", address)
        for package in ("pymilvus", "milvus_lite"):  # they print tracebacks
            logging.getLogger(package).setLevel(logging.CRITICAL)
        self._path = Path(uri) if file else None
        self._reads = "Strong"
        self._name, self._head_name = name, f"{name}_head"
        if file:
            require("milvus_lite", "milvus", address)
            if self._path.is_file():
                raise RetrievalInputError(f"{uri} is no database of milvus-lite; give a new name")
            if not self._path.exists() and not make:
                raise MissingFileError(
                    f"{uri} is missing. Copy a collection: crossmodal collection copy COLLECTION"
                    f" {address}"
                )
            make_folder(self._path.parent)
            here = self._path if self._path.exists() else self._path.parent
            if not os.access(here, os.W_OK):  # it writes also where it is only asked
                raise unwritable(here, errno.EACCES, os.strerror(errno.EACCES))
        try:
            with self.asking():
                token = {} if file else {"token": os.environ.get(TOKEN, "")}
                self._client = self._milvus.MilvusClient(uri=uri, timeout=TIMEOUT_S, **token)
                names = set(self._client.list_collections())
        except DamagedFileError as error:
            if file and is_locked(self._path / "LOCK"):
                raise UnwritableFileError(
                    f"{address} is used by another process; a file of Milvus takes one at a time."
                    " Run this again when it ends"
                ) from error
            raise
        self._names = names & {self._name, self._head_name}
        if name in names and self._head_name not in names:
            raise RetrievalInputError(
                f"{address}: the Milvus collection {name!r} was not made by `crossmodal collection"
                f" copy`. Give another name: {address.partition('#')[0]}#NAME"
            )
        if self._head_name in names:
            with self.asking():
                self._client.load_collection(self._head_name)
                rows = self._ask(self._head_name, "id == 0", ["text"])
            if rows:
                self.head = StoreHead.read(rows[0]["text"], address)
                with self.asking():
                    self._client.load_collection(self._name)

    def opened(self) -> "MilvusStore":
        """Check the store; as its rows were seen then, later reads need not wait for a tick."""
        super().opened()
        self._reads = "Bounded"
        return self

    def close(self) -> None:
        self._client.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let one process at a time write a file; on a server, see to it yourself."""
        if self._path is None:
            yield
            return
        with only_writer(self._path):
            yield

    def create(self, head: StoreHead) -> None:
        types = self._milvus.DataType
        kinds = {"whole": types.INT64, "number": types.DOUBLE, "bool": types.BOOL}
        texts = {"datatype": types.VARCHAR, "max_length": LONGEST}
        with self.asking():  # the text of the head comes last: without it, this is begun again
            for name in self._names:
                self._client.drop_collection(name)
            schema = self._schema(2)
            schema.add_field("text", **texts)
            self._make(self._head_name, schema)
            schema = self._schema(head.dim)
            schema.add_field(DIGEST, **texts | {"max_length": 64})
            for column in (c for c in head.columns if c.name != ID):
                one = texts if column.kind == "text" else {"datatype": kinds[column.kind]}
                schema.add_field(column.field, **one)
                if column.nullable:
                    schema.add_field(f"{column.field}__known", types.BOOL)
            self._make(self._name, schema)
        self.write_head(head)

    def _schema(self, dim: int):
        types = self._milvus.DataType
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field(ID, types.INT64, is_primary=True)
        schema.add_field(VECTOR, types.FLOAT_VECTOR, dim=dim)
        return schema

    def _make(self, name: str, schema) -> None:
        index = self._client.prepare_index_params()
        index.add_index(field_name=VECTOR, index_type="FLAT", metric_type="IP", params={})
        self._client.create_collection(
            name, schema=schema, index_params=index, consistency_level="Strong"
        )
        self._client.load_collection(name)

    def write_head(self, head: StoreHead) -> None:
        text = head.write()
        if len(text) > LONGEST:
            raise RetrievalInputError(f"{self.address}: the names of the columns are too long")
        with self.asking():
            row = {ID: 0, VECTOR: [1.0, 0.0], "text": text}
            self._client.upsert(self._head_name, [row])
        self.head = head

    def write(self, rows: pa.Table) -> None:
        columns = {name: rows[name].to_pylist() for name in (ID, VECTOR, DIGEST)}
        for c in (c for c in self.head.columns if c.name != ID):
            values = rows[c.field].to_pylist()
            columns[c.field] = [EMPTY[c.kind] if v is None else v for v in values]
            if c.nullable:
                columns[f"{c.field}__known"] = [v is not None for v in values]
        data = [dict(zip(columns, row)) for row in zip(*columns.values())]
        with self.asking():
            self._client.upsert(self._name, data)

    def remove(self, ids: Sequence[int]) -> None:
        for start in range(0, len(ids), PAGE):
            with self.asking():
                self._client.delete(self._name, filter=self.among_ids(ids[start : start + PAGE]))

    def scan(self, fields: Sequence[str]) -> Iterator[pa.Table]:
        kinds = {c.field: KINDS[c.kind] for c in self.head.columns} | {ID: pa.int64()}
        kinds |= {f"{c.field}__known": pa.bool_() for c in self.head.columns}
        for start in range(0, max(self.head.next_id, 1), PAGE):
            with self.asking():
                rows = self._ask(self._name, f"id >= {start} and id < {start + PAGE}", fields)
            schema = pa.schema([(name, kinds.get(name, pa.string())) for name in fields])
            yield pa.Table.from_pylist(sorted(rows, key=lambda row: row[ID]), schema)

    def finish(self) -> None:
        """Put the rows on disk."""
        with self.asking():
            self._client.flush(self._name)
            self._client.flush(self._head_name)

    def count(self, allowed: str | None = None) -> int:
        with self.asking():
            rows = self._ask(self._name, allowed or "id >= 0", ["count(*)"])
            return int(rows[0]["count(*)"])

    def fetch(self, ids: Sequence[int], fields: Sequence[str]) -> list[dict]:
        with self.asking():
            return self._ask(self._name, self.among_ids(ids), fields)

    def found(
        self, vector: np.ndarray, k: int, allowed: str | None
    ) -> tuple[np.ndarray, np.ndarray]:
        with self.asking():
            hits = self._client.search(
                self._name,
                data=[np.asarray(vector, np.float32).tolist()],
                filter=allowed or "",
                limit=k,
                output_fields=[ID, VECTOR],
                search_params={"metric_type": "IP", "params": {}},
                consistency_level=self._reads,
            )[0]
            rows = [hit["entity"][VECTOR] for hit in hits]
            ids = np.array([hit[ID] for hit in hits], dtype=np.int64)
            return ids, np.array(rows, np.float32).reshape(-1, self.dim)

    def _ask(self, name: str, where: str, fields: Sequence[str]) -> list[dict]:
        found = self._client.query(
            name, filter=where, output_fields=list(fields), consistency_level=self._reads
        )
        return [dict(row) for row in found]
