"""Figures of matrices: signs and numbers in the cells, one colour scale, right pairs framed."""

import numpy as np
import pytest

from lib import plots
from lib.core.checks import RetrievalInputError

SMALL = np.array([[-0.5, 0.5], [0.0004, -0.25]])


def test_signs_are_written_and_nothing_is_a_bare_zero():
    figure = plots.forces({"one": SMALL}, digits=2)
    assert [text.get_text() for text in figure.axes[0].texts] == ["-0.50", "+0.50", "0", "-0.25"]


def test_panels_share_a_scale_symmetric_about_zero():
    figure = plots.forces({"one": SMALL, "ten": 10 * SMALL})
    assert [ax.images[0].get_clim() for ax in figure.axes[:2]] == [(-5, 5), (-5, 5)]


def test_right_pairs_are_framed_and_the_diagonal_is_the_default():
    assert len(plots.forces({"one": SMALL}).axes[0].patches) == 2
    assert len(plots.forces({"one": SMALL}, marks=np.ones((2, 2), bool)).axes[0].patches) == 4


def test_a_large_matrix_is_colours_only():
    ax = plots.forces({"batch": np.random.default_rng(0).normal(size=(20, 20))}).axes[0]
    assert not ax.texts and not ax.patches and not ax.get_xticklabels()


def test_panels_are_broken_into_lines():
    figure = plots.forces({str(i): SMALL for i in range(4)}, per_line=3)
    assert sum(bool(ax.images) for ax in figure.axes) == 4
    assert [ax.get_visible() and ax.axison for ax in figure.axes[4:6]] == [False, False]


def test_a_matrix_of_zeros_is_drawn():
    figure = plots.forces({"met": np.zeros((2, 2))})
    assert {text.get_text() for text in figure.axes[0].texts} == {"0"}


def test_heatmap_writes_numbers_and_frames_marks():
    ax = plots.heatmap(
        np.array([[0.1, 0.9]]),
        ["q"],
        ["a", "b"],
        xlabel="x",
        ylabel="y",
        label="cosine",
        marks=[[False, True]],
    )
    assert [t.get_text() for t in ax.texts] == ["0.10", "0.90"]
    assert len(ax.patches) == 1


@pytest.mark.parametrize(("columns", "angle"), [(["0", "1"], 0), (["a query", "b"], 35)])
def test_only_long_names_of_columns_are_turned(columns, angle):
    ax = plots.heatmap(np.eye(2), ["q", "r"], columns, xlabel="x", ylabel="y", label="cosine")
    assert [label.get_rotation() for label in ax.get_xticklabels()] == [angle] * 2


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"gradients": {}}, "got none"),
        ({"gradients": {"a": SMALL, "b": np.zeros((3, 3))}}, "matrices of one shape"),
        ({"gradients": {"a": [[np.nan]]}}, "'a' must hold finite values"),
        ({"gradients": {"a": SMALL}, "rows": ["x"]}, r"got \(1, 2\)"),
        ({"gradients": {"a": SMALL}, "marks": [[True]]}, r"and \(1, 1\)"),
    ],
)
def test_bad_gradients_are_refused(arguments, match):
    with pytest.raises(RetrievalInputError, match=match):
        plots.forces(**arguments)
