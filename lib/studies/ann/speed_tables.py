"""Join quality with speed, and choose settings by a target of recall."""

import json

import numpy as np
import pandas as pd

from lib.core.checks import RetrievalInputError
from lib.studies.ann.harness import ABOUT

EXACT = ("Flat", "IVF1")  # configs that compare with everything
SETTING = ["corpus", "n", "config", "family", "search"]
TARGET = 0.95
WORK = ("distances", "codes", "centroids")  # counted, per query


def speed_table(quality: pd.DataFrame, timings: pd.DataFrame) -> pd.DataFrame:
    """Add the speed of every row to the quality table, medians over repeats.

        qps = queries / seconds
        speed_up = single_qps / single_qps of the faster exact search, same queries

    Added columns: single_qps, single_low and single_high (slowest and fastest repeat), p50_ms,
    p99_ms, batch_qps, and speed_up (NaN where exact search was not run).
    """
    timed = timings[timings["stage"].isin(["single", "batch"])].copy()
    timed["qps"] = timed["count"] / timed["seconds"]
    groups = timed.groupby([*ABOUT, "stage"], sort=False)
    rates = groups["qps"].agg(["median", "min", "max"]).unstack("stage")
    latency = groups[["p50_ms", "p99_ms"]].median().unstack("stage")
    speed = pd.DataFrame(
        {
            "single_qps": rates["median", "single"],
            "single_low": rates["min", "single"],
            "single_high": rates["max", "single"],
            "p50_ms": latency["p50_ms", "single"],
            "p99_ms": latency["p99_ms", "single"],
            "batch_qps": rates["median", "batch"],
        }
    ).reset_index()
    table = quality.merge(speed, on=list(ABOUT), how="left", validate="one_to_one")
    same = ["corpus", "n", "queries"]
    exact = table[table["config"].isin(EXACT)].groupby(same)["single_qps"].max()
    baseline = exact.reindex(pd.MultiIndex.from_frame(table[same])).to_numpy(np.float64)
    return table.assign(speed_up=table["single_qps"].to_numpy() / baseline)


def cheapest_reaching(
    table: pd.DataFrame, target: float = TARGET, tuned_on: str | None = None
) -> pd.DataFrame:
    """Choose the cheapest setting of each config that reaches a recall on one kind of query.

    Cheapest by `effort`, not by seconds: between two settings of one config, noise of the clock
    could decide. Choices tuned on images and on texts differ by the cost of the cross-modal gap.

    Args:
        table: a `speed_table` of one corpus and size.
        target: recall to reach, above 0 and at most 1.
        tuned_on: kind of query that decides; the first of the table when None.

    Returns:
        config, family, search, tuned_on, single_qps and speed_up on that kind, bytes, and
        `recall, <kind>` for every kind. Fastest first.
    """
    if not 0 < target <= 1:
        raise RetrievalInputError(f"target must be a recall above 0 and at most 1, got {target}")
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
    """Order the settings of one config: by counted work, or by the product of options (ScaNN)."""
    options = np.array(
        [np.prod([float(v) for v in json.loads(search).values()]) for search in table["search"]]
    )
    counted = table[[name for name in WORK if name in table]]
    return np.where(counted.notna().any(axis=1), counted.sum(axis=1), options)


def frontier(x, y, *, higher_x: bool = True, higher_y: bool = True) -> np.ndarray:
    """Return the positions of the points that no other beats, best y first.

    Sort by y, best first (ties: better x first); keep each point with an x strictly better than all
    before it. A zero in x or y means "not measured" and is left out.

    Args:
        x, y: `(n,)` numbers, for example recall and queries per second.
        higher_x, higher_y: whether more is better.

    Reference: `create_pointset` in erikbern/ann-benchmarks, plotting/utils.py.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise RetrievalInputError(
            f"x and y must be one number per point, got shapes {x.shape} and {y.shape}"
        )
    if (wrong := np.flatnonzero(np.isnan(x) | np.isnan(y))).size:
        raise RetrievalInputError(
            f"point {wrong[0]} is ({x[wrong[0]]}, {y[wrong[0]]}); leave it out"
        )
    measured = np.flatnonzero((x != 0) & (y != 0))
    gain_x, gain_y = (1 if higher_x else -1) * x[measured], (1 if higher_y else -1) * y[measured]
    order = np.lexsort((-gain_x, -gain_y))
    best_before = np.maximum.accumulate(np.concatenate([[-np.inf], gain_x[order]]))[:-1]
    return measured[order[gain_x[order] > best_before]]


# ---- for reading


def format_settings(table: pd.DataFrame) -> list[dict]:
    """Format a `speed_table`: a row per setting, columns of recall and of speed per kind."""
    kinds = list(dict.fromkeys(table["queries"]))
    recall_text = "{recall:.3f} [{recall_low:.3f}, {recall_high:.3f}]"
    speed_text = "{single_qps:,.0f} ({speed_up:.1f}x)"
    rows = []
    for _, lines in table.groupby(SETTING, sort=False):
        first, by_kind = lines.iloc[0], lines.set_index("queries").to_dict("index")
        row = {"config": first["config"], "search": plain_setting(first["search"])}
        row["MB"] = f"{first['bytes'] / 1e6:,.1f}"
        row |= {f"recall, {kind}": recall_text.format(**by_kind[kind]) for kind in kinds}
        counted = first.reindex(WORK).dropna()
        row["compared a query"] = ", ".join(f"{n:,.0f} {what}" for what, n in counted.items())
        for kind in kinds:
            compared = not np.isnan(by_kind[kind]["speed_up"])
            text = speed_text if compared else "{single_qps:,.0f}"
            row[f"q/s, {kind}"] = text.format(**by_kind[kind])
        rows.append(row | {"q/s, batch": f"{first['batch_qps']:,.0f}"})
    return rows


def format_reaching(table: pd.DataFrame, target: float = TARGET) -> list[dict]:
    """Format `cheapest_reaching` for every kind of query, with a row where nothing reaches it."""
    rows = []
    for kind in dict.fromkeys(table["queries"]):
        chosen = cheapest_reaching(table, target, kind)
        recalls = [column for column in chosen if column.startswith("recall, ")]
        for line in chosen.to_dict("records"):
            row = {"tuned on": kind, "config": line["config"]}
            row |= {"search": plain_setting(line["search"])}
            row |= {column: f"{line[column]:.3f}" for column in recalls}
            row |= {"q/s": f"{line['single_qps']:,.0f}", "speed-up": f"{line['speed_up']:.1f}x"}
            rows.append(row)
        if chosen.empty:
            empty = dict.fromkeys(["search", *recalls, "q/s", "speed-up"], "")
            rows.append({"tuned on": kind, "config": f"none reaches {target}"} | empty)
    return rows


def plain_setting(search: str) -> str:
    """Write the setting `'{"nprobe": 4}'` as `nprobe 4`."""
    return search.strip("{}").replace('"', "").replace(":", "")
