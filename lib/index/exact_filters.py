"""Fast rough products that prove which items cannot be among the best.

A filter multiplies queries and a gallery block in low precision, with a bound on its own error:

    |unit * product + offset - score| <= error         one (unit, offset, error) per query

An item whose product is too low by more than the error is dropped; the rest is scored exactly. The
result is the same as without the filter, only the work differs.

Reference: R. Weber, H.-J. Schek, S. Blott, "A Quantitative Analysis and Performance Study for
Similarity-Search Methods in High-Dimensional Spaces", VLDB 1998 (the VA-file).
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch

from lib.index.exact_scores import Vectors

TILE = 8  # neighbouring items whose best product is compared first
GROUPS = 8  # of tiles for each of the k items that make the first floor
LARGEST_SHARE = 0.25  # of tiles that may pass before a filter counts as useless on a block
FLOATS_AT_ONCE = 2**18  # int8 rows become float32 in pieces of 1 MiB, which stay in the cache
FLOAT32_ROUNDOFF = 2.0**-24
BFLOAT16_ROUNDOFF = 2.0**-8
UNDERFLOW = 2.0**-126


class Probe:
    """Filter prepared for a batch of queries.

    `product(start, stop, out)` writes the `(stop - start, n_queries)` products of a block, float32
    or int32; unit, offset and error are `(n_queries,)` float64, as in the formula of the module.
    """

    def __init__(
        self,
        product: Callable[[int, int, torch.Tensor], None],
        dtype: torch.dtype,
        unit: np.ndarray,
        offset: np.ndarray,
        error: np.ndarray,
    ):
        self.product, self.dtype = product, dtype
        self.unit, self.offset, self.error = unit, offset, error
        limits = torch.iinfo(dtype) if dtype == torch.int32 else torch.finfo(dtype)
        self.padding = limits.min  # no product is as low, and no cut lets it pass
        self._products = self._tops = None

    def survivors(
        self, start: int, stop: int, k: int, floor: np.ndarray
    ) -> tuple[np.ndarray, ...] | None:
        """Find the items of a block that may reach a floor, a score that k items reach, or -inf.

        Returns `(query, item, bound)`, each `(n_survivors,)`, with an upper bound of the score;
        None when so many survive that the filter does not pay.
        """
        cells, tops = self._tiles(start, stop)
        n_tiles, n_queries = tops.shape
        if n_tiles >= k and np.isneginf(floor).all():
            # Tiles are disjoint, so k tops are the products of k items: a floor for the first
            # block. The k best of the tops of groups of tiles are nearly as high, and found faster.
            per = max(1, n_tiles // (GROUPS * k))
            groups = tops[: n_tiles - n_tiles % per].reshape(-1, per, n_queries).max(axis=1)
            kth = np.partition(groups, len(groups) - k, axis=0)[len(groups) - k]  # (n_queries,)
            floor = kth * self.unit + self.offset - self.error
        cut = self._cut(floor)
        passed = np.flatnonzero(tops >= cut)
        if passed.size > LARGEST_SHARE * tops.size:
            return None
        tile = passed // n_queries
        query = passed - tile * n_queries  # np.divmod divides twice as slowly
        first = tile * (TILE * n_queries) + query
        products = cells.take(first[:, None] + np.arange(TILE) * n_queries)  # (n_passed, TILE)
        inside = np.flatnonzero(products >= cut[query, None])
        which = inside // TILE
        query, item = query[which], start + tile[which] * TILE + inside % TILE
        bound = products.ravel()[inside] * self.unit[query] + self.offset[query] + self.error[query]
        return query, item, bound

    def _tiles(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the products of a block, flat, and the largest of each tile and query."""
        length, n_queries = stop - start, len(self.unit)
        n_tiles = -(-length // TILE)
        if self._products is None or self._products.shape[0] < n_tiles * TILE:
            self._products = torch.empty(n_tiles * TILE, n_queries, dtype=self.dtype)
            self._tops = torch.empty(n_tiles, n_queries, dtype=self.dtype)
        products, tops = self._products[: n_tiles * TILE], self._tops[:n_tiles]
        self.product(start, stop, products[:length])
        products[length:] = self.padding
        torch.amax(products.view(n_tiles, TILE, n_queries), 1, out=tops)
        return products.view(-1).numpy(), tops.numpy()

    def _cut(self, floor: np.ndarray) -> np.ndarray:
        """Return the product below which an item cannot reach the floor, rounded down."""
        cut = (floor - self.offset - self.error) / self.unit
        if self.dtype == torch.int32:
            return np.clip(np.floor(cut), self.padding + 1, 2**31 - 1).astype(np.int32)
        lowest = np.nextafter(np.float32(self.padding), np.float32(0))
        return np.maximum(np.nextafter(cut.astype(np.float32), np.float32(-np.inf)), lowest)


class FloatFilter:
    """Filter by the float32 matrix product, for every metric and without preparation.

        error <= gamma_d |q||x|,    gamma_d = d u / (1 - d u),    u = 2^-24

    For l2 the product is q.x - |x|^2 / 2, and -|q - x|^2 is twice that less |q|^2.
    """

    def __init__(self, items: Vectors, metric: str):
        self.items, self.metric = items, metric
        self.longest = items.scored_lengths.max(initial=0.0)
        self.halves = self.inverse = None
        if metric == "l2":
            self.halves = torch.from_numpy(items.lengths[:, None] ** 2 / 2).float()
        if items.divide:
            self.inverse = torch.from_numpy(1 / items.lengths[:, None]).float()

    def aim(self, queries: Vectors) -> Probe:
        q = queries.as_float32().T  # (d, n_queries)
        lengths = queries.scored_lengths
        rows = torch.from_numpy(self.items.rows)
        step, floats = len(rows), None
        if rows.dtype != torch.float32:  # int8: their products are exact up to d = 1024
            step = max(1, FLOATS_AT_ONCE // q.shape[0])
            floats = torch.empty(min(step, len(rows)), q.shape[0])

        def product(start: int, stop: int, out: torch.Tensor) -> None:
            for first in range(start, stop, step):
                part = rows[first : min(first + step, stop)]
                if floats is not None:
                    part = floats[: len(part)].copy_(part)
                torch.mm(part, q, out=out[first - start : first - start + len(part)])
            if self.halves is not None:
                out -= self.halves[start:stop]
            if self.inverse is not None:
                out *= self.inverse[start:stop]

        terms = q.shape[0] + 8  # and a few more roundings: unit rows, the offset, the score itself
        relative = terms * FLOAT32_ROUNDOFF / (1 - terms * FLOAT32_ROUNDOFF)
        if float32_products_may_be_coarse():
            relative += 3 * BFLOAT16_ROUNDOFF  # both factors are rounded
        size = (lengths + self.longest) ** 2 if self.metric == "l2" else lengths * self.longest
        error = relative * size + 2 * terms * UNDERFLOW
        if self.metric == "l2":
            return Probe(product, torch.float32, np.full(len(lengths), 2.0), -(lengths**2), error)
        return Probe(product, torch.float32, np.ones(len(lengths)), np.zeros(len(lengths)), error)


class Int8Filter:
    """Filter by an int8 product of centred codes: four times as fast with native int8 products.

    Rows are x = c + s a + e with the gallery mean c, one step s for all, int8 codes a and a
    remainder e that is measured; queries are q = t b + f. Then q.x = q.c + s t a.b + q.e + f.(s a),
    and by Cauchy and Schwarz

        |q.x - (q.c + s t a.b)| <= |q| max|e| + |f| max|s a|

    Centring matters: embeddings of one modality share a large mean, which would use most of the 8
    bits. Rows are float32, under cosine or inner product.
    """

    def __init__(self, items: Vectors):
        rows = torch.from_numpy(items.rows)
        self.longest = items.lengths.max()
        self.centre = rows.mean(0)
        blocks = range(0, len(rows), 4096)
        peak = max(float((rows[i : i + 4096] - self.centre).abs().max()) for i in blocks)
        self.step = float(np.float32(peak / 127)) or 1.0
        self.codes = torch.empty(rows.shape, dtype=torch.int8)
        self.remainder = self.reach = 0.0
        for i in blocks:
            centred = rows[i : i + 4096] - self.centre
            codes = (centred / self.step).round_().clamp_(-127, 127)
            self.codes[i : i + 4096] = codes
            codes *= self.step
            self.reach = max(self.reach, float(codes.norm(dim=1).max()))
            self.remainder = max(self.remainder, float(centred.sub_(codes).norm(dim=1).max()))
        # The lines above round too: centring by u |x - c|, and each norm by gamma_d of itself.
        growth = 1 + (rows.shape[1] + 8) * FLOAT32_ROUNDOFF
        rounding = 4 * FLOAT32_ROUNDOFF * (self.reach + self.remainder)
        self.remainder = self.remainder * growth + rounding
        self.reach *= growth

    def aim(self, queries: Vectors) -> Probe:
        rows = queries.as_float32().double()
        steps = rows.abs().amax(1) / 127
        steps[steps == 0] = 1.0
        codes = (rows / steps[:, None]).round_()
        lost = (rows - codes * steps[:, None]).norm(dim=1).numpy()
        codes = codes.to(torch.int8).T
        lengths = rows.norm(dim=1).numpy()
        error = lengths * self.remainder + lost * self.reach
        rounding = 2 * FLOAT32_ROUNDOFF * lengths * self.longest  # of the score
        error = 1.000001 * error + rounding

        def product(start: int, stop: int, out: torch.Tensor) -> None:
            torch._int_mm(self.codes[start:stop], codes, out=out)

        offset = (rows @ self.centre.double()).numpy()
        return Probe(product, torch.int32, steps.numpy() * self.step, offset, error)


def float32_products_may_be_coarse() -> bool:
    """Return whether torch may round the factors of float32 products, to bfloat16 at worst."""
    try:
        return torch.get_float32_matmul_precision() != "highest"
    except RuntimeError:  # torch does not answer once the newer, per-backend setting was used
        return True


@cache
def int8_products_are_fast() -> bool:
    """Return whether this processor multiplies int8 natively, with an exact product in torch.

    Older processors saturate sums of two products at 16 bits, so the largest values are tried.
    """
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    native = capabilities.get("avx512_vnni") or capabilities.get("avx_vnni")
    if not native or not hasattr(torch, "_int_mm"):
        return False
    signs = torch.tensor([127, -127, 127, 127], dtype=torch.int8).repeat(64, 16)  # (64, 64)
    try:
        exact = (signs.double() @ signs.double().T).to(torch.int32)
        return torch.equal(torch._int_mm(signs, signs.T), exact)
    except RuntimeError:
        return False
