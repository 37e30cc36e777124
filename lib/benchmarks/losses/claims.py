"""What the field says about each loss, and what the committed trials say about that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from lib.benchmarks.losses.quality import CORPORA
from lib.benchmarks.losses.shootout import by_seed, interval, share_lost, verdict
from lib.benchmarks.losses.trials import NOISE

SMALL, MIDDLE, LARGE, LARGEST = 16, 64, 256, 512
VERDICTS = ("agrees", "contradicts", "not decided")


@dataclass(frozen=True)
class Claim:
    """A sentence of the field, as a quantity that it says is above 0.

    Args:
        loss: the loss it is about.
        says: the claim, short.
        source: where it comes from.
        measured: what is above 0 if it holds, in words with its unit.
        values: `(trials, corpus) -> that quantity, one per seed`.
        corpora: where there are trials that can decide it.
    """

    loss: str
    says: str
    source: str
    measured: str
    values: Callable[[pd.DataFrame | None, str], pd.Series]
    corpora: tuple[str, ...] = CORPORA


def _rate(frame, corpus: str, loss: str, batch_size: int, encoders: str = "heads", metric: str = "R@1"):
    where = {"corpus": corpus, "encoders": encoders, "loss": loss, "batch_size": batch_size}
    direction = metric if " " in metric else f"{metric} text_to_image"
    return by_seed(direction, frame, **where)


def _gain(better: str, worse: str, batch_size: int, encoders: str = "heads", metric: str = "R@1"):
    """Points by which one loss is ahead of another."""
    return lambda frame, corpus: (
        _rate(frame, corpus, better, batch_size, encoders, metric)
        - _rate(frame, corpus, worse, batch_size, encoders, metric)
    )


def _growth(loss: str, small: int = SMALL, large: int = LARGE):
    """Points gained from a small batch to a large one."""
    return lambda frame, corpus: _rate(frame, corpus, loss, large) - _rate(frame, corpus, loss, small)


def _steadier(steady: str, other: str):
    """Points by which a loss varies less over batch sizes than another."""

    def reach(frame, corpus: str, loss: str) -> pd.Series:
        rates = [_rate(frame, corpus, loss, size) for size in (SMALL, MIDDLE, LARGE)]
        return pd.concat(rates, axis=1).pipe(lambda table: table.max(axis=1) - table.min(axis=1))

    return lambda frame, corpus: reach(frame, corpus, other) - reach(frame, corpus, steady)


def _sturdier(sturdy: str, other: str, noise: float = NOISE[-1]):
    """Percent of its hit rate that a loss keeps under wrong labels where another loses it."""
    return lambda frame, corpus: (
        share_lost(other, frame=frame, noise=noise) - share_lost(sturdy, frame=frame, noise=noise)
    )


_GROWN = "R@1 at {} minus R@1 at {} (points)"
_AHEAD = "R@1 ahead of {}, B = {} (points)"
_STEADY = "range of R@1 over B, {} minus this (points)"
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
        "R@1 image to text ahead of MNR, B = 64 (points)",
        _gain("InfoNCE", "MNR", MIDDLE, metric="R@1 image_to_text"),
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
        "full encoders: R@10 ahead of triplet, hard, B = 64 (points)",
        _gain("triplet, semi-hard", "triplet, hard", MIDDLE, "full", "R@10"),
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


def judged(frame: pd.DataFrame | None = None) -> list[dict]:
    """Every claim with the measured quantity in each corpus, and whether the trials agree.

    An interval above 0 agrees, one below 0 contradicts, one that holds 0 decides nothing.

    Args:
        frame: trials; the committed ones by default.

    Returns:
        Rows `loss`, `the field says`, `source`, `measured`, one `(value, low, high)` per corpus (None where
        there are no such trials) and `verdict`.
    """
    rows = []
    for claim in CLAIMS:
        row = {"loss": claim.loss, "the field says": claim.says, "source": claim.source}
        row["measured"] = claim.measured
        verdicts = {}
        for corpus in CORPORA:
            row[corpus] = (None, None, None)
            if corpus in claim.corpora:
                found = interval(claim.values(frame, corpus))
                row[corpus] = found["value"], found["low"], found["high"]
                verdicts[corpus] = verdict(found["low"], found["high"], VERDICTS)
        rows.append(row | {"verdict": together(verdicts)})
    return rows


def together(verdicts: dict[str, str]) -> str:
    """One verdict of those of the corpora: theirs if they are one, else who says what."""
    if len(set(verdicts.values())) == 1:
        return next(iter(verdicts.values()))
    decided = {corpus: said for corpus, said in verdicts.items() if said != VERDICTS[2]}
    return ", ".join(f"{said} on {corpus}" for corpus, said in decided.items())
