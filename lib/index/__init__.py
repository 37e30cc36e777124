"""Vector search: exact search, one interface to all index families, an index of token vectors."""

from lib.index.base import SearchResult, VectorSearchIndex
from lib.index.exact import topk_exact
from lib.index.exact_scores import METRICS
from lib.index.flat import FlatIndex
from lib.index.hnsw import HNSWIndex
from lib.index.hnsw_shards import HNSWShardsIndex, merge_hits
from lib.index.ivf import IVFIndex
from lib.index.lsh import LSHIndex
from lib.index.ood import QueryAwareLists, link_by_queries
from lib.index.pq import IVFPQIndex, PQIndex
from lib.index.scann_index import ScaNNIndex
from lib.index.token_index import Candidates, TokenIndex
