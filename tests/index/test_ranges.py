"""Every number that an index, a token index or a plan takes is refused by name outside its
range.
"""

import importlib.util
from collections.abc import Callable

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.index import VectorSearchIndex, topk_exact
from lib.index.capacity.machines import Machine, plan_machines
from lib.index.from_scratch.hyperplanes import draw_hyperplanes
from lib.index.token_index.index import TokenIndex
from lib.studies.ann.harness import using_threads

ODD = (0, -1, 2.5, "7", True, float("nan"), 2**31, 10**6 + 0.5, 2**63, 10**400, None, [3])
HUGE = {
    "links": 10**6,
    "n_bits": 2**20,
    "ef_construction": 2**30,
    "ef_search": 2**30,
    "seed": 2**31,
}


def offenders(calls: dict[str, tuple[str, Callable]]) -> list[str]:
    """What is not refused, or not by a message with the name of the argument."""
    found = []
    for what, (name, call) in calls.items():
        try:
            call()
            found.append(f"{what} is taken")
        except RetrievalInputError as error:
            if name not in str(error):
                found.append(f"{what}: {error}")
        except Exception as error:
            found.append(f"{what}: {type(error).__name__}: {error}")
    return found


def taken(option, value) -> bool:
    """Whether None or 0 is a value that the option has: a choice by size, a seed, no re-ranking."""
    if value is None or value is True:
        return option.default is None if value is None else isinstance(option.default, bool)
    return value == 0 and (isinstance(option.default, float) or option.default in (0, 10))


def test_options_of_every_family():
    calls = {}
    for family, cls in VectorSearchIndex.families.items():
        known = cls.build_known | cls.search_known
        if family == "ScaNN" and importlib.util.find_spec("scann") is None:
            continue
        for name, option in known.items():
            for value in (*ODD, *([HUGE[name]] if name in HUGE else [])):
                if taken(option, value):
                    continue
                calls[f"{family} {name} = {str(value)[:20]}"] = (
                    name,
                    lambda family=family, name=name, value=value: VectorSearchIndex(
                        64, family, **{name: value}
                    ),
                )
        for name in ("dimension", "use_gpu"):
            for value in (-1, 2.5, "64", 10**9, 2**63):
                given = {"dimension": 64, "index_type": family, name: value}
                calls[f"{family} {name} = {value}"] = (
                    name,
                    lambda given=given: VectorSearchIndex(**given),
                )
    assert len(calls) > 200 and offenders(calls) == []


def test_search_arguments():
    calls, rows = {}, np.eye(8, dtype=np.float32)
    index = VectorSearchIndex(8, "HNSW")
    index.add(rows)
    for value in (0, -1, 9, 2.5, "7", True, float("nan"), 2**63, 10**400, None, [3]):
        told = str(value)[:20]
        calls[f"search k = {told}"] = "k", lambda value=value: index.search(rows, value)
        calls[f"topk_exact k = {told}"] = "k", lambda value=value: topk_exact(rows, rows, value)
        calls[f"ef_search = {told}"] = (
            "ef_search",
            lambda value=value: index.set_search(ef_search=value),
        )
    for taken in (9, None):
        del calls[f"ef_search = {taken}"]
    for value in ([8], [-1], [0.5], ["a"], 2**63, None, [[0]]):
        if value is not None:
            calls[f"allowed = {value}"] = (
                "allowed",
                lambda value=value: index.search(rows, 1, value),
            )
        calls[f"remove {value}"] = "HNSW", lambda value=value: index.remove(value)
    for value in ("yes", 1, None):
        calls[f"memory_map = {value}"] = (
            "memory_map",
            lambda value=value: VectorSearchIndex.load("nowhere", memory_map=value),
        )
    assert offenders(calls) == []
    for none in (rows[:0], np.empty((0, 8))):
        assert index.search(none, 3)[0].shape == topk_exact(none, rows, 3)[1].shape == (0, 3)


def test_token_indexes_planes_threads_and_plans():
    calls = {}
    for value in ODD:
        told = str(value)[:20]
        for name in ("dimension", "n_centroids", "bits", "seed"):
            if (name, value) in (("n_centroids", None), ("n_centroids", 2**31), ("seed", 0)):
                continue
            given = {"dimension": 16, name: value}
            calls[f"TokenIndex {name} = {told}"] = name, lambda given=given: TokenIndex(**given)
        for name in ("d", "n_bits"):
            given = {"d": 16, "n_bits": 16, name: value}
            calls[f"hyperplanes {name} = {told}"] = (
                name,
                lambda given=given: draw_hyperplanes(**given),
            )
        calls[f"threads = {told}"] = "threads", lambda value=value: using_threads(value).__enter__()
        if value not in (2.5, 2**31, 10**6 + 0.5):
            for name in ("ram_gb", "cores", "bandwidth_gb_s", "ssd_tb", "core_gb_s"):
                calls[f"{name} = {told}"] = (
                    name,
                    lambda name=name, value=value: Machine(**{name: value}),
                )
            for name in (
                "n",
                "d",
                "recall",
                "qps",
                "replicas",
                "nlist",
                "nprobe",
                "ef",
                "imbalance",
                "k",
            ):
                if name == "nlist" and value is None:
                    continue
                given = {"n": 1000, "d": 64, "recall": 0.9, "qps": 1.0, name: value}
                calls[f"plan {name} = {told}"] = name, lambda given=given: plan_machines(**given)
    calls["threads = 100000"] = "threads", lambda: using_threads(100_000).__enter__()
    assert offenders(calls) == []
