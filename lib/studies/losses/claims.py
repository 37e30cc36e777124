"""What the field says about each loss, and what the committed trials say about that."""

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
    """A sentence of the field, as a quantity that it says is above 0.

    Args:
        loss: the loss it is about.
        says: the claim, short.
        source: where it comes from.
        measured: what is above 0 if it holds, in words with its unit; R is the hit rate, R@1 or
            R@10.
        values: `(trials, corpus, "R@1" or "R@10") -> that quantity, one per seed`.
        corpora: where there are trials that can decide it.
    """

    loss: str
    says: str
    source: str
    measured: str
    values: Callable[[pd.DataFrame | None, str, str], pd.Series]
    corpora: tuple[str, ...] = CORPORA


def _rate(
    frame,
    corpus: str,
    rate: str,
    loss: str,
    batch_size: int,
    encoders: str = "heads",
    way: str = "",
):
    where = {"corpus": corpus, "encoders": encoders, "loss": loss, "batch_size": batch_size}
    return by_seed(f"{rate} {way or 'text_to_image'}", frame, **where)


def _gain(better: str, worse: str, *where):
    """Points by which one loss is ahead of another."""
    return lambda frame, corpus, rate: (
        _rate(frame, corpus, rate, better, *where) - _rate(frame, corpus, rate, worse, *where)
    )


def _growth(loss: str, small: int = SMALL, large: int = LARGE):
    """Points gained from a small batch to a large one."""
    return lambda *where: _rate(*where, loss, large) - _rate(*where, loss, small)


def _steadier(steady: str, other: str):
    """Points by which a loss varies less over all batch sizes that were run than another."""

    def reach(where, loss: str) -> pd.Series:
        table = pd.concat([_rate(*where, loss, size) for size in BATCH_SIZES["heads"]], axis=1)
        return table.max(axis=1) - table.min(axis=1)

    return lambda *where: reach(where, other) - reach(where, steady)


def _sturdier(sturdy: str, other: str, noise: float = NOISE[-1]):
    """Percent of its hit rate that a loss keeps under wrong labels where another loses it."""

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


def judged(frame: pd.DataFrame | None = None) -> list[dict]:
    """Every claim with the measured quantity in each corpus by both hit rates, and whether the
    trials agree.

    An interval above 0 agrees, one below 0 contradicts, one that holds 0 decides nothing.

    Args:
        frame: trials; the committed ones by default.

    Returns:
        Rows `loss`, `the field says`, `source`, `measured`, one `(value, low, high)` per corpus and
        hit rate, as "icons, R@1" (None where there are no such trials), and `verdict`: one if both
        hit rates give the same, else one for each.
    """
    rows = []
    for claim in CLAIMS:
        row = {"loss": claim.loss, "the field says": claim.says, "source": claim.source}
        row["measured"] = claim.measured
        verdicts: dict[str, dict[str, str]] = {rate: {} for rate in METRICS}
        for corpus, rate in product(CORPORA, METRICS):
            row[f"{corpus}, {rate}"] = (None, None, None)
            if corpus in claim.corpora:
                found = interval(claim.values(frame, corpus, rate))
                row[f"{corpus}, {rate}"] = found["value"], found["low"], found["high"]
                verdicts[rate][corpus] = verdict(found["low"], found["high"], VERDICTS)
        by_rate = {rate: together(found) for rate, found in verdicts.items()}
        same = len(set(by_rate.values())) == 1
        said = (
            by_rate[METRICS[0]]
            if same
            else "; ".join(f"{rate}: {word}" for rate, word in by_rate.items())
        )
        rows.append(row | {"verdict": said})
    return rows


def together(verdicts: dict[str, str]) -> str:
    """One verdict of those of the corpora: theirs if they are one, else who says what."""
    if len(set(verdicts.values())) == 1:
        return next(iter(verdicts.values()))
    decided = {corpus: said for corpus, said in verdicts.items() if said != VERDICTS[2]}
    return ", ".join(f"{said} on {corpus}" for corpus, said in decided.items())
