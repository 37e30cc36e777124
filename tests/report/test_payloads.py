"""Payloads: accepted cells, round trips through JSON, and differences."""

import copy
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.report import compare_payloads, quality, sentence
from lib.report.payloads import row_label, tidy_rows, tolerance_by_column

ROWS = [
    {"metric": "R@1", "value": 35.2, "low": 33.1, "high": 37.4, "n_queries": 1316},
    {"metric": "R@10", "value": 66.0, "low": 64.0, "high": 68.0, "n_queries": 1316},
]


def payload(rows=ROWS, **options) -> dict:
    return dict(quality(rows, **{"tolerance": 0.5, **options}))


def changed(row: int, **cells) -> dict:
    other = copy.deepcopy(payload())
    other["rows"][row].update(cells)
    return other


def test_equal_payloads_agree():
    assert compare_payloads(payload(), payload()) == []


def test_within_tolerance_agrees_and_at_the_limit_too():
    assert compare_payloads(payload(), changed(0, value=35.7)) == []
    assert compare_payloads(payload(), changed(0, value=34.7)) == []


def test_difference_names_row_column_both_values_and_tolerance():
    (line,) = compare_payloads(payload(), changed(1, value=66.75))
    assert (
        line
        == "row 2 (R@10), column 'value': stored 66, now 66.75; they differ by 0.75, the tolerance"
        " is 0.5"
    )


@pytest.mark.parametrize(
    ("cells", "phrase"),
    [
        ({"n_queries": 1317}, "stored 1316, now 1317; they must be equal"),
        ({"metric": "R@5"}, "stored 'R@1', now 'R@5'"),
        ({"value": None}, "stored 35.2, now None"),
        ({"value": "nan"}, "stored 35.2, now 'nan'"),
        ({"low": 30.0}, "column 'low'"),
    ],
)
def test_counts_texts_and_lost_values_are_exact(cells, phrase):
    (line,) = compare_payloads(payload(), changed(0, **cells))
    assert phrase in line and line.startswith("row 1 (R@1")


def test_none_and_not_a_number_equal_themselves_only():
    rows = [{"a": None, "b": float("nan"), "c": float("inf")}]
    same = payload(rows)
    assert same["rows"] == [{"a": None, "b": "nan", "c": "inf"}]
    assert compare_payloads(same, payload(rows)) == []
    assert len(compare_payloads(same, payload([{"a": 1, "b": 2.0, "c": float("-inf")}]))) == 3


def test_missing_and_new_rows_and_columns():
    assert compare_payloads(payload(), payload(ROWS[:1])) == ["stored 2 rows, now 1; missing: R@10"]
    assert compare_payloads(payload(ROWS[:1]), payload()) == ["stored 1 rows, now 2; new: R@10"]
    without = [{k: v for k, v in row.items() if k != "n_queries"} for row in ROWS]
    assert compare_payloads(payload(), payload(without)) == ["missing columns: n_queries"]
    assert compare_payloads(payload(without), payload()) == ["new columns: n_queries"]


def test_swapped_rows_differ():
    assert compare_payloads(payload(), payload(ROWS[::-1]))


def test_title_tolerance_and_kind_are_part_of_the_payload():
    assert compare_payloads(payload(title="a"), payload(title="b")) == [
        "title: stored 'a', now 'b'"
    ]
    (line,) = compare_payloads(
        payload(tolerance={"value": 0.5}),
        payload(tolerance={"value": 9.0, "low": 0.5, "high": 0.5}),
    )
    assert "tolerance of 'value': stored 0.5, now 9.0" in line
    other = dict(sentence("{x}", x=1))
    assert compare_payloads(payload(), other) == [
        "stored output is a 'quality', now it is a 'sentence'"
    ]


def test_a_loosened_tolerance_does_not_excuse_a_drift():
    loose = changed(0, value=40.0)
    loose["tolerance"]["value"] = 100.0
    assert any("column 'value'" in line for line in compare_payloads(payload(), loose))


def test_sentences_compare_by_value():
    def say(**values):
        return dict(
            sentence(
                "from {a:.1f} to {n} with {name}",
                tolerance=0.1,
                **{"a": 1.0, "n": 3, "name": "x", **values},
            )
        )

    assert compare_payloads(say(), say(a=1.05)) == []
    assert "'a': stored 1, now 1.5" in compare_payloads(say(), say(a=1.5))[0]
    assert "'n': stored 3, now 4" in compare_payloads(say(), say(n=4))[0]
    assert "'name'" in compare_payloads(say(), say(name="y"))[0]
    other = dict(sentence("{a:.1f} {n} {name}", tolerance=0.1, a=1.0, n=3, name="x"))
    assert compare_payloads(say(), other)[0].startswith("template:")


def test_survives_javascript_which_writes_whole_floats_as_integers():
    stored = payload()
    as_javascript = json.loads(json.dumps(stored).replace("66.0", "66").replace("64.0", "64"))
    assert isinstance(as_javascript["rows"][1]["value"], int)
    assert compare_payloads(as_javascript, changed(1, value=66.25)) == []
    assert compare_payloads(as_javascript, changed(1, value=67.0))


def test_payload_is_strict_json():
    rows = [
        {
            "a": np.float32(1.5),
            "b": np.int64(2),
            "c": np.bool_(True),
            "d": np.nan,
            "e": pd.NA,
            "f": np.str_("x"),
        }
    ]
    text = json.dumps(payload(rows), allow_nan=False)
    assert json.loads(text)["rows"] == [
        {"a": 1.5, "b": 2, "c": True, "d": "nan", "e": None, "f": "x"}
    ]


numbers = st.floats(-1e6, 1e6)


@given(st.lists(numbers, min_size=1, max_size=5), st.floats(0, 10), st.floats(-20, 20))
def test_agrees_exactly_when_the_drift_is_within_tolerance(values, tolerance, drift):
    old = payload([{"x": value} for value in values], tolerance=tolerance)
    new = payload([{"x": value + drift} for value in values], tolerance=tolerance)
    slack = 1e-9 * (1 + max(map(abs, values)))
    if abs(drift) < tolerance - slack:
        assert compare_payloads(old, new) == []
    if abs(drift) > tolerance + slack:
        assert len(compare_payloads(old, new)) == len(values)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from("abc"),
            st.none() | st.integers() | numbers | st.text(max_size=3),
            min_size=1,
        ),
        min_size=1,
    )
)
def test_every_payload_agrees_with_its_own_round_trip(rows):
    # A column that mixes text and floats is allowed only without tolerance for it, which floats
    # need.
    mixed = {k for row in rows for k, v in row.items() if isinstance(v, str)}
    rows = [{k: v for k, v in row.items() if k not in mixed or isinstance(v, str)} for row in rows]
    stored = payload(rows, tolerance=0)
    assert compare_payloads(json.loads(json.dumps(stored)), stored) == []


def test_accepts_an_evaluation_and_a_data_frame():
    class Evaluation:
        def rows(self):
            return ROWS

    assert tidy_rows(Evaluation()) == tidy_rows(ROWS) == tidy_rows(pd.DataFrame(ROWS))
    indexed = pd.DataFrame(ROWS).set_index("metric")
    assert tidy_rows(indexed) == tidy_rows(ROWS)


def test_triples_become_interval_columns_and_missing_cells_none():
    names, rows = tidy_rows([{"dim": 16, "R@1": (1.0, 0.5, 1.5)}, {"dim": 32}])
    assert names == ["dim", "R@1", "R@1_low", "R@1_high"]
    assert rows[1] == {"dim": 32, "R@1": None, "R@1_low": None, "R@1_high": None}


def test_columns_select_and_order_and_bring_their_intervals():
    names, _ = tidy_rows(ROWS, columns=["value", "metric"])
    assert names == ["value", "low", "high", "metric"]


def test_intervals_inherit_the_tolerance_of_their_value():
    names, rows = tidy_rows(ROWS)
    assert tolerance_by_column({"value": 0.3, "high": 0.9}, names, rows) == {
        "value": 0.3,
        "low": 0.3,
        "high": 0.9,
    }
    assert tolerance_by_column(0.2, names, rows) == {"value": 0.2, "low": 0.2, "high": 0.2}


def test_counts_may_be_given_a_tolerance():
    counted = payload([{"n": 100}], tolerance={"n": 5})
    assert compare_payloads(counted, payload([{"n": 104}], tolerance={"n": 5})) == []
    assert compare_payloads(counted, payload([{"n": 106}], tolerance={"n": 5}))


@pytest.mark.parametrize(
    ("rows", "options", "match"),
    [
        ([], {}, "no rows"),
        ([{"a": object()}], {}, "row 0, column 'a' holds a object"),
        ([{"a": [1, 2]}], {}, "column 'a' holds a list"),
        ([{"a": np.zeros(2)}], {}, "column 'a' holds a ndarray"),
        ([{"a": 1.0}], {"tolerance": -1}, "tolerance of 'a' must be a finite number >= 0"),
        ([{"a": 1.0}], {"tolerance": float("nan")}, "finite"),
        ([{"a": 1.0}], {"tolerance": True}, "finite number"),
        (
            [{"a": 1.0, "b": 2.0}],
            {"tolerance": {"a": 1}},
            "column 'b' holds measured numbers but has no tolerance",
        ),
        ([{"a": 1.0}], {"tolerance": {"a": 1, "z": 1}}, "tolerance names 'z'; the columns are a"),
        ([{"a": "x"}], {"tolerance": {"a": 1}}, "holds text"),
        ([{"a": 1.0}], {"columns": ["b"]}, "no column 'b'; the rows have 'a'"),
    ],
)
def test_refuses(rows, options, match):
    with pytest.raises(RetrievalInputError, match=match):
        payload(rows, **options)


def test_row_label_takes_texts_not_the_word_for_nan():
    assert row_label({"metric": "R@1", "x": "nan", "n": 3, "split": "test"}) == "R@1, test"


def test_only_equal_numbers_texts_and_flags_agree():
    nan, inf, limit = float("nan"), float("inf"), 1e308

    def agree(old, new, tolerance=limit):
        payload = {"kind": "quality", "title": None, "tolerance": {"x": tolerance}}
        return not compare_payloads(
            {**payload, "rows": [{"x": old}]}, {**payload, "rows": [{"x": new}]}
        )

    values = [nan, inf, -inf, 1.0, 0, True, False, "1", "nan of it", None]
    wrong = [
        (old, new)
        for i, old in enumerate(values)
        for j, new in enumerate(values)
        if agree(old, new) != (i == j or {i, j} == {3, 4})  # 1.0 and 0 are within the tolerance
    ]
    assert wrong == []
    assert agree("nan", nan) and agree("-inf", -inf), (
        "a word of JSON stands for what JSON cannot hold"
    )
    for useless in (nan, inf, -1, "1", None, True):
        assert not agree(1.0, 1.0, useless), f"a tolerance of {useless!r} compares nothing"


def test_a_payload_that_lost_a_part_does_not_agree():
    whole = {"kind": "quality", "title": None, "rows": [{"x": 1.0}], "tolerance": {"x": 0.5}}
    for part in ("kind", "rows", "tolerance"):
        cut = {key: value for key, value in whole.items() if key != part}
        assert (
            compare_payloads(cut, whole)
            and compare_payloads(whole, cut)
            and compare_payloads(cut, cut)
        )
    assert compare_payloads(whole, {**whole, "tolerance": {}}), "a tolerance that is gone"
