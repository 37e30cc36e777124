"""Results kept as they come, so that a stopped run goes on, and the tables made of them."""

import hashlib
import importlib.metadata
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lib.core.paths import cache_dir
from lib.core.reading import DamagedFileError, MissingFileError, load_arrays
from lib.core.writing import atomic_path, optional_write, save_arrays, write_checksum
from lib.report.timing import environment
from lib.studies.ann import harness
from lib.studies.ann.configs import Config
from lib.studies.ann.corpora import AnnCorpus
from lib.studies.ann.records import Found, Measured

FORMAT = 2  # of what is kept and of how it is measured; raise it when either changes
FAMILIES = {
    "PQ": 3,
    "IVF-PQ": 3,
}  # formats of families that have changed since: codes by squared distance
LIBRARIES = ("faiss-cpu", "scann", "numpy", "torch")
TABLES = ("quality", "timings")


def result(
    corpus: AnnCorpus, config: Config, k: int = 10, *, log: harness.Log = print, **how
) -> Found:
    """What `harness.run` finds, from the cache where it has run before.

    Args:
        corpus, config, k: as for `harness.run`.
        log: takes a line at a time.
        how: the other arguments of `harness.run`, which are part of what is looked for.
    """
    path = _kept(corpus, config, k, how)
    try:
        found = _read(load_arrays(path))
        log(f"{config.name}: from the cache")
    except (MissingFileError, DamagedFileError):
        found = harness.run(corpus, config, k, log=log, **how)
        with optional_write():
            save_arrays(path, **_arrays(found))
    return found


def fill(
    corpus: AnnCorpus,
    configs: Iterable[Config],
    k: int = 10,
    *,
    log: harness.Log = print,
    progress: Callable[[int, int], None] = lambda done, of: None,
    **how,
) -> Iterator[Found]:
    """`result` of every config, one after the other; tells how many are there, first those from the
    cache.
    """
    configs = list(configs)
    kept = [_kept(corpus, config, k, how).is_file() for config in configs]
    done = sum(kept)
    progress(done, len(configs))
    for config, was_there in zip(configs, kept, strict=True):
        found = result(corpus, config, k, log=log, **how)
        if not was_there:
            done += 1
            progress(done, len(configs))
        yield found


def tables(found: Iterable[Found]) -> dict[str, pd.DataFrame]:
    """`quality`, one row per setting and kind of query, and `timings`, one per repeat as well."""
    found = list(found)
    return {
        name: pd.DataFrame([row for one in found for row in getattr(one, name)]) for name in TABLES
    }


def write(folder: Path, found: Iterable[Found]) -> None:
    """Writes `quality.csv`, `timings.csv` and the `environment.json` that decided the timings, all
    sealed.
    """
    for name, table in tables(found).items():
        write_table(folder / f"{name}.csv", table)
    with atomic_path(folder / "environment.json") as temporary:
        temporary.write_text(json.dumps(environment() | {"versions": versions()}, indent=1) + "\n")
    write_checksum(folder / "environment.json")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Writes a sealed CSV with six digits."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    write_checksum(path)


def versions() -> dict[str, str]:
    """Of the libraries that decide what is found."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed under this name"
    return found


def _kept(corpus: AnnCorpus, config: Config, k: int, how: dict) -> Path:
    """Under a digest of everything that decides the result."""
    form = FAMILIES.get(config.index_type, FORMAT)
    identity = [form, corpus.name, corpus.key, config.identity, k, how, versions()]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    name = re.sub(r"\W+", "_", f"{corpus.name}-{len(corpus)}-{config.name}").strip("_")
    return cache_dir() / "ann" / "runs" / f"{name}-{digest}.npz"


def _arrays(found: Found) -> dict[str, np.ndarray]:
    about = {
        "train_s": found.train_s,
        "add_s": found.add_s,
        "threads": found.threads,
        "rows": found.quality,
    }
    arrays = {"about": np.array(json.dumps(about, default=lambda value: value.item()))}
    for number, one in enumerate(found.measured):
        for name in ("ids", "distances", "batch", "single"):
            arrays[f"{name}_{number}"] = getattr(one, name)
    return arrays


def _read(arrays: dict[str, np.ndarray]) -> Found:
    about = json.loads(str(arrays["about"]))
    measured: Sequence[Measured] = [
        Measured(
            row, *(arrays[f"{name}_{number}"] for name in ("ids", "distances", "batch", "single"))
        )
        for number, row in enumerate(about.pop("rows"))
    ]
    return Found(measured, **about)
