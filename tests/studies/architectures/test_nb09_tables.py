"""The tables of notebook 10: on logits whose answers are known, and against the committed
values.
"""

import numpy as np
import pytest

from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask
from lib.datasets import scenes
from lib.search import Run, Work
from lib.studies.architectures import nb09_tables, rerank_runs, results
from lib.studies.architectures.rerank_depth import RerankScores

LOGITS = np.float32([[5, 1, -3, 0], [-2, -4, -1, -6], [2, 9, 8, -1]])
COSINES = np.float32([[0.9, 0.8, 0.7, 0.6], [0.9, 0.8, 0.7, 0.1], [0.2, 0.9, 0.8, 0.1]])
TASK = RetrievalTask(
    "toy", "test", "text_to_image", ["a", "b", "c"], np.arange(4),
    Qrels.from_pairs([0, 1, 1, 2], [0, 2, 3, 1], shape=(3, 4)), np.arange(3),
)  # fmt: skip


def run_of(scores) -> Run:
    ids = np.argsort(-scores, axis=1, kind="stable")
    return Run.of_one_stage(
        np.take_along_axis(scores, ids, 1), ids, "score", Work("score", scores.size, 0)
    )


@pytest.fixture
def toy(monkeypatch):
    first = run_of(COSINES)
    reading = RerankScores(TASK, first, np.take_along_axis(LOGITS, first.ids, axis=1), "logit")
    monkeypatch.setattr(rerank_runs, "sampled_task", lambda: TASK)
    monkeypatch.setattr(rerank_runs, "exhaustive_run", lambda: run_of(LOGITS))
    monkeypatch.setattr(rerank_runs, "exhaustive_scores", lambda: reading)
    monkeypatch.setattr(nb09_tables, "IMAGES", np.array([0, 3, 1]))
    monkeypatch.setattr(nb09_tables, "REREAD", 2)
    monkeypatch.setattr(nb09_tables, "_evaluate_percent", percent_at_four)


def percent_at_four(keys, ids, qrels=None):
    judged = TASK.qrels if qrels is None else qrels
    found = nb09_tables.evaluate((keys, ids), judged, ks=[1, 4], metrics=["R", "MAP"])
    names = {"R@1": "R@1", "R@10": "R@4", "mAP": "MAP@4"}
    return {name: 100 * found.mean(metric) for name, metric in names.items()}


def test_a_threshold_of_its_own_can_do_what_one_for_all_cannot(toy):
    # Right above wrong: caption 0 5 over 1, caption 2 9 over 8; caption 1 has -6 below -2. No
    # threshold lies above 8 and up to 5, so that one for all serves one caption.
    own, common = nb09_tables.threshold_rows()
    assert own["value"] == pytest.approx(200 / 3) and common["value"] == pytest.approx(100 / 3)


def test_a_floor_keeps_the_list_and_one_sort_does_not(toy):
    first, floor, mixed, own = nb09_tables.mixed_scale_rows()
    assert {key: first[key] for key in ("R@1", "mAP")} == {
        key: floor[key] for key in ("R@1", "mAP")
    }
    # Reread are images 0 1, 0 1 and 1 2. Caption 1: logits -2, -4, then cosines 0.7, 0.1 of images
    # 2, 3.
    assert first["R@1"] == pytest.approx(200 / 3) and mixed["R@1"] == 100
    assert first["unseen in first 20"] == 0
    assert mixed["unseen in first 20"] == pytest.approx(100 * 2 / 6)
    # Judged by image 3 alone, caption 1 finds it in the last place: 1, 1/4, 1.
    assert own["mAP"] == pytest.approx(100 * (1 + 1 / 4 + 1) / 3)


# ---- the committed numbers


def test_differences_are_those_of_the_table():
    table = results.committed_table().set_index(["task", "system"])
    for task in table.index.levels[0]:
        for row in nb09_tables.baseline_rows(task):
            stored = table.loc[(task, row["system"])]
            assert row["R@1 (%)"][0] == pytest.approx(100 * stored["R@1"], abs=1e-3)
            value, low, high = row["points on the dual encoder"]
            if row["system"] == "dual encoder":
                assert value is None and row["p (Holm)"] is None
                continue
            assert (
                value == pytest.approx(100 * stored["difference"], abs=1e-3)
                and low <= value <= high
            )
            assert row["p (Holm)"] == pytest.approx(stored["p_holm"], abs=1e-5)
            found = nb09_tables.compare_rows(task, row["system"], "dual encoder")
            assert (found["value"], found["low"], found["high"]) == pytest.approx(
                (value, low, high), rel=1e-4
            )


def test_a_reader_without_word_order_draws_lots_among_four():
    rows = nb09_tables.blind_reader_rows()
    assert [row["captions"] for row in rows] == [*scenes.KINDS, "all"] and rows[-1][
        "n"
    ] == 5 * scenes.N_HARD
    assert all(20 < row["blind reader (%)"] < 35 for row in rows)


def test_costs_are_those_of_the_table():
    rows = nb09_tables.cost_rows("scenes")
    table = results.committed_table().query("task == 'scenes'")
    assert [row["scoring MFLOP a query"] for row in rows] == pytest.approx(
        list(table["scoring_flops"] / 1e6)
    )
    of = {row["system"]: row["bytes an item"] for row in rows}
    assert of["dual encoder"] < of["late interaction, 2-bit index"] < of["late interaction"]


def test_the_headline_holds_every_row():
    rows, table = nb09_tables.headline_rows(), results.committed_table()
    assert [row["system"] for row in rows] == table["system"].tolist()
    assert all(
        low <= value <= high
        for row in rows
        for value, low, high in [row["R@1 (%)"], row["mAP (%)"]]
    )
