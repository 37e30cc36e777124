"""Make the tables of notebook 17 from the committed run."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lib.core.checks import RetrievalInputError
from lib.index.capacity.index_choices import predicted_codes_scanned
from lib.metrics.intervals import power_law
from lib.studies.ann.capacity_table import bytes_text
from lib.studies.ann.configs import scaling_configs
from lib.studies.ann.recall_vs_work import Curve, K, Point, work_for
from lib.studies.ann.speed_tables import (
    EXACT,
    SETTING,
    TARGET,
    cheapest_reaching,
    effort,
    frontier,
    plain_setting,
)

FLOAT32_BYTES = 4
# Recalls to compare at, the first that all curves have. The cheapest setting of some is above 0.95.
LADDER = (0.95, 0.98, 0.99, 0.995, 0.9, 0.8, 1.0)


# ---- bytes read for a recall


def bytes_read(quality: pd.DataFrame) -> pd.Series:
    """Compute the bytes of vectors and codes that a query reads: one measure for all families.

        4 d (distances + centroids) + code bytes * codes

    Not counted: links of a graph, the rotation of the query, its tables of distances to
    sub-centroids, and hyperplanes, which do not grow with the base. NaN where no work is known.
    """
    whole = quality[["distances", "centroids"]].fillna(0).sum(axis=1)
    builds = quality["build"].map(json.loads)
    code = builds.map(
        lambda build: build.get("code_bytes", -(-build.get("n_bits", 0) // 8))
    ).astype(float)
    read = whole * FLOAT32_BYTES * quality["dim"] + code * quality["codes"].fillna(0)
    return read.where(quality[["distances", "codes"]].notna().any(axis=1)).astype(float)


def with_known_work(quality: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of families that report their work."""
    return quality[bytes_read(quality).notna()]


def recall_curve(rows: pd.DataFrame) -> Curve:
    """Select the settings of one index that no other beats, by bytes read."""
    read, recall = bytes_read(rows).to_numpy(), rows["recall"].to_numpy()
    if rows.empty or np.isnan(read).any():
        raise RetrievalInputError(
            "a curve needs rows, and work in each of them; ScaNN reports none"
        )
    return [
        Point(json.loads(rows["search"].iloc[at]), read[at], np.array([K * recall[at]]))
        for at in frontier(recall, read, higher_y=False)
    ]


def cost_ratio_table(quality: pd.DataFrame) -> list[dict]:
    """Compare the kB that one recall costs image queries and text queries, by index.

    The recall is the first of `LADDER` that both kinds have. Indexes without such a recall, and
    exact search, have no row.
    """
    rows, keys = [], ["corpus", "n", "config"]
    for index, lines in _approximate(with_known_work(quality)).groupby(keys, sort=False):
        curves = {kind: recall_curve(some) for kind, some in lines.groupby("queries", sort=False)}
        recall, work = _at_common_recall(curves)
        if recall is not None:
            row = dict(zip(keys, index, strict=True)) | {"recall": recall}
            row |= {f"{kind}, kB read": read / 1e3 for kind, read in work.items()}
            rows.append(row | {"text / image": work["text"] / work["image"]})
    return rows


# ---- the usual table, and the fastest index


def usual_settings(table: pd.DataFrame, target: float = TARGET) -> pd.DataFrame:
    """Choose one setting per config: the cheapest with the target on images, else the most exact.

    `table` is a `speed_table` of one corpus and size. Its rows of both kinds of query are returned.
    """
    image = table[table["queries"] == "image"]
    reaches = image["recall"] >= target
    better = np.where(reaches, -effort(image), image["recall"])
    ordered = image.assign(reaches=reaches, better=better)
    ordered = ordered.sort_values(["reaches", "better"], ascending=False)
    return table.merge(ordered.drop_duplicates("config")[SETTING], on=SETTING, how="inner")


def usual_quality_table(chosen: pd.DataFrame) -> list[dict]:
    """Return recall with intervals, work and bytes of the `usual_settings`, a row per config."""
    chosen, rows = chosen.assign(kilobytes=bytes_read(chosen) / 1e3), []
    for _, lines in chosen.groupby(SETTING, sort=False):
        first, lines = lines.iloc[0], lines.set_index("queries")
        row = {"base": f"{first['corpus']}, {first['n']:,}", "index": first["config"]}
        row |= {"setting": plain_setting(first["search"])}
        for kind, line in lines.iterrows():
            ends = line[["recall", "recall_low", "recall_high"]]
            row[f"recall, {kind}"] = tuple(ends.astype(float))
        for kind, kilobytes in lines["kilobytes"].items():
            row[f"kB read, {kind}"] = None if np.isnan(kilobytes) else kilobytes
        rows.append(row | {"MB": first["bytes"] / 1e6, "MB serialised": first["serialised"] / 1e6})
    return rows


def usual_seconds_table(chosen: pd.DataFrame, timings: pd.DataFrame) -> list[dict]:
    """Return seconds of the `usual_settings`: build, and per image query in a batch and alone."""
    keys = ["corpus", "n", "config"]
    images = timings[timings["queries"] == "image"]
    images = images.assign(per_query=images["seconds"] / images["count"])
    repeats = images.groupby([*keys, "search", "stage"])["per_query"].apply(list)
    build = timings[timings["stage"].isin(["train", "add"])].groupby(keys)["seconds"].sum()
    rows = []
    for row in chosen[chosen["queries"] == "image"].to_dict("records"):
        index = tuple(row[key] for key in keys)
        batch = np.median(repeats[(*index, row["search"], "batch")])
        rows.append(
            {
                "base": f"{row['corpus']}, {row['n']:,}",
                "index": row["config"],
                "setting": plain_setting(row["search"]),
                "build (s)": f"{build[index]:,.2f}",
                "in a batch (ms a query)": f"{1e3 * batch:.3f}",
                "seconds": repeats[(*index, row["search"], "single")],
            }
        )
    return rows


def fastest_index(table: pd.DataFrame, target: float = TARGET) -> dict:
    """Find the fastest approximate setting that reaches a recall on image queries.

    `times` is its speed over exact search, image queries one at a time. `tied` names the indexes
    with a fastest repeat that is no slower than its slowest. `image` and `text` are its recalls.
    """
    reached = cheapest_reaching(_approximate(table), target, "image")
    if reached.empty:
        raise RetrievalInputError(
            f"no approximate index of the table reaches {target} on image queries"
        )
    images = table[table["queries"] == "image"]
    repeats = images[["config", "search", "single_low", "single_high"]]
    reached = reached.merge(repeats, on=["config", "search"])
    fastest, others = reached.iloc[0], reached.iloc[1:]
    tied = others["config"][others["single_high"] >= fastest["single_low"]]
    row = {"config": fastest["config"], "setting": plain_setting(fastest["search"])}
    row |= {"times": float(fastest["speed_up"]), "tied": ", ".join(tied) or "none"}
    return row | {kind: float(fastest[f"recall, {kind}"]) for kind in ("image", "text")}


# ---- remedies


def gain_table(remedies: pd.DataFrame, near: float = TARGET) -> list[dict]:
    """Return the gain of each remedy at equal work, where the plain index is nearest to a recall.

    Rows: corpus, family, remedy, queries, stored, `work` in comparisons, recall of the plain index
    at that work in percent, `gain` in points with its interval, and `it`: "helps", "harms" or "not
    decided".
    """
    keys = ["corpus", "family", "remedy", "queries"]
    compared = remedies.dropna(subset=["gain"])
    compared = compared.assign(plain=compared["recall"] - compared["gain"])
    distance = (compared["plain"] - near).abs()
    nearest = distance.groupby([compared[key] for key in keys], sort=False).idxmin()
    rows = []
    for line in compared.loc[nearest].to_dict("records"):
        gain, low, high = (100 * line[name] for name in ("gain", "gain_low", "gain_high"))
        row = {key: line[key] for key in (*keys, "stored", "work")}
        row |= {"recall, plain": 100 * line["plain"], "gain": (gain, low, high)}
        rows.append(row | {"it": "helps" if low > 0 else "harms" if high < 0 else "not decided"})
    return rows


def verdicts(gains: Sequence[dict], kind: str = "text") -> str:
    """Name the remedies of a `gain_table` that help and those that harm one kind of query."""
    remedies: dict[str, list[str]] = {}
    for row in gains:
        if row["queries"] == kind and row["it"] != "not decided":
            remedies.setdefault(f"{row['it']} on {row['corpus']}", []).append(row["remedy"])
    lines = [f"{verdict}: {', '.join(names)}" for verdict, names in remedies.items()]
    return "; ".join(lines) or "nothing is decided"


# ---- growth with the base


def scaling_table(quality: pd.DataFrame) -> list[dict]:
    """Fit the growth with the base of the bytes that one recall costs, on three sizes or more.

    Rows: family, queries, recall (the first of `LADDER` that every size has for both kinds of
    query), `sizes` and `read`, the bytes at each, and `law`, the `PowerLaw` through them. Families
    without such a recall, or not measured at every size, have no row.
    """
    measured, rows = with_known_work(scaling_rows(quality)), []
    sizes = [int(n) for n in sorted(measured["n"].unique())]
    for family, lines in measured.groupby("family", sort=False):
        curves = {key: recall_curve(some) for key, some in lines.groupby(["queries", "n"])}
        kinds = list(dict.fromkeys(lines["queries"]))
        recall, read = _at_common_recall(curves)
        if recall is None or len(curves) < len(kinds) * len(sizes):
            continue
        for kind in kinds:
            read_at = [read[kind, n] for n in sizes]
            row = {"family": family, "queries": kind, "recall": recall, "sizes": sizes}
            rows.append(row | {"read": read_at, "law": power_law(sizes, read_at)})
    return rows


def scaling_law_row(row: dict, beyond: int) -> dict:
    """Format a row of `scaling_table`, with the bytes its interval allows for a larger base."""
    law, sizes, read = row["law"], row["sizes"], row["read"]
    shown = {key: row[key] for key in ("family", "queries", "recall")}
    shown |= {f"kB, {n:,}": at_n / 1e3 for n, at_n in zip(sizes, read, strict=True)}
    shown |= {"exponent": (law.exponent, law.low, law.high), "worst fit (%)": 100 * law.worst}
    low, high = (read[-1] / 1e3 * (beyond / sizes[-1]) ** end for end in (law.low, law.high))
    return shown | {f"kB, {beyond:,}": f"{low:.1e} to {high:.1e}"}


def scaling_rows(quality: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of the configs that are measured at every size, "Flat" among them."""
    dim = int(quality["dim"].iloc[0])
    names = {
        n: {config.name for config in scaling_configs(int(n), dim)} - set(EXACT[1:])
        for n in set(quality["n"])
    }
    return quality[
        [config in names[n] for n, config in zip(quality["n"], quality["config"], strict=True)]
    ]


def written_bytes_table(quality: pd.DataFrame) -> list[dict]:
    """Compare bytes by formula with the bytes that each index wrote, as `format_size_checks`."""
    builds = quality.drop_duplicates(["corpus", "n", "config"]).sort_values("n", kind="stable")
    return [
        {
            "index": f"{line['config']}, {line['n']:,} x {line['dim']}",
            "formula": bytes_text(line["bytes"]),
            "published": bytes_text(line["serialised"]),
            "formula / published": line["bytes"] / line["serialised"],
            "source": "written by the committed run",
        }
        for line in builds.to_dict("records")
    ]


def scanned_lists_table(quality: pd.DataFrame, nprobes: Sequence[int] = (1, 8, 64)) -> list[dict]:
    """Compare the vectors that a query of an inverted file met with those that lengths predict."""
    rows = _approximate(quality[quality["family"] == "IVF"])
    rows = rows.assign(nprobe=[json.loads(search)["nprobe"] for search in rows["search"]])
    rows = rows[rows["nprobe"].isin(nprobes)]
    rows = rows.assign(
        predicted=[
            predicted_codes_scanned(n, json.loads(build)["nlist"], nprobe, imbalance)
            for n, build, nprobe, imbalance in zip(
                rows["n"], rows["build"], rows["nprobe"], rows["imbalance"], strict=True
            )
        ]
    )
    rows = rows.assign(ratio=rows["distances"] / rows["predicted"])
    index = ["n", "config", "nprobe", "predicted"]
    wide = rows.pivot(index=index, columns="queries", values="ratio")
    wide = wide.add_suffix(" / predicted").reset_index()
    return [
        {"index": line.pop("config"), "base": f"{line.pop('n'):,}", **line}
        for line in wide.to_dict("records")
    ]


def _approximate(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[~rows["config"].isin(EXACT)]


def _at_common_recall(curves: Mapping) -> tuple[float | None, dict]:
    """Find the first recall of the ladder that every curve has, and its cost on each."""
    for recall in LADDER:
        if all(curve[0].recall <= recall <= curve[-1].recall for curve in curves.values()):
            return recall, {name: work_for(recall, curve) for name, curve in curves.items()}
    return None, {}
