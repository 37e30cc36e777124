"""Links between what queries want together: a graph over one modality learns the paths of
another.
"""

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.index.base import VectorSearchIndex
from lib.index.hnsw import HNSWIndex
from lib.index.pairs import place_in_row


def link_by_queries(index: VectorSearchIndex, neighbours) -> int:
    """Links, in the free places of the bottom level, vectors that are neighbours of the same query.

        for each query with neighbours x_1, ..., x_k:   x_1 -> x_j and x_j -> x_1,  j = 2 ... k

    The base of a cross-modal index is linked by the distances between images; a text may lie
    between images that are far from each other, and no link leads from one to the next. Links that
    more queries ask for come first. None is taken away, and the index becomes no larger, since a
    place without a link is stored all the same.

    Args:
        index: of type "HNSW", with the base in it; it is changed.
        neighbours: `(n_queries, k)` ids of the exact nearest vectors of training queries, best
            first.

    Returns:
        How many links were added.

    Raises:
        RetrievalInputError: another type of index, not two columns of ids, or an id that is not
            held.

    Relations: a Flat index or `topk_exact` finds the neighbours. Queries must not be those that the
    index is judged by. `QueryAwareLists` is the same thought for an inverted file.

    Reference: after Chen et al. 2024, "RoarGraph: A Projected Bipartite Graph for Efficient
    Cross-Modal Approximate Nearest Neighbor Search", which builds the whole graph from such pairs.
    """
    if not isinstance(index, HNSWIndex):
        raise RetrievalInputError(
            f"only an index of type 'HNSW' has links, this is {index.index_type!r}"
        )
    neighbours = np.asarray(neighbours)
    if neighbours.ndim != 2 or neighbours.shape[1] < 2 or neighbours.dtype.kind not in "iu":
        raise RetrievalInputError(
            f"neighbours must be (n_queries, k >= 2) ids, got {neighbours.dtype} {neighbours.shape}"
        )
    at = index.positions_of(neighbours)
    if (at < 0).any():
        row, column = np.argwhere(at < 0)[0]
        raise RetrievalInputError(
            f"neighbours has id {neighbours[row, column]} in row {row}, column {column}, which is"
            " not held"
        )
    n, links = index.ntotal, index.bottom_links  # (n, 2 M), -1 where a place is free
    first, other = np.repeat(at[:, 0], at.shape[1] - 1), at[:, 1:].ravel()
    pairs, wanted = np.unique(
        np.concatenate([first * n + other, other * n + first]), return_counts=True
    )
    source, target = np.divmod(pairs, n)
    linked = np.arange(n)[:, None] * n + links
    new = (source != target) & ~np.isin(pairs, linked[links >= 0])
    source, target, wanted = source[new], target[new], wanted[new]
    order = np.lexsort((target, -wanted, source))
    source, target = source[order], target[order]
    place = (links >= 0).sum(axis=1)[source] + place_in_row(source, n)
    fits = place < links.shape[1]
    links[source[fits], place[fits]] = target[fits]
    index.bottom_links = links
    return int(fits.sum())
