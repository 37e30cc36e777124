"""What a run of the harness leaves: tidy rows of quality and of seconds, and the neighbours
themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ABOUT = (
    "corpus",
    "n",
    "config",
    "family",
    "search",
    "queries",
)  # what a row of either table is about


@dataclass(frozen=True)
class Measured:
    """What one setting found for one kind of query.

    Args:
        row: columns of the quality table.
        ids: `(n_queries, k)` int64.
        distances: `(n_queries, k)` float64, recomputed; infinite where nothing was found.
        batch: seconds `(repeats,)` of all queries at once.
        single: seconds `(repeats, n_single)` of queries asked one at a time.
    """

    row: dict
    ids: np.ndarray
    distances: np.ndarray
    batch: np.ndarray
    single: np.ndarray


@dataclass(frozen=True)
class Found:
    """Everything measured of one config on one corpus.

    Args:
        measured: one per setting and kind of query, in the order of settings, then of kinds.
        train_s, add_s: seconds of the one build.
        threads: of build and search.
    """

    measured: Sequence[Measured]
    train_s: float
    add_s: float
    threads: int

    @property
    def quality(self) -> list[dict]:
        """One row per setting and kind of query: the same on every run."""
        return [one.row for one in self.measured]

    @property
    def timings(self) -> list[dict]:
        """One row per stage, setting, kind of query and repeat; `seconds` is for all `count` of
        them.

        Stages: "train" and "add" (vectors, once), "batch" and "single" (queries). p50_ms and p99_ms
        are of single queries.
        """
        first = self.measured[0].row
        build = {key: first[key] for key in ABOUT} | {"search": "", "queries": ""}
        rows = [
            {
                **build,
                "stage": "train",
                "repeat": 0,
                "count": first["n_train"],
                "seconds": self.train_s,
            },
            {**build, "stage": "add", "repeat": 0, "count": first["n"], "seconds": self.add_s},
        ]
        for one in self.measured:
            where = {key: one.row[key] for key in ABOUT}
            for repeat, seconds in enumerate(one.batch):
                count = len(one.ids)
                rows.append(
                    {
                        **where,
                        "stage": "batch",
                        "repeat": repeat,
                        "count": count,
                        "seconds": seconds,
                    }
                )
            for repeat, each in enumerate(one.single):
                p50, p99 = 1e3 * np.quantile(each, [0.5, 0.99])
                row = {**where, "stage": "single", "repeat": repeat, "count": each.size}
                rows.append(row | {"seconds": each.sum(), "p50_ms": p50, "p99_ms": p99})
        return [row | {"threads": self.threads} for row in rows]
