"""Choosing by one half of the queries: recall of either half, work, memory, and a figure."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.index.tuning.configs import Config, formula_bytes
from lib.index.tuning.rows import halves
from lib.index.tuning.trials import Estimate
from lib.studies.ann import choosing, harness
from lib.studies.ann.ground_truth import hits_by_id, truth
from lib.studies.ann.speed_tables import speed_table
from tests.studies.ann.toy import IVF, N, toy

GRID, K = [Config("Flat", "Flat"), IVF], 5


@pytest.fixture(scope="module")
def measured():
    corpus = toy()
    return corpus, [harness.measure_config(corpus, config, K, repeats=1) for config in GRID]


def test_recall_of_either_half_is_that_of_its_queries(measured):
    corpus, results = measured
    settings = choosing.settings_of(corpus, GRID, results, K)
    assert [one.search for one in settings] == ["{}", '{"nprobe": 1}', '{"nprobe": 4}']
    one = settings[1]
    line = next(s for s in results[1].settings if s.row["queries"] == "text")
    recall = hits_by_id(line.ids, truth(corpus, K)["text"].ids, K) / K
    choose_at, report_at = halves(20)
    assert one.choosing["text"] == Estimate.of(recall[choose_at])
    assert one.reported["text"] == Estimate.of(recall[report_at])
    work = max(s.row["distances"] + s.row["centroids"] for s in results[1].settings[:2])
    assert one.cost == 4 * 8 * work


def test_the_least_work_of_each_index_comes_first(measured):
    corpus, results = measured
    settings = choosing.settings_of(corpus, GRID, results, K)
    chosen = choosing.choose(settings, 1.0)
    # All four lists are all vectors, and the four centroids are compared as well.
    assert [(one.config.name, one.cost) for one in chosen] == [
        ("Flat", 4 * 8 * N), ("IVF4", 4 * 8 * (N + 4)),
    ]  # fmt: skip
    easy = choosing.choose(settings, 0.1)
    assert [one.search for one in easy] == ['{"nprobe": 1}', "{}"]
    rows = choosing.format_choices(easy, 0.1)
    assert rows[0]["search"] == "nprobe 1" and rows[1]["recall, text"] == "1.000 [1.000, 1.000]"
    assert choosing.format_choices([], 0.99) == [
        {"config": "none reaches 0.99 with every kind of query"}
    ]
    with pytest.raises(RetrievalInputError, match="target must be between 0 and 1"):
        choosing.choose(settings, 2)


def test_settings_grow_until_the_recall(measured):
    corpus, _ = measured
    config = Config("IVF8", "IVF", {"nlist": 8}, ({"nprobe": 1},))
    grown = harness.measure_config(corpus, config, K, repeats=1, grow_until=1.0)
    probes = [s.row["search"] for s in grown.settings if s.row["queries"] == "text"]
    assert probes == [f'{{"nprobe": {n}}}' for n in (1, 2, 4, 8)]
    as_given = harness.measure_config(corpus, config, K, repeats=1)
    assert len(as_given.settings) == 2
    content = harness.measure_config(corpus, config, K, repeats=1, grow_until=0.01)
    assert len(content.settings) == 2


def test_memory_leaves_configs_out():
    corpus = toy()
    size = formula_bytes(IVF, N, 8)
    assert choosing.within(GRID, corpus, None) == GRID
    assert choosing.within(GRID, corpus, size) == [IVF]
    with pytest.raises(RetrievalInputError, match="ram = 10 bytes hold none .* smallest, IVF4"):
        choosing.within(GRID, corpus, 10)


def test_one_query_cannot_choose_and_report(measured):
    corpus = toy(queries={"text": np.ones((1, 8))}, relevant={})
    with pytest.raises(RetrievalInputError, match="at least 2 queries of the kind 'text'"):
        choosing.settings_of(corpus, GRID, [], K)


def test_the_figure_has_a_line_for_each_index(measured):
    corpus, results = measured
    tables = harness.result_tables(results)
    figure = choosing.pareto_figure(speed_table(tables["quality"], tables["timings"]))
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["image", "text"]
    for ax in figure.axes:
        assert [line.get_label() for line in ax.lines] == ["Flat", "IVF4"]
        for line in ax.lines:
            recall, speed = line.get_data()
            assert (np.diff(recall) > 0).all() and (np.diff(speed) < 0).all()
