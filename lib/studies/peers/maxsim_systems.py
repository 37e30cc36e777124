"""MaxSim of all queries with all documents by two libraries, from the same padded arrays.

All imports of a library are inside its system, so that a process which measures one loads no other.
"""

from collections.abc import Callable

from lib.studies.peers.comparison import System
from lib.studies.peers.isolated_process import Arrays

WARM_UP = 8  # queries and documents
SIDES = ("query", "document")
MASKS = ("query_mask", "document_mask")


def _ours(*sides):
    from lib.models.maxsim import maxsim

    return maxsim(*sides)


def _sentence_transformers(*sides):
    from sentence_transformers.util import maxsim

    return maxsim(*sides)


def _tensors(arrays: Arrays) -> list:
    import torch

    return [torch.from_numpy(arrays[name]) for name in (*SIDES, *MASKS) if name in arrays]


def _first_items(arrays: Arrays) -> Arrays:
    return {name: array[:WARM_UP].copy() for name, array in arrays.items()}


def _system(maxsim: Callable, library: str | None, *, masked: bool) -> System:
    def run(sides: list) -> dict[str, float]:
        scores = maxsim(*sides)
        return {
            "mean": scores.mean().item(),
            "lowest": scores.min().item(),
            "highest": scores.max().item(),
        }

    reads = (*SIDES, *MASKS) if masked else SIDES
    return System(_tensors, run, _first_items, reads, library=library)


PEER = "sentence-transformers"
LIBRARIES = {PEER: (_sentence_transformers, "sentence_transformers"), "ours": (_ours, None)}
INPUTS = {"all tokens count": False, "half is padding": True}  # and whether masks are given
JOBS = {
    f"{library}, {kind}": _system(*how, masked=masked)
    for kind, masked in INPUTS.items()
    for library, how in LIBRARIES.items()
}
