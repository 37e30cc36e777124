"""Architectures: every part is there, texts are apart, and the sentence says what is drawn."""

import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from lib import plots
from lib.core.checks import RetrievalInputError

IMAGE = np.full((16, 16, 3), 200, np.uint8)


def count(figure, kind) -> int:
    return sum(isinstance(patch, kind) for patch in figure.axes[0].patches)


def texts(figure) -> str:
    return " ".join(text.get_text() for text in figure.axes[0].texts)


def test_two_towers_meet_in_one_score(check_lettering):
    figure = plots.two_towers("alarm clock", IMAGE, score=0.625, text_vector=[1, -2, 0])
    assert count(figure, FancyBboxPatch) == 4 and count(figure, FancyArrowPatch) == 6
    assert "cosine = 0.62" in texts(figure) and "“alarm clock”" in texts(figure)
    assert "alarm clock" in plots.description(figure) and "0.62" in plots.description(figure)
    check_lettering(figure)
    assert "=" not in texts(plots.two_towers("bell", IMAGE))


def test_long_texts_stay_inside_their_box(check_lettering):
    check_lettering(plots.two_towers("two small red circles left of a blue square " * 3, IMAGE))


def test_bad_vectors_and_pictures_are_refused():
    with pytest.raises(RetrievalInputError, match="a vector must be finite"):
        plots.two_towers("bell", IMAGE, text_vector=[np.nan])
    with pytest.raises(RetrievalInputError, match="image must have shape"):
        plots.two_towers("bell", np.zeros(3))


def test_a_figure_without_a_description_is_told():
    ax = plots.curves({"a": ([1], [1])}, xlabel="x", ylabel="y")
    with pytest.raises(RetrievalInputError, match="must be a schematic figure"):
        plots.description(ax.figure)
