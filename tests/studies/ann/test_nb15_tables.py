"""What the tables say, on tables made by hand."""

import json

import numpy as np
import pandas as pd
import pytest

from lib.core.checks import RetrievalInputError
from lib.report import quality as shown
from lib.report import timing
from lib.studies.ann import nb15_tables
from lib.studies.ann.configs import scaling_configs

# nprobe, recall of image and of text queries
IVF = ((1, 0.80, 0.70), (2, 0.90, 0.80), (4, 0.96, 0.95), (8, 0.99, 0.98))
SPEED = {"Flat": 10.0, "IVF1": 20.0, "IVF4": 100.0, "PQ2": 50.0, "ScaNN9": 400.0}


def row(config, family, search, kind, recall, build=None, **work):
    qps = SPEED[config] / search.get("nprobe", 1)
    about = {"corpus": "toy", "n": 100, "dim": 8, "config": config, "family": family}
    about |= {"queries": kind, "k": 10, "search": json.dumps(search), "imbalance": 1.5}
    about |= {"build": json.dumps(build or {}), "bytes": 4000, "serialised": 4096}
    ends = {"recall": recall, "recall_low": recall - 0.01, "recall_high": recall + 0.01}
    end_task = {"R@10": None, "R@10_exact": None}
    if kind == "text":
        end_task = {"R@10": 0.5 * recall, "R@10_exact": 0.5}
    speed = {"single_qps": qps, "single_low": 0.9 * qps, "single_high": 1.1 * qps}
    speed["speed_up"] = SPEED[config] / 20
    no_work = dict.fromkeys(("distances", "codes", "centroids"))
    return about | ends | end_task | speed | no_work | work


@pytest.fixture
def table():
    rows = []
    for kind, column in (("image", 1), ("text", 2)):
        rows.append(row("Flat", "Flat", {}, kind, 1.0, distances=100.0))
        rows.append(
            row(
                "IVF1",
                "IVF",
                {"nprobe": 1},
                kind,
                1.0,
                {"nlist": 1},
                distances=100.0,
                centroids=1.0,
            )
        )
        for line in IVF:
            work = {"distances": 10.0 * line[0], "centroids": 4.0}
            rows.append(
                row("IVF4", "IVF", {"nprobe": line[0]}, kind, line[column], {"nlist": 4}, **work)
            )
        rows.append(row("PQ2", "PQ", {}, kind, 0.5, {"code_bytes": 2}, codes=100.0))
        rows.append(row("ScaNN9", "ScaNN", {}, kind, 0.97 if kind == "image" else 0.9))
    return pd.DataFrame(rows)


def test_bytes_read_add_whole_vectors_and_codes(table):
    lsh = row("PQ2", "LSH", {}, "text", 0.5, {"n_bits": 12}, codes=100.0, distances=20.0)
    read = nb15_tables.bytes_read(pd.concat([table, pd.DataFrame([lsh])]))
    of = dict(zip(table["config"], read, strict=False))
    assert of["Flat"] == 100 * 4 * 8 and of["IVF4"] == (80 + 4) * 32 and of["PQ2"] == 200
    assert read.iloc[-1] == 20 * 32 + 100 * 2  # 12 bits are two bytes
    assert np.isnan(of["ScaNN9"]) and nb15_tables.with_known_work(table)["family"].nunique() == 3


def test_a_curve_is_the_frontier_by_rising_work(table):
    useless = row(
        "IVF4", "IVF", {"nprobe": 3}, "text", 0.75, {"nlist": 4}, distances=30.0, centroids=4.0
    )
    rows = table.query("config == 'IVF4' and queries == 'text'")
    points = nb15_tables.recall_curve(pd.concat([rows, pd.DataFrame([useless])]))
    assert [point.search["nprobe"] for point in points] == [1, 2, 4, 8]
    assert points[0].work == 14 * 32 and points[0].recall == pytest.approx(0.7)
    with pytest.raises(RetrievalInputError, match="needs rows"):
        nb15_tables.recall_curve(rows.iloc[:0])


def test_costs_compare_at_a_recall_that_both_have(table):
    rows = nb15_tables.cost_ratio_table(table)
    assert [line["config"] for line in rows] == ["IVF4"]  # PQ2 has one point, ScaNN no work
    assert rows[0]["recall"] == 0.95 and rows[0]["text, kB read"] == pytest.approx(44 * 32 / 1e3)
    image = (24 + (0.95 - 0.90) / (0.96 - 0.90) * 20) * 32 / 1e3
    assert rows[0]["image, kB read"] == pytest.approx(image)
    assert rows[0]["text / image"] == pytest.approx(44 * 32 / 1e3 / image)
    low = table[~table["search"].isin(['{"nprobe": 4}', '{"nprobe": 8}'])]
    assert nb15_tables.cost_ratio_table(low)[0]["recall"] == 0.8
    assert nb15_tables.cost_ratio_table(low[low["recall"] != 0.8]) == []


def test_the_usual_table_takes_the_cheapest_that_is_good_enough(table):
    chosen = nb15_tables.usual_settings(table)
    settings = dict(zip(chosen["config"], chosen["search"], strict=True))
    assert settings["IVF4"] == '{"nprobe": 4}' and settings["PQ2"] == "{}" and len(chosen) == 2 * 5
    only_low = table[(table["config"] != "IVF4") | (table["recall"] < 0.95)]
    assert '{"nprobe": 2}' in set(
        nb15_tables.usual_settings(only_low)["search"]
    )  # none reaches it: the most exact
    rows = nb15_tables.usual_quality_table(chosen)
    assert rows[2]["index"] == "IVF4" and rows[2]["recall, text"] == pytest.approx(
        (0.95, 0.94, 0.96)
    )
    assert rows[-1]["kB read, text"] is None and rows[0]["MB"] == 0.004
    assert len(shown(rows, tolerance=0)["rows"]) == 5


def test_seconds_of_the_usual_table(table):
    lines = []
    for line in nb15_tables.usual_settings(table).to_dict("records"):
        about = {key: line[key] for key in ("corpus", "n", "config", "search", "queries")}
        for repeat in (1, 2, 3):
            lines.append(about | {"stage": "single", "count": 10, "seconds": 0.01 * repeat})
            lines.append(about | {"stage": "batch", "count": 100, "seconds": 0.001 * repeat})
        built = about | {"search": "", "queries": "", "count": 1}
        if line["queries"] == "image":
            lines += [built | {"stage": stage, "seconds": 0.25} for stage in ("train", "add")]
    rows = nb15_tables.usual_seconds_table(nb15_tables.usual_settings(table), pd.DataFrame(lines))
    assert rows[2]["seconds"] == pytest.approx([0.001, 0.002, 0.003])
    assert rows[2]["build (s)"] == "0.50" and rows[2]["in a batch (ms a query)"] == "0.020"
    assert "IVF4" in repr(timing(rows))


def test_the_best_index_and_what_it_gives_texts(table):
    best = nb15_tables.fastest_index(table)
    expected = {"config": "ScaNN9", "setting": "", "times": 20.0, "image": 0.97, "text": 0.9}
    assert best == expected | {"tied": "none"}
    near = table.assign(single_high=20 * table["single_high"])  # a clock that tells nothing apart
    assert nb15_tables.fastest_index(near) == expected | {"tied": "IVF4"}
    with pytest.raises(RetrievalInputError, match=r"reaches 0\.995"):
        nb15_tables.fastest_index(table, 0.995)


def test_gains_near_a_recall_and_their_verdicts():
    columns = ("remedy", "recall", "gain", "gain_low", "gain_high")
    values = (
        ("none", 0.95, None, None, None),
        ("a", 0.80, -0.1, -0.2, -0.05),
        ("a", 0.96, 0.02, 0.01, 0.03),
        ("b", 0.90, -0.04, -0.05, -0.01),
        ("c", 0.95, 0.001, -0.01, 0.01),
    )
    remedies = pd.DataFrame(values, columns=columns)
    remedies = remedies.assign(corpus="toy", family="IVF", queries="text", stored=1.0, work=5.0)
    rows = nb15_tables.gain_table(remedies)
    verdicts = [(row["remedy"], row["it"]) for row in rows]
    assert verdicts == [("a", "helps"), ("b", "harms"), ("c", "not decided")]
    assert rows[0]["recall, plain"] == pytest.approx(94)
    assert rows[0]["gain"] == pytest.approx((2, 1, 3))
    assert nb15_tables.gain_table(remedies, 0.9)[0]["it"] == "harms"
    assert nb15_tables.verdicts(rows) == "helps on toy: a; harms on toy: b"
    assert nb15_tables.verdicts(rows, "image") == "nothing is decided"


def sized(power):
    """Make a table of the scaling configs with work that grows as the given powers of n."""
    rows = []
    for n in (10_000, 100_000, 1_000_000):
        for config in scaling_configs(n, 64):
            for kind in ("image", "text"):
                for recall in (1.0,) if config.index_type == "Flat" else (0.9, 0.96):
                    work = 100.0 * recall * (n / 10_000) ** power[config.index_type]
                    row = {"n": n, "config": config.name, "family": config.index_type}
                    row |= {"build": json.dumps(dict(config.build) | {"code_bytes": 8})}
                    rows.append(row | {"queries": kind, "recall": recall, "distances": work})
    table = pd.DataFrame(rows).assign(corpus="toy", dim=64, bytes=1e6, serialised=1e6)
    return table.assign(search='{"nprobe": 1}', imbalance=1.0, codes=None, centroids=None)


def test_exponents_of_what_a_recall_costs():
    power = {"Flat": 1.0, "IVF": 0.5, "IVF-PQ": 0.75, "HNSW": 0.1}
    rows = nb15_tables.scaling_table(sized(power))
    assert {line["family"] for line in rows} == set(power) and len(rows) == 8
    for line in rows:
        assert line["law"].exponent == pytest.approx(power[line["family"]])
        assert line["recall"] == (1.0 if line["family"] == "Flat" else 0.95)
        assert line["read"][0] == pytest.approx(100 * line["recall"] * 4 * 64)
    text = nb15_tables.scaling_law_row(rows[0], 10_000_000)
    assert (
        text["kB, 10,000"] == pytest.approx(25.6) and text["kB, 10,000,000"] == "2.6e+04 to 2.6e+04"
    )
    assert text["exponent"] == pytest.approx((1, 1, 1))


def test_a_family_that_was_not_measured_at_every_size_has_no_exponent():
    table = sized({"Flat": 1.0, "IVF": 0.5, "IVF-PQ": 0.75, "HNSW": 0.1})
    rows = nb15_tables.scaling_table(table[(table["family"] != "HNSW") | (table["n"] != 100_000)])
    assert {line["family"] for line in rows} == {"Flat", "IVF", "IVF-PQ"}


def test_other_configs_of_a_size_are_left_out():
    table = sized({"Flat": 1.0, "IVF": 0.5, "IVF-PQ": 0.75, "HNSW": 0.1})
    more = table.iloc[:2].assign(config="HNSW99")
    assert len(nb15_tables.scaling_rows(pd.concat([table, more]))) == len(
        table[table["config"] != "IVF1"]
    )
    rows = nb15_tables.written_bytes_table(nb15_tables.scaling_rows(table))
    assert (
        len(rows) == 12 and rows[0]["formula / published"] == 1 and rows[0]["formula"] == "1.00 MB"
    )


def test_vectors_met_beside_what_is_predicted():
    rows = [
        row("IVF4", "IVF", {"nprobe": nprobe}, kind, 0.9, {"nlist": 4}, distances=distances)
        for nprobe in (1, 2)
        for kind, distances in (("image", 37.5 * nprobe), ("text", 75.0 * nprobe))
    ]
    rows.append(row("IVF1", "IVF", {"nprobe": 1}, "image", 1.0, {"nlist": 1}, distances=100.0))
    rows = nb15_tables.scanned_lists_table(pd.DataFrame(rows))
    assert (
        len(rows) == 1 and rows[0]["predicted"] == 37.5
    )  # one of four lists of 25, half as long again
    assert rows[0]["image / predicted"] == 1 and rows[0]["text / predicted"] == 2
