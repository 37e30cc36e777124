"""Pictures: sheets of images, and the patches of an image that match each word."""

import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.core.checks import RetrievalInputError
from lib.plots.lettering import height_of, wrap_text
from lib.plots.style import COLOURS, styled

DARKEST = 0.85  # opacity of the veil: the picture under it can still be recognised
NIGHT = (0.04, 0.06, 0.14)


@styled
def contact_sheet(
    images: Sequence[np.ndarray],
    titles: Sequence[str] | None = None,
    *,
    columns: int = 8,
    marks: Sequence[bool] | None = None,
    title: str | None = None,
    note: str | None = None,
    size: float = 1.35,
    font_size: float = 12,
) -> Figure:
    """Draw images in a grid, in reading order.

    Args:
        images: `(height, width)` or `(height, width, 3)` arrays; uint8, or floats in [0, 1].
        titles: a line under each image; long ones are wrapped and, after two lines, cut.
        columns: images per row.
        marks: which images are right answers: they get a thick frame and a check mark.
        title: of the sheet, on one line; a long one is cut.
        note: a line under the images, such as who drew them.
        size: inches per image.
        font_size: of the titles of the images, in points.
    """
    n_images = len(images)
    if n_images == 0:
        raise RetrievalInputError("there are no images to show")
    for name, values in (("titles", titles), ("marks", marks)):
        if values is not None and len(values) != n_images:
            raise RetrievalInputError(f"{len(values)} {name} for {n_images} images")
    columns = min(columns, n_images)
    rows = math.ceil(n_images / columns)
    under = height_of(2, font_size) + 0.13 if titles is not None else 0.1
    figure, axes = plt.subplots(
        rows, columns, figsize=(size * columns, (size + under) * rows + 0.4), squeeze=False
    )
    for place, ax in enumerate(axes.ravel()):
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(place < n_images)
        ax.grid(False)
        if place >= n_images:
            continue
        draw_image(ax, np.asarray(images[place]))
        right = marks is not None and bool(marks[place])
        ax.spines[:].set(color=COLOURS[2] if right else "0.75", linewidth=4 if right else 0.8)
        if titles is not None:
            text = ("✓ " if right else "") + str(titles[place])
            label = wrap_text(text, size - 0.06, font_size, 2)
            ax.set_xlabel(label, fontsize=font_size, labelpad=4, parse_math=False)
    if title:
        shown = wrap_text(title, size * columns, font_size + 4, 1)
        figure.suptitle(shown, fontsize=font_size + 4, parse_math=False)
    if note:
        figure.supxlabel(note, fontsize=12, x=0.99, ha="right")
    return figure


@styled
def spotlights(
    images: Sequence[np.ndarray],
    maps: Sequence[np.ndarray],
    words: Sequence[Sequence[str]],
    names: Sequence[str],
) -> Figure:
    """Draw each image with its patches, then once for every word: light where the word matches.

    A patch of similarity 1 is clear, one of 0 or less is dark; the scale is the same in all panels.
    A thick frame marks the most similar patch, its similarity is written under the word.

    Args:
        images: one a row, as for `contact_sheet`.
        maps: one a row, `(n_words, n_patches)` similarities, patches row by row of a square grid.
        words: one list a row, a word a map.
        names: of the rows, written over them.
    """
    n = len(images)
    if not n or {len(maps), len(words), len(names)} != {n}:
        got = f"{n}, {len(maps)}, {len(words)} and {len(names)}"
        raise RetrievalInputError(f"images, maps, words, names must be equally many, got {got}")
    maps = [_grids(similarities, len(row_words)) for similarities, row_words in zip(maps, words)]
    columns = 1 + max(map(len, words))
    figure, axes = plt.subplots(n, columns, figsize=(1.65 * columns, 2.6 * n), squeeze=False)
    for row, image, grids, row_words, name in zip(axes, images, maps, words, names):
        for ax in row:
            ax.grid(False)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        draw_image(row[0], np.asarray(image))
        _grid_lines(row[0], np.shape(image), grids.shape[1])
        row[0].set_title(" ", fontsize=15)  # keeps the height of the name
        # The name is written across all panels of the row and must not widen the first.
        row[0].text(0, 1.06, name, fontsize=15, transform=row[0].transAxes, in_layout=False)
        for ax, grid, word in zip(row[1:], grids, row_words):
            draw_image(ax, np.asarray(image))
            _veil(ax, np.shape(image), grid)
            ax.set_xlabel(f"{word}\n{grid.max():.2f}", fontsize=14, labelpad=3)
    return figure


def _grids(maps: np.ndarray, n_words: int) -> np.ndarray:
    """Similarities of one row of pictures as `(n_words, side, side)`."""
    maps = np.asarray(maps, dtype=float)
    side = math.isqrt(maps.shape[1]) if maps.ndim == 2 else 0
    if maps.ndim != 2 or len(maps) != n_words or side == 0 or side**2 != maps.shape[1]:
        expected = f"({n_words}, patches of a square grid)"
        raise RetrievalInputError(f"maps must have shape {expected}, got {maps.shape}")
    return maps.reshape(n_words, side, side)


def _veil(ax, shape: tuple[int, ...], grid: np.ndarray) -> None:
    """Darken the patches of low similarity and frame the most similar one."""
    height, width = shape[0] / len(grid), shape[1] / len(grid)
    veil = np.empty((*grid.shape, 4))
    veil[..., :3] = NIGHT
    veil[..., 3] = DARKEST * np.clip(1 - grid, 0, 1)
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


def dark_on_white(image: np.ndarray) -> np.ndarray:
    """Return a picture as it is printed: a grey one with a dark border is ink, and is inverted.

    Args:
        image: `(height, width)`, `(height, width, 1)` or `(height, width, 3)`; uint8, or floats in
            [0, 1]. Icons are stored as 255 = ink; they are drawn dark on white.
    """
    image = np.asarray(image)
    image = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    if (
        image.ndim not in (2, 3)
        or (image.ndim == 3 and image.shape[-1] not in (3, 4))
        or not image.size
    ):
        shape = "(height, width) or (height, width, 3)"
        raise RetrievalInputError(f"image must have shape {shape}, got {image.shape}")
    top = 255 if image.dtype == np.uint8 else 1
    if image.ndim == 2:
        border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        return top - image if np.median(border) < top / 2 else image
    return image


def draw_image(ax: Axes, image: np.ndarray) -> None:
    """Draw an image with square pixels; a grey one dark on white."""
    image = dark_on_white(image)
    top = 255 if image.dtype == np.uint8 else 1
    ax.imshow(image, cmap="gray", vmin=0, vmax=top, interpolation="nearest", aspect="equal")
