"""What comparisons with other libraries share: whether one is installed, ratios to it, tables for
reading.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lib.studies.peers.isolated_process import Cost, Job

INSTALL = 'pip install -e ".[oracles]"'
MEASURED = ("seconds", "fastest_s", "slowest_s", "memory_mb")
RATIOS = ("of_peer_seconds", "of_peer_memory", "difference")


@dataclass(frozen=True)
class System(Job):
    """A job that needs a library.

    Args:
        library: the module that must be installed, None for ours.
    """

    library: str | None = None

    @property
    def is_installed(self) -> bool:
        return self.library is None or importlib.util.find_spec(self.library) is not None


def beside_peer(cost: Cost | None, peer: Cost | None) -> dict[str, float | int | None]:
    """The measured columns of a system, with ratios to its peer; None where one of the two has no
    cost.

    Returns:
        seconds (median), fastest_s, slowest_s, memory_mb, of_peer_seconds, of_peer_memory,
        difference (the largest relative one, of the values that both return), repeats.
    """
    if cost is None:
        return dict.fromkeys((*MEASURED, *RATIOS, "repeats"))
    row = dict(
        zip(MEASURED, (float(np.median(cost.run)), min(cost.run), max(cost.run), cost.memory / 1e6))
    )
    if peer is None:
        return {**row, **dict.fromkeys(RATIOS), "repeats": len(cost.run)}
    apart = [
        abs(cost.values[name] / value - 1)
        for name, value in peer.values.items()
        if name in cost.values
    ]
    return {
        **row,
        "of_peer_seconds": row["seconds"] / float(np.median(peer.run)),
        "of_peer_memory": cost.memory / peer.memory
        if peer.memory
        else None,  # too little to be seen
        "difference": max(apart),
        "repeats": len(cost.run),
    }


def as_text(rows: Sequence[dict], shown: Mapping[str, str]) -> list[dict]:
    """A table for reading: the columns of `shown` that it has, empty where nothing was measured."""
    return [
        {
            name: "" if row[name] is None else shape.format(row[name])
            for name, shape in shown.items()
            if name in row
        }
        for row in rows
    ]
