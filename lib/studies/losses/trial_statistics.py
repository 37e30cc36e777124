"""Read the committed trials: hit rates by seed, the mean over seeds with its interval, verdicts."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd
from scipy.stats import t

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.task import RetrievalTask
from lib.datasets import icons, scenes
from lib.studies.losses.train_trial import CORPORA, N_TEST_SCENES
from lib.studies.losses.trial_grid import SETTING, committed_trials

METRICS = ("R@1 text_to_image", "R@10 text_to_image", "R@1 image_to_text", "R@10 image_to_text")
WHOLE = {"noise": 0.0, "repeats": 0.0, "tell": True}  # no damage

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
