"""Speed beside quality, and the settings that reach a recall, on tables made by hand."""

import json

import pandas as pd
import pytest

from lib.core.checks import RetrievalInputError
from lib.studies.ann import speed_tables

RECALL = {  # (config, nprobe): image, text
    ("Flat", None): (1.0, 1.0),
    ("IVF4", 1): (0.90, 0.80),
    ("IVF4", 2): (0.96, 0.90),
    ("IVF4", 4): (0.99, 0.97),
    ("LSH8", None): (0.50, 0.40),
}
QPS = {("Flat", None): 10, ("IVF4", 1): 400, ("IVF4", 2): 200, ("IVF4", 4): 100, ("LSH8", None): 50}


@pytest.fixture
def table():
    quality, timings = [], []
    for (config, nprobe), recalls in RECALL.items():
        search = "{}" if nprobe is None else f'{{"nprobe": {nprobe}}}'
        for kind, recall in zip(("image", "text"), recalls):
            about = {
                "corpus": "toy",
                "n": 9,
                "config": config,
                "family": config.rstrip("48"),
                "search": search,
            }
            about |= {"queries": kind}
            ends = {"recall_low": recall - 0.01, "recall_high": recall + 0.01}
            quality.append(about | {"recall": recall, "bytes": 2e6, "distances": 7.0} | ends)
            for repeat, factor in enumerate((1, 2, 4)):  # the median is twice QPS
                rate = QPS[config, nprobe] * factor
                timings.append(
                    about | {"stage": "batch", "repeat": repeat, "count": 90, "seconds": 9 / rate}
                )
                single = {"stage": "single", "repeat": repeat, "count": 5, "seconds": 5 / rate}
                timings.append(about | single | {"p50_ms": 1e3 / rate, "p99_ms": 2e3 / rate})
    timings.append(
        about | {"search": "", "queries": "", "stage": "add", "count": 9, "seconds": 1, "repeat": 0}
    )
    return speed_tables.settings(pd.DataFrame(quality), pd.DataFrame(timings))


def test_speed_is_the_median_of_the_repeats_and_speed_up_is_over_exact_search(table):
    assert len(table) == 10
    row = table[(table["config"] == "IVF4") & (table["queries"] == "text")].iloc[1]
    assert row[["single_qps", "single_low", "single_high"]].tolist() == pytest.approx(
        [400, 200, 800]
    )
    assert row["batch_qps"] == pytest.approx(4000) and row["speed_up"] == pytest.approx(20)
    assert row["p50_ms"] == pytest.approx(2.5) and row["p99_ms"] == pytest.approx(5)


def test_the_faster_exact_search_is_the_yardstick(table):
    quality = table[list(table.columns[:-7])].replace({"config": {"LSH8": "IVF1"}})
    timed = [
        row
        | {
            "stage": stage,
            "count": 1,
            "seconds": 1 / QPS[row["config"].replace("IVF1", "LSH8"), probes(row)],
        }
        for row in quality[list(speed_tables.ABOUT)].to_dict("records")
        for stage in ("single", "batch")
    ]
    found = speed_tables.settings(quality, pd.DataFrame(timed).assign(p50_ms=1.0, p99_ms=1.0))
    speed_up = found.set_index(["config", "search", "queries"])["speed_up"]
    assert speed_up["Flat", "{}", "text"] == pytest.approx(10 / 50)
    assert speed_up["IVF4", '{"nprobe": 2}', "image"] == pytest.approx(200 / 50)


def probes(row):
    return json.loads(row["search"]).get("nprobe")


def test_without_exact_search_there_is_no_speed_up(table):
    part = table[table["family"] != "Flat"].drop(columns=list(table.columns[-7:]))
    timings = pd.DataFrame(
        [row | {"stage": stage, "count": 1, "seconds": 1.0, "p50_ms": 1.0, "p99_ms": 1.0}
         for row in part[list(speed_tables.ABOUT)].to_dict("records") for stage in ("single", "batch")]
    )  # fmt: skip
    assert speed_tables.settings(part, timings)["speed_up"].isna().all()


def test_a_setting_chosen_on_images_falls_short_on_texts(table):
    on_images = speed_tables.reaching(table)
    assert on_images[["config", "search"]].values.tolist() == [
        ["IVF4", '{"nprobe": 2}'],
        ["Flat", "{}"],
    ]
    assert on_images.iloc[0][["recall, image", "recall, text"]].tolist() == [0.96, 0.90]
    on_texts = speed_tables.reaching(table, tuned_on="text")
    assert on_texts["search"].tolist() == ['{"nprobe": 4}', "{}"]
    assert on_texts.iloc[0]["speed_up"] == pytest.approx(10)
    assert speed_tables.reaching(table[table["config"] != "Flat"], 1.0).empty


def test_noise_of_the_clock_does_not_choose_a_setting(table):
    noisy = table.copy()
    noisy.loc[noisy["search"] == '{"nprobe": 4}', "single_qps"] *= 1_000  # more work, "faster"
    assert speed_tables.reaching(noisy)["search"].tolist()[0] == '{"nprobe": 2}'
    uncounted = noisy.assign(distances=float("nan"), codes=float("nan"), centroids=float("nan"))
    assert '{"nprobe": 2}' in set(
        speed_tables.reaching(uncounted)["search"]
    )  # as ScaNN: the smaller option


def test_the_tables_for_reading(table):
    rows = speed_tables.as_text(table)
    assert len(rows) == 5 and rows[2]["search"] == "nprobe 2"
    assert (
        rows[2]["recall, text"] == "0.900 [0.890, 0.910]" and rows[2]["q/s, image"] == "400 (20.0x)"
    )
    assert rows[2]["MB"] == "2.0" and rows[2]["compared a query"] == "7 distances"
    reached = speed_tables.reaching_as_text(table[table["config"] == "IVF4"], 0.98)
    assert [row["config"] for row in reached] == ["IVF4", "none reaches 0.98"]


@pytest.mark.parametrize(
    ("options", "says"),
    [({"target": 0}, "got 0"), ({"tuned_on": "sound"}, "no queries 'sound'; it has image, text")],
)
def test_what_cannot_be_chosen_is_refused(table, options, says):
    with pytest.raises(RetrievalInputError, match=says):
        speed_tables.reaching(table, **options)
    with pytest.raises(RetrievalInputError, match="one corpus and one size"):
        speed_tables.reaching(pd.concat([table, table.assign(n=10)]))
