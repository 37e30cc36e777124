"""Which part of an image each word looked at."""

import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from lib.core.checks import RetrievalInputError
from lib.plots.pictures import draw_image
from lib.plots.style import COLOURS, styled

DARKEST = 0.85  # of the veil: what lies under it can still be recognised
NIGHT = (0.04, 0.06, 0.14)


@styled
def spotlights(
    images: Sequence[np.ndarray],
    maps: Sequence[np.ndarray],
    words: Sequence[Sequence[str]],
    names: Sequence[str],
    *,
    low: float = 0.0,
    high: float = 1.0,
    size: float = 1.65,
) -> Figure:
    """Shows each image with its patches, then once for every word: light where the word finds
    itself.

    A patch of similarity `high` is clear, one of `low` or less lies in the dark; the scale is the
    same in all panels. A thick frame marks the patch that won, its similarity stands under the
    word.

    Args:
        images: one a row, as for `contact_sheet`.
        maps: one a row, `(n_words, n_patches)` similarities, patches row by row of a square grid.
        words: one list a row, a word a map.
        names: what each row shows, written over it.
        low, high: similarities of the darkest patches and of clear ones.
        size: inches per panel.

    Raises:
        RetrievalInputError: nothing to show, lists of different lengths, maps that are no square
            grid or have another number of words, or `low` not below `high`.
    """
    n = len(images)
    if not n or {len(maps), len(words), len(names)} != {n}:
        raise RetrievalInputError(
            f"there must be as many images, maps, lists of words and names, at least one; got {n}"
            f" images, {len(maps)} maps, {len(words)} lists, {len(names)} names"
        )
    if not low < high:
        raise RetrievalInputError(f"low must be below high, got {low} and {high}")
    maps = [_grids(found, len(of)) for found, of in zip(maps, words)]
    columns = 1 + max(len(of) for of in words)
    figure, axes = plt.subplots(
        n, columns, figsize=(size * columns, (size + 0.95) * n), squeeze=False
    )
    for row, image, grids, of, name in zip(axes, images, maps, words, names):
        for ax in row:
            ax.grid(False)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        draw_image(row[0], np.asarray(image))
        _grid_lines(row[0], np.shape(image), grids.shape[1])
        row[0].set_title(" ", fontsize=15)  # keeps the height of the name
        # The name itself runs on over the other panels, so it must not widen its own.
        row[0].text(0, 1.06, name, fontsize=15, transform=row[0].transAxes, in_layout=False)
        for ax, grid, word in zip(row[1:], grids, of):
            draw_image(ax, np.asarray(image))
            _veil(ax, np.shape(image), grid, low, high)
            ax.set_xlabel(f"{word}\n{grid.max():.2f}", fontsize=14, labelpad=3)
    return figure


def _grids(found: np.ndarray, n_words: int) -> np.ndarray:
    """`(n_words, side, side)`."""
    found = np.asarray(found, dtype=float)
    side = math.isqrt(found.shape[1]) if found.ndim == 2 else 0
    if found.ndim != 2 or len(found) != n_words or side == 0 or side**2 != found.shape[1]:
        raise RetrievalInputError(
            f"maps must be (n_words, patches of a square grid) for {n_words} words, got"
            f" {found.shape}"
        )
    return found.reshape(n_words, side, side)


def _veil(ax, shape: tuple[int, ...], grid: np.ndarray, low: float, high: float) -> None:
    height, width = shape[0] / len(grid), shape[1] / len(grid)
    veil = np.empty((*grid.shape, 4))
    veil[..., :3] = NIGHT
    veil[..., 3] = DARKEST * np.clip((high - grid) / (high - low), 0, 1)
    extent = (-0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5)
    ax.imshow(veil, extent=extent, interpolation="nearest", aspect="equal")
    down, across = np.unravel_index(grid.argmax(), grid.shape)
    corner = across * width - 0.5, down * height - 0.5
    ax.add_patch(plt.Rectangle(corner, width, height, fill=False, ec="white", lw=6))
    ax.add_patch(plt.Rectangle(corner, width, height, fill=False, ec=COLOURS[1], lw=3.5))
    ax.spines[:].set(visible=True, color="0.6", linewidth=0.8)


def _grid_lines(ax, shape: tuple[int, ...], side: int) -> None:
    for i in range(side + 1):
        ax.axvline(i * shape[1] / side - 0.5, color="0.35", lw=0.9, ls="-", marker="")
        ax.axhline(i * shape[0] / side - 0.5, color="0.35", lw=0.9, ls="-", marker="")
