"""Recall with its interval, and the golden case: sorted rows, asked at random and with the last."""

import numpy as np
import pytest

from lib.index.tuning.configs import Config
from lib.index.tuning.rows import ArrayRows, RowsAt, hold_out
from lib.index.tuning.trials import Estimate, Questions, build, bytes_read, measure


def test_an_interval_worked_by_hand():
    # mean 3/4, deviation sqrt((3 (1/4)^2 + (3/4)^2) / 3) = 1/2, half 1.96 (1/2) / sqrt(4)
    estimate = Estimate.of(np.array([1, 1, 0, 1]))
    assert estimate == pytest.approx((0.75, 0.26, 1.0, 4))
    assert str(estimate) == "0.750 [0.260, 1.000]"
    assert Estimate.of(np.array([1.0])) == (1, 0, 1, 1)


def test_bytes_read_worked_by_hand():
    work = {"distances": 10, "centroids": 4, "codes": 100, "lists": 2}
    assert bytes_read(work, Config("a", "IVF"), 8) == 4 * 8 * 14
    # 100 codes of 2 bytes, and for each of 2 lists 2 tables of 256 floats
    codes = Config("a", "IVF-PQ", {"code_bytes": 2})
    assert bytes_read(work, codes, 8) == 448 + 200 + 2 * 2 * 256 * 4
    # of 4 bits: 4 tables of 16 floats
    fast = Config("a", "IVF-PQ", {"code_bytes": 2, "fast_scan": True})
    assert bytes_read(work, fast, 8) == 448 + 200 + 2 * 4 * 16 * 4


def sorted_rows() -> np.ndarray:
    """4,000 rows without structure, then 2,000 of twenty tight groups: sorted by topic."""
    rng = np.random.default_rng(0)
    loose = rng.standard_normal((4_000, 16))
    tight = 4 * rng.standard_normal((20, 16))[rng.integers(0, 20, 2_000)]
    tight += 0.05 * rng.standard_normal(tight.shape)
    return np.concatenate([loose, tight]).astype(np.float32)


CONFIG, K = Config("IVF64", "IVF", {"nlist": 64}), 10


def recall_asked_with(rows, held, kept) -> Estimate:
    base = RowsAt(ArrayRows(rows), kept)
    questions = Questions({"image": rows[held]}, base, kept, K, "cosine", 0)
    index = build(CONFIG, base, ids=kept).index
    return measure(index, CONFIG, {"nprobe": 4}, 0, questions, questions.report).recall["image"]


def test_a_random_hold_out_agrees_with_the_truth_and_the_last_rows_do_not():
    rows = sorted_rows()
    # The truth: every row asks once, in a tenth that is held out.
    tenths = np.array_split(np.random.default_rng(1).permutation(len(rows)), 10)
    true = []
    for held in tenths:
        held = np.sort(held)
        kept = np.delete(np.arange(len(rows)), held)
        base = RowsAt(ArrayRows(rows), kept)
        questions = Questions({"image": rows[held]}, base, kept, K, "cosine", 0)
        index = build(CONFIG, base, ids=kept).index
        index.set_search(nprobe=4)
        for half in (questions.choose, questions.report):
            asked = half["image"]
            true += questions.recall(asked, index.search(asked.queries, K).ids).tolist()
    truth = float(np.mean(true))
    drawn = recall_asked_with(rows, *hold_out(len(rows)))
    last = recall_asked_with(rows, np.arange(5_400, 6_000), np.arange(5_400))
    assert len(true) == len(rows) and drawn.low <= truth <= drawn.high
    assert not last.low <= truth <= last.high
    assert abs(drawn.mean - truth) < abs(last.mean - truth)


def test_questions_are_asked_once_in_either_half():
    rows = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
    base = ArrayRows(rows)
    questions = Questions({"text": rows[:11]}, base, np.arange(60), 3, "cosine", 0)
    asked = [half["text"].queries.tolist() for half in (questions.choose, questions.report)]
    assert [len(half) for half in asked] == [5, 6]
    assert sorted(asked[0] + asked[1]) == sorted(rows[:11].tolist())
