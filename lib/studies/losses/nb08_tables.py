"""Make the tables of notebook 09 from the committed trials, as rows for `report.quality`."""

import numpy as np
import pandas as pd

from lib.studies.losses.claims import LARGE, SMALL
from lib.studies.losses.saved_tensor_bytes import matrices_kept
from lib.studies.losses.train_trial import CORPORA, COSINES, RATES
from lib.studies.losses.trial_grid import NOISE, REPEATS
from lib.studies.losses.trial_statistics import (
    WHOLE,
    agreement,
    batch_size_changes,
    by_seed,
    chance,
    compare_losses,
    count_collapses,
    interval,
    load_test_task,
    means,
    select_trials,
    share_lost,
    verdict,
    winner_by_one_seed,
)
from lib.training.objectives import OBJECTIVES

FAMILIES = {"InfoNCE": "softmax", "MNR": "softmax", "sigmoid": "sigmoid"}  # the others: triplet


def triple(row: dict) -> tuple[float, float, float]:
    """Return value and interval of a row, as one cell of a table."""
    return row["value"], row["low"], row["high"]


def family(loss: str) -> str:
    """Name the family of a loss: "softmax", "sigmoid" or "triplet"."""
    return FAMILIES.get(loss, "triplet")


def design_rows(frame: pd.DataFrame | None = None) -> list[dict]:
    """List the experiments and their test splits."""
    frame = select_trials(frame)
    damaged = np.where((frame["noise"] > 0) | (frame["repeats"] > 0), "yes", "no")
    keys, rows = ["corpus", "encoders", damaged], []
    for (corpus, encoders, damage), trials in frame.groupby(keys, sort=False):
        row = {"corpus": corpus, "encoders": encoders, "damaged": damage, "trials": len(trials)}
        row |= {"losses": trials["loss"].nunique(), "seeds": trials["seed"].nunique()}
        row["batch sizes"] = " ".join(str(size) for size in sorted(trials["batch_size"].unique()))
        task = load_test_task(corpus)
        row |= {"queries": len(task.queries), "gallery": len(task.gallery)}
        rows.append(row | {"R@1 of chance (%)": chance(corpus, 1)})
    return rows


def tuned_rate_rows() -> list[dict]:
    """List the tuned peak learning rates in thousandths, at a batch of 64, by batch size."""
    columns = [(corpus, encoders) for encoders in ("heads", "full") for corpus in CORPORA]
    return [
        {"loss": loss}
        | {
            f"{corpus}, {encoders}": ", ".join(
                f"{size}: {1000 * rate:g}" for size, rate in RATES[corpus, encoders, loss].items()
            )
            for corpus, encoders in columns
        }
        for loss in OBJECTIVES
    ]


def one_size_rows(batch_size: int, encoders: str = "heads") -> list[dict]:
    """Show both directions with intervals over seeds, and the difference from InfoNCE."""
    rows = []
    for corpus in CORPORA:
        against = {row["loss"]: row for row in compare_losses(corpus, encoders, batch_size)}
        for mean in means(corpus=corpus, encoders=encoders, batch_size=batch_size, **WHOLE):
            where = {name: mean[name] for name in ("corpus", "encoders", "loss", "batch_size")}
            other = against.get(mean["loss"], dict.fromkeys(("difference", "low", "high", "holm")))
            row = {"corpus": corpus, "loss": mean["loss"], "text to image": triple(mean)}
            row["image to text"] = triple(interval(by_seed("R@1 image_to_text", **where)))
            row["minus InfoNCE"] = other["difference"], other["low"], other["high"]
            rows.append(row | {"p (Holm)": other["holm"]})
    return rows


def leader(corpus: str, encoders: str, batch_size: int) -> dict:
    """Find the best loss by its mean, and its lead over the best loss of another family.

    Returns:
        `loss`, `family`, `rival`, and `value`, `low`, `high` of the lead in points, paired by seed.
    """
    where = {"corpus": corpus, "encoders": encoders, "batch_size": batch_size}
    rates = {loss: by_seed(loss=loss, **where) for loss in OBJECTIVES}
    best, *others = sorted(rates, key=lambda loss: -rates[loss].mean())
    rival = next(loss for loss in others if family(loss) != family(best))
    lead = interval(rates[best] - rates[rival])
    return {"loss": best, "family": family(best), "rival": rival} | lead


def one_seed_rows(encoders: str = "heads") -> list[dict]:
    """Compare R@1 of the best setting by one seed with R@1 by the other seeds."""
    rows = []
    for corpus in CORPORA:
        winners = pd.DataFrame(winner_by_one_seed(corpus, encoders))
        row = {"corpus": corpus, "seeds": len(winners)}
        row["different winners"] = len(winners[["loss", "batch_size"]].drop_duplicates())
        row["reported (%)"] = float(winners["reported"].mean())
        row["by the other seeds (%)"] = float(winners["again"].mean())
        too_much = interval(winners["reported"] - winners["again"])
        rows.append(row | {"too much (points)": triple(too_much)})
    return rows


def batch_size_rows(small: int = SMALL, large: int = LARGE, encoders: str = "heads") -> list[dict]:
    """Show R@1 and its change by a larger batch for every loss on every corpus."""
    rows = []
    for corpus in CORPORA:
        for change in batch_size_changes(small, large, corpus=corpus, encoders=encoders):
            row = {"corpus": corpus, "loss": change["loss"]}
            row |= {f"B = {small}": change["small"], f"B = {large}": change["large"]}
            rows.append(row | {"change": triple(change), "R@1": change["verdict"]})
    return rows


def heads_and_full(
    corpus: str, batch_size: int
) -> tuple[dict[str, tuple[float, float]], float, float]:
    """Compare mean R@1 with heads and from scratch: `{loss: (heads, full)}` (%), rho, exact p."""

    def mean_rate(loss: str, encoders: str) -> float:
        where = {"corpus": corpus, "batch_size": batch_size, "encoders": encoders}
        return float(by_seed(loss=loss, **where).mean())

    rates = {loss: (mean_rate(loss, "heads"), mean_rate(loss, "full")) for loss in OBJECTIVES}
    return rates, *agreement(*zip(*rates.values(), strict=True))


def kept_under_noise() -> dict[str, list[tuple[float, float, float]]]:
    """Compute the share of its R@1 that each loss keeps at each of `NOISE`, in percent."""
    return {
        loss: [triple(interval(100 - share_lost(loss, noise=share))) for share in NOISE]
        for loss in OBJECTIVES
    }


def repeat_rows() -> list[dict]:
    """Show the R@1 that repeated pairs cost a loss with and without known copies."""
    rows = []
    for loss in OBJECTIVES:
        for share in REPEATS:
            marked = share_lost(loss, repeats=share, tell=True)
            unmarked = share_lost(loss, repeats=share, tell=False)
            saved = interval(unmarked - marked)
            differs = (unmarked != marked).any()
            words = ("helps", "harms", "not decided" if differs else "no difference")
            row = {"loss": loss, "repeated": f"{share:.0%}"}
            row["lost, untold (%)"] = triple(interval(unmarked))
            row |= {
                "lost, told (%)": triple(interval(marked)),
                "saved by telling (%)": triple(saved),
            }
            rows.append(row | {"telling": verdict(saved["low"], saved["high"], words)})
    return rows


def collapse_rows() -> list[dict]:
    """Show mean cosines of every loss with full encoders, and how many runs collapsed."""
    collapsed = pd.DataFrame(count_collapses("full")).groupby("loss")["collapsed"].sum()
    trials = select_trials(encoders="full", **WHOLE).dropna(subset=list(COSINES)).groupby("loss")
    means_by_loss = trials[[*COSINES, "R@10 text_to_image"]].mean()
    return [
        {"loss": loss}
        | {name: float(means_by_loss.at[loss, name]) for name in COSINES}
        | {"R@10 (%)": float(means_by_loss.at[loss, "R@10 text_to_image"])}
        | {"collapsed": f"{collapsed[loss]} of {len(trials.get_group(loss))}"}
        for loss in OBJECTIVES
    ]


def usual_table_rows() -> list[dict]:
    """Make the usual table (negatives, batch dependency, advantage), measured."""
    collapsed = {row["loss"]: row["collapsed"] for row in collapse_rows()}
    matrices, changes = matrices_kept(1024), batch_size_rows()
    rows = []
    for loss, objective in OBJECTIVES.items():
        row = {"loss": loss, "learnt": int(objective.learns_scale) + (objective.bias is not None)}
        for corpus in CORPORA:
            by_size = means(corpus=corpus, encoders="heads", loss=loss, **WHOLE)
            row[f"best B, {corpus}"] = max(by_size, key=lambda mean: mean["value"])["batch_size"]
        for change in changes:
            if change["loss"] == loss:
                row[f"{SMALL} to {LARGE}, {change['corpus']}"] = change["change"]
        by_noise = interval(share_lost(loss, noise=NOISE[-1]))
        row[f"lost at {NOISE[-1]:.0%} wrong (%)"] = triple(by_noise)
        rows.append(row | {"collapsed": collapsed[loss], "matrices kept": matrices[loss]})
    return rows
