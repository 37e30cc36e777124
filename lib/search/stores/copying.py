"""Copy a collection into a database, and bring a copy up to date."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from lib.core.checks import RetrievalInputError
from lib.search.collection import Collection
from lib.search.stores.addresses import writable_store
from lib.search.stores.base import DIGEST, ID, Store, StoreHead
from lib.search.stores.rows import batches, check_rows, columns_of


@dataclass(frozen=True)
class CopyReport:
    """The work of one copy."""

    address: str
    rows: int
    written: int
    kept: int
    removed: int

    def describe(self) -> str:
        """Say it in words."""
        return (
            f"{self.address}: {self.rows:,} pictures; {self.written:,} written, {self.kept:,} were"
            f" there already, {self.removed:,} removed"
        )


def copy_collection(
    collection: Collection, address: str, *, progress: Callable[[int], None] = lambda n: None
) -> CopyReport:
    """Make the store at an address equal to a collection.

    Rows are compared by id and digest: what is there already is not written again, so a copy that
    was stopped goes on, and a second copy writes what has changed. Thumbnails and originals stay
    where they are.

    Args:
        collection: what to copy.
        address: `lancedb:FOLDER`, `milvus:./FILE.db` or `milvus:http://HOST:PORT`.
        progress: called with numbers of rows.
    """
    with writable_store(address) as store, store.writing():
        head = _begin(collection, store)
        known = store.digests()
        gone = sorted(set(known) - set(collection.ids.tolist()))
        store.remove(gone)
        written = 0
        for rows in batches(collection, head.columns, store.batch_rows):
            pairs = zip(rows[ID].to_pylist(), rows[DIGEST].to_pylist(), strict=True)
            new = [at for at, (item, digest) in enumerate(pairs) if known.get(item) != digest]
            if new:
                store.write(rows.take(new))
            written += len(new)
            progress(len(rows))
        if written or gone:
            store.finish()
        n = len(collection)
        next_id = max(collection.manifest.next_id, int(collection.ids[-1]) + 1 if n else 0)
        sample = tuple(collection.sample_ids.tolist())
        head = replace(head, rows=n, next_id=next_id, sample=sample, finished=True)
        store.write_head(head)
        store.opened()
    return CopyReport(address, n, written, n - written, len(gone))


def _begin(collection: Collection, store: Store) -> StoreHead:
    """Make or open the store, and mark it as unfinished."""
    manifest, columns = collection.manifest, columns_of(collection)
    check_rows(collection, columns, store)
    head = StoreHead(manifest.model, manifest.identity, manifest.dim, columns)
    if store.head is None:
        store.create(head)
        return head
    store.manifest.check_model(manifest.identity, store.address)
    if store.head.columns != columns or store.head.dim != head.dim:
        theirs, ours = ({c.name for c in cs} for cs in (store.head.columns, columns))
        other = ", ".join(sorted(theirs ^ ours)) or "of another kind"
        raise RetrievalInputError(
            f"{store.address} has other columns than {collection.folder.path} ({other}). Copy to"
            " another address"
        )
    next_id = max(store.head.next_id, manifest.next_id)
    store.write_head(replace(store.head, next_id=next_id, finished=False))
    return store.head
