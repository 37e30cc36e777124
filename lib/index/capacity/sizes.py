"""What each index family takes in bytes, part by part: the formulas, and nothing else.

They count what faiss writes for the index, except a header of less than 1 kB. Not counted: the ids
that `VectorSearchIndex` keeps beside families that know positions only (8 n), tables that are
computed again when an index is loaded, and scratch space of training. `lists` is what an inverted
file says about its lists.
"""

import numpy as np

from lib.core.checks import RetrievalInputError, check_count

FAST_SCAN_BLOCK = (
    32  # vectors whose codes a fast scan reads at once; a list is padded to whole blocks
)
BITS = {False: 8, True: 4}  # of one sub-quantiser's code: without and with fast scan


def flat(n: int, d: int, item: int = 4) -> dict[str, int]:
    """Flat: `item n d` bytes of vectors; `item` is 4 for float32, 2 for float16, 1 for int8."""
    n, d = _shape(n, d)
    return {"vectors": item * n * d}


def ivf(n: int, d: int, nlist: int, item: int = 4, list_sizes=None) -> dict[str, int]:
    """Inverted file of whole vectors.

        item n d  vectors  +  8 n  ids  +  4 nlist d  centroids  +  8 nlist  lists

    Args:
        n, d: vectors and their length; nlist: cells.
        item: bytes per number; 1 is a scalar quantiser of 8 bits (whose two ranges take 8 d bytes
            more).
        list_sizes: `(nlist,)` vectors per cell where known; when more than half are empty only the
            others are written, 16 bytes each.
    """
    return {**flat(n, d, item), **_inverted_file(n, d, nlist, list_sizes)}


def pq(
    n: int,
    d: int,
    code_bytes: int,
    *,
    rotate: bool = False,
    fast_scan: bool = False,
    rerank: bool = False,
) -> dict[str, int]:
    """Product quantisation.

        n code_bytes  codes  +  4 * 2^bits d  codebooks  +  4 d^2  rotation  +  4 n d  vectors

    `code_bytes` sub-quantisers have 2^8 centroids of d / code_bytes numbers each, all together 256
    d; a fast scan has twice as many of 2^4, together 16 d, and pads n to a multiple of 32.

    Args:
        n, d: vectors and their length.
        code_bytes: bytes per vector; must divide d (twice it must, with fast_scan).
        rotate: whether a learnt rotation comes first (OPQ).
        fast_scan: whether codes have 4 bits and lie in blocks of 32.
        rerank: whether the raw vectors are kept.

    Raises:
        RetrievalInputError: a count below its least, or d not divisible by the sub-quantisers.
    """
    n, d = _shape(n, d)
    held = -(-n // FAST_SCAN_BLOCK) * FAST_SCAN_BLOCK if fast_scan else n
    return {"codes": held * code_bytes, **_quantiser(n, d, code_bytes, rotate, fast_scan, rerank)}


def ivf_pq(
    n: int,
    d: int,
    nlist: int,
    code_bytes: int,
    *,
    rotate: bool = False,
    fast_scan: bool = False,
    rerank: bool = False,
    list_sizes=None,
) -> dict[str, int]:
    """Inverted file of product codes: the parts of `pq`, with ids, centroids and lists.

    A fast scan pads every list to a multiple of 32 and says 16 bytes about it. Without `list_sizes`
    the expected padding is counted, 31 / 2 vectors a list, as long lists of any length need on
    average.

    Args and Raises: as `ivf` and `pq`.
    """
    parts = _quantiser(*_shape(n, d), code_bytes, rotate, fast_scan, rerank)
    inverted = _inverted_file(n, d, nlist, list_sizes)
    held = n
    if fast_scan:
        if list_sizes is None:
            held += nlist * (FAST_SCAN_BLOCK - 1) // 2
        else:
            held = int((-(-np.asarray(list_sizes) // FAST_SCAN_BLOCK) * FAST_SCAN_BLOCK).sum())
        inverted["lists"] = 16 * nlist
    return {"codes": held * code_bytes, **parts, **inverted}


def hnsw(n: int, d: int, links: int, n_links: int | None = None, item: int = 4) -> dict[str, int]:
    """Hierarchical navigable small world.

        item n d  vectors  +  4 n_links  links  +  4 n  levels  +  8 (n + 1)  offsets

    Args:
        n, d: vectors and their length; links: the M of the paper, half the degree at the bottom.
        n_links: places for links over all levels, filled or not (`hnsw_links`); expected when None.
        item: bytes per number of a vector.
    """
    n, d = _shape(n, d)
    if n_links is None:
        n_links = round(expected_hnsw_links(n, links))
    return {**flat(n, d, item), "links": 4 * n_links, "levels": 4 * n, "offsets": 8 * (n + 1)}


def coarse_graph(nlist: int, d: int, links: int = 32) -> dict[str, int]:
    """What an HNSW over the centroids of an inverted file takes besides the centroids
    (`IVF..._HNSW32`).
    """
    parts = hnsw(nlist, d, links)
    return {"coarse graph": sum(parts.values()) - parts["vectors"]}


def hnsw_links(levels, links: int) -> int:
    """Places for links: `2 M` for every vector and `M` for each level above the bottom that it
    reaches.

    Args:
        levels: `(n,)` levels per vector, 1 for those at the bottom alone (as faiss counts).
        links: M.
    """
    levels = np.asarray(levels)
    if levels.size and levels.min() < 1:
        raise RetrievalInputError(
            f"levels start at 1, the bottom; got {levels.min()} at {levels.argmin()}"
        )
    links = check_count(links, "links")
    return int(levels.size * 2 * links + links * (levels - 1).sum())


def expected_hnsw_links(n: int, links: int) -> float:
    """Expected places for links: `n (2 M + M / (M - 1))`.

    A vector reaches level l above the bottom with probability M^-l (levels are geometric with mean
    1 / ln M steps); summed over l that is 1 / (M - 1) levels.
    """
    links = check_count(links, "links", least=2)
    return n * (2 * links + links / (links - 1))


def lsh(n: int, d: int, n_bits: int, rotate: bool = True, rerank: bool = False) -> dict[str, int]:
    """Hyperplane hashing: `n ceil(n_bits / 8)` codes, `4 n_bits d` hyperplanes if random, raw
    vectors.
    """
    n, d = _shape(n, d)
    n_bits = check_count(n_bits, "n_bits")
    parts = {"codes": n * -(-n_bits // 8)}
    if rotate:
        parts["hyperplanes"] = 4 * n_bits * d
    return parts | (flat(n, d) if rerank else {})


def scann(
    n: int, d: int, n_leaves: int, dims_per_block: int = 2, rerank: bool = True
) -> dict[str, int]:
    """ScaNN, an **estimate** of what it holds in memory: it reports no sizes and has its own
    layout.

        n blocks / 2  codes of 4 bits  +  8 n  ids and leaves  +  4 n_leaves d  centroids
        + 64 d  codebooks  +  4 n d  vectors                      blocks = ceil(d / dims_per_block)

    Codes are padded to 32 vectors a leaf, here as if leaves had equal length. The saved folder is
    larger: it stores a byte per block, and centroids at 8 to 9 bytes a number.
    """
    n, d = _shape(n, d)
    n_leaves = check_count(n_leaves, "n_leaves")
    blocks = -(-d // check_count(dims_per_block, "dims_per_block"))
    held = n_leaves * -(-n // (n_leaves * FAST_SCAN_BLOCK)) * FAST_SCAN_BLOCK
    parts = {
        "codes": held * -(-blocks // 2),
        "ids": 8 * n,
        "centroids": 4 * n_leaves * d,
        "codebooks": 4 * 16 * d,
    }
    return parts | (flat(n, d) if rerank else {})


def _shape(n, d) -> tuple[int, int]:
    return check_count(n, "n", least=0), check_count(d, "d")


def _quantiser(
    n: int, d: int, code_bytes, rotate: bool, fast_scan: bool, rerank: bool
) -> dict[str, int]:
    bits = BITS[bool(fast_scan)]
    sub_quantisers = check_count(code_bytes, "code_bytes") * 8 // bits
    if d % sub_quantisers:
        raise RetrievalInputError(
            f"{code_bytes} bytes of {bits}-bit codes are {sub_quantisers} sub-quantisers, which do"
            f" not divide d = {d}; choose code_bytes so that they do"
        )
    parts = {"codebooks": 4 * 2**bits * d}
    if rotate:
        parts["rotation"] = 4 * d * d
    return parts | (flat(n, d) if rerank else {})


def _inverted_file(n, d, nlist, list_sizes) -> dict[str, int]:
    n, d = _shape(n, d)
    nlist = check_count(nlist, "nlist")
    lists = 8 * nlist
    if list_sizes is not None:
        sizes = np.asarray(list_sizes)
        if sizes.shape != (nlist,) or sizes.sum() != n:
            raise RetrievalInputError(
                f"list_sizes must be {nlist} numbers that sum to n = {n}, "
                f"got {sizes.shape} with sum {sizes.sum()}"
            )
        lists = min(lists, 16 * int((sizes > 0).sum()))
    return {"ids": 8 * n, "centroids": 4 * nlist * d, "lists": lists}
