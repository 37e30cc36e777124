"""Charts and style: readable sizes, no meaning by colour alone, bad input is refused."""

import itertools

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from lib import plots
from lib.core.checks import RetrievalInputError

RNG = np.random.default_rng(0)
X = np.array([16, 32, 64])


def drawn() -> dict[str, plt.Figure]:
    images = RNG.integers(0, 256, (10, 8, 8), dtype=np.uint8)
    axes = {
        "heatmap": plots.heatmap(
            RNG.random((3, 4)),
            list("abc"),
            list("wxyz"),
            xlabel="images",
            ylabel="names",
            label="cosine",
        ),
        "intervals": plots.intervals(
            ["a", "b"], [1, 2], [0.5, 1.5], [1.5, 2.5], xlabel="R@1 (%)", reference=1
        ),
        "curves": plots.curves(
            {"a": (X, X), "b": (X, X, X - 1, X + 1)}, xlabel="dimension", ylabel="R@1 (%)"
        ),
        "scatter": plots.scatter(
            {"a": RNG.random((5, 2)), "b": RNG.random((5, 2))},
            xlabel="u",
            ylabel="v",
        ),
        "distributions": plots.distributions(
            {"a": RNG.random(50), "b": RNG.random(90)}, xlabel="cosine"
        ),
    }
    figures = {name: ax.figure for name, ax in axes.items()}
    figures["contact_sheet"] = plots.contact_sheet(
        images, [f"image {i}" for i in range(10)], title="query"
    )
    return figures


def texts(figure) -> list[mpl.text.Text]:
    figure.canvas.draw()
    return [t for t in figure.findobj(mpl.text.Text) if t.get_visible() and t.get_text().strip()]


def test_every_text_can_be_read_from_the_back_row():
    for name, figure in drawn().items():
        small = [(t.get_text(), t.get_fontsize()) for t in texts(figure) if t.get_fontsize() < 12]
        assert not small, (name, small)


def test_sizes_do_not_depend_on_the_users_settings():
    with mpl.rc_context({"font.size": 5, "xtick.labelsize": 4, "legend.fontsize": 4}):
        ax = plots.curves({"a": (X, X), "b": (X, X)}, xlabel="dimension", ylabel="R@1 (%)")
        assert min(t.get_fontsize() for t in texts(ax.figure)) >= 12


def test_axes_are_labelled():
    for name, figure in drawn().items():
        if name != "contact_sheet":
            assert figure.axes[0].get_xlabel(), name


def test_series_differ_in_marker_dash_and_colour():
    series = {f"s{i}": (X, X + i) for i in range(5)}
    lines = plots.curves(series, xlabel="x", ylabel="y").get_lines()
    for look in (
        lambda line: line.get_marker(),
        lambda line: line.get_linestyle(),
        lambda line: line.get_color(),
    ):
        assert len({str(look(line)) for line in lines[:4]}) == 4
    assert all(line.get_marker() not in (None, "None", "") for line in lines)


def test_palette_contrasts_with_white():
    def luminance(colour):
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)
        ]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    contrast = [1.05 / (luminance(colour) + 0.05) for colour in plots.COLOURS]
    assert min(contrast[:3]) > 3, (
        "WCAG asks 3:1 for graphics; the first three colours are in every figure"
    )
    assert len(plots.COLOURS) == len(plots.MARKERS) == len(plots.DASHES)


def test_draws_into_a_given_panel():
    left, right = plots.panels(1, 2)
    ax = plots.curves({"a": (X, X)}, xlabel="x", ylabel="y", ax=right)
    assert ax is right and left.figure is right.figure and not left.lines


def test_distributions_sum_to_a_hundred_percent():
    ax = plots.distributions({"a": RNG.random(50), "b": RNG.random(5000)}, xlabel="cosine", bins=10)
    assert [float(np.sum(line.get_ydata())) for line in ax.get_lines()] == pytest.approx([100, 100])


def test_plain_numbers_on_a_log_axis():
    ax = plots.curves(
        {"a": (X, X)},
        xlabel="x",
        ylabel="y",
        xscale="log",
        yscale="log",
        xticks=X,
        yticks=[0.2, 30, 1e6],
    )
    ax.figure.canvas.draw()
    assert [t.get_text() for t in ax.get_xticklabels()] == ["16", "32", "64"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["0.2", "30", "1,000,000"]


def test_save_writes_the_same_bytes_twice_and_closes(tmp_path):
    paths = [
        plots.save(plots.curves({"a": (X, X)}, xlabel="x", ylabel="y"), tmp_path / f"{i}.png")
        for i in range(2)
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert Image.open(paths[0]).format == "PNG"
    assert plt.get_fignums() == []


def test_use_style_is_the_default_afterwards():
    with mpl.rc_context():
        plots.use_style()
        assert mpl.rcParams["font.size"] == plots.STYLE["font.size"]


@pytest.mark.parametrize(
    ("draw", "match"),
    [
        (lambda: plots.contact_sheet([]), "no images"),
        (lambda: plots.contact_sheet([np.zeros((2, 2))], ["a", "b"]), "2 titles for 1 images"),
        (
            lambda: plots.heatmap(np.zeros((2, 3)), ["a"], ["b"], xlabel="", ylabel="", label=""),
            r"shape \(1, 1\) \(names\), got \(2, 3\)",
        ),
        (
            lambda: plots.heatmap(
                np.zeros((1, 1)), ["a"], ["b"], xlabel="", ylabel="", label="", marks=[[1, 0]]
            ),
            "marks have shape",
        ),
        (
            lambda: plots.intervals(["a"], [1], [2], [3], xlabel="x"),
            "'a' must be in its interval .* got 1.0",
        ),
        (lambda: plots.intervals(["a"], [1, 2], [0], [3], xlabel="x"), "1 labels, 2 values"),
        (lambda: plots.curves({}, xlabel="x", ylabel="y"), "no series"),
        (lambda: plots.curves({"a": (X, X[:2])}, xlabel="x", ylabel="y"), "series 'a' needs"),
        (lambda: plots.curves({"a": (X, X, X)}, xlabel="x", ylabel="y"), "series 'a' needs"),
        (
            lambda: plots.scatter({"a": X}, xlabel="x", ylabel="y"),
            r"a has shape \(3,\), expected \(n, 2\)",
        ),
        (
            lambda: plots.scatter(
                {}, xlabel="x", ylabel="y", pairs=(np.zeros((2, 2)), np.zeros((3, 2)))
            ),
            "pairs join 2 points with 3",
        ),
        (lambda: plots.distributions({"a": []}, xlabel="x"), "group 'a' must hold finite values"),
        (lambda: plots.distributions({"a": [1, np.nan]}, xlabel="x"), "must hold finite values"),
    ],
)
def test_refuses(draw, match):
    with pytest.raises(RetrievalInputError, match=match):
        draw()


def test_few_lines_are_named_beside_their_ends_and_apart():
    series = {"all": (X, X), "semi-hard": (X, 1.001 * X), "hard": (X, 1.002 * X)}
    ax = plots.curves(series, xlabel="step", ylabel="R@10 (%)")
    assert [text.get_text() for text in ax.texts] == list(series) and ax.get_legend() is None
    colours = [line.get_color() for line in ax.lines]
    assert [text.get_color() for text in ax.texts] == colours
    ax.figure.draw_without_rendering()
    boxes = [mpl.text.Text.get_window_extent(text).shrunk(1, 0.9) for text in ax.texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert max(box.x1 for box in boxes) <= ax.figure.bbox.width


def test_five_lines_have_a_legend():
    ax = plots.curves({str(i): (X, i * X) for i in range(5)}, xlabel="step", ylabel="R@10 (%)")
    assert len(ax.get_legend().get_texts()) == 5 and not ax.texts


def test_one_legend_stands_beside_the_panels_and_hides_nothing():
    axes = plots.panels(1, 2)
    for ax in axes:
        plots.curves({"a": (X, X), "b": (X, 2 * X)}, xlabel="dimension", ylabel="R@1 (%)", ax=ax)
    legend = plots.one_legend(axes)
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]
    assert all(ax.get_legend() is None and not ax.texts for ax in axes)
    axes[0].figure.canvas.draw()
    left = legend.get_window_extent().x0
    assert all(ax.get_window_extent().x1 < left for ax in axes)
