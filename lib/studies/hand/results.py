"""Committed results of the study: the fitted hand, its statistics, and the two-sample test."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

import pandas as pd

from lib.core.result_store import ResultStore
from lib.datasets.strokes.hand import FILE, NAME, REBUILD, Hand
from lib.studies.hand.characters import find_characters
from lib.studies.hand.fitting import FITTED, HandFit, fit_hand
from lib.studies.hand.omniglot import read_omniglot
from lib.studies.hand.two_sample import two_sample_rows

STORE = ResultStore(NAME, REBUILD)
# Omniglot has no width of lines. Assumed: two pens of three differ by less than a fifth.
ASSUMED = {"width": 0.2}


def write_committed(path: str | Path | None = None, log: Callable[[str], None] = print) -> None:
    """Find characters in Omniglot, fit the hand on half of them, test it on the others."""
    drawings = read_omniglot(path)
    groups, sizes = find_characters(drawings, log)
    characters = [[drawings[i] for i in group] for group in groups]
    fit = fit_hand(characters[::2], log=log)
    STORE.save_table(FILE, hand_rows(fit))
    STORE.save_table("statistics.csv", statistic_rows(fit))
    STORE.save_table("group_sizes.csv", [{"size": k, "groups": n} for k, n in sizes.items()])
    STORE.save_table("two_sample.csv", two_sample_rows(characters[1::2], fit.hand, log))


def hand_rows(fit: HandFit) -> list[dict]:
    """One row for each parameter: value, 95% interval, source."""
    rows = []
    for field in fields(Hand):
        if field.name in FITTED:
            low, high = fit.intervals[field.name]
            source = f"Omniglot, {fit.n_characters} characters"
            value = getattr(fit.hand, field.name)
        else:
            value = low = high = ASSUMED[field.name]
            source = "assumed"
        numbers = {"value": value, "low": low, "high": high}
        rows.append({"parameter": field.name}
                    | {name: round(number, 5) for name, number in numbers.items()}
                    | {"source": source})  # fmt: skip
    return rows


def statistic_rows(fit: HandFit) -> list[dict]:
    """Each statistic of human pairs and of pairs by the fitted hand."""
    return [
        {"statistic": name, "human": round(fit.human[name], 5),
         "generated": round(fit.generated[name], 5)}
        for name in fit.human
    ]  # fmt: skip


def format_hand() -> list[dict]:
    """The committed hand as rows of text."""
    return [
        {
            "parameter": row.parameter,
            "value": f"{row.value:.3f}",
            "95% interval": "" if row.source == "assumed" else f"{row.low:.3f} to {row.high:.3f}",
            "source": row.source,
        }
        for row in STORE.table(FILE).itertuples()
    ]


def format_tests(rows: Sequence[dict] | pd.DataFrame | None = None) -> list[dict]:
    """The committed two-sample tests as rows of text."""
    table = STORE.table("two_sample.csv") if rows is None else pd.DataFrame(rows)
    return [
        {
            "hand": row.hand,
            "AUC": f"{row.auc:.3f}",
            "95% interval": f"{row.low:.3f} to {row.high:.3f}",
            "pairs": f"{row.pairs:,}",
        }
        for row in table.itertuples()
    ]


def sentence_of_tests() -> str:
    """Say in one sentence how far generated variation is from human variation."""
    auc = STORE.table("two_sample.csv").set_index("hand")["auc"]
    return (
        f"A classifier tells pairs drawn by the fitted hand from pairs drawn by two people with an"
        f" AUC of {auc['fitted']:.2f} (0.5: it cannot tell), pairs with affine variation alone with"
        f" {auc['affine only']:.2f}, with jitter alone with {auc['jitter only']:.2f}."
    )
