"""The tables of notebook 08, from the committed trials: rows as `report.quality` takes them."""

import numpy as np
import pandas as pd

from lib.studies.losses.claims import LARGE, SMALL
from lib.studies.losses.saved_tensor_bytes import matrices_kept
from lib.studies.losses.train_trial import CORPORA, COSINES, RATES
from lib.studies.losses.trial_grid import NOISE, REPEATS
from lib.studies.losses.trial_statistics import (
    WHOLE,
    agreement,
    by_seed,
    chance,
    changes,
    chosen,
    collapses,
    compared,
    interval,
    luck,
    means,
    share_lost,
    test_task,
    verdict,
)
from lib.training.objectives import OBJECTIVES

FAMILIES = {
    "InfoNCE": "softmax",
    "MNR": "softmax",
    "sigmoid": "sigmoid",
}  # all others are triplet losses


def triple(found: dict) -> tuple[float, float, float]:
    """Value and interval of a row, as one cell of a table."""
    return found["value"], found["low"], found["high"]


def family(loss: str) -> str:
    """ "softmax", "sigmoid" or "triplet"."""
    return FAMILIES.get(loss, "triplet")


def design(frame: pd.DataFrame | None = None) -> list[dict]:
    """What was run, and on which test splits it was judged."""
    frame = chosen(frame)
    damaged = np.where((frame["noise"] > 0) | (frame["repeats"] > 0), "yes", "no")
    rows = []
    for (corpus, encoders, spoilt), trials in frame.groupby(
        ["corpus", "encoders", damaged], sort=False
    ):
        row = {"corpus": corpus, "encoders": encoders, "damaged": spoilt, "trials": len(trials)}
        row |= {"losses": trials["loss"].nunique(), "seeds": trials["seed"].nunique()}
        row["batch sizes"] = " ".join(str(size) for size in sorted(trials["batch_size"].unique()))
        task = test_task(corpus)
        row |= {"queries": len(task.queries), "gallery": len(task.gallery)}
        rows.append(row | {"R@1 of chance (%)": chance(corpus, 1)})
    return rows


def tuned_rates() -> list[dict]:
    """The tuned peak learning rate of every loss in thousandths, as at a batch of 64, by batch
    size.
    """
    rows = []
    for loss in OBJECTIVES:
        row = {"loss": loss}
        for corpus, encoders in (
            (corpus, encoders) for encoders in ("heads", "full") for corpus in CORPORA
        ):
            by_size = RATES[corpus, encoders, loss].items()
            row[f"{corpus}, {encoders}"] = ", ".join(
                f"{size}: {1000 * rate:g}" for size, rate in by_size
            )
        rows.append(row)
    return rows


def at_one_size(batch_size: int, encoders: str = "heads") -> list[dict]:
    """Both directions with intervals over seeds, and the difference from InfoNCE over queries."""
    rows = []
    for corpus in CORPORA:
        against = {found["loss"]: found for found in compared(corpus, encoders, batch_size)}
        for found in means(corpus=corpus, encoders=encoders, batch_size=batch_size, **WHOLE):
            where = {name: found[name] for name in ("corpus", "encoders", "loss", "batch_size")}
            other = against.get(found["loss"], dict.fromkeys(("difference", "low", "high", "holm")))
            row = {"corpus": corpus, "loss": found["loss"], "text to image": triple(found)}
            row["image to text"] = triple(interval(by_seed("R@1 image_to_text", **where)))
            row["minus InfoNCE"] = other["difference"], other["low"], other["high"]
            rows.append(row | {"p (Holm)": other["holm"]})
    return rows


def leader(corpus: str, encoders: str, batch_size: int) -> dict:
    """The best loss by its mean, and how far it is ahead of the best loss of another family.

    Returns:
        `loss`, its `family`, the `rival`, and `value`, `low`, `high` of the lead in points, paired
        by seed.
    """
    where = {"corpus": corpus, "encoders": encoders, "batch_size": batch_size}
    rates = {loss: by_seed(loss=loss, **where) for loss in OBJECTIVES}
    first, *others = sorted(rates, key=lambda loss: -rates[loss].mean())
    rival = next(loss for loss in others if family(loss) != family(first))
    return {"loss": first, "family": family(first), "rival": rival} | interval(
        rates[first] - rates[rival]
    )


def flattery(encoders: str = "heads") -> list[dict]:
    """The best setting by one seed: what that seed reports, and what the others find; see
    `luck`.
    """
    rows = []
    for corpus in CORPORA:
        found = luck(corpus, encoders)
        row = {"corpus": corpus, "seeds": len(found)}
        row["different winners"] = len({(one["loss"], one["batch_size"]) for one in found})
        row["reported (%)"] = float(np.mean([one["reported"] for one in found]))
        row["by the other seeds (%)"] = float(np.mean([one["again"] for one in found]))
        too_much = interval([one["reported"] - one["again"] for one in found])
        rows.append(row | {"too much (points)": triple(too_much)})
    return rows


def change_rows(small: int = SMALL, large: int = LARGE, encoders: str = "heads") -> list[dict]:
    """What a larger batch does to every loss on every corpus; see `changes`."""
    return [
        {
            "corpus": corpus,
            "loss": found["loss"],
            f"B = {small}": found["small"],
            f"B = {large}": found["large"],
        }
        | {"change": triple(found), "R@1": found["verdict"]}
        for corpus in CORPORA
        for found in changes(small, large, corpus=corpus, encoders=encoders)
    ]


def heads_and_full(
    corpus: str, batch_size: int
) -> tuple[dict[str, tuple[float, float]], float, float]:
    """Mean R@1 of every loss with heads and from scratch, and how far the two orders agree.

    Returns:
        `{loss: (heads, full)}` in percent, Spearman's rank correlation, and its exact p; see
        `agreement`.
    """
    where = {"corpus": corpus, "batch_size": batch_size}
    found = {
        loss: tuple(
            float(by_seed(loss=loss, encoders=e, **where).mean()) for e in ("heads", "full")
        )
        for loss in OBJECTIVES
    }
    return found, *agreement(*zip(*found.values(), strict=True))


def kept_under_noise() -> dict[str, list[tuple[float, float, float]]]:
    """Share of its R@1 that every loss keeps at each of `NOISE`, in percent with intervals over
    seeds.
    """
    return {
        loss: [triple(interval(100 - share_lost(loss, noise=share))) for share in NOISE]
        for loss in OBJECTIVES
    }


def repeat_rows() -> list[dict]:
    """What repeated pairs cost a loss that is told of the copies, and one that is not."""
    rows = []
    for loss in OBJECTIVES:
        for share in REPEATS:
            told, untold = (share_lost(loss, repeats=share, tell=tell) for tell in (True, False))
            saved = interval(untold - told)
            words = ("helps", "harms", "not decided" if (untold != told).any() else "no difference")
            row = {
                "loss": loss,
                "repeated": f"{share:.0%}",
                "lost, untold (%)": triple(interval(untold)),
            }
            row |= {"lost, told (%)": triple(interval(told)), "saved by telling (%)": triple(saved)}
            rows.append(row | {"telling": verdict(saved["low"], saved["high"], words)})
    return rows


def collapse_rows() -> list[dict]:
    """Every loss with full encoders: means over the runs that have cosines, and how many
    collapsed.
    """
    found, rows = collapses("full"), []
    measured = chosen(encoders="full", **WHOLE).dropna(subset=list(COSINES)).groupby("loss")
    for loss in OBJECTIVES:
        of = measured.get_group(loss)
        row = {"loss": loss} | {name: float(of[name].mean()) for name in COSINES}
        fallen = sum(one["collapsed"] for one in found if one["loss"] == loss)
        row["R@10 (%)"] = float(of["R@10 text_to_image"].mean())
        rows.append(row | {"collapsed": f"{fallen} of {len(of)}"})
    return rows


def usual_table() -> list[dict]:
    """The table of the field (negatives, batch dependency, advantage) with a measurement for each
    word.
    """
    fallen = {row["loss"]: row["collapsed"] for row in collapse_rows()}
    kept, batch = matrices_kept(1024), change_rows()
    rows = []
    for loss, objective in OBJECTIVES.items():
        row = {"loss": loss, "learnt": int(objective.learns_scale) + (objective.bias is not None)}
        for corpus in CORPORA:
            sizes = means(corpus=corpus, encoders="heads", loss=loss, **WHOLE)
            row[f"best B, {corpus}"] = max(sizes, key=lambda found: found["value"])["batch_size"]
        for found in batch:
            if found["loss"] == loss:
                row[f"{SMALL} to {LARGE}, {found['corpus']}"] = found["change"]
        row[f"lost at {NOISE[-1]:.0%} wrong (%)"] = triple(
            interval(share_lost(loss, noise=NOISE[-1]))
        )
        row["collapsed"] = fallen[loss]
        rows.append(row | {"matrices kept": kept[loss]})
    return rows
