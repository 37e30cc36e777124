"""Learning: right pairs are framed, rings have the given radii, forces point where they push."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import Annulus, Circle, Rectangle

from lib import plots
from lib.core.checks import RetrievalInputError
from lib.plots.schematics.canvas import ROLES

IMAGE = np.full((16, 16, 3), 200, np.uint8)
NAMES = ["alarm clock", "umbrella", "bicycle with a basket", "rainbow"]


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def frames(figure) -> list[Rectangle]:
    return [
        patch
        for patch in figure.axes[0].patches
        if isinstance(patch, Rectangle) and patch.get_edgecolor()[:3] == to_rgb(ROLES["score"])
    ]


def turn(*angles) -> np.ndarray:
    radians = np.radians(angles)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


@pytest.mark.parametrize("n", [2, 4, 8])
def test_the_diagonal_of_a_batch_is_right(n, check_lettering):
    names = (NAMES * 2)[:n]
    figure = plots.batch_matrix(names, [IMAGE] * n, np.eye(n))
    assert len(frames(figure)) == n
    assert texts(figure).count("1.00") == n and texts(figure).count("0.00") == n * n - n
    assert f"{n} right pairs" in " ".join(texts(figure))
    assert f"the other {n * n - n} are the wrong pairs" in plots.description(figure)
    check_lettering(figure)


def test_a_batch_of_other_modalities_has_their_names():
    figure = plots.batch_matrix(NAMES, [IMAGE] * 4, kinds=("melodies", "sketches"))
    assert {"4 melodies", "4 sketches"} <= set(texts(figure)) and "4 texts" not in texts(figure)
    with pytest.raises(RetrievalInputError, match="melodies and sketches must be equally many"):
        plots.batch_matrix(NAMES, [IMAGE], kinds=("melodies", "sketches"))


def test_right_pairs_beside_the_diagonal_are_named(check_lettering):
    right = np.eye(4, dtype=bool)
    right[0, 3] = True
    figure = plots.batch_matrix(NAMES, [IMAGE] * 4, right=right)
    assert len(frames(figure)) == 5 and texts(figure).count("✓") == 5
    assert "1 right pair beside" in " ".join(texts(figure))
    check_lettering(figure)


def test_the_ring_of_a_triplet_has_the_width_of_the_margin():
    figure = plots.triplet(0.4, 0.5, 0.2)
    ring = next(p for p in figure.axes[0].patches if isinstance(p, Annulus))
    outer, width = ring.get_radii()[0], ring.get_width()
    assert outer / width == pytest.approx(0.6 / 0.2)
    circles = {
        round(p.get_radius() / width, 6) for p in figure.axes[0].patches if isinstance(p, Circle)
    }
    assert {2.0, 3.0} <= circles


@pytest.mark.parametrize(
    ("d_an", "loss", "kind"),
    [
        (0.3, "0.30", "hard: nearer than the positive"),
        (0.5, "0.10", "semi-hard: in the margin ring"),
        (0.7, "0.00", "easy: beyond the ring"),
    ],
)
def test_a_negative_is_hard_semi_hard_or_easy_by_its_place(d_an, loss, kind, check_lettering):
    figure = plots.triplet(0.4, d_an, 0.2)
    assert kind in texts(figure)
    assert f"max(0, 0.40 - {d_an:.2f} + 0.20) = {loss}" in texts(figure)
    assert f"loss {loss}" in plots.description(figure)
    check_lettering(figure)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("items", [NAMES, [IMAGE] * 4])
def test_pictures_and_names_of_a_triplet_stay_inside(n, items, check_lettering):
    figure = plots.triplet(
        0.4, [0.75, 0.5, 0.3, 0.62][:n], 0.2, anchor=items[0], positive=items[1],
        negatives=items[:n],
    )  # fmt: skip
    assert {"a", "p", "n" if n == 1 else "n1"} <= set(texts(figure))
    check_lettering(figure)
    for image in figure.axes[0].images:
        left, right, bottom, top = image.get_extent()
        assert left >= 0 and bottom >= 0 and right <= 10.8 and top <= 5.6


def test_names_of_a_triplet_stand_beside_its_losses():
    figure = plots.triplet(0.4, 0.5, 0.2, anchor="bell", positive="ring", negatives=["sun"])
    assert {"bell", "ring", "sun, semi-hard: in the margin ring"} <= set(texts(figure))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.batch_matrix(["a"], [IMAGE]), "2 to 8, got 1 and 1"),
        (lambda: plots.batch_matrix(["a"] * 2, [IMAGE]), "got 2 and 1"),
        (lambda: plots.batch_matrix(["a"] * 2, [IMAGE] * 2, [[1]]), "similarities must have shape"),
        (lambda: plots.triplet(0.4, [], 0.2), "d_an must be 1 to 4 distances"),
        (lambda: plots.triplet(0.4, -1, 0.2), "d_an must be 1 to 4 distances above 0, got -1"),
        (lambda: plots.triplet(0.4, 0.3, 0), "margin must be above 0, got 0.4 and 0"),
        (lambda: plots.triplet(0.4, 0.3, 1, negatives=[]), "negatives must be 1 items, got 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call()
