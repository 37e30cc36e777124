"""Thumbnails: pictures as names along the axes of a matrix, and on a map of points."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from lib.core.checks import RetrievalInputError, check_count
from lib.plots.pictures import dark_on_white
from lib.plots.style import as_points

ON_AXIS = 0.46  # inches
POINTS = 72  # an inch


def add_thumbnails(
    ax: Axes,
    points: np.ndarray,
    images: Sequence[np.ndarray],
    *,
    size: float = 0.5,
    at_most: int = 40,
) -> list[int]:
    """Draw pictures at their places on a map, as many as fit without overlapping.

    Greedy: a picture is drawn where none of those before it is in the way. Draw the points first
    (`plots.scatter`), since their limits and the layout are fixed here.

    Args:
        ax: axes with the points.
        points: `(n, 2)` places of the pictures, the most important first.
        images: n pictures, `(height, width)` or `(height, width, 3)`.
        size: inches.
        at_most: number of pictures.

    Returns:
        The positions of the drawn pictures.
    """
    points = as_points(points, "points")
    if len(images) != len(points):
        raise RetrievalInputError(f"images must be {len(points)}, one a point, got {len(images)}")
    check_count(at_most, "at_most")
    if not 0.1 <= size <= 3:
        raise RetrievalInputError(f"size must be 0.1 to 3 inches, got {size}")
    figure = ax.figure
    figure.draw_without_rendering()
    places = ax.transData.transform(points) / figure.dpi  # inches
    frame = ax.get_window_extent()
    low = np.array([frame.x0, frame.y0]) / figure.dpi + size / 2
    high = np.array([frame.x1, frame.y1]) / figure.dpi - size / 2
    chosen: list[int] = []
    for at, place in enumerate(places):
        inside = ((place >= low) & (place <= high)).all()
        apart = np.abs(places[chosen] - place).max(axis=1) >= 1.12 * size
        if inside and apart.all():
            chosen.append(at)
            _draw_thumbnail(ax, images[at], points[at], size)
        if len(chosen) == at_most:
            break
    return chosen


def name_ticks(ax: Axes, names: Sequence[str | np.ndarray], along: str, **look) -> None:
    """Write names, or draw pictures, at the places 0, 1, 2, ... of the x or the y axis."""
    axis = ax.xaxis if along == "x" else ax.yaxis
    is_text = [isinstance(name, str) or np.ndim(name) < 2 for name in names]
    labels = [str(name) if text else "" for name, text in zip(names, is_text, strict=True)]
    axis.set_ticks(range(len(names)), labels, **(look if any(is_text) else {}))
    if all(is_text):
        return
    away = (ON_AXIS / 2 + 0.06) * POINTS
    for at, name in enumerate(names):
        if not is_text[at]:
            if along == "x":
                _draw_thumbnail(ax, name, (at, 0), ON_AXIS, ax.get_xaxis_transform(), (0, -away))
            else:
                _draw_thumbnail(ax, name, (0, at), ON_AXIS, ax.get_yaxis_transform(), (-away, 0))
    axis.labelpad = (ON_AXIS + 0.14) * POINTS


def _draw_thumbnail(
    ax: Axes, image: np.ndarray, place, size: float, coords="data", shift=(0.0, 0.0)
) -> None:
    image = dark_on_white(image)
    top = 255 if image.dtype == np.uint8 else 1
    zoom = size * POINTS / max(image.shape[:2])
    picture = OffsetImage(image, zoom=zoom, cmap="gray", interpolation="antialiased")
    picture.image.set_clim(0, top)
    look = {"edgecolor": "0.6", "linewidth": 1.0}
    thumbnail = AnnotationBbox(
        picture, place, xybox=shift, xycoords=coords, boxcoords="offset points", pad=0.12,
        annotation_clip=False, bboxprops=look,
    )  # fmt: skip
    ax.add_artist(thumbnail)
