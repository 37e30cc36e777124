"""A search over shards: boxes for hits, and the best of all are marked."""

import pytest

from lib import plots
from lib.core.checks import RetrievalInputError

SHARDS = {"A": [("7", 0.9), ("3", 0.5)], "B": [("12", 0.8), ("15", 0.5)], "C": [("22", 0.1)]}


def test_the_best_of_all_shards_are_written_again(check_lettering):
    figure = plots.merged_shards(SHARDS, 3)
    said = [text.get_text() for text in figure.axes[0].texts]
    assert [said.count(name) for name in ("7", "12", "15", "3", "22")] == [2, 2, 2, 1, 1]
    says = plots.description(figure)
    assert "3 shards" in says and "7, 12, 15" in says and "from 2 of them" in says
    check_lettering(figure)


@pytest.mark.parametrize(
    ("shards", "k", "message"),
    [
        ({"A": [("1", 0.1)]}, 1, "2 to 5"),
        ({"A": [], "B": []}, 1, "1 to 5 hits"),
        (SHARDS, 9, "1 to 5, got 9"),
    ],
)
def test_what_cannot_be_drawn_is_refused(shards, k, message):
    with pytest.raises(RetrievalInputError, match=message):
        plots.merged_shards(shards, k)
