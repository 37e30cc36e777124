"""The committed run: every family on both corpora, four families as the base grows, and the
remedies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pandas as pd

from lib.core.paths import artifacts_dir
from lib.core.reading import verify
from lib.studies.ann import corpora, harness, ood_remedies, result_cache
from lib.studies.ann.configs import Config, scaling, standard
from lib.studies.ann.corpora import AnnCorpus

REBUILD = "Restore it with git, or run: crossmodal bench ann"
REMEDIES = {"remedies": ood_remedies.table, "tuning": ood_remedies.tuned}
TABLES = (*result_cache.TABLES, *REMEDIES)


@dataclass(frozen=True)
class Part:
    """One corpus of the run.

    Args:
        make: the corpus.
        grid: `(n, dimension)` to what is measured on it.
        remedied: whether the remedies are measured on it too.
    """

    make: Callable[[], AnnCorpus]
    grid: Callable[[int, int], list[Config]]
    remedied: bool = False


PARTS = (
    Part(corpora.icons, standard, remedied=True),
    Part(partial(corpora.scenes, 100_000), standard, remedied=True),
    Part(partial(corpora.scenes, 10_000), scaling),
    Part(partial(corpora.scenes, 1_000_000), scaling),
)


def collect(
    log: harness.Log = print, progress: Callable[[int, int], None] = lambda done, of: None, **how
) -> dict[str, pd.DataFrame]:
    """Writes `data/artifacts/ann`; measures what has not been measured yet (an hour on one core).

    Args:
        log: takes a line at a time.
        progress: takes how many of how many indexes of the corpus at hand are done.
        how: arguments of `harness.run`.

    Returns:
        The tables, as `tables` reads them.
    """
    found, rows = [], {name: [] for name in REMEDIES}
    for part in PARTS:
        corpus = part.make()
        log(f"{corpus.name}, {len(corpus):,} vectors")
        grid = part.grid(len(corpus), corpus.dim)
        found += result_cache.fill(corpus, grid, log=log, progress=progress, **how)
        for name, measure in REMEDIES.items() if part.remedied else ():
            log(f"{corpus.name}: {name}")
            rows[name] += measure(corpus)
    folder = artifacts_dir() / "ann"
    result_cache.write(folder, found)
    for name, table in rows.items():
        result_cache.write_table(folder / f"{name}.csv", pd.DataFrame(table))
    return tables()


def tables() -> dict[str, pd.DataFrame]:
    """The committed tables by name.

    Returns:
        `quality` and `timings`, whose columns `truth.judge` and `found.Found` describe, `remedies`
        and `tuning` (`lib.studies.ann.ood_remedies`).

    Raises:
        MissingFileError, DamagedFileError: a table is not there, or not as it was written.
    """
    paths = {
        name: verify(artifacts_dir() / "ann" / f"{name}.csv", rebuild=REBUILD) for name in TABLES
    }
    empty = {
        "search": "",
        "queries": "",
    }  # of the stages that have neither, which pandas reads as missing
    return {name: pd.read_csv(path).fillna(empty) for name, path in paths.items()}
