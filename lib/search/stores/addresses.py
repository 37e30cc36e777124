"""Open what an address names: a collection on disk, LanceDB, or Milvus."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from lib.core.checks import RetrievalInputError
from lib.search.collection import Collection, Searchable
from lib.search.collection.files import is_address
from lib.search.stores.base import Store

EXAMPLES = "lancedb:FOLDER, milvus:./FILE.db, or milvus:http://HOST:PORT#NAME"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
NAME = "crossmodal"


def open_store(address: str | Path) -> Searchable:
    """Open a collection for searching, by its folder or by the address of a database."""
    if not is_address(str(address)):
        return Collection(address)
    return _database(str(address), make=False).opened()


def writable_store(address: str) -> Store:
    """Open a database for writing; it may be empty or not exist yet."""
    if not is_address(address):
        raise RetrievalInputError(
            f"the target must be {EXAMPLES}, got {address!r}. A folder is copied by any tool that"
            " copies files"
        )
    return _database(address, make=True)


def _database(address: str, *, make: bool) -> Store:
    engine, _, place = address.partition(":")
    if not place:
        raise RetrievalInputError(f"the address must be {EXAMPLES}, got {address!r}")
    if engine == "lancedb":
        from lib.search.stores.lancedb_store import LanceStore

        if "://" in place:
            raise RetrievalInputError(
                f"{address}: LanceDB is used in a folder of this machine; give lancedb:FOLDER"
            )
        return LanceStore(address, Path(place).expanduser(), make=make)
    from lib.search.stores.milvus_store import MilvusStore

    uri, _, name = place.partition("#")
    name = name or NAME
    if not _NAME.fullmatch(name):
        raise RetrievalInputError(
            f"the name after # must be letters, digits and _, got {name!r} in {address!r}"
        )
    if "://" in uri:
        parts = urlsplit(uri)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RetrievalInputError(f"the address must be {EXAMPLES}, got {address!r}")
        return MilvusStore(address, uri, name)
    if not uri.endswith(".db"):
        raise RetrievalInputError(f"a file of Milvus must end in .db, got {address!r}")
    return MilvusStore(address, str(Path(uri).expanduser()), name, file=True, make=make)
