"""Tables of the committed comparison of losses: means over seeds, paired differences, cost of damage."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
from scipy.stats import t

from lib.benchmarks.loss_quality import N_TEST_SCENES
from lib.benchmarks.loss_trials import committed, seed_averaged_hits
from lib.checks import check_choice
from lib.datasets import icons, scenes
from lib.metrics import holm, paired_bootstrap_interval, paired_randomization
from lib.objectives import OBJECTIVES

SETTING = ["corpus", "encoders", "loss", "batch_size", "noise", "repeats", "tell"]
METRICS = ("R@1 text_to_image", "R@10 text_to_image", "R@1 image_to_text", "R@10 image_to_text")


def means(metric: str = METRICS[0], frame: pd.DataFrame | None = None, **setting) -> list[dict]:
    """Mean over seeds of one hit rate, with its 95% interval from Student's t, one row per setting.

        mean +- t_{0.975, n - 1} s / sqrt(n),  s the standard deviation over n seeds

    The interval speaks of weights, order and damage drawn anew; queries and gallery stay.

    Args:
        metric: one of `METRICS`, in percent.
        frame: trials; the committed ones by default.
        setting: columns that must have a value, for example `corpus="icons", batch_size=64`.

    Returns:
        Rows of the setting, `value`, `low`, `high` and `seeds`, in the order of the trials.
    """
    check_choice(metric, METRICS, "metric")
    frame = committed() if frame is None else frame
    for column, wanted in setting.items():
        frame = frame[frame[check_choice(column, SETTING, "setting")] == wanted]
    rows = []
    for values, group in frame.groupby(SETTING, sort=False)[metric]:
        n, mean, spread = len(group), group.mean(), group.std(ddof=1)
        half = t.ppf(0.975, n - 1) * spread / np.sqrt(n) if n > 1 else np.nan
        rows.append(dict(zip(SETTING, values, strict=True)))
        rows[-1] |= {"value": mean, "low": mean - half, "high": mean + half, "seeds": n}
    return rows


@cache
def _clusters(corpus: str) -> np.ndarray:
    """What a query of the test split belongs to: a concept, or an image."""
    if corpus == "icons":
        return icons.task("test").query_groups
    return np.arange(N_TEST_SCENES * scenes.N_CAPTIONS) // scenes.N_CAPTIONS


def compared(corpus: str, encoders: str, batch_size: int, reference: str = "InfoNCE") -> list[dict]:
    """Every loss against one of them, on the same queries: R@1 from text to image, averaged over the seeds.

    Args:
        corpus, encoders, batch_size: which trials.
        reference: the loss the others are compared with.

    Returns:
        Rows `loss`, `difference` in points with `low` and `high` (paired bootstrap over concepts or images),
        `p` (paired randomisation) and `holm` (adjusted for the five comparisons).
    """
    check_choice(reference, OBJECTIVES, "reference")
    groups = _clusters(corpus)
    base = 100 * seed_averaged_hits(corpus, encoders, reference, batch_size)
    rows = []
    for loss in OBJECTIVES:
        if loss == reference:
            continue
        hits = 100 * seed_averaged_hits(corpus, encoders, loss, batch_size)
        low, high = paired_bootstrap_interval(hits, base, groups)
        p = paired_randomization(hits, base, groups).p_value
        rows.append({"loss": loss, "difference": hits.mean() - base.mean(), "low": low, "high": high, "p": p})
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["holm"] = adjusted
    return rows
