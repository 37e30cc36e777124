"""Byte formulas of the index families, part by part.

They count what faiss writes for the index, without a header of less than 1 kB. Not counted: the ids
that `VectorSearchIndex` keeps beside families that know positions only (8 n), tables that are
computed again when an index is loaded, and scratch space of training. `lists` is what an inverted
file writes about its lists.
"""

import numpy as np

from lib.core.checks import RetrievalInputError, check_count

FAST_SCAN_BLOCK = 32  # vectors that a fast scan reads at once; lists are padded to whole blocks
BITS = {False: 8, True: 4}  # of one sub-quantiser's code: without and with fast scan
SECTOR = 4096  # bytes that a disk reads at once


def flat(n: int, d: int, item: int = 4) -> dict[str, int]:
    """Count `item n d` bytes of vectors; `item` is 4 for float32, 2 for float16, 1 for int8."""
    n, d = _shape(n, d)
    return {"vectors": item * n * d}


def ivf(n: int, d: int, nlist: int, item: int = 4, list_sizes=None) -> dict[str, int]:
    """Count the bytes of an inverted file of whole vectors.

        item n d  vectors  +  8 n  ids  +  4 nlist d  centroids  +  8 nlist  lists

    Args:
        n, d, nlist: vectors, their length, and cells.
        item: bytes per number; 1 is a scalar quantiser of 8 bits (the ranges of its codes, 8 d
            bytes, are not counted).
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
    """Count the bytes of product quantisation.

        n code_bytes  codes  +  4 * 2^bits d  codebooks  +  4 d^2  rotation  +  4 n d  vectors

    `code_bytes` sub-quantisers have 2^8 centroids of d / code_bytes numbers each, all together 256
    d; a fast scan has twice as many of 2^4, together 16 d, and pads n to a multiple of 32.

    Args:
        n, d: vectors and their length.
        code_bytes: bytes per vector; must divide d (twice code_bytes must, with fast_scan).
        rotate: whether a learnt rotation comes first (OPQ).
        fast_scan: whether codes have 4 bits and lie in blocks of 32.
        rerank: whether the whole vectors are kept.
    """
    n, d = _shape(n, d)
    n_codes = -(-n // FAST_SCAN_BLOCK) * FAST_SCAN_BLOCK if fast_scan else n
    parts = _quantiser(n, d, code_bytes, rotate, fast_scan, rerank)
    return {"codes": n_codes * code_bytes, **parts}


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
    """Count the bytes of an inverted file of product codes; arguments as of `ivf` and `pq`.

    The parts are those of `pq`, with ids, centroids and lists. A fast scan pads every list to a
    multiple of 32 and writes 16 bytes about it. Without `list_sizes` the expected padding is
    counted, 31 / 2 vectors a list.
    """
    parts = _quantiser(*_shape(n, d), code_bytes, rotate, fast_scan, rerank)
    inverted = _inverted_file(n, d, nlist, list_sizes)
    n_codes = n
    if fast_scan:
        inverted["lists"] = 16 * nlist
        if list_sizes is None:
            n_codes += nlist * (FAST_SCAN_BLOCK - 1) // 2
        else:
            blocks = -(-np.asarray(list_sizes) // FAST_SCAN_BLOCK)
            n_codes = FAST_SCAN_BLOCK * int(blocks.sum())
    return {"codes": n_codes * code_bytes, **parts, **inverted}


def hnsw(n: int, d: int, links: int, n_links: int | None = None, item: int = 4) -> dict[str, int]:
    """Count the bytes of a hierarchical navigable small world.

        item n d  vectors  +  4 n_links  links  +  4 n  levels  +  8 (n + 1)  offsets

    Args:
        n, d: vectors and their length.
        links: the M of the paper, half the degree at the bottom.
        n_links: places for links over all levels, filled or not. When None, the expected number
            `n (2 M + M / (M - 1))`: a vector reaches level l above the bottom with probability
            M^-l, on average 1 / (M - 1) levels.
        item: bytes per number of a vector.
    """
    n, d = _shape(n, d)
    if n_links is None:
        links = check_count(links, "links", least=2)
        n_links = round(n * (2 * links + links / (links - 1)))
    return {**flat(n, d, item), "links": 4 * n_links, "levels": 4 * n, "offsets": 8 * (n + 1)}


def coarse_graph(nlist: int, d: int, links: int = 32) -> dict[str, int]:
    """Count the bytes of an HNSW over the centroids of an inverted file, without the centroids."""
    parts = hnsw(nlist, d, links)
    return {"coarse graph": sum(parts.values()) - parts["vectors"]}


def lsh(n: int, d: int, n_bits: int, rotate: bool = True, rerank: bool = False) -> dict[str, int]:
    """Count `n ceil(n_bits / 8)` bytes of codes, `4 n_bits d` of hyperplanes if random, vectors."""
    n, d = _shape(n, d)
    n_bits = check_count(n_bits, "n_bits")
    hyperplanes = {"hyperplanes": 4 * n_bits * d} if rotate else {}
    return {"codes": n * -(-n_bits // 8), **hyperplanes, **(flat(n, d) if rerank else {})}


def scann(
    n: int, d: int, n_leaves: int, dims_per_block: int = 2, rerank: bool = True
) -> dict[str, int]:
    """Estimate the bytes of ScaNN in memory: it reports no sizes and has its own layout.

        n blocks / 2  codes of 4 bits  +  8 n  ids and leaves  +  4 n_leaves d  centroids
        + 64 d  codebooks  +  4 n d  vectors                      blocks = ceil(d / dims_per_block)

    Codes are padded to 32 vectors a leaf, as if leaves had equal length. The saved folder is
    larger: it stores a byte per block, and centroids at 8 to 9 bytes a number.
    """
    n, d = _shape(n, d)
    n_leaves = check_count(n_leaves, "n_leaves")
    blocks = -(-d // check_count(dims_per_block, "dims_per_block"))
    n_codes = n_leaves * -(-n // (n_leaves * FAST_SCAN_BLOCK)) * FAST_SCAN_BLOCK
    parts = {
        "codes": n_codes * -(-blocks // 2),
        "ids": 8 * n,
        "centroids": 4 * n_leaves * d,
        "codebooks": 4 * 16 * d,
    }
    return parts | (flat(n, d) if rerank else {})


def ssd_graph_bytes(n: int, d: int, degree: int, item: int = 4) -> int:
    """Count the bytes of a DiskANN graph on SSD, where nodes do not cross sectors.

        node = item d + 4 + 4 degree

    A sector of 4 KiB holds as many whole nodes as fit; a larger node takes whole sectors.

    Reference: Subramanya et al. 2019, "DiskANN", section 3.2.
    """
    node = item * d + 4 + 4 * degree
    if node > SECTOR:
        return n * -(-node // SECTOR) * SECTOR
    return -(-n // (SECTOR // node)) * SECTOR


def _shape(n, d) -> tuple[int, int]:
    return check_count(n, "n", least=0), check_count(d, "d")


def _quantiser(
    n: int, d: int, code_bytes, rotate: bool, fast_scan: bool, rerank: bool
) -> dict[str, int]:
    bits = BITS[bool(fast_scan)]
    sub_quantisers = check_count(code_bytes, "code_bytes") * 8 // bits
    if d % sub_quantisers:
        fitting = [n for n in range(1, min(code_bytes, d) + 1) if d % (n * 8 // bits) == 0]
        advice = f"code_bytes = {fitting[-1]}" if fitting else "fast_scan = False"
        raise RetrievalInputError(
            f"{code_bytes} bytes of {bits}-bit codes are {sub_quantisers} sub-quantisers, which do"
            f" not divide d = {d}; choose for example {advice}"
        )
    rotation = {"rotation": 4 * d * d} if rotate else {}
    return {"codebooks": 4 * 2**bits * d, **rotation, **(flat(n, d) if rerank else {})}


def _inverted_file(n, d, nlist, list_sizes) -> dict[str, int]:
    n, d = _shape(n, d)
    nlist = check_count(nlist, "nlist")
    lists = 8 * nlist
    if list_sizes is not None:
        sizes = np.asarray(list_sizes)
        if sizes.shape != (nlist,) or sizes.sum() != n:
            got = f"{sizes.shape} with sum {sizes.sum()}"
            raise RetrievalInputError(f"list_sizes must be {nlist} numbers of sum {n}, got {got}")
        lists = min(lists, 16 * int((sizes > 0).sum()))
    return {"ids": 8 * n, "centroids": 4 * nlist * d, "lists": lists}
