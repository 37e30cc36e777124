"""The sum of a query: angles worked by hand."""

import pytest

from lib import plots
from lib.core.checks import RetrievalInputError


def test_equal_parts_meet_in_the_middle(check_lettering):
    figure = plots.query_sum(text=90, picture=0, avoided=180)
    said = plots.description(figure)
    # t - u / 2 = (0.5, 1): arctan(1 / 2) = 26.6 degrees from the text.
    assert "lies 45 degrees from the text" in said and "lies 27 degrees from it" in said
    check_lettering(figure)


def test_the_weight_belongs_to_the_picture():
    assert "lies 0 degrees" in plots.description(plots.query_sum(60, 0, 110, weight=0))
    assert "lies 60 degrees" in plots.description(plots.query_sum(60, 0, 110, weight=1))


def test_parts_that_cancel_out():
    with pytest.raises(RetrievalInputError, match="must not cancel out"):
        plots.query_sum(0, 180, 90)
    with pytest.raises(RetrievalInputError, match="weight"):
        plots.query_sum(0, 90, 90, weight=1.5)
