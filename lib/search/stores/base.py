"""The interface of each database, and the head that says what it holds.

The head is one text in the database: which model made the vectors, the columns, and whether the
last copy came to its end. It carries its own SHA-256: a foreign or damaged store is refused.
"""

import errno
import json
import os
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.core.writing import DISK_FULL, UnwritableFileError, sha256_of, unwritable
from lib.search.base import merge_best
from lib.search.collection.files import Manifest
from lib.search.collection.filters import matching_rows
from lib.search.collection.query_encoders import load_query_encoder
from lib.search.collection.searching import QueryEncoder, Searchable
from lib.search.stores.conditions import (
    StoreColumn,
    Untranslatable,
    check_condition,
    names_in,
    refuse_many,
    translate,
)

FORMAT = 1
ID, VECTOR, DIGEST = "id", "vector", "crossmodal_digest"  # fields of every store
TIES = 16  # more hits than asked for, so that equal scores are ordered by id at the border, too
MOST_IDS = 50_000  # in a filter
AGAIN = "Copy to another address: crossmodal collection copy COLLECTION ADDRESS"


@dataclass(frozen=True)
class StoreHead:
    """The content of a store.

    Args:
        model, identity, dim: of the encoder, see `Manifest`.
        columns: what a condition can name.
        rows: number of pictures when the last copy ended.
        next_id: all ids are below it.
        sample: ids of pictures that give the background of a score.
        finished: whether the last copy came to its end.
    """

    model: Mapping[str, str | None]
    identity: Mapping[str, str]
    dim: int
    columns: tuple[StoreColumn, ...]
    rows: int = 0
    next_id: int = 0
    sample: tuple[int, ...] = ()
    finished: bool = False

    @property
    def manifest(self) -> Manifest:
        return Manifest(self.model, self.identity, self.dim, finished=self.finished)

    def write(self) -> str:
        """Return the text of the head."""
        body = asdict(self)
        text = json.dumps(body, sort_keys=True)
        sealed = {"format": FORMAT, "sha256": sha256_of(text.encode()), "head": body}
        return json.dumps(sealed, sort_keys=True)

    @classmethod
    def read(cls, text: str, address: str) -> "StoreHead":
        """Read a head; a damaged one, or one of another version, is an error."""
        try:
            sealed = json.loads(text)
            if sealed["format"] != FORMAT:
                raise RetrievalInputError(
                    f"{address} has format {sealed['format']!r}; this version reads {FORMAT}."
                    f" {AGAIN}"
                )
            body = sealed["head"]
            if sha256_of(json.dumps(body, sort_keys=True).encode()) != sealed["sha256"]:
                raise ValueError("its SHA-256 is another")
            columns = tuple(StoreColumn(**column) for column in body["columns"])
            return cls(**body | {"columns": columns, "sample": tuple(body["sample"])})
        except RetrievalInputError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedFileError(f"the head of {address} is damaged: {error}. {AGAIN}") from error


class Store(Searchable):
    """A database with the rows of a collection: id, vector, path, member, caption, own columns.

    Use `open_store(address)`. `write` replaces rows of the same id, so it can be repeated.

    Attributes:
        head: what it holds; None in an empty store.
    """

    engine: str
    batch_rows: int
    dialect: object
    most_fields: int | None = None  # of one table
    known_fields = False  # whether nulls are marked by fields beside

    def __init__(self, address: str) -> None:
        self.address = address
        self.head: StoreHead | None = None
        self._seen: dict[int, np.ndarray] = {}

    # ---- what an engine does

    @abstractmethod
    def create(self, head: StoreHead) -> None:
        """Make the tables of an empty store."""

    @abstractmethod
    def write_head(self, head: StoreHead) -> None:
        """Replace the head."""

    @abstractmethod
    def write(self, rows: pa.Table) -> None:
        """Insert rows, or replace those of the same id; see `StoreRows`."""

    @abstractmethod
    def remove(self, ids: Sequence[int]) -> None:
        """Remove rows."""

    @abstractmethod
    def scan(self, fields: Sequence[str]) -> Iterator[pa.Table]:
        """Yield some fields of all rows, in tables."""

    @abstractmethod
    def finish(self) -> None:
        """Make the database ready for queries after writing."""

    @abstractmethod
    def count(self, allowed: str | None = None) -> int:
        """Count rows, or those that meet a filter of the engine."""

    @abstractmethod
    def fetch(self, ids: Sequence[int], fields: Sequence[str]) -> list[dict]:
        """Return fields of some ids, in any order."""

    @abstractmethod
    def found(
        self, vector: np.ndarray, k: int, allowed: str | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and vectors of about the k rows with the largest dot products."""

    # ---- what follows from it

    def opened(self) -> "Store":
        """Check a store that is to be searched."""
        if self.head is None:
            raise MissingFileError(
                f"{self.address} holds no collection. Copy one: crossmodal collection copy"
                f" COLLECTION {self.address}"
            )
        n = self.count()
        if self.head.finished and n != self.head.rows:
            raise DamagedFileError(
                f"{self.address} must hold {self.head.rows:,} pictures, as its head says; it holds"
                f" {n:,}. Run `crossmodal collection copy` again"
            )
        return self

    @property
    def manifest(self) -> Manifest:
        return self.head.manifest

    @cached_property
    def encoder(self) -> QueryEncoder:
        """Load the encoder that the head names when the first query comes."""
        return load_query_encoder(self.manifest)

    @cached_property
    def _columns(self) -> dict[str, StoreColumn]:
        return {column.name: column for column in self.head.columns}

    @property
    def columns(self) -> list[str]:
        return list(self._columns)

    def __len__(self) -> int:
        return self.head.rows if self.head.finished else self.count()

    def allowed(self, where: str) -> str:
        """Return the filter of a condition: translated, or else the ids that meet it."""
        check_condition(where, self._columns)
        try:
            return translate(where, self._columns, self.dialect)
        except Untranslatable:
            ids = self._ids_that_meet(where)
            refuse_many(len(ids), MOST_IDS, where, self.engine)
            return self.among_ids(ids)

    def among_ids(self, ids: Sequence[int]) -> str:
        """Return the filter of some ids."""
        if not len(ids):
            return self.dialect.never()
        column = StoreColumn(ID, ID, "whole")
        return self.dialect.among(column, [int(item) for item in ids], False)

    def _ids_that_meet(self, where: str) -> list[int]:
        names = names_in(where, self._columns)
        used = [self._columns[name] for name in names]
        known = [f"{c.field}__known" for c in used if self.known_fields and c.nullable]
        found = []
        for table in self.scan([ID, *(c.field for c in used if c.name != ID), *known]):
            columns = {c.name: self._nulls_of(table, c) for c in used}
            found += table[ID].filter(pa.array(matching_rows(pa.table(columns), where))).to_pylist()
        return found

    def _nulls_of(self, table: pa.Table, column: StoreColumn) -> pa.ChunkedArray:
        values = table[column.field]
        if not (self.known_fields and column.nullable):
            return values
        return pc.if_else(table[f"{column.field}__known"], values, pa.scalar(None, values.type))

    def nearest(
        self, vector: np.ndarray, k: int, allowed: str | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        ids, rows = self.found(vector, k + TIES, allowed)
        self._seen = dict(zip(ids.tolist(), rows, strict=True))
        return merge_best([(rows @ np.asarray(vector, np.float32), ids)], k)

    def vectors_of(self, ids: Sequence[int]) -> np.ndarray:
        new = [item for item in ids if item not in self._seen]
        known = dict(self._seen)
        for row in self.fetch(new, [ID, VECTOR]) if new else []:
            known[row[ID]] = np.asarray(row[VECTOR], np.float32)
        if missing := [item for item in ids if item not in known]:
            raise RetrievalInputError(
                f"id must be one of the {len(self):,} pictures, got {missing[0]}"
            )
        return np.array([known[item] for item in ids], np.float32).reshape(-1, self.dim)

    def rows_of(self, ids: Sequence[int]) -> list[dict]:
        fields = [ID, *(c.field for c in self.head.columns if c.name != ID)]
        if self.known_fields:
            fields += [f"{c.field}__known" for c in self.head.columns if c.nullable]
        rows = {row[ID]: row for row in self.fetch(ids, fields)} if len(ids) else {}
        out = []
        for item in ids:
            row = rows[item]
            lost = {c.name for c in self.head.columns if row.get(f"{c.field}__known") is False}
            out.append(
                {c.name: None if c.name in lost else row[c.field] for c in self.head.columns}
            )
        return out

    @cached_property
    def _sample(self) -> np.ndarray:
        rows = self.fetch(self.head.sample, [ID, VECTOR]) if self.head.sample else []
        rows.sort(key=lambda row: row[ID])
        return np.array([row[VECTOR] for row in rows], np.float32).reshape(-1, self.dim)

    def digests(self) -> dict[int, str]:
        """Return the digest of each row, by id."""
        found: dict[int, str] = {}
        for table in self.scan([ID, DIGEST]):
            found.update(zip(table[ID].to_pylist(), table[DIGEST].to_pylist(), strict=True))
        return found

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Turn an error of the engine into one that names the store."""
        try:
            yield
        except (DamagedFileError, MissingFileError, RetrievalInputError, UnwritableFileError):
            raise
        except Exception as error:
            why = " ".join(str(error).split())[:300] or type(error).__name__
            number = re.search(r"(?:os error|Errno) (\d+)", str(error))
            code = int(number[1]) if number else 0
            if code in (*DISK_FULL, errno.EROFS):  # it damages no store
                raise unwritable(self.address, code, os.strerror(code)) from error
            if code in (errno.EACCES, errno.EPERM):
                raise UnwritableFileError(
                    f"{self.address} cannot be used: {os.strerror(code)}. Have the rights changed,"
                    " or give another address"
                ) from error
            raise DamagedFileError(
                f"{self.address} cannot be used: {self.engine} says: {why}. Check the address; if"
                " the store is damaged, copy the collection to another address"
            ) from error
