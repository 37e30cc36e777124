"""Scenes to pixels: photographs, sketches and short clips of the same scenes, by copying sprites.

Sprites, the pictures of single objects, are drawn once with integer arithmetic, which is the same
on every machine. A shape is an inequality on a grid of GRID x GRID points per pixel. Counting the
points of a pixel gives coverages in 0..GRID^2, and a colour is a mean of four colours with these
weights. Drawing a batch of scenes then only computes places on arrays and copies sprites.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from lib.core.checks import check_count
from lib.datasets.scenes.world import (
    COLOURS,
    COUNTS,
    N_JITTERS,
    N_LAYOUTS,
    SHAPES,
    TEXTURES,
    SceneBatch,
    canonical,
)

SIZE = 64
SPRITE_SIZES = (12, 18)  # pixels; small, large
GRID = 6
# Textures of small and large objects, in grid points: width of a stripe along a row; lattice period
# and squared radius of the dots. On a small star, a coarse lattice would leave one dot.
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
    """Points of the square [-1000, 1000]^2 that belong to the shape."""
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
    """Points with the whole disc of `radius` grid steps inside."""
    padded = np.pad(inside, radius)
    n = len(inside)
    result = inside.copy()
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dx * dx + dy * dy <= radius * radius:
                result &= padded[radius + dy : radius + dy + n, radius + dx : radius + dx + n]
    return result


def _is_pale(texture: str, size: int, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Grid points painted in the pale tint; rows and columns count from the centre."""
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
    """Grid points a pixel by size: (shape, texture, layer, side, side); outline, body, pale."""
    result = []
    for size, side in enumerate(SPRITE_SIZES):
        n = side * GRID
        # Odd numbers symmetric about 0: twice the position from the centre.
        steps = 2 * np.arange(n) + 1 - n
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
    """Return finished pictures by size: (background, colour, texture, shape, side, side, 4) uint8.

    They are blended with every background in advance, since objects never overlap: drawing is then
    copying. The fourth byte, 0, makes an RGB pixel one 32-bit word.
    """
    full = GRID * GRID
    colours = np.array([PALETTE[name] for name in COLOURS])  # (8, 3)
    # (8, 3 layers, 3)
    paints = np.stack([colours * 9 // 16, colours, (colours + 9 * 255) // 10], axis=1)
    grounds = np.array(BACKGROUNDS)[:, None, None, None, None, :]
    result = []
    for layers in coverages():
        paint = np.einsum("stlyx,clk->ctsyxk", layers, paints)  # (colour, texture, shape, y, x, 3)
        ground = (full - layers.sum(axis=2)).swapaxes(0, 1)[..., None] * grounds
        mixed = (paint[None] + ground[:, None] + full // 2) // full
        result.append(np.pad(mixed, [(0, 0)] * 6 + [(0, 1)]).astype(np.uint8))
    return tuple(result)


@lru_cache(maxsize=1)
def sketch_sprites() -> tuple[np.ndarray, ...]:
    """Return black outlines on white by size: (shape, side, side) uint8."""
    full = GRID * GRID
    return tuple((255 - 255 * layers[:, 0, 0] // full).astype(np.uint8) for layers in coverages())


# ---- places

_GAP = 2  # free pixels between objects of a group, and from everything to the border
_BLOCK = 256  # scenes drawn at a time: their canvas fits into the second-level cache

# Places of the objects of a group, in steps along the relation and across it, by (size, count) and
# layout. A step across is an object and a gap; a step along is the same for small objects and a
# sixth of it for large ones, because half of the image is hardly wider than one of them.
_LAYOUTS = {
    ("small", 1): [[(0, 0)]] * 4,
    ("small", 2): [[(0, 0), (0, 1)], [(0, 0), (1, 0)], [(0, 0), (1, 1)], [(1, 0), (0, 1)]],
    ("small", 3): [
        [(0, 0), (0, 1), (0, 2)],
        [(0, 0), (1, 1), (0, 2)],
        [(0, 0), (1, 0), (0, 1)],
        [(1, 0), (0, 1), (1, 1)],
    ],
    ("large", 1): [[(0, 0)]] * 4,
    ("large", 2): [[(0, 0), (0, 1)], [(0, 0), (1, 1)], [(1, 0), (0, 1)], [(0, 0), (2, 1)]],
    ("large", 3): [
        [(0, 0), (0, 1), (0, 2)],
        [(0, 0), (1, 1), (0, 2)],
        [(1, 0), (0, 1), (1, 2)],
        [(0, 0), (1, 1), (2, 2)],
    ],
}


@lru_cache(maxsize=1)
def layout_tables() -> tuple[np.ndarray, np.ndarray]:
    """Offsets (size, count, layout, object, 2) of a group's objects, and the largest of each group.

    Both in pixels from the group's corner, (along, across) the relation; 0 for absent objects.
    """
    offsets = np.zeros((len(SPRITE_SIZES), len(COUNTS), N_LAYOUTS, max(COUNTS), 2), dtype=np.int64)
    for (size, count), variants in _LAYOUTS.items():
        side = SPRITE_SIZES[size == "large"] + _GAP
        step = np.array([side if size == "small" else side // 6, side])
        for layout, places in enumerate(variants):
            offsets[int(size == "large"), count - 1, layout, :count] = np.array(places) * step
    return offsets, offsets.max(axis=3)


class Objects(NamedTuple):
    """All objects of a batch, one row each; x and y are the top left pixel of the sprite."""

    scene: np.ndarray
    group: np.ndarray
    size: np.ndarray
    x: np.ndarray
    y: np.ndarray


def place(scenes: SceneBatch) -> Objects:
    """Place all objects of canonical scenes (left or upper group first).

    Each group has one half of the image, and inside it a free area that the jitter picks from. The
    area is narrow, so the groups' centres are at least twice as far apart along the relation as
    across it.
    """
    offsets, extents = layout_tables()
    size, count, layout = scenes.size.astype(np.int64), scenes.count - 1, scenes.layout  # (n, 2)
    # All (n, 2, 2) in pixels: scene, group, along or across the relation.
    used = extents[size, count, layout] + np.array(SPRITE_SIZES)[size][..., None]
    free = np.array([SIZE // 2 - _GAP, SIZE - _GAP]) - used
    # Jitter moves a group by at most 3 pixels along and 4 across either way.
    play = np.minimum(free, (6, 8))
    moved = scenes.jitter.astype(np.int64) * (play + 1) // N_JITTERS
    corner = _GAP // 2 + (free - play) // 2 + moved
    corner[:, 1, 0] += SIZE // 2  # the second group has the right or lower half
    at = corner[:, :, None] + offsets[size, count, layout]  # (n, 2, 3, 2) along, across
    horizontal = (scenes.relation < 2)[:, None, None]
    x = np.where(horizontal, at[..., 0], at[..., 1])
    y = np.where(horizontal, at[..., 1], at[..., 0])
    present = np.arange(max(COUNTS)) <= count[..., None]  # (n, 2, 3)
    scene, group, _ = np.nonzero(present)
    return Objects(scene, group, size[scene, group], x[present], y[present])


def _paste(
    canvas: np.ndarray, sprites: tuple[np.ndarray, ...], codes: np.ndarray, objects: Objects
) -> None:
    """Copy `sprites[size][codes[scene, group]]` of each object onto `canvas`."""
    for which, table in enumerate(sprites):
        scene, group, _, x, y = (column[objects.size == which] for column in objects)
        side = table.shape[-1]
        view = np.lib.stride_tricks.sliding_window_view
        windows = view(canvas, (side, side), axis=(1, 2), writeable=True)
        # Windows of different objects are disjoint, so the order of these writes is free.
        windows[scene, y, x] = table[codes[scene, group]]


@lru_cache(maxsize=1)
def _packed() -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Backgrounds (8,) and sprites (codes, side, side) as 32-bit words, one a pixel."""
    grounds = np.pad(np.array(BACKGROUNDS, dtype=np.uint8), [(0, 0), (0, 1)]).view(np.uint32)[:, 0]
    sprites = tuple(np.ascontiguousarray(t).view(np.uint32)[..., 0] for t in colour_sprites())
    return grounds, tuple(t.reshape(-1, *t.shape[-2:]) for t in sprites)


def _colour_codes(scenes: SceneBatch) -> np.ndarray:
    """(n, 2) row of each group's sprite in the packed tables."""
    background = scenes.background.astype(np.int64)[:, None]
    return ((background * 8 + scenes.colour) * 3 + scenes.texture) * 8 + scenes.shape


def _blocks(scenes: SceneBatch) -> Iterator[tuple[slice, SceneBatch]]:
    scenes = canonical(scenes)
    for start in range(0, len(scenes), _BLOCK):
        rows = slice(start, start + _BLOCK)
        yield rows, scenes[rows]


def render(scenes: SceneBatch) -> np.ndarray:
    """Draw scenes as (n, 64, 64, 3) uint8 RGB; the same bytes on every machine."""
    images = np.empty((len(scenes), SIZE, SIZE, 3), dtype=np.uint8)
    grounds, sprites = _packed()
    for rows, block in _blocks(scenes):
        canvas = np.empty((len(block), SIZE, SIZE), dtype=np.uint32)
        canvas[:] = grounds[block.background][:, None, None]
        _paste(canvas, sprites, _colour_codes(block), place(block))
        images[rows] = canvas[..., None].view(np.uint8)[..., :3]
    return images


def render_sketch(scenes: SceneBatch) -> np.ndarray:
    """Draw outlines without colour and texture: (n, 64, 64) uint8, black lines on white."""
    sketches = np.full((len(scenes), SIZE, SIZE), 255, dtype=np.uint8)
    for rows, block in _blocks(scenes):
        _paste(sketches[rows], sketch_sprites(), block.shape, place(block))
    return sketches


# One pixel a frame, in the order of MOTIONS; y points down.
_STEPS = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])


def render_clip(scenes: SceneBatch, n_frames: int = 8) -> np.ndarray:
    """Draw short clips: the whole scene drifts by one pixel a frame.

    Frame `n_frames // 2` equals `render`. Objects may leave the frame by up to `n_frames // 2`
    pixels.

    Args:
        scenes: n scenes.
        n_frames: 1 to 32.

    Returns:
        (n, n_frames, 64, 64, 3) uint8 RGB.
    """
    n_frames = check_count(n_frames, "n_frames", most=32)
    margin = n_frames // 2
    wide = SIZE + 2 * margin
    clips = np.empty((len(scenes), n_frames, SIZE, SIZE, 3), dtype=np.uint8)
    grounds, sprites = _packed()
    for rows, block in _blocks(scenes):
        objects, codes = place(block), _colour_codes(block)
        step = _STEPS[block.motion][objects.scene]
        for frame in range(n_frames):
            canvas = np.empty((len(block), wide, wide), dtype=np.uint32)
            canvas[:] = grounds[block.background][:, None, None]
            dx, dy = (margin + step * (frame - margin)).T
            moved = objects._replace(x=objects.x + dx, y=objects.y + dy)
            _paste(canvas, sprites, codes, moved)
            seen = np.ascontiguousarray(canvas[:, margin : margin + SIZE, margin : margin + SIZE])
            clips[rows, frame] = seen[..., None].view(np.uint8)[..., :3]
    return clips
