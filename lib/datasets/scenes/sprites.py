"""Small pictures of single objects, drawn with integer arithmetic only so that every machine agrees
on them.

A shape is an inequality on an integer grid of GRID x GRID points per pixel. Counting the points of
a pixel gives coverages in 0..GRID^2, and a colour is a weighted mean of four colours with these
weights.
"""

from functools import lru_cache

import numpy as np

from lib.datasets.scenes.world import COLOURS, SHAPES, TEXTURES

SPRITE_SIZES = (12, 18)  # pixels; small, large
GRID = 6
# Textures in grid points: width of a stripe along a row; lattice period and squared radius of the
# dots. Finer on small objects, where a coarse lattice would leave one dot on a star.
_STRIPES = (15, 17)
_DOTS = ((4 * GRID, 30), (5 * GRID, 56))

PALETTE = {
    "red": (221, 36, 42),
    "orange": (247, 138, 16),
    "yellow": (247, 205, 18),
    "green": (34, 158, 76),
    "blue": (38, 98, 222),
    "purple": (126, 58, 178),
    "pink": (243, 96, 172),
    "black": (42, 42, 48),
}
BACKGROUNDS = (
    (251, 250, 247),
    (238, 243, 250),
    (246, 240, 230),
    (235, 245, 237),
    (250, 238, 240),
    (239, 237, 247),
    (245, 245, 233),
    (231, 240, 243),
)

# Outlines of polygons in thousandths of the half side; x to the right, y upwards.
_TRIANGLE = ((0, 930), (1000, -820), (-1000, -820))
_STAR = (
    (0, 980), (310, 330), (1000, 235), (500, -245), (620, -950), (0, -610),
    (-620, -950), (-500, -245), (-1000, 235), (-310, 330),
)  # fmt: skip
_HEART_POINT = ((-868, 55), (0, -960), (868, 55), (0, 600))


def _in_polygon(x: np.ndarray, y: np.ndarray, corners: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Even-odd rule: inside if a ray to the right crosses an odd number of edges."""
    inside = np.zeros(np.broadcast(x, y).shape, dtype=bool)
    for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
        crosses = (y1 > y) != (y2 > y)
        # x < x1 + (x2 - x1) * (y - y1) / (y2 - y1), multiplied out; the sign of y2 - y1 turns the
        # inequality.
        gap = (x2 - x1) * (y - y1) - (x - x1) * (y2 - y1)
        inside ^= crosses & (gap > 0 if y2 > y1 else gap < 0)
    return inside


def _in_disc(x: np.ndarray, y: np.ndarray, cx: int, cy: int, radius: int) -> np.ndarray:
    return (x - cx) ** 2 + (y - cy) ** 2 <= radius**2


def _in_shape(name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which points of the square [-1000, 1000]^2 belong to the shape."""
    if name == "circle":
        return _in_disc(x, y, 0, 0, 960)
    if name == "square":
        return np.maximum(abs(x), abs(y)) <= 860
    if name == "triangle":
        return _in_polygon(x, y, _TRIANGLE)
    if name == "diamond":
        return 10 * abs(x) + 9 * abs(y) <= 9000
    if name == "star":
        return _in_polygon(x, y, _STAR)
    if name == "cross":
        return (np.minimum(abs(x), abs(y)) <= 380) & (np.maximum(abs(x), abs(y)) <= 960)
    if name == "heart":
        lobes = _in_disc(x, y, -480, 380, 510) | _in_disc(x, y, 480, 380, 510)
        return lobes | _in_polygon(x, y, _HEART_POINT)
    return _in_disc(x, y, 0, 0, 960) & ~_in_disc(x, y, 640, 260, 690)  # moon


def _eroded(inside: np.ndarray, radius: int) -> np.ndarray:
    """Points whose disc of `radius` grid steps lies inside."""
    padded = np.pad(inside, radius)
    n = len(inside)
    result = inside.copy()
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dx * dx + dy * dy <= radius * radius:
                result &= padded[radius + dy : radius + dy + n, radius + dx : radius + dx + n]
    return result


def _is_pale(texture: str, size: int, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Which grid points the texture paints in the pale tint; rows and columns are counted from the
    centre.
    """
    if texture == "striped":  # diagonal: a level stripe would hide in the arms of a cross
        width = _STRIPES[size]
        return (row + column + width // 2) % (2 * width) < width
    if texture == "dotted":  # discs on two interleaved square lattices
        period, squared_radius = _DOTS[size]
        half = period // 2
        pale = False
        for shift in (half, 0):
            dy, dx = (row + shift) % period - half, (column + shift) % period - half
            pale |= dx * dx + dy * dy <= squared_radius
        return pale
    return np.zeros(np.broadcast(row, column).shape, dtype=bool)


@lru_cache(maxsize=1)
def coverages() -> tuple[np.ndarray, ...]:
    """For each size, grid points a pixel: (shape, texture, layer, side, side); outline, body,
    pale.
    """
    result = []
    for size, side in enumerate(SPRITE_SIZES):
        n = side * GRID
        steps = (
            2 * np.arange(n) + 1 - n
        )  # odd numbers symmetric about 0: twice the position from the centre
        x, y = (steps * 1000 // n)[None, :], (-steps * 1000 // n)[:, None]
        rows, columns = (steps[:, None] - 1) // 2, (steps[None, :] - 1) // 2
        layers = np.zeros((len(SHAPES), len(TEXTURES), 3, n, n), dtype=np.int64)
        for i, shape in enumerate(SHAPES):
            inside = _in_shape(shape, x, y)
            body = _eroded(inside, GRID - 1)
            for j, texture in enumerate(TEXTURES):
                pale = body & _is_pale(texture, size, rows, columns)
                layers[i, j] = inside & ~body, body & ~pale, pale
        pixels = layers.reshape(*layers.shape[:3], side, GRID, side, GRID)
        result.append(pixels.sum(axis=(4, 6)))
    return tuple(result)


@lru_cache(maxsize=1)
def colour_sprites() -> tuple[np.ndarray, ...]:
    """For each size, finished pictures: (background, colour, texture, shape, side, side, 4) uint8
    RGB and 0.

    They are blended with every background in advance, since objects never overlap: drawing is then
    copying. The fourth byte makes a pixel one 32-bit word.
    """
    full = GRID * GRID
    colours = np.array([PALETTE[name] for name in COLOURS])  # (8, 3)
    paints = np.stack(
        [colours * 9 // 16, colours, (colours + 9 * 255) // 10], axis=1
    )  # (8, 3 layers, 3)
    grounds = np.array(BACKGROUNDS)
    result = []
    for layers in coverages():
        paint = np.einsum("stlyx,clk->ctsyxk", layers, paints)  # (colour, texture, shape, y, x, 3)
        ground = (full - layers.sum(axis=2)).swapaxes(0, 1)[..., None] * grounds[
            :, None, None, None, None, :
        ]
        mixed = (paint[None] + ground[:, None] + full // 2) // full
        result.append(np.pad(mixed, [(0, 0)] * 6 + [(0, 1)]).astype(np.uint8))
    return tuple(result)


@lru_cache(maxsize=1)
def sketch_sprites() -> tuple[np.ndarray, ...]:
    """For each size, black outlines on white: (shape, side, side) uint8."""
    full = GRID * GRID
    return tuple((255 - 255 * layers[:, 0, 0] // full).astype(np.uint8) for layers in coverages())
