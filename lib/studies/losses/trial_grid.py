"""Define the trials of the committed comparison of losses, run them and read their results."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import product

import numpy as np
import pandas as pd

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.result_store import ResultStore
from lib.studies.losses.train_trial import CORPORA, Trial, run_trial, trial_row
from lib.training.objectives import OBJECTIVES

STORE = ResultStore("losses", "crossmodal bench loss-quality")
SEEDS = {"heads": 5, "full": 5, "damage": 5}
PARTS = tuple(SEEDS)
TUNING_SEED = 100  # no trial of the comparison has it
TUNING_RATES = (3e-4, 1e-3, 3e-3)
TUNED_AT = {"heads": (16, 64, 256, 512), "full": (64, 256)}
BATCH_SIZES = {"heads": (16, 32, 64, 128, 256, 512), "full": (64, 256)}
NOISE = (0.2, 0.4)
REPEATS = (0.5,)
SETTING = ("corpus", "encoders", "loss", "batch_size", "noise", "repeats", "tell")


def trials(part: str) -> Iterator[Trial]:
    """Yield the trials of a part, seed by seed: a stopped run stays balanced."""
    check_choice(part, PARTS, "part")
    if part != "damage":  # every corpus, loss and batch size
        grid = product(range(SEEDS[part]), BATCH_SIZES[part], CORPORA, OBJECTIVES)
        yield from (Trial(name, part, loss, size, seed) for seed, size, name, loss in grid)
        return
    for seed, loss in product(range(SEEDS[part]), OBJECTIVES):
        whole = Trial("icons", "heads", loss, 128, seed)
        yield from (replace(whole, noise=noise) for noise in NOISE)
        for share, tell in product(REPEATS, (True, False)):
            yield replace(whole, repeats=share, tell=tell)


def tuning_trials(encoders: str) -> Iterator[Trial]:
    """Yield the trials on the validation splits that chose the tuned rates."""
    for size, name, loss, rate in product(TUNED_AT[encoders], CORPORA, OBJECTIVES, TUNING_RATES):
        yield Trial(name, encoders, loss, size, TUNING_SEED, rate=rate)


def cached_result(trial: Trial, split: str = "test") -> dict[str, np.ndarray]:
    """Return the result of `run_trial`, from the cache where it ran before."""
    return STORE.cached(_key(trial, split), lambda: run_trial(trial, split))


def _key(trial: Trial, split: str) -> dict:
    return asdict(trial) | {"rate": f"{trial.learning_rate:.6g}", "split": split}


def tune_rates(
    encoders: str, log: Callable[[str], None] = print
) -> dict[tuple[str, str, str], dict[int, float]]:
    """Run the tuning trials; return the best rate of each corpus and loss at each batch size."""
    rows = []
    for trial in tuning_trials(encoders):
        row = trial_row(trial, cached_result(trial, "validation"))
        score = sum(value for name, value in row.items() if name.startswith("R@"))
        rows.append((trial.corpus, trial.loss, trial.batch_size, trial.rate, score))
        log(f"{trial.corpus} {trial.loss} {trial.batch_size} rate {trial.rate:g}: {score:.1f}")
    scores = pd.DataFrame(rows, columns=["corpus", "loss", "batch_size", "rate", "score"])
    best = scores.loc[scores.groupby(["corpus", "loss", "batch_size"])["score"].idxmax()]
    return {
        (corpus, encoders, loss): dict(zip(group["batch_size"], group["rate"], strict=True))
        for (corpus, loss), group in best.groupby(["corpus", "loss"])
    }


def run_trials(
    parts: Sequence[str] = PARTS,
    log: Callable[[str], None] = print,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Run the trials of some parts into the cache; cached ones are not run again."""
    chosen = (trial for part in parts for trial in trials(part))
    jobs = [(_key(trial, "test"), partial(run_trial, trial)) for trial in chosen]
    for _ in STORE.run(jobs, log=log, progress=progress):
        pass


def write_committed() -> None:
    """Write `data/artifacts/losses`: one row per trial, and hits per query; run missing trials.

    Hits at rank 1 from text to image are summed over the seeds for paired tests between losses.
    """
    rows, hits = [], {}
    for part in PARTS:
        for trial in trials(part):
            result = cached_result(trial)
            rows.append(trial_row(trial, result))
            if part != "damage":
                key = f"{trial.corpus}/{trial.encoders}/{trial.loss}/{trial.batch_size}"
                hit = (result["text_to_image"] <= 1).astype(np.uint8)
                hits[key] = hits.get(key, 0) + hit
    STORE.save_table("trials.csv", pd.DataFrame(rows).drop(columns="pairs"))
    STORE.save_arrays("hits.npz", **hits)


def committed_trials() -> pd.DataFrame:
    """Read the committed table: one row per trial, hit rates in percent."""
    return STORE.table("trials.csv")


def seed_averaged_hits(corpus: str, encoders: str, loss: str, batch_size: int) -> np.ndarray:
    """Return R@1 from text to image of every query, averaged over the seeds: `(n_queries,)`."""
    hits = STORE.arrays("hits.npz")
    key = f"{corpus}/{encoders}/{loss}/{batch_size}"
    if key not in hits:
        raise RetrievalInputError(f"no trials of {key}; known: {', '.join(sorted(hits))}")
    setting = dict(corpus=corpus, encoders=encoders, loss=loss, batch_size=batch_size)
    setting |= {"noise": 0, "repeats": 0}
    frame = committed_trials()
    return hits[key] / (frame[list(setting)] == pd.Series(setting)).all(axis=1).sum()
