"""What the committed trials of the losses say: means over seeds, paired differences, cost of
damage.
"""

from collections.abc import Sequence
from functools import cache
from itertools import permutations

import numpy as np
import pandas as pd
from scipy.stats import rankdata, t

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.task import RetrievalTask
from lib.datasets import icons, scenes
from lib.metrics import chance_of, holm, paired_bootstrap_interval, paired_randomization
from lib.studies.losses.train_trial import CORPORA, COSINES, N_TEST_SCENES
from lib.studies.losses.trial_grid import SETTING, committed, seed_averaged_hits
from lib.training.objectives import OBJECTIVES

METRICS = ("R@1 text_to_image", "R@10 text_to_image", "R@1 image_to_text", "R@10 image_to_text")
WHOLE = {"noise": 0.0, "repeats": 0.0, "tell": True}  # nothing is damaged
COLLAPSED = 0.9  # mean cosine of two images, or of two texts; random directions have 0


def chosen(frame: pd.DataFrame | None = None, **setting) -> pd.DataFrame:
    """The trials of a setting, such as `corpus="icons", batch_size=64`; the committed ones by
    default.
    """
    frame = committed() if frame is None else frame
    for column, wanted in setting.items():
        frame = frame[frame[check_choice(column, SETTING, "setting")] == wanted]
    return frame


def interval(values: Sequence[float]) -> dict:
    """Mean over seeds with its 95% interval from Student's t.

        mean +- t_{0.975, n - 1} s / sqrt(n),  s the standard deviation over n seeds, with n - 1
        below

    The interval speaks of weights, order and damage drawn anew; queries and gallery stay.

    Args:
        values: one number per seed, for example the difference of two `by_seed`.

    Returns:
        `value`, `low`, `high` and `seeds`; a single seed has no interval: NaN.

    Raises:
        RetrievalInputError: no values, or one that is not finite, as where two settings share no
            seed.
    """
    values = np.asarray(values, dtype=np.float64)
    n = values.size
    if n == 0 or not np.isfinite(values).all():
        raise RetrievalInputError(
            f"an interval over seeds needs finite numbers, one per seed, got {values.tolist()};"
            " were both settings run with the same seeds?"
        )
    half = float(t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
    mean = float(values.mean())
    return {"value": mean, "low": mean - half, "high": mean + half, "seeds": n}


def means(metric: str = METRICS[0], frame: pd.DataFrame | None = None, **setting) -> list[dict]:
    """`interval` of one hit rate for every setting, damaged or not.

    Args:
        metric: one of `METRICS`, in percent.
        frame: trials; the committed ones by default.
        setting: columns that must have a value, for example `corpus="icons", batch_size=64`.

    Returns:
        Rows of the setting, `value`, `low`, `high` and `seeds`, in the order of the trials.
    """
    check_choice(metric, METRICS, "metric")
    by_setting = chosen(frame, **setting).groupby(list(SETTING), sort=False)[metric]
    return [
        dict(zip(SETTING, values, strict=True)) | interval(group.to_numpy())
        for values, group in by_setting
    ]


def by_seed(metric: str = METRICS[0], frame: pd.DataFrame | None = None, **setting) -> pd.Series:
    """One hit rate of one setting, seed by seed: what paired differences over seeds are made of.

    Two trials with the same seed saw the same pairs in the same order, so that the luck of the
    order is in both and cancels.

    Args:
        metric: one of `METRICS`, in percent.
        frame: trials; the committed ones by default.
        setting: corpus, encoders, loss and batch_size; without noise, repeats or tell nothing is
            damaged.

    Returns:
        Percent, indexed by seed.

    Raises:
        RetrievalInputError: no such trials, or several of one seed, because the setting leaves a
            choice.
    """
    check_choice(metric, METRICS, "metric")
    found = chosen(frame, **(WHOLE | setting)).set_index("seed")[metric].sort_index()
    if found.empty or found.index.has_duplicates:
        many = "several trials of one seed" if len(found) else "no trials"
        raise RetrievalInputError(
            f"{many} for {setting}; give corpus, encoders, loss and batch_size"
        )
    return found


def verdict(
    low: float, high: float, words: Sequence[str] = ("rises", "falls", "not decided")
) -> str:
    """What an interval says about the sign: above 0, below 0, or that it holds 0 (or is NaN)."""
    return words[0] if low > 0 else words[1] if high < 0 else words[2]


@cache
def test_task(name: str) -> RetrievalTask:
    """The task from text to image on which all trials were judged; its groups are concepts, or
    images.
    """
    check_choice(name, CORPORA, "corpus")
    return icons.task("test") if name == "icons" else scenes.task("test", n_images=N_TEST_SCENES)


def compared(corpus: str, encoders: str, batch_size: int, reference: str = "InfoNCE") -> list[dict]:
    """Every loss against one of them, on the same queries: R@1 from text to image, averaged over
    the seeds.

    Args:
        corpus, encoders, batch_size: which trials.
        reference: the loss the others are compared with.

    Returns:
        Rows `loss`, `difference` in points with `low` and `high` (paired bootstrap over concepts or
        images), `p` (paired randomisation), `holm` (adjusted for the five comparisons) and
        `n_queries`.

    Relations: `interval` of a difference of two `by_seed` holds the queries fixed and draws the
    seeds anew; this holds the seeds fixed and draws the queries anew.
    """
    check_choice(reference, OBJECTIVES, "reference")
    groups = test_task(corpus).query_groups
    base = 100 * seed_averaged_hits(corpus, encoders, reference, batch_size)
    rows = []
    for loss in OBJECTIVES:
        if loss == reference:
            continue
        hits = 100 * seed_averaged_hits(corpus, encoders, loss, batch_size)
        low, high = paired_bootstrap_interval(hits, base, groups)
        p = paired_randomization(hits, base, groups).p_value
        rows.append(
            {
                "loss": loss,
                "difference": hits.mean() - base.mean(),
                "low": low,
                "high": high,
                "p": p,
            }
        )
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row |= {"holm": float(adjusted), "n_queries": len(base)}
    return rows


def changes(
    small: int, large: int, metric: str = METRICS[0], frame: pd.DataFrame | None = None, **setting
) -> list[dict]:
    """What a larger batch does to every loss, at the same number of pairs.

    Args:
        small, large: batch sizes.
        metric, frame: as of `by_seed`.
        setting: corpus and encoders.

    Returns:
        Rows `loss`, `small` and `large` (means in percent), `value`, `low`, `high` (of the paired
        difference over seeds, in points) and `verdict`.
    """
    rows = []
    for loss in OBJECTIVES:
        ends = [
            by_seed(metric, frame, loss=loss, batch_size=size, **setting) for size in (small, large)
        ]
        change = interval(ends[1] - ends[0])
        row = {
            "loss": loss,
            "small": float(ends[0].mean()),
            "large": float(ends[1].mean()),
            **change,
        }
        rows.append(row | {"verdict": verdict(change["low"], change["high"])})
    return rows


def share_lost(
    loss: str,
    metric: str = METRICS[0],
    frame: pd.DataFrame | None = None,
    *,
    batch_size: int = 128,
    **damage,
) -> pd.Series:
    """What damage takes from a hit rate, in percent of what the same seed reaches without it.

    A share, not points: who has little cannot lose many points.

    Args:
        loss: a name of `lib.training.objectives.OBJECTIVES`.
        metric, frame: as of `by_seed`.
        batch_size: at which the damaged trials were run.
        damage: noise, repeats, tell.
    """
    where = {"corpus": "icons", "encoders": "heads", "loss": loss, "batch_size": batch_size}
    whole, damaged = by_seed(metric, frame, **where), by_seed(metric, frame, **where, **damage)
    return (100 * (whole - damaged) / whole).dropna()  # fewer seeds were spent on damage


def chance(name: str, k: int) -> float:
    """R@k from text to image of a random order of the gallery, in percent."""
    task = test_task(name)
    counts = task.qrels.at_least(task.hit_grade).counts
    return 100 * chance_of(counts, len(task.gallery), [k], k)[f"R@{k}"]


def collapses(encoders: str = "full", frame: pd.DataFrame | None = None) -> list[dict]:
    """Counts the collapsed trials of each loss: all images, or all texts, lie in nearly one place.

    Measured by the mean cosine of two images and of two texts of the test split, above `COLLAPSED`.
    The cosine of wrong pairs is high only where both modalities collapse into the same place. A hit
    rate near chance does not count: an open space that has learnt little has it too.

    Args:
        encoders: "full", or "heads" where the trials have cosines.
        frame: trials; the committed ones by default.

    Returns:
        Rows `corpus`, `loss`, `batch_size`, `collapsed`, `seeds` measured, their mean `COSINES` and
        `most`, the mean over seeds of the larger of the two that count.

    Raises:
        RetrievalInputError: no trial has cosines.
    """
    trials = chosen(frame, encoders=encoders, **WHOLE).dropna(subset=list(COSINES))
    if trials.empty:
        raise RetrievalInputError(
            f"no cosines are stored for encoders {encoders!r}; run those trials again"
        )
    most = trials[["cosine images", "cosine texts"]].max(axis=1)
    trials = trials.assign(most=most, collapsed=most > COLLAPSED)
    rows = []
    for key, found in trials.groupby(["corpus", "loss", "batch_size"], sort=False):
        row = dict(zip(("corpus", "loss", "batch_size"), key, strict=True))
        row |= {"collapsed": int(found["collapsed"].sum()), "seeds": len(found)}
        rows.append(row | found[[*COSINES, "most"]].mean().to_dict())
    return rows


def agreement(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Spearman's rank correlation of two lists, and its exact two-sided p-value.

        rho = corr(ranks of first, ranks of second)
        p = share of all orders of the second list with |rho'| >= |rho|;  at least 2 / n! without
        ties

    Args:
        first, second: (n,) numbers of the same things, n from 3 to 8: all n! orders are tried.

    Returns:
        rho and p.

    Raises:
        RetrievalInputError: different lengths, fewer than 3 or more than 8, or a list of equal
            numbers.
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


def luck(
    name: str, encoders: str, metric: str = METRICS[0], frame: pd.DataFrame | None = None
) -> list[dict]:
    """Pick the best loss and batch size by one seed: how much of its score do the other seeds
    confirm?

    Args:
        name: of the corpus.
        encoders: "heads" or "full".
        metric, frame: as of `by_seed`.

    Returns:
        One row per seed: `seed`, the winner's `loss` and `batch_size`, its hit rate by this seed
        (`reported`) and on average by all the others (`again`), in percent.

    Raises:
        RetrievalInputError: fewer than two seeds.
    """
    trials = chosen(frame, corpus=name, encoders=encoders, **WHOLE)
    grid = trials.pivot(index=["loss", "batch_size"], columns="seed", values=metric)
    if grid.shape[1] < 2:
        raise RetrievalInputError(
            f"{grid.shape[1]} seeds; luck shows only when another seed is tried"
        )
    rows = []
    for seed in grid.columns:
        loss, size = winner = grid[seed].idxmax()
        rest = float(grid.loc[winner].drop(seed).mean())
        row = {"seed": int(seed), "loss": loss, "batch_size": int(size)}
        rows.append(row | {"reported": float(grid.at[winner, seed]), "again": rest})
    return rows
