"""Tables and sentences as text and as HTML."""

import re

import pytest

from lib.core.checks import RetrievalInputError
from lib.report import METRICS_MIME, percent, quality, sentence

ROWS = [
    {
        "metric": "R@1",
        "value": 0.352,
        "low": 0.331,
        "high": 0.374,
        "chance": 0.0007,
        "n_queries": 1316,
        "split": "test",
    },
    {
        "metric": "R@10",
        "value": 0.66,
        "low": 0.64,
        "high": 0.68,
        "chance": None,
        "n_queries": 1316,
        "split": "test",
    },
]


def test_text_is_aligned_and_says_shared_context_once():
    shown = quality(percent(ROWS), tolerance=0.5, title="Icons")
    assert repr(shown).splitlines() == [
        "Icons",
        "test split, 1,316 queries",
        "metric  value [low, high]  chance",
        "R@1     35.2 [33.1, 37.4]  0.0700",
        "R@10    66.0 [64.0, 68.0]       -",
    ]


def test_context_that_differs_is_a_column_and_empty_context_is_not_said():
    rows = [{"metric": "R@1", "n_queries": n, "split": ""} for n in (5, 5000)]
    assert repr(quality(rows, tolerance=0)).splitlines() == [
        "metric  n queries",
        "R@1             5",
        "R@1         5,000",
    ]


def test_payload_keeps_full_precision_and_every_column():
    shown = quality(ROWS, tolerance=0.005)
    assert shown["rows"] == ROWS
    assert shown._repr_mimebundle_()[METRICS_MIME] == dict(shown)
    assert set(shown._repr_mimebundle_()) == {"text/plain", "text/html", METRICS_MIME}


@pytest.mark.parametrize(
    ("values", "cells"),
    [
        ([35.24, 6.1], ["35.2", "6.1"]),
        ([0.3524], ["0.352"]),
        ([0.07], ["0.0700"]),
        ([3.14159], ["3.14"]),
        ([123456.7], ["123,457"]),
        ([0.0], ["0.0"]),
        ([-0.00001, 25.0], ["0.0", "25.0"]),
        ([float("nan"), 1.5], ["nan", "1.50"]),
    ],
)
def test_numbers_are_rounded_to_what_can_be_read(values, cells):
    lines = repr(quality([{"x": value} for value in values], tolerance=1)).splitlines()[1:]
    assert [line.strip() for line in lines] == cells


def test_digits_for_all_or_by_column():
    rows = [{"a": 1.23456, "b": 1.23456}]
    assert repr(quality(rows, tolerance=1, digits=1)).splitlines()[1].split() == ["1.2", "1.2"]
    assert repr(quality(rows, tolerance=1, digits={"a": 4})).splitlines()[1].split() == [
        "1.2346",
        "1.23",
    ]


def test_html_is_plain_accessible_and_escaped():
    rows = [{"name": "<b>&", "value": 1.5, "ok": True}]
    markup = quality(rows, tolerance=1, title="a < b").markup
    assert "<script" not in markup and "class=" not in markup
    assert "&lt;b&gt;&amp;" in markup and "a &lt; b" in markup
    assert markup.count('scope="col"') == 3
    assert re.search(r'<td style="[^"]*text-align:right[^"]*">1.50</td>', markup)
    assert re.search(r'<td style="[^"]*text-align:left[^"]*">&lt;b', markup)
    assert ">yes</td>" in markup


def test_sentences_wrap_and_names_and_numbers_do_not():
    rows = [{"name": "coco", "flaw": "captions fit other images than their own", "R@1": 0.5}]
    cells = re.findall(r"<td style=\"([^\"]*)\">", quality(rows, tolerance=0.1).markup)
    assert ["white-space:normal" in cell for cell in cells] == [False, True, False]
    assert ["white-space:nowrap" in cell for cell in cells] == [True, False, True]


def test_interval_cells_without_an_interval_show_the_value_alone():
    text = repr(quality([{"x": (1.5, 1.0, 2.0)}, {"x": 2.5}], tolerance=1))
    assert [line.strip() for line in text.splitlines()] == [
        "x [low, high]",
        "1.50 [1.00, 2.00]",
        "2.50",
    ]


def test_sentence_shows_its_text_and_carries_its_values():
    shown = sentence(
        "Recall rises from {a:.1f}% to {b:.1f}% at {n:,} items.",
        a=1.24,
        b=35.25,
        n=1416,
        tolerance=0.5,
    )
    assert repr(shown) == "Recall rises from 1.2% to 35.2% at 1,416 items."
    assert shown["values"] == {"a": 1.24, "b": 35.25, "n": 1416}
    assert shown["tolerance"] == {"a": 0.5, "b": 0.5}
    assert "<script" not in shown.markup and "1,416 items" in shown.markup


def test_backticks_are_code_in_html():
    shown = sentence("`a < {name}` and {n}", n=3, name="b")
    assert shown.text == "`a < b` and 3"
    assert "<code>a &lt; b</code> and 3" in shown.markup
    shown = quality([{"call": "`f()`"}], tolerance=0, title="Of `f`")
    assert "<code>f()</code>" in shown.markup and "Of <code>f</code>" in shown.markup


def test_sentence_without_floats_needs_no_tolerance():
    assert sentence("{n} of {name}", n=3, name="x")["tolerance"] == {}


@pytest.mark.parametrize(
    ("template", "options", "match"),
    [
        ("{a} {b}", {"a": 1}, r"the template uses \['a', 'b'\], the values are \['a'\]"),
        ("{a}", {"a": 1, "b": 2}, "must be the same"),
        ("{a}", {"a": 1.5}, "need a tolerance"),
        ("{a}", {"a": 1.5, "tolerance": {"z": 1}}, "tolerance names 'z'"),
        ("{a}", {"a": [1, 2]}, "value 'a' holds a list"),
    ],
)
def test_sentence_refuses(template, options, match):
    with pytest.raises(RetrievalInputError, match=match):
        sentence(template, **options)


def test_percent_scales_shares_and_leaves_ranks_and_none():
    rows = percent([*ROWS, {"metric": "MedR", "value": 3.0, "low": 2.0, "high": 4.0}])
    assert rows[0]["value"] == pytest.approx(35.2) and rows[0]["chance"] == pytest.approx(0.07)
    assert rows[1]["chance"] is None and rows[0]["n_queries"] == 1316
    assert rows[2]["value"] == 3.0
    assert ROWS[0]["value"] == 0.352, "the rows that were passed in are not changed"


def test_percent_refuses_what_is_percent_already():
    with pytest.raises(RetrievalInputError, match="row 0, column 'value' is 35.2.*already"):
        percent([{"metric": "R@1", "value": 35.2}])
