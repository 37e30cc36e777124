"""Speed beside quality, and the settings that reach a recall, on tables made by hand."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.studies.ann import speed_tables
from lib.studies.ann.speed_tables import frontier

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
    return speed_tables.speed_table(pd.DataFrame(quality), pd.DataFrame(timings))


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
    found = speed_tables.speed_table(quality, pd.DataFrame(timed).assign(p50_ms=1.0, p99_ms=1.0))
    speed_up = found.set_index(["config", "search", "queries"])["speed_up"]
    assert speed_up["Flat", "{}", "text"] == pytest.approx(10 / 50)
    assert speed_up["IVF4", '{"nprobe": 2}', "image"] == pytest.approx(200 / 50)


def probes(row):
    return json.loads(row["search"]).get("nprobe")


def test_without_exact_search_there_is_no_speed_up(table):
    part = table[table["family"] != "Flat"].drop(columns=list(table.columns[-7:]))
    about = part[list(speed_tables.ABOUT)]
    timings = pd.concat([about.assign(stage="single"), about.assign(stage="batch")])
    timings = timings.assign(count=1, seconds=1.0, p50_ms=1.0, p99_ms=1.0)
    assert speed_tables.speed_table(part, timings)["speed_up"].isna().all()


def test_a_setting_chosen_on_images_falls_short_on_texts(table):
    on_images = speed_tables.cheapest_reaching(table)
    assert on_images[["config", "search"]].values.tolist() == [
        ["IVF4", '{"nprobe": 2}'],
        ["Flat", "{}"],
    ]
    assert on_images.iloc[0][["recall, image", "recall, text"]].tolist() == [0.96, 0.90]
    on_texts = speed_tables.cheapest_reaching(table, tuned_on="text")
    assert on_texts["search"].tolist() == ['{"nprobe": 4}', "{}"]
    assert on_texts.iloc[0]["speed_up"] == pytest.approx(10)
    assert speed_tables.cheapest_reaching(table[table["config"] != "Flat"], 1.0).empty


def test_noise_of_the_clock_does_not_choose_a_setting(table):
    noisy = table.copy()
    noisy.loc[noisy["search"] == '{"nprobe": 4}', "single_qps"] *= 1_000  # more work, "faster"
    assert speed_tables.cheapest_reaching(noisy)["search"].tolist()[0] == '{"nprobe": 2}'
    uncounted = noisy.assign(distances=float("nan"), codes=float("nan"), centroids=float("nan"))
    assert '{"nprobe": 2}' in set(
        speed_tables.cheapest_reaching(uncounted)["search"]
    )  # as ScaNN: the smaller option


def test_the_tables_for_reading(table):
    rows = speed_tables.format_settings(table)
    assert len(rows) == 5 and rows[2]["search"] == "nprobe 2"
    assert (
        rows[2]["recall, text"] == "0.900 [0.890, 0.910]" and rows[2]["q/s, image"] == "400 (20.0x)"
    )
    assert rows[2]["MB"] == "2.0" and rows[2]["compared a query"] == "7 distances"
    reached = speed_tables.format_reaching(table[table["config"] == "IVF4"], 0.98)
    assert [row["config"] for row in reached] == ["IVF4", "none reaches 0.98"]


@pytest.mark.parametrize(
    ("options", "says"),
    [({"target": 0}, "got 0"), ({"tuned_on": "sound"}, "no queries 'sound'; it has image, text")],
)
def test_what_cannot_be_chosen_is_refused(table, options, says):
    with pytest.raises(RetrievalInputError, match=says):
        speed_tables.cheapest_reaching(table, **options)
    with pytest.raises(RetrievalInputError, match="one corpus and one size"):
        speed_tables.cheapest_reaching(pd.concat([table, table.assign(n=10)]))


# ---- the frontier


def create_pointset(x, y, higher_x, higher_y):
    """ann-benchmarks: `worst` of a metric is -inf where more is better, inf where less is."""
    rev_y, rev_x = -1 if higher_y else 1, -1 if higher_x else 1
    data = sorted(zip(x, y), key=lambda t: (rev_y * t[1], rev_x * t[0]))
    xs, ys = [], []
    last_x = -np.inf if higher_x else np.inf
    for xv, yv in data:
        if not xv or not yv:
            continue
        if (xv > last_x) if higher_x else (xv < last_x):
            last_x = xv
            xs.append(xv)
            ys.append(yv)
    return xs, ys


def test_by_hand():
    recall = [0.5, 0.9, 0.8, 0.99, 0.9]
    qps = [900, 300, 100, 50, 400]
    assert frontier(recall, qps).tolist() == [0, 4, 3]


def test_a_zero_was_not_measured():
    assert frontier([0.0, 0.5, 0.9], [9.0, 1.0, 0.0]).tolist() == [1]
    assert frontier([], []).tolist() == []


values = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


@given(st.lists(st.tuples(values, values), max_size=30), st.booleans(), st.booleans())
def test_equals_ann_benchmarks(points, higher_x, higher_y):
    x, y = np.array(points).reshape(-1, 2).T
    kept = frontier(x, y, higher_x=higher_x, higher_y=higher_y)
    assert (x[kept].tolist(), y[kept].tolist()) == create_pointset(x, y, higher_x, higher_y)


def test_what_is_no_point_is_refused():
    with pytest.raises(RetrievalInputError, match=r"shapes \(2,\) and \(1,\)"):
        frontier([1, 2], [1])
    with pytest.raises(RetrievalInputError, match="point 1 is"):
        frontier([1, 2], [1, np.nan])
