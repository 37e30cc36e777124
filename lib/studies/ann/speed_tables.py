"""Quality beside speed: one row per setting, and what a target of recall costs with each kind of
query.
"""

import json

import numpy as np
import pandas as pd

from lib.core.checks import RetrievalInputError
from lib.studies.ann.records import ABOUT

EXACT = ("Flat", "IVF1")  # configs that compare with everything
SETTING = ["corpus", "n", "config", "family", "search"]
TARGET = 0.95
WORK = ("distances", "codes", "centroids")  # counted, a query


def settings(quality: pd.DataFrame, timings: pd.DataFrame) -> pd.DataFrame:
    """The quality table with the speed of every row, medians over repeats.

        qps = queries / seconds        speed_up = single_qps / that of the faster exact search, same
        queries

    Args:
        quality, timings: the tables of `store.tables`.

    Returns:
        `quality` and the columns single_qps, single_low and single_high (slowest and fastest
        repeat), p50_ms, p99_ms, batch_qps, and speed_up (NaN where exact search was not run).
    """
    timed = timings[timings["stage"].isin(["single", "batch"])].copy()
    timed["qps"] = timed["count"] / timed["seconds"]
    groups = timed.groupby([*ABOUT, "stage"], sort=False)
    rates = groups["qps"].agg(["median", "min", "max"]).unstack("stage")
    latency = groups[["p50_ms", "p99_ms"]].median().unstack("stage")
    found = pd.DataFrame(
        {
            "single_qps": rates["median", "single"],
            "single_low": rates["min", "single"],
            "single_high": rates["max", "single"],
            "p50_ms": latency["p50_ms", "single"],
            "p99_ms": latency["p99_ms", "single"],
            "batch_qps": rates["median", "batch"],
        }
    ).reset_index()
    table = quality.merge(found, on=list(ABOUT), how="left", validate="one_to_one")
    same = ["corpus", "n", "queries"]
    exact = table[table["config"].isin(EXACT)].groupby(same)["single_qps"].max()
    baseline = exact.reindex(pd.MultiIndex.from_frame(table[same])).to_numpy(np.float64)
    return table.assign(speed_up=table["single_qps"].to_numpy() / baseline)


def reaching(
    table: pd.DataFrame, target: float = TARGET, tuned_on: str | None = None
) -> pd.DataFrame:
    """Of each config the cheapest setting that reaches a recall on one kind of query, and its
    recall on all.

    Cheapest by `effort`, not by seconds: between two settings of one config, noise of the clock may
    choose.

    Args:
        table: what `settings` returned, of one corpus and size.
        target: recall to be reached, above 0 and at most 1.
        tuned_on: the kind of query that the setting is chosen by; the first of the table when None.

    Returns:
        Per config that reaches it: config, family, search, tuned_on, single_qps and speed_up on
        that kind, bytes, and `recall, <kind>` for every kind. Fastest first; empty where nothing
        reaches it.

    Raises:
        RetrievalInputError: several corpora or sizes in the table, a target outside (0, 1], an
            unknown kind.

    Relations: tuned on images and on texts, the two answers differ by what the cross-modal gap
    costs.
    """
    if not 0 < target <= 1:
        raise RetrievalInputError(f"target is a recall above 0 and at most 1, got {target}")
    if len(table[["corpus", "n"]].drop_duplicates()) != 1:
        raise RetrievalInputError(
            "the table must be of one corpus and one size; choose some of its rows"
        )
    kinds = list(dict.fromkeys(table["queries"]))
    tuned_on = kinds[0] if tuned_on is None else tuned_on
    if tuned_on not in kinds:
        raise RetrievalInputError(
            f"the table has no queries {tuned_on!r}; it has {', '.join(kinds)}"
        )
    recalls = table.pivot(index=SETTING, columns="queries", values="recall").add_prefix("recall, ")
    chosen = table[(table["queries"] == tuned_on) & (table["recall"] >= target)]
    chosen = chosen.assign(effort=effort(chosen)).sort_values("effort", kind="stable")
    chosen = chosen.drop_duplicates("config").sort_values("single_qps", ascending=False)
    chosen = chosen.assign(tuned_on=tuned_on).merge(recalls.reset_index(), on=SETTING)
    columns = ["config", "family", "search", "tuned_on", "single_qps", "speed_up", "bytes"]
    return chosen[columns + [f"recall, {kind}" for kind in kinds]].reset_index(drop=True)


def effort(table: pd.DataFrame) -> np.ndarray:
    """What orders the settings of one config: counted work, or the product of its options where
    none is.

    ScaNN counts no work.
    """
    options = np.array(
        [np.prod([float(v) for v in json.loads(search).values()]) for search in table["search"]]
    )
    counted = table[[name for name in WORK if name in table]]
    return np.where(counted.notna().any(axis=1), counted.sum(axis=1), options)


def as_text(table: pd.DataFrame) -> list[dict]:
    """What `settings` returned for reading: a row per setting, a column of recall and of speed per
    kind.
    """
    kinds = list(dict.fromkeys(table["queries"]))
    rows = []
    for _, group in table.groupby(SETTING, sort=False):
        by_kind = {row["queries"]: row for row in group.to_dict("records")}
        first = next(iter(by_kind.values()))
        shown = {"config": first["config"], "search": plain(first["search"])}
        shown["MB"] = f"{first['bytes'] / 1e6:,.1f}"
        for kind in kinds:
            row = by_kind[kind]
            shown[f"recall, {kind}"] = (
                f"{row['recall']:.3f} [{row['recall_low']:.3f}, {row['recall_high']:.3f}]"
            )
        shown["compared a query"] = _work(first)
        for kind in kinds:
            row = by_kind[kind]
            shown[f"q/s, {kind}"] = f"{row['single_qps']:,.0f} ({row['speed_up']:.1f}x)"
        shown["q/s, batch"] = f"{first['batch_qps']:,.0f}"
        rows.append(shown)
    return rows


def reaching_as_text(table: pd.DataFrame, target: float = TARGET) -> list[dict]:
    """`reaching` for every kind of query, for reading; says so where nothing reaches the target."""
    rows = []
    for kind in dict.fromkeys(table["queries"]):
        found = reaching(table, target, kind)
        recalls = [column for column in found if column.startswith("recall, ")]
        for row in found.to_dict("records"):
            shown = {"tuned on": kind, "config": row["config"], "search": plain(row["search"])}
            shown |= {column: f"{row[column]:.3f}" for column in recalls}
            shown |= {"q/s": f"{row['single_qps']:,.0f}", "speed-up": f"{row['speed_up']:.1f}x"}
            rows.append(shown)
        if found.empty:
            nothing = dict.fromkeys(["search", *recalls, "q/s", "speed-up"], "")
            rows.append({"tuned on": kind, "config": f"none reaches {target}"} | nothing)
    return rows


def plain(search: str) -> str:
    """`'{"nprobe": 4}'` as `nprobe 4`."""
    return search.strip("{}").replace('"', "").replace(":", "")


def _work(row: dict) -> str:
    counted = [(kind, row.get(kind)) for kind in WORK]
    return ", ".join(
        f"{count:,.0f} {kind}" for kind, count in counted if count is not None and count == count
    )
