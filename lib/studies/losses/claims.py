"""Test claims of the literature about each loss on the committed trials."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import pandas as pd

from lib.studies.losses.train_trial import CORPORA
from lib.studies.losses.trial_grid import BATCH_SIZES, NOISE
from lib.studies.losses.trial_statistics import by_seed, interval, share_lost, verdict

SMALL, MIDDLE, LARGE, LARGEST = 16, 64, 256, 512
METRICS = ("R@1", "R@10")
VERDICTS = ("agrees", "contradicts", "not decided")


@dataclass(frozen=True)
class Claim:
    """State a claim as a quantity that is above 0 where it holds."""

    loss: str
    says: str
    source: str
    measured: str  # the quantity in words with its unit; R is the hit rate, R@1 or R@10
    # (trials, corpus, "R@1" or "R@10") -> the quantity, one number per seed
    values: Callable[[pd.DataFrame | None, str, str], pd.Series]
    corpora: tuple[str, ...] = CORPORA  # corpora with trials that can decide it


def _rate(
    frame,
    corpus: str,
    rate: str,
    loss: str,
    batch_size: int,
    encoders: str = "heads",
    direction: str = "text_to_image",
):
    where = {"corpus": corpus, "encoders": encoders, "loss": loss, "batch_size": batch_size}
    return by_seed(f"{rate} {direction}", frame, **where)


def _gain(better: str, worse: str, *where):
    """Return the points by which one loss is ahead of another."""
    return lambda frame, corpus, rate: (
        _rate(frame, corpus, rate, better, *where) - _rate(frame, corpus, rate, worse, *where)
    )


def _growth(loss: str, small: int = SMALL, large: int = LARGE):
    """Return the points gained from a small batch to a large one."""
    return lambda *where: _rate(*where, loss, large) - _rate(*where, loss, small)


def _steadier(steady: str, other: str):
    """Return the points by which a loss varies less over all batch sizes than another."""

    def reach(where, loss: str) -> pd.Series:
        table = pd.concat([_rate(*where, loss, size) for size in BATCH_SIZES["heads"]], axis=1)
        return table.max(axis=1) - table.min(axis=1)

    return lambda *where: reach(where, other) - reach(where, steady)


def _sturdier(sturdy: str, other: str, noise: float = NOISE[-1]):
    """Return the percent that a loss keeps under wrong labels and another loses."""

    def lost(loss: str, frame, rate: str) -> pd.Series:
        return share_lost(loss, f"{rate} text_to_image", frame, noise=noise)

    return lambda frame, corpus, rate: lost(other, frame, rate) - lost(sturdy, frame, rate)


_GROWN = "R at {} minus R at {} (points)"
_AHEAD = "R ahead of {}, B = {} (points)"
_STEADY = f"range of R over all {len(BATCH_SIZES['heads'])} B, {{}} minus this (points)"
_LOST = f"share lost at {NOISE[-1]:.0%} wrong labels, {{}} minus this (%)"
CLAIMS = (
    Claim(
        "InfoNCE", "a large batch helps", "SimCLR 2020, CLIP 2021",
        _GROWN.format(LARGE, SMALL), _growth("InfoNCE"),
    ),
    Claim(
        "InfoNCE", "the larger the batch, the better", "folklore",
        _GROWN.format(LARGEST, MIDDLE), _growth("InfoNCE", MIDDLE, LARGEST),
    ),
    Claim(
        "InfoNCE", "a softmax over the batch beats triplets", "N-pair 2016",
        _AHEAD.format("triplet, all", MIDDLE), _gain("InfoNCE", "triplet, all", MIDDLE),
    ),
    Claim(
        "InfoNCE", "both directions serve the way back", "CLIP 2021",
        "R image to text ahead of MNR, B = 64 (points)",
        _gain("InfoNCE", "MNR", MIDDLE, "heads", "image_to_text"),
    ),
    Claim(
        "MNR", "a large batch helps", "Henderson 2017, SBERT docs",
        _GROWN.format(LARGE, SMALL), _growth("MNR"),
    ),
    Claim(
        "sigmoid", "ahead of softmax at a small batch", "SigLIP 2023",
        _AHEAD.format("InfoNCE", SMALL), _gain("sigmoid", "InfoNCE", SMALL),
    ),
    Claim(
        "sigmoid", "depends on the batch less than softmax", "SigLIP 2023",
        _STEADY.format("InfoNCE"), _steadier("sigmoid", "InfoNCE"),
    ),
    Claim(
        "sigmoid", "bears wrong labels better than softmax", "SigLIP 2023",
        _LOST.format("InfoNCE"), _sturdier("sigmoid", "InfoNCE"), ("icons",),
    ),
    Claim(
        "triplet, all", "depends on the batch less than softmax", "folklore",
        _STEADY.format("InfoNCE"), _steadier("triplet, all", "InfoNCE"),
    ),
    Claim(
        "triplet, semi-hard", "ahead of all negatives", "FaceNet 2015",
        _AHEAD.format("triplet, all", MIDDLE), _gain("triplet, semi-hard", "triplet, all", MIDDLE),
    ),
    Claim(
        "triplet, semi-hard", "from scratch, safer than the hardest", "FaceNet 2015",
        "full encoders: R ahead of triplet, hard, B = 64 (points)",
        _gain("triplet, semi-hard", "triplet, hard", MIDDLE, "full"),
    ),
    Claim(
        "triplet, hard", "ahead of all negatives, small batch", "VSE++ 2018",
        _AHEAD.format("triplet, all", SMALL), _gain("triplet, hard", "triplet, all", SMALL),
    ),
    Claim(
        "triplet, hard", "ahead of all negatives", "VSE++ 2018",
        _AHEAD.format("triplet, all", 128), _gain("triplet, hard", "triplet, all", 128),
    ),
    Claim(
        "triplet, all", "bears wrong labels better than the hardest", "FaceNet 2015",
        _LOST.format("triplet, hard"), _sturdier("triplet, all", "triplet, hard"), ("icons",),
    ),
)  # fmt: skip


def judge_claims(frame: pd.DataFrame | None = None) -> list[dict]:
    """Judge every claim: an interval above 0 agrees, below 0 contradicts, else it is not decided.

    Returns:
        Rows `loss`, `the field says`, `source`, `measured`, one `(value, low, high)` per corpus and
        hit rate (None without such trials), and `verdict`: one if both hit rates agree, else both.
    """
    rows = []
    for claim in CLAIMS:
        row = {"loss": claim.loss, "the field says": claim.says, "source": claim.source}
        row["measured"] = claim.measured
        by_rate = {}
        for rate in METRICS:
            verdicts = {}
            for corpus in claim.corpora:
                measured = interval(claim.values(frame, corpus, rate))
                row[f"{corpus}, {rate}"] = measured["value"], measured["low"], measured["high"]
                verdicts[corpus] = verdict(measured["low"], measured["high"], VERDICTS)
            by_rate[rate] = combine_verdicts(verdicts)
        cells = {f"{corpus}, {rate}": (None,) * 3 for corpus, rate in product(CORPORA, METRICS)}
        verdict_text = "; ".join(f"{rate}: {text}" for rate, text in by_rate.items())
        if len(set(by_rate.values())) == 1:
            verdict_text = by_rate[METRICS[0]]
        rows.append(row | cells | row | {"verdict": verdict_text})
    return rows


def combine_verdicts(verdicts: dict[str, str]) -> str:
    """Combine the verdicts of the corpora: one if they agree, else the decided ones by name."""
    if len(set(verdicts.values())) == 1:
        return next(iter(verdicts.values()))
    decided = {corpus: text for corpus, text in verdicts.items() if text != VERDICTS[2]}
    return ", ".join(f"{text} on {corpus}" for corpus, text in decided.items())
