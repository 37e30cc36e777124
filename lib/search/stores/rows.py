"""Rows of a collection as a database takes them: few kinds of columns, and a digest of each row."""

import hashlib
import json
import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lib.core.checks import RetrievalInputError
from lib.search.collection import Collection
from lib.search.stores.base import DIGEST, ID, VECTOR, Store
from lib.search.stores.conditions import KINDS, StoreColumn

MOST_BYTES = 65_535  # of a text in Milvus
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_TAKEN = {VECTOR, DIGEST, "distance", "score", "text"}


def columns_of(collection: Collection) -> tuple[StoreColumn, ...]:
    """Return the columns of a store for a collection.

    Whole numbers, other numbers, truth values and texts keep their kind. What is none of these
    (dates, lists) becomes text: dates as 2020-12-31, which sort as dates do. NaN becomes null.
    """
    taken = set(_TAKEN)
    found = []
    for number, name in enumerate(collection.columns):
        column = collection.table[name]
        field = name if _FIELD.fullmatch(name) and not name.endswith("__known") else f"c{number}"
        while field.lower() in taken:
            field = f"c{number}_{field}"[:100]
        taken.add(field.lower())
        nullable = name in collection.own_columns
        found.append(StoreColumn(name, field, _kind(column.type), nullable))
    return tuple(found)


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return "whole"
    return "number" if pa.types.is_floating(kind) else "text"


def check_rows(collection: Collection, columns: tuple[StoreColumn, ...], store: Store) -> None:
    """Refuse a collection that does not fit a database, before anything is written."""
    if store.most_fields is None:
        return
    n_fields = len(columns) + sum(column.nullable for column in columns) + 2
    if n_fields > store.most_fields:
        raise RetrievalInputError(
            f"{store.engine} takes at most {store.most_fields} fields; the {len(columns)} columns"
            f" of this collection need {n_fields}. Index it with fewer --columns, or copy it to"
            " LanceDB"
        )
    for column in columns:
        values = collection.table[column.name]
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            longest = pc.max(pc.binary_length(values)).as_py() or 0
            if longest > MOST_BYTES:
                raise RetrievalInputError(
                    f"{store.engine} takes texts of at most {MOST_BYTES:,} bytes, the column"
                    f" {column.name!r} has one of {longest:,}. Shorten it, or copy to LanceDB"
                )


def batches(
    collection: Collection, columns: tuple[StoreColumn, ...], size: int
) -> Iterator[pa.Table]:
    """Yield the rows of a collection in batches, in the order of their ids."""
    for start in range(0, len(collection), size):
        part = collection.table.slice(start, size)
        vectors = collection.vectors(np.arange(start, start + len(part)))
        plain = [_plain(part[c.name], c) for c in columns]
        ids = part["id"].combine_chunks() if len(part) else pa.array([], pa.int64())
        rows = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), collection.dim)
        arrays = {ID: ids, VECTOR: rows, DIGEST: _digests(vectors, plain)}
        arrays |= {c.field: values for c, values in zip(columns, plain) if c.name != ID}
        yield pa.table(arrays)


def _plain(values: pa.ChunkedArray, column: StoreColumn) -> pa.Array:
    values = values.combine_chunks()
    wanted = KINDS[column.kind]
    if isinstance(values, pa.DictionaryArray):
        values = values.dictionary_decode()
    if column.kind == "number":
        values = pc.cast(values, wanted)
        return pc.if_else(pc.is_nan(values), pa.scalar(None, wanted), values)
    if column.kind != "text" or not _nested(values.type):
        return pc.cast(values, wanted)
    texts = (None if v is None else json.dumps(v, default=str) for v in values.to_pylist())
    return pa.array(list(texts), wanted)


def _nested(kind: pa.DataType) -> bool:
    return pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _digests(vectors: np.ndarray, columns: list[pa.Array]) -> pa.Array:
    found = []
    for row, values in zip(vectors, zip(*(c.to_pylist() for c in columns))):
        digest = hashlib.blake2b(np.ascontiguousarray(row).tobytes(), digest_size=16)
        digest.update(json.dumps(values).encode())
        found.append(digest.hexdigest())
    return pa.array(found, pa.string())
