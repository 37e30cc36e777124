"""Figures of benchmark results: numbers at their year and kind, and only comparable ones."""

from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest

from lib import plots
from lib.core.checks import RetrievalInputError
from lib.plots.comparisons import RECALLED, REMEDY

ROWS = [
    {"direction": "image_to_text", "metric": "R@1", "difference": 0.02, "low": 0.01, "high": 0.03},
    {
        "direction": "text_to_image",
        "metric": "R@1",
        "difference": -0.01,
        "low": -0.02,
        "high": 0.005,
    },
]


def row(year, value, **columns):
    columns = {
        "dataset": "coco", "split": "test", "direction": "text_to_image", "metric": "R@1",
        "gallery": "whole", "judgements": "original", "kind": "zero-shot", "verified": "yes",
        "inference": "inductive", "model": f"m{value}", **columns,
    }  # fmt: skip
    return SimpleNamespace(year=year, value=value, **columns)


PUBLISHED = [
    row(2021, 30.0),
    row(2021, 37.0),
    row(2022, 49.0),
    row(2021, 20.0, kind="trained", verified="quoted"),
    row(2021, 35.0, inference="querybank"),
    row(2022, 25.0, verified="recalled"),
    row(None, 60.0),
]


def drawn(ax) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        line.get_label(): line.get_data() for line in ax.get_lines() if line.get_label()[0] != "_"
    }


def test_differences_are_in_points_around_the_line_of_none():
    ax = plots.paired_differences(ROWS, names=("ours", "theirs"))
    assert ax.get_xlabel() == "ours - theirs (points, 95% interval)"
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["image to text, R@1", "text to image, R@1"]
    assert ax.containers[0].lines[0].get_xdata().tolist() == [2, -1]
    assert drawn(ax)["no difference"][0] == [0, 0]
    with pytest.raises(RetrievalInputError, match="no differences"):
        plots.paired_differences([])


def test_published_numbers_stand_at_their_year_by_kind():
    ax = plots.published_over_years(PUBLISHED, own={"mine": (2023, 41.0, 40.0, 42.0)})
    found = drawn(ax)
    assert sorted(found["zero-shot"][1]) == [30, 37, 49] and found["trained on this benchmark"][
        1
    ] == [20]
    assert found[REMEDY][1] == [35] and found[RECALLED][1] == [25]
    for x, _ in found.values():
        assert (np.abs(np.asarray(x) - np.round(x)) <= 0.4 + 1e-9).all()
    recalled = next(line for line in ax.get_lines() if line.get_label() == RECALLED)
    assert recalled.get_markerfacecolor() == "none"
    assert [text.get_text() for text in ax.texts] == ["m37.0", "m49.0"]
    assert ax.containers[0].get_label() == "mine"
    assert ax.get_xlabel() == "year of the model (1 numbers without a year are not drawn)"
    assert ax.get_ylabel() == "text to image R@1 (%)"
    markers = {
        line.get_marker() for line in ax.get_lines() if line.get_label() in ("zero-shot", REMEDY)
    }
    assert len(markers) == 2  # no meaning by colour alone


def places(values, **columns):
    ax = plots.published_over_years([row(2021, v, **columns) for v in values])
    return np.sort(drawn(ax)["zero-shot"][0] - 2021), *drawn(ax)["zero-shot"]


def test_points_of_a_year_that_have_room_stand_at_it():
    offsets, x, y = places([10.0, 30.0, 50.0, 70.0])
    assert offsets.tolist() == [0, 0, 0, 0]
    offsets, x, y = places([10.0, 10.1, 10.2, 90.0])  # three would overlap
    np.testing.assert_allclose(offsets, [-0.1, 0, 0, 0.1], atol=1e-9)


def test_left_and_right_of_a_year_mean_nothing():
    rng = np.random.default_rng(0)
    values = rng.uniform(20, 60, 120)
    _, x, y = places(values.tolist())
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.1  # no trend that a reader could see
    assert np.abs(x - 2021).max() <= 0.4 + 1e-9 and sorted(y) == sorted(values)
    backwards = places(values[::-1].tolist())
    assert {*zip(x, y, strict=True)} == {*zip(*backwards[1:], strict=True)}  # whatever the order


def test_a_number_from_memory_is_not_named_as_the_best():
    rows = [row(2022, 40.0, model="read"), row(2022, 60.0, model="recalled", verified="recalled")]
    assert [text.get_text() for text in plots.published_over_years(rows).texts] == ["read"]


def test_texts_can_be_read():
    for ax in (plots.paired_differences(ROWS), plots.published_over_years(PUBLISHED)):
        ax.figure.canvas.draw()
        texts = [
            t for t in ax.figure.findobj(mpl.text.Text) if t.get_visible() and t.get_text().strip()
        ]
        assert min(t.get_fontsize() for t in texts) >= 12


@pytest.mark.parametrize(
    "column, other", [("direction", "image_to_text"), ("metric", "R@5"), ("gallery", "first fold")]
)
def test_numbers_that_are_not_comparable_are_refused(column, other):
    with pytest.raises(RetrievalInputError, match=f"{column} must be the same in all rows"):
        plots.published_over_years([*PUBLISHED, row(2022, 50.0, **{column: other})])


def test_numbers_without_years_are_refused():
    with pytest.raises(RetrievalInputError, match="no published numbers with a year"):
        plots.published_over_years([row(None, 3.0)])
