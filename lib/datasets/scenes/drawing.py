"""Scenes to pixels: photographs, sketches and short clips of the same scenes, by copying sprites.

Nothing here loops over scenes or computes a colour: where each object goes is integer arithmetic on
arrays, and what it looks like comes finished from `sprites`.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from lib.datasets.scenes.sprites import BACKGROUNDS, SPRITE_SIZES, colour_sprites, sketch_sprites
from lib.datasets.scenes.world import (
    COUNTS,
    N_JITTERS,
    N_LAYOUTS,
    SceneBatch,
    canonical,
    check_integer,
)

SIZE = 64
_GAP = 2  # free pixels between objects of a group, and from everything to the border
_BLOCK = 256  # scenes drawn at a time: their canvas fits into the second-level cache

# Where the objects of a group go, in steps along the relation and across it, for each (size, count,
# layout). A step across is an object and a gap; a step along is the same for small objects and a
# sixth of it for large ones, whose half of the image is hardly wider than one of them.
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

    Both in pixels from the group's corner, (along, across) the relation; absent objects have offset
    0.
    """
    offsets = np.zeros((len(SPRITE_SIZES), len(COUNTS), N_LAYOUTS, max(COUNTS), 2), dtype=np.int64)
    for (size, count), variants in _LAYOUTS.items():
        side = SPRITE_SIZES[size == "large"] + _GAP
        step = np.array([side if size == "small" else side // 6, side])
        for layout, places in enumerate(variants):
            offsets[int(size == "large"), count - 1, layout, :count] = np.array(places) * step
    return offsets, offsets.max(axis=3)


class Objects(NamedTuple):
    """All objects of a batch, one row each: scene, group, size, and the top left pixel of the
    sprite.
    """

    scene: np.ndarray
    group: np.ndarray
    size: np.ndarray
    x: np.ndarray
    y: np.ndarray


def place(scenes: SceneBatch) -> Objects:
    """Positions of all objects of canonical scenes (left or upper group first).

    Each group has one half of the image, and inside it free room that the jitter picks from. The
    room is narrow enough that the groups' centres are at least twice as far apart along the
    relation as across it.
    """
    offsets, extents = layout_tables()
    size, count, layout = scenes.size.astype(np.int64), scenes.count - 1, scenes.layout  # (n, 2)
    taken = (
        extents[size, count, layout] + np.array(SPRITE_SIZES)[size][..., None]
    )  # (n, 2, 2) pixels
    room = np.array([SIZE // 2 - _GAP, SIZE - _GAP]) - taken  # (n, 2, 2)
    play = np.minimum(
        room, (6, 8)
    )  # jitter moves a group by at most 3 pixels along and 4 across either way
    corner = (
        _GAP // 2 + (room - play) // 2 + scenes.jitter.astype(np.int64) * (play + 1) // N_JITTERS
    )
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
    """Copies `sprites[size][codes[scene, group]]` of each object onto `canvas` (n, height,
    width).
    """
    for which, table in enumerate(sprites):
        scene, group, _, x, y = (column[objects.size == which] for column in objects)
        side = table.shape[-1]
        windows = np.lib.stride_tricks.sliding_window_view(
            canvas, (side, side), axis=(1, 2), writeable=True
        )
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


def _blocks(scenes: SceneBatch, block: int = _BLOCK):
    scenes = canonical(scenes)
    for start in range(0, len(scenes), block):
        yield slice(start, start + block), scenes[start : start + block]


def render(scenes: SceneBatch) -> np.ndarray:
    """Draws scenes; the same scenes give the same bytes on every machine.

    Args:
        scenes: n scenes.

    Returns:
        (n, 64, 64, 3) uint8 RGB.

    Relations:
        `render_sketch` draws the outlines of the same objects, `render_clip` lets them drift.
    """
    images = np.empty((len(scenes), SIZE, SIZE, 3), dtype=np.uint8)
    grounds, sprites = _packed()
    for rows, block in _blocks(scenes):
        canvas = np.empty((len(block), SIZE, SIZE), dtype=np.uint32)
        canvas[:] = grounds[block.background][:, None, None]
        _paste(canvas, sprites, _colour_codes(block), place(block))
        images[rows] = canvas[..., None].view(np.uint8)[..., :3]
    return images


def render_sketch(scenes: SceneBatch) -> np.ndarray:
    """Outline drawings: shape, size, count and place of every object, without colour and texture.

    Returns:
        (n, 64, 64) uint8, black lines on white.
    """
    sketches = np.full((len(scenes), SIZE, SIZE), 255, dtype=np.uint8)
    for rows, block in _blocks(scenes):
        _paste(sketches[rows], sketch_sprites(), block.shape, place(block))
    return sketches


# One pixel a frame, in the order of MOTIONS; y points down.
_STEPS = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])


def render_clip(scenes: SceneBatch, n_frames: int = 8) -> np.ndarray:
    """Short clips: the whole scene drifts by one pixel a frame; frame `n_frames // 2` equals
    `render`.

    Objects may leave the frame by up to `n_frames // 2` pixels.

    Returns:
        (n, n_frames, 64, 64, 3) uint8 RGB.

    Raises:
        RetrievalInputError: n_frames is not in 1..32.
    """
    n_frames = check_integer(n_frames, "n_frames", 1, 32)
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
