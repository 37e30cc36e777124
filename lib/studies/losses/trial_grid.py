"""Which trials make the committed comparison of losses, and where their results are kept."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.paths import artifacts_dir, cache_dir
from lib.core.reading import load_arrays, verify
from lib.core.writing import atomic_path, optional_write, save_arrays, write_checksum
from lib.studies.losses.train_trial import CORPORA, Trial, row, run
from lib.training.objectives import OBJECTIVES

SEEDS = {"heads": 5, "full": 5, "damage": 5}
PARTS = tuple(SEEDS)
TUNING_SEED = 100  # none of the above
TUNING_RATES = (3e-4, 1e-3, 3e-3)
TUNED_AT = {"heads": (16, 64, 256, 512), "full": (64, 256)}
BATCH_SIZES = {"heads": (16, 32, 64, 128, 256, 512), "full": (64, 256)}
NOISE = (0.2, 0.4)
REPEATS = (0.5,)
SETTING = ("corpus", "encoders", "loss", "batch_size", "noise", "repeats", "tell")


def trials(part: str) -> Iterator[Trial]:
    """The trials of one part; a seed is finished before the next begins, so that a stopped run is
    balanced.

    Args:
        part: "heads" or "full" (every corpus, loss and batch size), or "damage" (wrong labels and
            repeated pairs, heads on icons at a batch of 128).
    """
    check_choice(part, PARTS, "part")
    if part != "damage":
        for seed, size, name, loss in product(
            range(SEEDS[part]), BATCH_SIZES[part], CORPORA, OBJECTIVES
        ):
            yield Trial(name, part, loss, size, seed)
        return
    for seed, loss in product(range(SEEDS[part]), OBJECTIVES):
        whole = Trial("icons", "heads", loss, 128, seed)
        yield from (replace(whole, noise=noise) for noise in NOISE)
        yield from (
            replace(whole, repeats=share, tell=tell) for share in REPEATS for tell in (True, False)
        )


def tuning(encoders: str) -> Iterator[Trial]:
    """The trials on the validation splits from which `RATES` were chosen."""
    for size, name, loss, rate in product(TUNED_AT[encoders], CORPORA, OBJECTIVES, TUNING_RATES):
        yield Trial(name, encoders, loss, size, TUNING_SEED, rate=rate)


def result(trial: Trial, split: str = "test") -> dict[str, np.ndarray]:
    """What `run` found for a trial, from the cache where it has run before."""
    path = _kept(trial, split)
    if path.exists():
        return load_arrays(path)
    found = run(trial, split)
    with optional_write():
        save_arrays(path, **found)
    return found


def _kept(trial: Trial, split: str) -> Path:
    parts = [str(getattr(trial, field.name)) for field in fields(trial) if field.name != "rate"]
    name = (
        "-".join([*parts, f"{trial.learning_rate:.6g}", split]).replace(", ", "_").replace(" ", "_")
    )
    return cache_dir() / "loss_trials" / f"{name}.npz"


def rates(
    encoders: str, log: Callable[[str], None] = print
) -> dict[tuple[str, str, str], dict[int, float]]:
    """Runs the tuning trials and returns the best rate of each corpus and loss at each batch
    size.
    """
    scores: dict[tuple[str, str, str], dict[int, tuple[float, float]]] = {}
    for trial in tuning(encoders):
        found = row(trial, result(trial, "validation"))
        score = sum(value for name, value in found.items() if name.startswith("R@"))
        by_size = scores.setdefault((trial.corpus, encoders, trial.loss), {})
        by_size[trial.batch_size] = max(
            by_size.get(trial.batch_size, (0.0, 0.0)), (score, trial.rate)
        )
        log(
            f"{trial.corpus} {trial.loss} {trial.batch_size} rate {trial.rate:g}: {score:.1f}"
            " in all"
        )
    return {key: {size: rate for size, (_, rate) in by.items()} for key, by in scores.items()}


def fill(
    parts: Sequence[str] = PARTS,
    log: Callable[[str], None] = print,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> None:
    """Runs the trials of some parts that have not run yet, into the cache; says what is taken from
    there.
    """
    every = [(part, trial) for part in parts for trial in trials(part)]
    kept = [(part, trial) for part, trial in every if _kept(trial, "test").exists()]
    for _, trial in kept:
        result(trial)  # a damaged one is told now, not after hours
    if kept:
        log(
            f"{len(kept)} of {len(every)} trials are kept in {_kept(kept[0][1], 'test').parent} and"
            " not run again, whatever code, versions and machine made them; delete that folder to"
            " run all"
        )
    progress(len(kept), len(every))
    todo = [pair for pair in every if pair not in kept]
    for done, (part, trial) in enumerate(todo, start=len(kept) + 1):
        result(trial)
        log(
            f"{part} {done}/{len(every)}: {trial.corpus}, {trial.loss}, {trial.batch_size},"
            f" {trial.seed}"
        )
        progress(done, len(every))


def collect() -> None:
    """Writes `data/artifacts/losses`, one row per trial, and hits per query; runs what has not run
    yet.

    Hits are counted over the seeds, at rank 1 and from text to image, for every setting of "heads"
    and "full": what paired tests between losses need.
    """
    rows, hits = [], {}
    for part in PARTS:
        for trial in trials(part):
            ranks = result(trial)
            rows.append(row(trial, ranks))
            if part != "damage":
                key = f"{trial.corpus}/{trial.encoders}/{trial.loss}/{trial.batch_size}"
                hit = (ranks["text_to_image"] <= 1).astype(np.uint8)
                hits[key] = hits.get(key, 0) + hit
    path = _folder() / "trials.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        pd.DataFrame(rows).drop(columns="pairs").to_csv(temporary, index=False, float_format="%.6g")
    write_checksum(path)
    save_arrays(_folder() / "hits.npz", **hits)


def _folder() -> Path:
    return artifacts_dir() / "losses"


def committed() -> pd.DataFrame:
    """One row per trial that was run for the committed comparison, hit rates in percent."""
    path = _folder() / "trials.csv"
    verify(path, rebuild="Run `crossmodal bench loss-quality`.")
    return pd.read_csv(path)


def seed_averaged_hits(corpus: str, encoders: str, loss: str, batch_size: int) -> np.ndarray:
    """R@1 from text to image of every query, averaged over the seeds; `(n_queries,)` float64 in [0,
    1].
    """
    stored = load_arrays(_folder() / "hits.npz")
    key = f"{corpus}/{encoders}/{loss}/{batch_size}"
    if key not in stored:
        raise RetrievalInputError(f"no trials of {key}; there are {', '.join(sorted(stored))}")
    trials = committed().query("noise == 0 and repeats == 0")
    wanted = zip(
        trials["corpus"], trials["encoders"], trials["loss"], trials["batch_size"], strict=True
    )
    return stored[key] / list(wanted).count((corpus, encoders, loss, batch_size))
