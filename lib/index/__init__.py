"""Searching a gallery: exact search, and the one interface that every index family shares."""

from lib.index.base import VectorSearchIndex
from lib.index.exact import topk_exact
from lib.index.flat import FlatIndex
from lib.index.scores import METRICS

__all__ = ["METRICS", "FlatIndex", "VectorSearchIndex", "topk_exact"]
