"""What grows with the base: bytes read for a recall, bytes held, vectors met; across the sizes of a
run.
"""

import json
from collections.abc import Sequence

import pandas as pd

from lib.index.capacity.options import predicted_codes_scanned
from lib.metrics.scaling import power_law
from lib.studies.ann.capacity_table import bytes_text
from lib.studies.ann.configs import scaling
from lib.studies.ann.nb15_tables import at_common_recall, curve, known_work
from lib.studies.ann.speed_tables import EXACT


def scaling_rows(quality: pd.DataFrame) -> list[dict]:
    """How the bytes that a recall costs grow with the base.

    Args:
        quality: the table of that name, of one corpus at three sizes or more.

    Returns:
        Rows: family, queries, recall (the first of `LADDER` that every size has for both kinds of
            query),
        `sizes` and `read`, the bytes at each, and `law`, the `PowerLaw` through them. Families
        without such a recall, or not measured at every size, have no row.
    """
    of_run, rows = known_work(scaled(quality)), []
    sizes = sorted(of_run["n"].unique())
    for family, lines in of_run.groupby("family", sort=False):
        curves = {about: curve(some) for about, some in lines.groupby(["queries", "n"], sort=False)}
        kinds = list(dict.fromkeys(kind for kind, _ in curves))
        recall, read = at_common_recall(curves)
        if recall is None or len(curves) < len(kinds) * len(sizes):
            continue
        for kind in kinds:
            at_n = [read[kind, n] for n in sizes]
            row = {
                "family": family,
                "queries": kind,
                "recall": recall,
                "sizes": [int(n) for n in sizes],
            }
            rows.append(row | {"read": at_n, "law": power_law(sizes, at_n)})
    return rows


def law_row(row: dict, beyond: int) -> dict:
    """A row of `scaling_rows` for reading, with what the ends of its interval say of a far larger
    base.
    """
    law, (most, read) = row["law"], (row["sizes"][-1], row["read"][-1])
    shown = {key: row[key] for key in ("family", "queries", "recall")}
    shown |= {f"kB, {n:,}": at_n / 1e3 for n, at_n in zip(row["sizes"], row["read"], strict=True)}
    shown |= {"exponent": (law.exponent, law.low, law.high), "worst fit (%)": 100 * law.worst}
    low, high = (read / 1e3 * (beyond / most) ** end for end in (law.low, law.high))
    return shown | {f"kB, {beyond:,}": f"{low:.1e} to {high:.1e}"}


def scaled(quality: pd.DataFrame) -> pd.DataFrame:
    """The rows of the configs that are measured at every size, exact search by `topk_exact` among
    them.
    """
    dim = int(quality["dim"].iloc[0])
    named = {
        n: {config.name for config in scaling(int(n), dim)} - set(EXACT[1:])
        for n in set(quality["n"])
    }
    return quality[
        [config in named[n] for n, config in zip(quality["n"], quality["config"], strict=True)]
    ]


def written(quality: pd.DataFrame) -> list[dict]:
    """Bytes by formula beside what each index wrote, in the columns of `capacity_table.format_size_checks`."""
    once = quality.drop_duplicates(["corpus", "n", "config"]).sort_values("n", kind="stable")
    return [
        {
            "index": f"{line['config']}, {line['n']:,} x {line['dim']}",
            "formula": bytes_text(line["bytes"]),
            "published": bytes_text(line["serialised"]),
            "formula / published": line["bytes"] / line["serialised"],
            "source": "written by the committed run",
        }
        for line in once.to_dict("records")
    ]


def scanned(quality: pd.DataFrame, nprobes: Sequence[int] = (1, 8, 64)) -> list[dict]:
    """Vectors that a query of an inverted file met, beside what list lengths predict, by size and
    nprobe.
    """
    rows = []
    some = quality[(quality["family"] == "IVF") & ~quality["config"].isin(EXACT)]
    for (n, config, search), both in some.groupby(["n", "config", "search"], sort=False):
        nprobe, nlist = json.loads(search)["nprobe"], json.loads(both["build"].iloc[0])["nlist"]
        if nprobe in nprobes:
            predicted = predicted_codes_scanned(n, nlist, nprobe, both["imbalance"].iloc[0])
            row = {"index": config, "base": f"{n:,}", "nprobe": nprobe, "predicted": predicted}
            met = both.set_index("queries")["distances"]
            rows.append(row | {f"{kind} / predicted": met[kind] / predicted for kind in met.index})
    return sorted(rows, key=lambda row: int(row["base"].replace(",", "")))
