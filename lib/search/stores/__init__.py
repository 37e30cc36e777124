"""Stores: the same collection as files, in LanceDB, or in Milvus, searched in the same way.

report = copy_collection(Collection("pictures"), "lancedb:pictures.lance")
with open_store("lancedb:pictures.lance") as store:
    hits = store.search("a red car", k=10, where="width > 100").hits
"""

from lib.search.stores.addresses import is_address, open_store
from lib.search.stores.base import Store
from lib.search.stores.copying import CopyReport, copy_collection
