"""List the indexes that the committed run builds, and the settings they are searched with."""

import importlib.util
from collections.abc import Sequence
from typing import Any

from lib.core.checks import check_choice, check_count
from lib.index.ivf import default_nlist
from lib.index.tuning.configs import PQ_NEEDS, Config, code_bytes, training_rows

NPROBES = (1, 2, 4, 8, 16, 32, 64)
EF_SEARCH = (10, 20, 40, 80, 160)
FACTORS = (2, 8, 32)  # times k vectors are re-ranked
RERANK = 8  # times k vectors are re-ranked where the number of lists varies


def check_families(families: Sequence[str]) -> None:
    """Check that all are families of the committed grid."""
    for name in families:
        check_choice(name, GRID, "family")


def standard_configs(n: int, dimension: int, families: Sequence[str] | None = None) -> list[Config]:
    """List the committed grid: every family in its usual forms, exact search first.

        nlist = the power of two at or below min(4 sqrt(n), n / 39)        codes of d / 8 bytes

    Product quantisers are left out below 9,984 vectors, which is too few to train on. ScaNN is left
    out where its package is not installed, unless `families` names it.
    """
    n, d = check_count(n, "n"), check_count(dimension, "dimension")
    if families is None:
        families = [name for name in GRID if name != "ScaNN" or importlib.util.find_spec("scann")]
    check_families(families)
    return [config for name, make in GRID.items() if name in families for config in make(n, d)]


def scaling_configs(n: int, dimension: int) -> list[Config]:
    """List one config of each growth of work with n: a scan, lists, short codes, a graph."""
    n, d = check_count(n, "n"), check_count(dimension, "dimension")
    return [*_flat(n, d)[:1], *_ivf(n, d), *_ivf_pq(n, d)[-1:], *_hnsw(n, d)[:1]]


def _probes(nlist: int, **others: Any) -> tuple[dict[str, Any], ...]:
    return tuple({"nprobe": nprobe, **others} for nprobe in NPROBES if nprobe <= nlist)


def _flat(n: int, d: int) -> list[Config]:
    # An inverted file of one list is exact search by faiss: the faster one for a single query.
    return [
        Config("Flat", "Flat"),
        Config("IVF1", "IVF", {"nlist": 1}, ({"nprobe": 1},), n_train=min(n, 1000)),
    ]


def _ivf(n: int, d: int) -> list[Config]:
    nlist = default_nlist(n)
    return [
        Config(
            f"IVF{nlist}", "IVF", {"nlist": nlist}, _probes(nlist), n_train=training_rows(n, nlist)
        )
    ]


def _pq(n: int, d: int) -> list[Config]:
    if n < PQ_NEEDS:
        return []
    size, fast, train = code_bytes(d), code_bytes(d, 2), {"n_train": training_rows(n)}
    configs = [
        Config(f"PQ{size}", "PQ", {"code_bytes": size}, **train),
        Config(f"OPQ{size}", "PQ", {"code_bytes": size, "rotate": True}, **train),
    ]
    if fast:
        build = {"code_bytes": fast, "fast_scan": True}
        settings = tuple({"rerank": factor} for factor in FACTORS)
        configs.append(Config(f"PQ{fast}fs", "PQ", build, **train))
        configs.append(Config(f"PQ{fast}fs,rerank", "PQ", build, settings, **train))
    return configs


def _ivf_pq(n: int, d: int) -> list[Config]:
    if n < PQ_NEEDS:
        return []
    nlist = default_nlist(n)
    size, fast, train = code_bytes(d), code_bytes(d, 2), {"n_train": training_rows(n, nlist)}
    configs = []
    for name, rotate in (("PQ", False), ("OPQ", True)):
        build = {"nlist": nlist, "code_bytes": size, "rotate": rotate}
        configs.append(Config(f"IVF{nlist},{name}{size}", "IVF-PQ", build, _probes(nlist), **train))
    if fast:
        build = {"nlist": nlist, "code_bytes": fast, "fast_scan": True}
        more = (
            {"nprobe": min(16, nlist), "rerank": factor} for factor in FACTORS if factor != RERANK
        )
        settings = (*_probes(nlist, rerank=RERANK), *more)
        configs.append(Config(f"IVF{nlist},PQ{fast}fs,rerank", "IVF-PQ", build, settings, **train))
    return configs


def _hnsw(n: int, d: int) -> list[Config]:
    settings = tuple({"ef_search": ef} for ef in EF_SEARCH)
    return [
        Config(f"HNSW{links}", "HNSW", {"links": links, "ef_construction": 100}, settings)
        for links in (16, 32)
    ]


def _lsh(n: int, d: int) -> list[Config]:
    rerank = tuple({"rerank": factor} for factor in FACTORS)
    return [
        Config(f"LSH{d}", "LSH", {"n_bits": d}),
        Config(f"LSH{4 * d}", "LSH", {"n_bits": 4 * d}),
        Config(f"LSH{d},rerank", "LSH", {"n_bits": d}, rerank),
    ]


def _scann(n: int, d: int) -> list[Config]:
    leaves = max(1, round(n**0.5))
    settings = tuple({"leaves_to_search": few, "rerank": 10} for few in NPROBES if few <= leaves)
    return [Config(f"ScaNN{leaves}", "ScaNN", {"n_leaves": leaves}, settings)]


GRID = {
    "Flat": _flat,
    "IVF": _ivf,
    "PQ": _pq,
    "IVF-PQ": _ivf_pq,
    "HNSW": _hnsw,
    "LSH": _lsh,
    "ScaNN": _scann,
}
