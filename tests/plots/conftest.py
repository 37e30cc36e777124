"""Figures are drawn without a screen and closed after each test."""

import itertools

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def visible_texts(figure) -> list[mpl.text.Text]:
    figure.draw_without_rendering()
    return [t for t in figure.findobj(mpl.text.Text) if t.get_visible() and t.get_text().strip()]


@pytest.fixture
def check_lettering():
    """Assert that texts can be read, do not overlap, and lie inside the figure."""

    def check(figure) -> None:
        texts = visible_texts(figure)
        assert texts and min(t.get_fontsize() for t in texts) >= 12
        boxes = [t.get_window_extent().shrunk(0.98, 0.9) for t in texts]
        for (a, first), (b, second) in itertools.combinations(zip(boxes, texts, strict=True), 2):
            assert not a.overlaps(b), (first.get_text(), second.get_text())
        width, height = figure.bbox.size
        for extent, text in zip(boxes, texts, strict=True):
            inside = extent.x0 >= 0 and extent.y0 >= 0 and extent.x1 <= width
            assert inside and extent.y1 <= height, text.get_text()

    return check
