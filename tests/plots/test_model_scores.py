"""Scores of models by corpus: every number is drawn where it belongs, and nothing is hidden."""

import math

import numpy as np
import pytest

from lib import plots
from lib.core.checks import RetrievalInputError


def score(model, corpus, direction, value, low=None, high=None, metric="R@1"):
    low, high = (value - 0.05 if low is None else low), (value + 0.05 if high is None else high)
    row = {"model": model, "corpus": corpus, "direction": direction, "metric": metric}
    return row | {"value": value, "low": low, "high": high}


ROWS = [
    score("scenes", "coco test", "image_to_text", 0.69),
    score("scenes", "coco test", "text_to_image", 0.7),
    score("twins", "coco test", "image_to_text", 1.0, 1.0, 1.0),
    score("twins", "coco test", "text_to_image", 0.978, 0.95, 0.99),
    score("scenes", "beir: mini test", "text_to_image", 0.5, math.nan, math.nan, "nDCG@10"),
    score("twins", "clips val", "text_to_video", 3.0, 2.0, 5.0, "MedR"),
]


def test_panels_hold_the_scores_of_their_corpus(check_lettering):
    figure = plots.model_scores(ROWS, ["scenes", "twins", "a model with no result"])
    check_lettering(figure)
    assert figure.get_figwidth() * figure.dpi == 1100
    coco, beir, clips, empty = figure.axes
    assert [ax.get_title(loc="left") for ax in (coco, beir, clips)] == [
        "coco test", "beir: mini test", "clips val",
    ]  # fmt: skip
    assert not empty.axison
    to_text, to_image = coco.containers
    np.testing.assert_allclose(to_text.lines[0].get_xdata(orig=False), [69, 100])
    np.testing.assert_allclose(to_image.lines[0].get_xdata(orig=False), [70, 97.8])
    np.testing.assert_allclose(to_text.lines[0].get_ydata(orig=False), [-0.15, 0.85])
    assert to_text.lines[0].get_marker() != to_image.lines[0].get_marker()
    ends = to_image.lines[1][0].get_xdata(orig=False), to_image.lines[1][1].get_xdata(orig=False)
    np.testing.assert_allclose(ends, [[65, 95], [75, 99]])
    assert clips.containers[0].lines[0].get_xdata(orig=False).tolist() == [3]
    assert "rank" in clips.get_xlabel()
    assert "%" in beir.get_xlabel() and coco.get_xlim()[1] <= 102
    assert [text.get_text() for text in beir.texts] == ["no result"] * 2
    assert coco.yaxis_inverted()  # the first model is on top


def test_scores_that_cannot_be_drawn():
    with pytest.raises(RetrievalInputError, match="no scores"):
        plots.model_scores([])
    with pytest.raises(RetrievalInputError, match="models must hold 'twins'"):
        plots.model_scores(ROWS, ["scenes"])
