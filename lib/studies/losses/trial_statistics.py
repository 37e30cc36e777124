"""Summarise the committed trials: means over seeds, paired differences, cost of damage."""

from collections.abc import Sequence
from functools import cache
from itertools import permutations

import numpy as np
import pandas as pd
from scipy.stats import rankdata, t

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.task import RetrievalTask
from lib.datasets import icons, scenes
from lib.metrics import chance_of, compare_systems, holm
from lib.studies.losses.train_trial import CORPORA, COSINES, N_TEST_SCENES
from lib.studies.losses.trial_grid import SETTING, committed_trials, seed_averaged_hits
from lib.training.objectives import OBJECTIVES

METRICS = ("R@1 text_to_image", "R@10 text_to_image", "R@1 image_to_text", "R@10 image_to_text")
WHOLE = {"noise": 0.0, "repeats": 0.0, "tell": True}  # no damage
COLLAPSED = 0.9  # mean cosine of two images, or of two texts; random directions have 0

# In all functions `frame` holds trials (the committed ones by default), `metric` is one of METRICS
# in percent, and `setting` are columns with a value, for example corpus="icons", batch_size=64.


def select_trials(frame: pd.DataFrame | None = None, **setting) -> pd.DataFrame:
    """Select the trials of a setting."""
    frame = committed_trials() if frame is None else frame
    for column, value in setting.items():
        frame = frame[frame[check_choice(column, SETTING, "setting")] == value]
    return frame


def interval(values: Sequence[float]) -> dict:
    """Compute the mean over seeds with its 95% interval from Student's t.

        mean +- t_{0.975, n - 1} s / sqrt(n),  s the standard deviation over n seeds

    The interval covers weights, order and damage drawn anew; queries and gallery stay.

    Returns:
        `value`, `low`, `high` and `seeds`; a single seed has no interval: NaN.
    """
    values = np.asarray(values, dtype=np.float64)
    n = values.size
    if n == 0 or not np.isfinite(values).all():
        raise RetrievalInputError(
            f"`values` must be finite numbers, one per seed, got {values.tolist()}."
            " Were both settings run with the same seeds?"
        )
    half = float(t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
    mean = float(values.mean())
    return {"value": mean, "low": mean - half, "high": mean + half, "seeds": n}


def means(metric: str = METRICS[0], frame: pd.DataFrame | None = None, **setting) -> list[dict]:
    """Compute the `interval` of one hit rate for every setting, in the order of the trials."""
    check_choice(metric, METRICS, "metric")
    by_setting = select_trials(frame, **setting).groupby(list(SETTING), sort=False)[metric]
    return [
        dict(zip(SETTING, values, strict=True)) | interval(group.to_numpy())
        for values, group in by_setting
    ]


def by_seed(metric: str = METRICS[0], frame: pd.DataFrame | None = None, **setting) -> pd.Series:
    """Return one hit rate of one setting, in percent, indexed by seed.

    Two trials of one seed saw the same pairs in the same order: a paired difference cancels that
    part. Without noise, repeats or tell in the setting, nothing is damaged.
    """
    check_choice(metric, METRICS, "metric")
    rates = select_trials(frame, **(WHOLE | setting)).set_index("seed")[metric].sort_index()
    if rates.empty or rates.index.has_duplicates:
        problem = "several trials of one seed" if len(rates) else "no trials"
        raise RetrievalInputError(
            f"{problem} for {setting}; give corpus, encoders, loss and batch_size"
        )
    return rates


def verdict(
    low: float, high: float, words: Sequence[str] = ("rises", "falls", "not decided")
) -> str:
    """Describe the sign of an interval: above 0, below 0, or not decided."""
    return words[0] if low > 0 else words[1] if high < 0 else words[2]


@cache
def load_test_task(name: str) -> RetrievalTask:
    """Return the text-to-image task of all trials; its groups are concepts, or images."""
    check_choice(name, CORPORA, "corpus")
    return icons.task("test") if name == "icons" else scenes.task("test", n_images=N_TEST_SCENES)


def compare_losses(
    corpus: str, encoders: str, batch_size: int, reference: str = "InfoNCE"
) -> list[dict]:
    """Compare every loss with a reference by R@1 from text to image, averaged over the seeds.

    The seeds are fixed and the queries drawn anew; `interval` of a difference of two `by_seed`
    fixes the queries and draws the seeds anew.

    Returns:
        Rows `loss`, `difference` in points with `low` and `high` (paired bootstrap over concepts or
        images), `p` (paired randomisation), `holm` (adjusted for all rows) and `n_queries`.
    """
    check_choice(reference, OBJECTIVES, "reference")
    groups = load_test_task(corpus).query_groups
    base = 100 * seed_averaged_hits(corpus, encoders, reference, batch_size)
    rows = []
    for loss in OBJECTIVES:
        if loss != reference:
            hits = 100 * seed_averaged_hits(corpus, encoders, loss, batch_size)
            test = compare_systems(hits, base, groups)
            row = {"loss": loss, "difference": test.mean_a - test.mean_b}
            rows.append(row | {"low": test.low, "high": test.high, "p": test.p_value})
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row |= {"holm": float(adjusted), "n_queries": len(base)}
    return rows


def batch_size_changes(
    small: int, large: int, metric: str = METRICS[0], frame: pd.DataFrame | None = None, **setting
) -> list[dict]:
    """Compute what a larger batch changes for every loss, at the same number of pairs.

    Returns:
        Rows `loss`, `small` and `large` (means in percent), `value`, `low`, `high` (paired
        difference over seeds, in points) and `verdict`.
    """
    rows = []
    for loss in OBJECTIVES:
        where = setting | {"loss": loss}
        first, last = (by_seed(metric, frame, batch_size=n, **where) for n in (small, large))
        change = interval(last - first)
        row = {"loss": loss, "small": float(first.mean()), "large": float(last.mean())}
        rows.append(row | change | {"verdict": verdict(change["low"], change["high"])})
    return rows


def share_lost(
    loss: str,
    metric: str = METRICS[0],
    frame: pd.DataFrame | None = None,
    *,
    batch_size: int = 128,
    **damage,
) -> pd.Series:
    """Compute the loss of a hit rate by damage, in percent of the undamaged rate of each seed.

    A share, not points: a low rate cannot lose many points. `damage` is noise, repeats or tell.
    """
    where = {"corpus": "icons", "encoders": "heads", "loss": loss, "batch_size": batch_size}
    whole, damaged = by_seed(metric, frame, **where), by_seed(metric, frame, **where, **damage)
    return (100 * (whole - damaged) / whole).dropna()  # fewer seeds were spent on damage


def chance(name: str, k: int) -> float:
    """Compute R@k from text to image of a random order of the gallery, in percent."""
    task = load_test_task(name)
    counts = task.qrels.at_least(task.hit_grade).counts
    return 100 * chance_of(counts, len(task.gallery), [k], k)[f"R@{k}"]


def count_collapses(encoders: str = "full", frame: pd.DataFrame | None = None) -> list[dict]:
    """Count the collapsed trials of each loss: mean cosine of all images, or all texts, too high.

    A hit rate near chance does not count: an open space after little training has it too.

    Returns:
        Rows `corpus`, `loss`, `batch_size`, `collapsed`, `seeds` measured, their mean `COSINES` and
        `most`, the mean over seeds of the larger of the two cosines that count.
    """
    trials = select_trials(frame, encoders=encoders, **WHOLE).dropna(subset=list(COSINES))
    if trials.empty:
        raise RetrievalInputError(
            f"no cosines are stored for encoders {encoders!r}; run those trials again"
        )
    most = trials[["cosine images", "cosine texts"]].max(axis=1)
    trials = trials.assign(most=most, collapsed=most > COLLAPSED, seeds=1)
    totals = {"collapsed": "sum", "seeds": "sum"} | dict.fromkeys([*COSINES, "most"], "mean")
    table = trials.groupby(["corpus", "loss", "batch_size"], sort=False).agg(totals)
    return table.reset_index().to_dict("records")


def agreement(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Compute Spearman's rank correlation of two lists and its exact two-sided p-value.

    rho = corr(ranks of first, ranks of second)
    p = share of all n! orders of the second list with |rho'| >= |rho|,  n from 3 to 8
    """
    ranks = [rankdata(values) for values in (first, second)]
    n = len(ranks[0])
    if len(ranks[1]) != n or not 3 <= n <= 8 or min(np.ptp(r) for r in ranks) == 0:
        raise RetrievalInputError(
            f"agreement needs two lists of 3 to 8 numbers that are not all equal, got {list(first)}"
            f" and {list(second)}"
        )
    a, b = (r - r.mean() for r in ranks)
    orders = np.array(list(permutations(b)))  # (n!, n)
    norm = np.sqrt((a @ a) * (b @ b))
    rho = float(a @ b / norm)
    return rho, float(np.mean(np.abs(orders @ a) / norm >= abs(rho) - 1e-9))


def winner_by_one_seed(
    name: str, encoders: str, metric: str = METRICS[0], frame: pd.DataFrame | None = None
) -> list[dict]:
    """Choose the best loss and batch size by one seed, and score it by the other seeds.

    Returns:
        Rows `seed`, `loss` and `batch_size` of the winner, its hit rate in percent by this seed
        (`reported`) and on average by all the others (`again`).
    """
    trials = select_trials(frame, corpus=name, encoders=encoders, **WHOLE)
    grid = trials.pivot(index=["loss", "batch_size"], columns="seed", values=metric)
    if grid.shape[1] < 2:
        raise RetrievalInputError(
            f"there must be at least 2 seeds, got {grid.shape[1]}; the others score the winner"
        )
    rows = []
    for seed in grid.columns:
        loss, size = winner = grid[seed].idxmax()
        rest = float(grid.loc[winner].drop(seed).mean())
        row = {"seed": int(seed), "loss": loss, "batch_size": int(size)}
        rows.append(row | {"reported": float(grid.at[winner, seed]), "again": rest})
    return rows
