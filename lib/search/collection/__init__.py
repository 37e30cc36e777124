"""Collections of your own pictures: index folders and shards, and search them.

report = build_collection(["~/Pictures"], "pictures", encoder, model_of("pictures", None))
collection = Collection("pictures")
for hit in collection.search("a red car", k=10).hits:
    print(hit.score, hit.name)
"""

from lib.search.collection.building import BuildReport, build_collection
from lib.search.collection.collection import Collection
from lib.search.collection.columns import Columns
from lib.search.collection.indexing import IndexWish, tune_index, update_index
from lib.search.collection.query_encoders import model_of
from lib.search.collection.searching import CollectionHit, Query, Results, Searchable
