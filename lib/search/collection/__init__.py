"""Collections of your own pictures: index folders and shards, and search them.

report = build_collection(["~/Pictures"], "pictures", encoder, model_of("pictures", None))
collection = Collection("pictures")
for hit in collection.search("a red car", k=10).hits:
    print(hit.score, hit.name)

The functions that choose an index are imported when they are first used: a collection that is
searched exactly needs neither torch nor faiss, whose imports take seconds.
"""

from importlib import import_module

from lib.search.collection.building import BuildReport, build_collection
from lib.search.collection.collection import Collection
from lib.search.collection.columns import Columns
from lib.search.collection.query_encoders import model_of
from lib.search.collection.searching import CollectionHit, Query, Results, Searchable

_CHOOSING = ("IndexWish", "tune_index", "update_index")


def __getattr__(name: str) -> object:
    """Import a function that chooses an index."""
    if name not in _CHOOSING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("lib.search.collection.indexing"), name)
