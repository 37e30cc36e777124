"""Rows in a line: what a cut leaves, and where held-out rows lie."""

import numpy as np
import pytest

from lib import plots
from lib.core.checks import RetrievalInputError

KEPT = [True, False, False, True, False, True, True]


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_counts_what_is_left_in_both_orders(check_lettering):
    figure = plots.cut_rankings(KEPT, 3, condition="is red")
    assert {"1 of 3", "3 of 3"} <= set(texts(figure))
    assert "Cut to 3 first, 1 of them are left; with the condition first, 3." in plots.description(
        figure
    )
    check_lettering(figure)


def test_a_condition_that_nothing_meets(check_lettering):
    figure = plots.cut_rankings([False] * 13, 4)
    assert texts(figure).count("0 of 4") == 2
    check_lettering(figure)


@pytest.mark.parametrize(("kept", "k"), [([True] * 3, 2), ([True] * 14, 2), (KEPT, 8), (KEPT, 0)])
def test_rankings_that_cannot_be_drawn(kept, k):
    with pytest.raises(RetrievalInputError):
        plots.cut_rankings(kept, k)


def test_says_how_many_kinds_each_hold_out_has(check_lettering):
    kinds = ["icons"] * 60 + ["flags"] * 20 + ["emoji"] * 20
    figure = plots.held_out_rows(kinds, {"the end": np.arange(90, 100), "spread": [5, 70, 99]})
    said = plots.description(figure)
    assert "the end holds 1 of 3 kinds, spread holds 3 of 3 kinds" in said
    assert {"icons", "flags", "emoji"} <= set(texts(figure))
    check_lettering(figure)


@pytest.mark.parametrize(
    "held", [{}, {"a": []}, {"a": [4]}, {"a": [-1]}, dict.fromkeys("abcde", [0])]
)
def test_hold_outs_that_cannot_be_drawn(held):
    with pytest.raises(RetrievalInputError):
        plots.held_out_rows(["x"] * 4, held)
