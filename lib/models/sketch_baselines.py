"""Descriptors of sketches that nothing was trained for, in numpy: edges, histograms, a grid.

Each class encodes sketches and pictures as unit vectors, as a model does. A picture becomes its
edges first, dark lines on white; a sketch is its lines already. `fit_ink` then moves the lines into
one box, so that size and place do not count.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from lib.core.checks import RetrievalInputError, check_count, unit_rows

FAINT = 32  # of 255; fainter lines are noise
BLUR = 1.0  # pixels, before gradients and grids
BOX = 48  # pixels, the longer side of the ink


def edge_maps(pictures: np.ndarray) -> np.ndarray:
    """Draw the edges of pictures as dark lines on white.

        e = max over channels of |gradient|, its largest value in a picture made 255

    Args:
        pictures: uint8 (n, height, width, 3).

    Returns:
        uint8 of the same shape.
    """
    x = _checked(pictures).astype(np.float32)
    across, down = np.gradient(x, axis=(2, 1))
    edges = np.hypot(across, down).max(axis=3)
    edges *= 255 / np.maximum(edges.max(axis=(1, 2), keepdims=True), 1)
    return np.repeat((255 - edges).astype(np.uint8)[..., None], 3, axis=3)


def fit_ink(images: np.ndarray, box: int = BOX) -> np.ndarray:
    """Move and scale the ink of images so that its longer side is `box` pixels, centred.

    Args:
        images: uint8 (n, size, size, 3), dark on white.
        box: at most the size.

    Returns:
        float32 (n, size, size), 1 is ink.
    """
    ink = 255 - _checked(images).min(axis=3)
    size = ink.shape[1]
    box = check_count(box, "box", most=size)
    fitted = np.zeros(ink.shape, np.float32)
    for target, one in zip(fitted, ink):
        rows, columns = (np.flatnonzero((one >= FAINT).any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            continue
        part = one[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32) / 255
        part = zoom(part, box / max(part.shape), order=1, grid_mode=True, mode="nearest")
        part = part[:size, :size]
        top, left = (size - part.shape[0]) // 2, (size - part.shape[1]) // 2
        target[top : top + part.shape[0], left : left + part.shape[1]] = part
    return fitted


def _checked(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    square = images.ndim == 4 and images.shape[1] == images.shape[2] and images.shape[3] == 3
    if images.dtype != np.uint8 or not square:
        raise RetrievalInputError(
            f"images must be uint8 (n, size, size, 3), got {images.dtype} {images.shape}"
        )
    return images


class EdgeHistograms:
    """Describe lines by histograms of their directions in the cells of a grid, as HOG does.

        h(cell, k) = sqrt( sum over pixels of the cell of |g| [direction of g, mod 180, in bin k] )

    A pixel votes for the two nearest of `bins` directions, and every cell of `grid` x `grid` gets
    the votes of its surroundings, weighted by a Gaussian of half a cell.

    Reference: N. Dalal, B. Triggs, Histograms of Oriented Gradients for Human Detection, CVPR 2005.
    """

    def __init__(self, grid: int = 8, bins: int = 8) -> None:
        self.grid, self.bins = check_count(grid, "grid"), check_count(bins, "bins")

    def encode_sketch(self, images: np.ndarray) -> np.ndarray:
        """Describe sketches, float32 (n, grid * grid * bins), rows of length 1."""
        ink = gaussian_filter(fit_ink(images), (0, BLUR, BLUR))
        across, down = np.gradient(ink, axis=(2, 1))
        strength, angle = np.hypot(across, down), np.arctan2(down, across) % np.pi
        place = angle / np.pi * self.bins
        low = np.floor(place).astype(int)
        share = place - low
        maps = np.zeros((self.bins, *ink.shape), np.float32)
        for k in range(self.bins):
            maps[k] = strength * ((low % self.bins == k) * (1 - share))
            maps[k] += strength * (((low + 1) % self.bins == k) * share)
        cells = _cell_sums(maps, self.grid)  # (bins, n, grid, grid)
        rows = np.sqrt(cells).transpose(1, 0, 2, 3).reshape(len(ink), -1)
        return _rows_of_length_1(rows)

    def encode_image(self, images: np.ndarray) -> np.ndarray:
        """Describe the edges of pictures in the same way."""
        return self.encode_sketch(edge_maps(images))


class GridLayout:
    """Describe lines by how much ink each cell of a grid holds.

    After the layout descriptor of Sketch-a-Doc (2008), which describes a page by what lies in the
    cells of a grid; here the only kind of content is ink. The root keeps thin lines visible beside
    areas that are full of edges.
    """

    def __init__(self, grid: int = 10) -> None:
        self.grid = check_count(grid, "grid")

    def encode_sketch(self, images: np.ndarray) -> np.ndarray:
        """Describe sketches, float32 (n, grid * grid), rows of length 1."""
        ink = fit_ink(images)
        return _rows_of_length_1(np.sqrt(_cell_sums(ink[None], self.grid)[0]).reshape(len(ink), -1))

    def encode_image(self, images: np.ndarray) -> np.ndarray:
        """Describe the edges of pictures in the same way."""
        return self.encode_sketch(edge_maps(images))


class EdgeMapTower:
    """Give the edges of pictures, and sketches, to the image tower of a model.

    Args:
        encoder: with `encode_image`.
    """

    def __init__(self, encoder) -> None:
        self.encoder = encoder

    def encode_sketch(self, images: np.ndarray) -> np.ndarray:
        """Encode sketches as they are."""
        return self.encoder.encode_image(images)

    def encode_image(self, images: np.ndarray) -> np.ndarray:
        """Encode the edges of pictures."""
        return self.encoder.encode_image(edge_maps(images))


class JoinedEncoders:
    """Join the vectors of encoders: the cosine becomes the mean of their cosines.

    Args:
        encoders: each with `encode_image`, and `encode_sketch` where that differs.
    """

    def __init__(self, *encoders) -> None:
        self.encoders = encoders

    def encode_sketch(self, images: np.ndarray) -> np.ndarray:
        """Encode sketches by all encoders, rows of length 1."""
        return self._join(
            getattr(encoder, "encode_sketch", encoder.encode_image)(images)
            for encoder in self.encoders
        )

    def encode_image(self, images: np.ndarray) -> np.ndarray:
        """Encode pictures by all encoders, rows of length 1."""
        return self._join(encoder.encode_image(images) for encoder in self.encoders)

    def _join(self, parts: Iterable[np.ndarray]) -> np.ndarray:
        return unit_rows(np.concatenate(list(parts), axis=1), "images")


def _cell_sums(maps: np.ndarray, grid: int) -> np.ndarray:
    """Blur maps (k, n, size, size) by half a cell and read them at the centres of the cells."""
    size = maps.shape[-1]
    cell = size / grid
    blurred = gaussian_filter(maps, (0, 0, cell / 2, cell / 2), mode="constant")
    centres = np.minimum(((np.arange(grid) + 0.5) * cell).astype(int), size - 1)
    return np.maximum(blurred[:, :, centres[:, None], centres], 0)


def _rows_of_length_1(rows: Sequence) -> np.ndarray:
    rows = np.asarray(rows, np.float32)
    rows[~rows.any(axis=1)] = 1  # without ink: like everything equally
    return unit_rows(rows, "images")
