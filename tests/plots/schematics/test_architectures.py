"""Architectures: every part is there, texts are apart, and the sentence says what is drawn."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle

from lib import plots
from lib.core.checks import RetrievalInputError
from lib.plots.schematics.canvas import ROLES

IMAGE = np.full((16, 16, 3), 200, np.uint8)
SIMILARITIES = np.array([[0.1, 0.9, 0.3, -0.2], [0.5, 0.2, 0.25, 0.4]])


def count(figure, kind) -> int:
    return sum(isinstance(patch, kind) for patch in figure.axes[0].patches)


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_two_towers_meet_in_one_score(check_lettering):
    figure = plots.two_towers("alarm clock", IMAGE, score=0.625, text_vector=[1, -2, 0])
    assert count(figure, FancyBboxPatch) == 4 and count(figure, FancyArrowPatch) == 6
    assert {"cosine = 0.62", "“alarm clock”"} <= set(texts(figure))
    assert "alarm clock" in plots.description(figure) and "0.62" in plots.description(figure)
    check_lettering(figure)
    assert "cosine" in texts(plots.two_towers("bell", IMAGE))


def test_a_cross_encoder_joins_every_word_and_patch_with_every_other(check_lettering):
    figure = plots.cross_encoder("red alarm clock", IMAGE, score=0.5)
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
    assert len(lines) == (3 + 4) ** 2
    assert len(figure.axes[0].images) == 4 and {"red", "alarm", "clock"} <= set(texts(figure))
    check_lettering(figure)


def test_the_patches_are_the_image():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4) + 200
    figure = plots.cross_encoder("bell", image)
    parts = [np.asarray(drawn.get_array()) for drawn in figure.axes[0].images]
    np.testing.assert_array_equal(np.block([parts[:2], parts[2:]]), image)


@pytest.mark.parametrize("draw", [plots.two_towers, plots.cross_encoder])
def test_long_texts_stay_inside_their_boxes(draw, check_lettering):
    check_lettering(draw("two small red circles left of a blue square " * 3, IMAGE))


@pytest.mark.parametrize("patches", [[IMAGE] * 4, ["a", "b", "c", "d"]])
def test_late_interaction_frames_the_largest_of_each_row_and_sums_them(patches, check_lettering):
    figure = plots.late_interaction(["red", "incomprehensible"], patches, SIMILARITIES)
    green = to_rgb(ROLES["score"])
    frames = [
        patch
        for patch in figure.axes[0].patches
        if isinstance(patch, Rectangle) and patch.get_edgecolor()[:3] == green
    ]
    columns = sorted(patch.get_x() for patch in frames)
    wide = 1.1
    assert len(frames) == 2 and columns[1] - columns[0] == pytest.approx(wide)
    assert texts(figure).count("0.90") == 2 and "1.40" in texts(figure)
    assert "1.40" in plots.description(figure)
    check_lettering(figure)


def test_many_patches_are_drawn_without_numbers(check_lettering):
    values = np.random.default_rng(0).random((8, 16))
    figure = plots.late_interaction([f"word {i}" for i in range(8)], [IMAGE] * 16, values)
    numbers = [text for text in texts(figure) if text.replace(".", "").isdigit()]
    assert numbers[:-1] == [f"{value:.2f}" for value in values.max(axis=1)]
    check_lettering(figure)


def test_a_funnel_shows_its_counts_and_narrows(check_lettering):
    counts = {"gallery": 5000, "candidates": 50, "shown": 10}
    stages = {"Two towers": "5,000 dot products, exact search", "Cross-encoder": "50 passes"}
    figure = plots.two_stages(counts, stages)
    heights = [p.get_height() for p in figure.axes[0].patches if isinstance(p, FancyBboxPatch)]
    assert heights == sorted(heights, reverse=True) and len(set(heights)) == 3
    assert {"5,000", "50", "10", "gallery"} <= set(texts(figure))
    assert count(figure, Polygon) == 2
    assert "keeps 50 of 5,000" in plots.description(figure)
    check_lettering(figure)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.two_towers("a", IMAGE, text_vector=[np.nan]), "a vector must be finite"),
        (lambda: plots.two_towers("a", np.zeros(3)), "image must have shape"),
        (lambda: plots.cross_encoder(" ", IMAGE), "text must hold a word"),
        (lambda: plots.cross_encoder("a", IMAGE, side=3), "side must be 1 or 2, got 3"),
        (
            lambda: plots.late_interaction(["a"], ["b"], SIMILARITIES),
            r"similarities must have shape \(1, 1\), got \(2, 4\)",
        ),
        (lambda: plots.late_interaction(["a"], ["b"], [[np.inf]]), "must be finite"),
        (
            lambda: plots.late_interaction(["a"] * 9, ["b"], np.zeros((9, 1))),
            "at most 8 words and 16 patches",
        ),
        (lambda: plots.two_stages({"a": 2, "b": 3}, {"s": ""}), r"must not rise, got \[2, 3\]"),
        (lambda: plots.two_stages({"a": 2, "b": 1}, {}), "stages one fewer, got 2 and 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call()


def test_a_figure_without_a_description_is_refused():
    ax = plots.curves({"a": ([1], [1])}, xlabel="x", ylabel="y")
    with pytest.raises(RetrievalInputError, match="must be a schematic figure"):
        plots.description(ax.figure)
