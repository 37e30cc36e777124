"""Searching a gallery: exact search, the one interface of all index families, an index of token
vectors.
"""

from lib.index.base import VectorSearchIndex
from lib.index.exact import topk_exact
from lib.index.exact_scores import METRICS
from lib.index.flat import FlatIndex
from lib.index.hnsw import HNSWIndex
from lib.index.ivf import IVFIndex
from lib.index.ivf_pq import IVFPQIndex
from lib.index.lsh import LSHIndex
from lib.index.ood_graph import link_by_queries
from lib.index.ood_lists import QueryAwareLists
from lib.index.pq import PQIndex
from lib.index.scann_index import ScaNNIndex
from lib.index.token_index.candidates import Candidates
from lib.index.token_index.index import TokenIndex
from lib.index.token_index.residual_codec import ResidualCodec

__all__ = [
    "METRICS",
    "Candidates",
    "FlatIndex",
    "HNSWIndex",
    "IVFIndex",
    "IVFPQIndex",
    "LSHIndex",
    "PQIndex",
    "QueryAwareLists",
    "ResidualCodec",
    "ScaNNIndex",
    "TokenIndex",
    "VectorSearchIndex",
    "link_by_queries",
    "topk_exact",
]
