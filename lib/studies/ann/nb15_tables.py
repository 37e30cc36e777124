"""What the tables of a run say: bytes read for a recall, the usual table, what a remedy gains."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lib.core.checks import RetrievalInputError
from lib.core.paths import artifacts_dir
from lib.core.reading import verify
from lib.studies.ann.committed_run import REBUILD
from lib.studies.ann.pareto import frontier
from lib.studies.ann.recall_vs_work import Curve, K, Point, work_for
from lib.studies.ann.speed_tables import EXACT, SETTING, TARGET, effort, plain, reaching

ITEM = 4  # bytes of a float32
# Recalls that are compared, the first that all curves have: the cheapest setting of some is above
# 0.95.
LADDER = (0.95, 0.98, 0.99, 0.995, 0.9, 0.8, 1.0)


def bytes_read(quality: pd.DataFrame) -> pd.Series:
    """Bytes of vectors and codes that a query reads: one measure of work for all families.

        4 d (distances + centroids) + code bytes * codes

    Not counted: links of a graph, the rotation of the query, its tables of distances to
    sub-centroids (under l2 and cosine a part of them for every list of codes that is visited), and
    hyperplanes, which do not grow with the base. NaN for families that report no work.

    Args:
        quality: the table of that name.
    """
    whole = quality[["distances", "centroids"]].fillna(0).sum(axis=1) * ITEM * quality["dim"]
    builds = quality["build"].map(json.loads)
    code = builds.map(
        lambda build: build.get("code_bytes", -(-build.get("n_bits", 0) // 8))
    ).astype(float)
    read = whole + code * quality["codes"].fillna(0)
    return read.where(quality[["distances", "codes"]].notna().any(axis=1)).astype(float)


def curve(rows: pd.DataFrame) -> Curve:
    """The settings of one index for one kind of query that no other beats: bytes read, and recall.

    Args:
        rows: of the quality table, all of one index and one kind of query.

    Raises:
        RetrievalInputError: no rows, or an index that reports no work.
    """
    read, recall = bytes_read(rows).to_numpy(), rows["recall"].to_numpy()
    if rows.empty or np.isnan(read).any():
        raise RetrievalInputError(
            "a curve needs rows, and work in each of them; ScaNN reports none"
        )
    best = frontier(recall, read, higher_y=False)
    settings = [json.loads(rows["search"].iloc[at]) for at in best]
    return [
        Point(setting, read[at], np.array([K * recall[at]]))
        for setting, at in zip(settings, best, strict=True)
    ]


def costs(quality: pd.DataFrame, configs: Sequence[str] | None = None) -> list[dict]:
    """Bytes that the same recall costs image queries and text queries, for every index with a
    curve.

    Args:
        quality: the table of that name; configs: names to keep, all when None.

    Returns:
        Rows: corpus, n, config, recall (the first of `LADDER` that both kinds have), kB read by
            either kind,
        and "text / image". Indexes whose settings share no such recall, and exact search, have no
        row.
    """
    rows = []
    for (corpus, n, config), of_one in known_work(quality).groupby(
        ["corpus", "n", "config"], sort=False
    ):
        if config in EXACT or (configs is not None and config not in configs):
            continue
        curves = {kind: curve(rows) for kind, rows in of_one.groupby("queries", sort=False)}
        recall, work = at_common_recall(curves)
        if recall is not None:
            row = {"corpus": corpus, "n": n, "config": config, "recall": recall}
            row |= {f"{kind}, kB read": read / 1e3 for kind, read in work.items()}
            rows.append(row | {"text / image": work["text"] / work["image"]})
    return rows


def twins(
    rows: pd.DataFrame, families: Sequence[str]
) -> dict[str, tuple[list[float], list[float]]]:
    """Curves of both kinds of query over one index of each family: kB read, and recall in percent.

    Args:
        rows: of the quality table, of one corpus and size; families: the first config of each is
            taken.
    """
    series, approximate = {}, rows[~rows["config"].isin(EXACT)]
    for family in families:
        of_family = approximate[approximate["family"] == family]
        of_one = of_family[of_family["config"] == of_family["config"].iloc[0]]
        for kind, lines in of_one.groupby("queries", sort=False):
            points = curve(lines)
            read, recall = (
                [each.work / 1e3 for each in points],
                [100 * each.recall for each in points],
            )
            series[f"{family}, {kind} queries"] = read, recall
    return series


def best(table: pd.DataFrame, target: float = TARGET) -> dict:
    """The fastest approximate setting that reaches a recall on image queries, and what it gives
    texts.

    Args:
        table: what `summary.settings` returned, of one corpus and size.
        target: recall.

    Returns:
        config, setting, `times` (speed over exact search, image queries one at a time), recall on
        `image` and `text` queries, and `tied`: indexes whose fastest repeat is no slower than its
        slowest.

    Raises:
        RetrievalInputError: no approximate index reaches it.
    """
    found = reaching(table[~table["config"].isin(EXACT)], target, "image")
    if found.empty:
        raise RetrievalInputError(
            f"no approximate index of the table reaches {target} on image queries"
        )
    repeats = table.loc[
        table["queries"] == "image", ["config", "search", "single_low", "single_high"]
    ]
    found = found.merge(repeats, on=["config", "search"])
    one, others = found.iloc[0], found.iloc[1:]
    row = {
        "config": one["config"],
        "setting": plain(one["search"]),
        "times": float(one["speed_up"]),
    }
    row["tied"] = ", ".join(others["config"][others["single_high"] >= one["single_low"]]) or "none"
    return row | {kind: float(one[f"recall, {kind}"]) for kind in ("image", "text")}


def end_task_points(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Of each family `(settings, 2)`: recall of texts in percent, and R@k less exact search's in
    points.
    """
    some = (rows["queries"] == "text") & ~rows["config"].isin(EXACT) & (rows["recall"] < 1)
    groups = {}
    for family, lines in rows[some].groupby("family", sort=False):
        hit = f"R@{lines['k'].iloc[0]}"
        change = lines[hit] - lines[f"{hit}_exact"]
        groups[family] = 100 * np.stack([lines["recall"], change], axis=1)
    return groups


def loss_rates(groups: Mapping[str, np.ndarray], least: float = 5.0) -> dict[str, float]:
    """Points of R@10 lost for each point of neighbour recall lost, by family, from
    `end_task_points`.

    A family that nowhere loses `least` points of recall has none: there is too little to divide by.
    """
    lost = {family: (both - [100, 0]).sum(axis=0) for family, both in groups.items()}
    kept = [family for family, both in groups.items() if both[:, 0].min() <= 100 - least]
    return {family: float(lost[family][1] / lost[family][0]) for family in kept}


def usual(table: pd.DataFrame, target: float = TARGET) -> pd.DataFrame:
    """One setting a config: the cheapest that reaches the target on image queries, else the most
    exact.

    Args:
        table: what `summary.settings` returned, of one corpus and size.
        target: recall.

    Returns:
        Rows of `table`, both kinds of query of each chosen setting, in the order of configs.
    """
    image = table[table["queries"] == "image"]
    reaches = image["recall"] >= target
    better = np.where(reaches, -effort(image), image["recall"])
    ordered = image.assign(reaches=reaches, better=better).sort_values(
        ["reaches", "better"], ascending=False
    )
    chosen = ordered.drop_duplicates("config")[SETTING]
    return table.merge(chosen, on=SETTING, how="inner")


def usual_quality(chosen: pd.DataFrame) -> list[dict]:
    """What `usual` chose, for `report.quality`: recall with intervals, work and bytes, a row a
    config.
    """
    chosen, rows = chosen.assign(read=bytes_read(chosen)), []
    for (_, n, config, _, search), both in chosen.groupby(SETTING, sort=False):
        first = both.iloc[0]
        row = {"base": f"{first['corpus']}, {n:,}", "index": config, "setting": plain(search)}
        for kind, line in both.set_index("queries").iterrows():
            row[f"recall, {kind}"] = tuple(
                line[["recall", "recall_low", "recall_high"]].astype(float)
            )
        for kind, line in both.set_index("queries").iterrows():
            row[f"kB read, {kind}"] = None if np.isnan(line["read"]) else line["read"] / 1e3
        rows.append(row | {"MB": first["bytes"] / 1e6, "MB serialised": first["serialised"] / 1e6})
    return rows


def usual_seconds(chosen: pd.DataFrame, timings: pd.DataFrame) -> list[dict]:
    """What `usual` chose, for `report.timing`: seconds of the build, and of a query in a batch and
    alone.
    """
    rows, keys = [], ["corpus", "n", "config"]
    images = timings[timings["queries"] == "image"]
    per_query = images.assign(each=images["seconds"] / images["count"]).groupby(
        [*keys, "search", "stage"]
    )["each"]
    built = timings[timings["stage"].isin(["train", "add"])].groupby(keys)["seconds"].sum()
    repeats, batch = per_query.apply(list), per_query.median()
    for row in chosen[chosen["queries"] == "image"].to_dict("records"):
        index = tuple(row[key] for key in keys)
        asked = (*index, row["search"])
        rows.append(
            {
                "base": f"{row['corpus']}, {row['n']:,}",
                "index": row["config"],
                "setting": plain(row["search"]),
                "build (s)": f"{built[index]:,.2f}",
                "in a batch (ms a query)": f"{1e3 * batch[(*asked, 'batch')]:.3f}",
                "seconds": repeats[(*asked, "single")],
            }
        )
    return rows


def gains(remedies: pd.DataFrame, near: float = TARGET) -> list[dict]:
    """What each remedy gains over the plain index at equal work, where that one has about a given
    recall.

    Args:
        remedies: the table of that name.
        near: recall of the plain index.

    Returns:
        Rows: corpus, family, remedy, queries, stored, `work` in comparisons, recall of the plain
            index at
        that work in percent, `gain` in points with its interval, and what that says: "helps",
        "harms" or "not decided".
    """
    compared, rows = remedies.dropna(subset=["gain"]), []
    keys = ["corpus", "family", "remedy", "queries"]
    for about, lines in compared.groupby(keys, sort=False):
        before = lines["recall"] - lines["gain"]
        line = lines.loc[(before - near).abs().idxmin()]
        low, high = 100 * line["gain_low"], 100 * line["gain_high"]
        row = dict(zip(keys, about, strict=True)) | {"stored": line["stored"], "work": line["work"]}
        row |= {
            "recall, plain": 100 * (line["recall"] - line["gain"]),
            "gain": (100 * line["gain"], low, high),
        }
        rows.append(row | {"it": "helps" if low > 0 else "harms" if high < 0 else "not decided"})
    return rows


def verdicts(gained: Sequence[dict], kind: str = "text") -> str:
    """What `gains` says about one kind of query, in words: the remedies that help and those that
    harm.
    """
    named: dict[str, list[str]] = {}
    for row in gained:
        if row["queries"] == kind and row["it"] != "not decided":
            named.setdefault(f"{row['it']} on {row['corpus']}", []).append(row["remedy"])
    return (
        "; ".join(f"{verdict}: {', '.join(names)}" for verdict, names in named.items())
        or "nothing is decided"
    )


def measured_on() -> dict:
    """What decided the seconds of the committed run, for `report.timing`."""
    return json.loads(
        verify(artifacts_dir() / "ann" / "environment.json", rebuild=REBUILD).read_text()
    )


def known_work(quality: pd.DataFrame) -> pd.DataFrame:
    """The rows of families that report what they do."""
    return quality[bytes_read(quality).notna()]


def at_common_recall(curves: Mapping) -> tuple[float | None, dict]:
    """The first recall of the ladder that every curve has, and what it costs on each."""
    for recall in LADDER:
        if all(points[0].recall <= recall <= points[-1].recall for points in curves.values()):
            return recall, {name: work_for(recall, points) for name, points in curves.items()}
    return None, {}
