"""What each library answers: the values of the table are those that hand calculation and its manual
give.
"""

import math

import pytest

from lib.studies.metrics import disagreements
from lib.studies.metrics.disagreements import (
    NOT_ASKED,
    NOT_OFFERED,
    answer_rows,
    cases,
    format_answers,
    metric_names,
)
from lib.studies.peers import harness
from lib.studies.peers.metrics import JOBS

TREC, RANX, TORCH, SKLEARN = disagreements.PEERS
MODULES = {library: JOBS[library].library for library in disagreements.PEERS}
DCG = 3 + 2 / math.log2(3) + 1 / 2  # of grades 3, 2, 1 in their best order, linear gain
LINEAR = (1 + 2 / math.log2(3) + 3 / math.log2(5)) / DCG
EXPONENTIAL = (1 + 3 / math.log2(3) + 7 / math.log2(5)) / (7 + 3 / math.log2(3) + 1 / 2)
TWO_MISSING = 1 / (1 + 1 / math.log2(3) + 1 / 2)
TIED_GAIN = (1 + 1 / math.log2(3) + 1 / 2) / 3  # the mean over the three places
FIRST, LAST = (
    f"three tied items, the relevant one inserted {place}" for place in ("first", "last")
)
MISSING = "two of three relevant items were never retrieved"
NEGATIVE = "all scores negative, as cosines may be"
TOP_THREE = "five relevant items, hits at 1 and 3 of the first three"
REFUSED = "AssertionError: Qrels and Run query ids do not match"

# By (case, metric): ours, then trec_eval, ranx, torchmetrics, scikit-learn. A text is a part of the
# cell.
EXPECTED = {
    ("grades 3, 2, 1", "nDCG"): (EXPONENTIAL, LINEAR, LINEAR, LINEAR, LINEAR),
    ("grades 3, 2, 1", "nDCG, gain 2^g - 1"): (EXPONENTIAL, None, EXPONENTIAL, None, None),
    ("grades 3, 2, 1", "nDCG, gain g"): (LINEAR,) * 5,
    (MISSING, "nDCG@10"): (TWO_MISSING, TWO_MISSING, TWO_MISSING, 1, 1),
    (MISSING, "recall@10"): (1 / 3, 1 / 3, 1 / 3, 1, None),
    (MISSING, "AP"): (1 / 3, 1 / 3, 1 / 3, 1, 1),
    (FIRST, "AP"): (1 / 3, 1 / 3, 1, 1, 1 / 3),
    (FIRST, "nDCG@10"): (1 / 2, 1 / 2, 1, TIED_GAIN, TIED_GAIN),
    (LAST, "AP"): (1 / 3, 1, 1 / 3, 1 / 3, 1 / 3),
    (LAST, "nDCG@10"): (1 / 2, 1, 1 / 2, TIED_GAIN, TIED_GAIN),
    ("sixty tied items, the relevant one inserted first", "AP"): (1 / 60, 1 / 60, ..., ..., 1 / 60),
    (NEGATIVE, "AP"): (5 / 6, 5 / 6, 5 / 6, 0, 5 / 6),
    (NEGATIVE, "RR"): (1, 1, 1, 0, None),
    (NEGATIVE, "recall@1"): (1 / 2, 1 / 2, 1 / 2, 0, None),
    (NEGATIVE, "R@1"): (1, 1, 1, 1, None),
    (TOP_THREE, "AP@3"): (1 / 3, 1 / 3, 1 / 3, 5 / 6, None),
    (TOP_THREE, "AP@3 over min(R, k)"): (5 / 9, None, None, None, None),
    ("a list of two, one of them relevant", "P@10"): (0.1, 0.1, 0.1, 0.1, None),
    ("a list of two, one of them relevant", "P@10 of what is there"): (None, None, None, 0.5, None),
    ("a judged query without relevant items", "AP"): (
        "refuses: query 1 has no",
        0.5,
        0.5,
        0.5,
        0.5,
    ),
    ("a judged query that is not in the run", "AP"): (
        "refuses: the run must have 2 rows (qrels), got 1",
        1,
        REFUSED,
        NOT_ASKED,
        NOT_ASKED,
    ),
    ("a query in the run that nobody judged", "AP"): (
        "refuses: query 1 has no",
        1,
        REFUSED,
        0.5,
        NOT_ASKED,
    ),
    ("a query with an empty row of judgements", "AP"): (
        "refuses: query 1",
        1,
        0.5,
        NOT_ASKED,
        NOT_ASKED,
    ),
    ("a grade of -1 at rank 1, of 2 at rank 2", "nDCG, gain g"): (
        "refuses: grade -1",
        1 / math.log2(3),
        1 / math.log2(3),
        (-1 + 2 / math.log2(3)) / (2 - 1 / math.log2(3)),
        "ValueError",
    ),
    ("the score of a wrong item is NaN", "AP"): (
        "refuses: scores must be numbers, got NaN in row 0 at rank 2",
        ...,
        ...,
        ...,
        "ValueError: Input contains NaN",
    ),
    ("grades 1 and 2 at ranks 1 and 2, of which 2 counts as relevant", "RR from grade 2"): (
        0.5,
        0.5,
        0.5,
        None,
        None,
    ),
    ("two float64 scores that float32 cannot tell apart", "AP"): (0.5, 1, 0.5, ..., 0.5),
    ("judgements not in order of grade, through arrays", "nDCG, gain g"): (
        1,
        1,
        (3 + 1 / math.log2(3)) / (1 + 3 / math.log2(3)),
        1,
        1,
    ),
}


@pytest.fixture(scope="module")
def rows():
    return {(row["case"], row["metric"]): row for row in answer_rows()}


def check(cell, expected):
    if expected is None:
        assert cell == NOT_OFFERED
    elif isinstance(expected, str):
        assert expected in cell
    elif expected is not ...:  # an order that the library does not promise
        assert cell == pytest.approx(expected, abs=1e-6 if cell != expected else 0)


def test_every_case_is_a_row_with_an_expectation(rows):
    assert set(rows) == set(EXPECTED) == {(case.name, case.metric) for case in cases()}
    assert len(rows) == len(cases()) and all(row["why"] for row in rows.values())


def test_ours(rows):
    for key, expected in EXPECTED.items():
        check(rows[key]["ours"], expected[0])


@pytest.mark.parametrize("position, library", list(enumerate(MODULES, start=1)))
def test_a_peer(rows, position, library):
    pytest.importorskip(MODULES[library], reason=f"{library} is optional")
    for key, expected in EXPECTED.items():
        check(rows[key][library], expected[position])


def test_ties_are_an_interval_in_ours_and_in_nothing_else(rows):
    apart = {case for (case, _), row in rows.items() if row["ours"] != row["ours_optimistic"]}
    assert apart == {FIRST, LAST, "sixty tied items, the relevant one inserted first"}
    for (case, _), row in rows.items():
        if case in apart:
            for library in MODULES:
                value = row[library]
                assert (
                    isinstance(value, str)
                    or row["ours"] - 1e-6 <= value <= row["ours_optimistic"] + 1e-6
                )


def test_format_answers(rows):
    shown = format_answers([rows[FIRST, "AP"], rows["grades 3, 2, 1", "nDCG"]], digits=3)
    assert [row["ours"] for row in shown] == ["0.333 to 1.000", "0.629"]
    assert all(isinstance(cell, str) for row in shown for cell in row.values())
    assert "ours_optimistic" not in shown[0]


def test_a_missing_library_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(harness.importlib.util, "find_spec", lambda name: None)
    (row,) = answer_rows(cases()[:1])
    assert {row[library] for library in MODULES} == {'not installed: pip install -e ".[oracles]"'}
    assert row["ours"] == pytest.approx(EXPONENTIAL) and disagreements.peer_versions() == {}


def test_every_metric_is_used():
    assert set(metric_names()) == {case.metric for case in cases()}
