"""Builds of each family that are tried, and settings that grow until a recall is reached."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from lib.core.checks import check_choice
from lib.index.faiss_index import POINTS_PER_CENTROID
from lib.index.ivf import default_nlist
from lib.index.tuning.configs import PQ_NEEDS, Config, code_bytes, training_rows

LINKS = (16, 32, 64)
RERANK, MOST_RERANK = 8, 128  # times k
MOST_EF = 4_096
LISTS = (1, 2, 4)  # times the usual number
SHARES = (8, 4, 2, 1)  # d over the bytes of a code
Setting = Mapping[str, int]
Grow = Callable[[Config, Setting, bool], Setting | None]


@dataclass(frozen=True)
class Ladder:
    """Builds of one family in the order in which they are tried.

    Args:
        builds: each with the setting that the search begins with.
        grow: the next setting, None at the end. It is told whether the last one brought little.
        until_reached: the next build is tried only where the last one missed the recall; otherwise
            also while the work falls.
        codes_alone: the index keeps no whole vectors.
        slow: it takes many times as long to build as inverted files, as graphs do.
    """

    builds: Sequence[Config]
    grow: Grow
    until_reached: bool = True
    codes_alone: bool = False
    slow: bool = False


def ladders_for(n: int, d: int, k: int, families: Sequence[str] | None = None) -> list[Ladder]:
    """List what is tried for n vectors, without exact search, which needs no trial."""
    names = FAMILIES if families is None else families
    known = FAMILIES | ON_REQUEST
    names = [check_choice(name, KNOWN, "family") for name in names]
    return [ladder for name in names if name in known for ladder in known[name](n, d, k)]


def grown(config: Config, setting: Setting, n: int) -> Setting | None:
    """Double what makes the search of an index of n vectors look further; None at its end."""
    ends = {"nprobe": config.build.get("nlist"), "ef_search": min(n, MOST_EF)}
    ends |= {"leaves_to_search": config.build.get("n_leaves"), "rerank": MOST_RERANK}
    for name, end in ends.items():
        if setting.get(name) and end and (more := _doubled(setting, name, end)):
            return more
    return None


def _ivf(n: int, d: int, k: int) -> list[Ladder]:
    builds = [
        Config(f"IVF{lists}", "IVF", {"nlist": lists}, _from(nprobe=1), n_train=rows)
        for lists, rows in ((lists, training_rows(n, lists)) for lists in _lists(n))
    ]
    return [Ladder(builds, _more_probes, until_reached=False)]


def _hnsw(n: int, d: int, k: int, family: str = "HNSW") -> list[Ladder]:
    start = _from(ef_search=k)
    builds = [
        Config(family.replace("HNSW", f"HNSW{links}"), family, build, start)
        for links, build in ((m, {"links": m, "ef_construction": 100}) for m in LINKS)
    ]
    grow = lambda _, setting, __: _doubled(setting, "ef_search", min(n, MOST_EF))  # noqa: E731
    return [Ladder(builds, grow, slow=True)]


def _ivf_pq(n: int, d: int, k: int) -> list[Ladder]:
    """Codes that whole vectors re-rank, which need no less memory; and longer codes alone."""
    nlist = default_nlist(n)
    if n < PQ_NEEDS or nlist < 2:
        return []
    train, ladders = {"n_train": training_rows(n, nlist)}, []
    if fast := code_bytes(d, 2):
        build = {"nlist": nlist, "code_bytes": fast, "fast_scan": True}
        start = _from(nprobe=1, rerank=RERANK)
        config = Config(f"IVF{nlist},PQ{fast}fs,rerank", "IVF-PQ", build, start, **train)
        ladders.append(Ladder([config], _more_probes_or_reranked))
    sizes = [size for share in SHARES if d % (size := max(1, d // share)) == 0]
    builds = [
        Config(
            f"IVF{nlist},PQ{size}", "IVF-PQ", {"nlist": nlist, "code_bytes": size},
            _from(nprobe=1), **train,
        )
        for size in dict.fromkeys(sizes)
    ]  # fmt: skip
    return [*ladders, Ladder(builds, _more_probes, codes_alone=True)]


FAMILIES = {"HNSW": _hnsw, "IVF": _ivf, "IVF-PQ": _ivf_pq}
ON_REQUEST = {"HNSW shards": partial(_hnsw, family="HNSW shards")}
KNOWN = ("Flat", *FAMILIES, *ON_REQUEST)


def _lists(n: int) -> list[int]:
    usual = default_nlist(n)
    trainable = [usual * more for more in LISTS if usual * more * POINTS_PER_CENTROID <= n]
    return [lists for lists in trainable if lists > 1]


def _from(**setting: int) -> tuple[Setting]:
    return (setting,)


def _doubled(setting: Setting, name: str, most: int) -> Setting | None:
    if setting[name] >= most:
        return None
    return {**setting, name: min(most, 2 * setting[name])}


def _more_probes(config: Config, setting: Setting, stalled: bool) -> Setting | None:
    return _doubled(setting, "nprobe", config.build["nlist"])


def _more_probes_or_reranked(config: Config, setting: Setting, stalled: bool) -> Setting | None:
    if stalled and setting["rerank"] < MOST_RERANK:
        return {**setting, "rerank": 4 * setting["rerank"]}
    return _more_probes(config, setting, stalled)
