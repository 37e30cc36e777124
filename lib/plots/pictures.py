"""Pictures: sheets of images and matrices as colours."""

import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.core.checks import RetrievalInputError
from lib.plots.style import COLOUR_MAP, COLOURS, STYLE, labelled, new_axes, styled


@styled
def contact_sheet(
    images: Sequence[np.ndarray],
    titles: Sequence[str] | None = None,
    *,
    columns: int = 8,
    marks: Sequence[bool] | None = None,
    title: str | None = None,
    size: float = 1.35,
) -> Figure:
    """Shows images in a grid, in reading order.

    Args:
        images: `(height, width)` or `(height, width, 3)` arrays; uint8, or floats in [0, 1].
        titles: a line under each image; long ones are wrapped and, past two lines, cut.
        columns: images per row.
        marks: which images are right answers: they get a thick frame and a check mark.
        title: of the sheet.
        size: inches per image.

    Returns:
        The figure.

    Raises:
        RetrievalInputError: no images, or another number of titles or marks than of images.
    """
    n_images = len(images)
    if n_images == 0:
        raise RetrievalInputError("there are no images to show")
    for name, values in (("titles", titles), ("marks", marks)):
        if values is not None and len(values) != n_images:
            raise RetrievalInputError(f"{len(values)} {name} for {n_images} images")
    columns = min(columns, n_images)
    rows = math.ceil(n_images / columns)
    line_height = 0.55 if titles is not None else 0.1  # inches for two lines of text
    figure, axes = plt.subplots(
        rows, columns, figsize=(size * columns, (size + line_height) * rows + 0.4), squeeze=False
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
            ax.set_xlabel(_wrapped(text, width=round(size * 10)), fontsize=12, labelpad=4)
    if title:
        figure.suptitle(title)
    return figure


@styled
def heatmap(
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    xlabel: str,
    ylabel: str,
    label: str,
    marks: np.ndarray | None = None,
    digits: int | None = 2,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Shows a matrix as colours, with its numbers when they fit and a frame around marked cells.

    Args:
        values: `(n_rows, n_columns)`.
        rows, columns: names along the axes.
        xlabel, ylabel, label: what the axes and the colour mean, with units.
        marks: `(n_rows, n_columns)` booleans, for example the relevant pairs.
        digits: decimals written in the cells; None writes none, and more than 12 columns get none.
        title: of the axes.
        ax: axes to draw into.

    Raises:
        RetrievalInputError: names or marks that do not fit the matrix.
    """
    values = np.asarray(values)
    if values.shape != (len(rows), len(columns)):
        raise RetrievalInputError(
            f"values have shape {values.shape}, the names say {(len(rows), len(columns))}"
        )
    if marks is not None and np.shape(marks) != values.shape:
        raise RetrievalInputError(f"marks have shape {np.shape(marks)}, values {values.shape}")
    size = (2.8 + 0.85 * len(columns), 1.8 + 0.55 * len(rows))
    ax = new_axes(ax, size)
    picture = ax.imshow(values, cmap=COLOUR_MAP, aspect="auto")
    ax.grid(False)
    ax.set_xticks(range(len(columns)), columns, rotation=35, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(rows)), rows)
    if digits is not None and len(columns) <= 12:
        middle = (np.nanmin(values) + np.nanmax(values)) / 2
        for i, j in np.ndindex(values.shape):
            ink = "black" if values[i, j] > middle else "white"
            ax.text(
                j, i, f"{values[i, j]:.{digits}f}", ha="center", va="center", color=ink, fontsize=12
            )
    if marks is not None:
        for i, j in np.argwhere(marks):
            frame = plt.Rectangle((j - 0.46, i - 0.46), 0.92, 0.92, fill=False, ec=COLOURS[1], lw=3)
            ax.add_patch(frame)
    bar = ax.figure.colorbar(picture, ax=ax)
    bar.set_label(label, fontsize=STYLE["axes.labelsize"])
    bar.ax.tick_params(labelsize=STYLE["ytick.labelsize"])
    return labelled(ax, xlabel, ylabel, title)


def draw_image(ax: Axes, image: np.ndarray) -> None:
    """An image as it is, pixels as squares; grey where it has one channel."""
    image = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    top = 255 if image.dtype == np.uint8 else 1
    ax.imshow(image, cmap="gray", vmin=0, vmax=top, interpolation="nearest", aspect="equal")


def _wrapped(text: str, width: int, lines: int = 2) -> str:
    """At most `lines` lines of about `width` characters, the last one cut with an ellipsis."""
    parts = [""]
    for word in text.split():
        joined = f"{parts[-1]} {word}".strip()
        if len(joined) <= width or not parts[-1]:
            parts[-1] = joined
        else:
            parts.append(word)
    if len(parts) > lines:
        parts = [*parts[: lines - 1], " ".join(parts[lines - 1 :])]
    return "\n".join(p if len(p) <= width else p[: width - 1] + "…" for p in parts)
