"""The scenes world: what exists, and how a batch of scenes is written down.

A scene is two groups of equal objects and one relation between the groups. Every fact about a scene
is a small integer, so a hard negative is an edit of an array (`swap_relation`, `swap_colours`) and
another call of `render`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import numpy as np

from lib.core.checks import RetrievalInputError

SHAPES = ("circle", "square", "triangle", "diamond", "star", "cross", "heart", "moon")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black")
SIZES = ("small", "large")
TEXTURES = ("solid", "striped", "dotted")
COUNTS = (1, 2, 3)
# r ^ 1 is the converse of relation r; r // 2 is its axis.
RELATIONS = ("left of", "right of", "above", "below")
MOTIONS = ("left", "right", "up", "down")

N_LAYOUTS, N_JITTERS, N_BACKGROUNDS = 4, 16, 8

# Field -> (shape of one scene's entry, number of values, smallest value).
DOMAIN = {
    "shape": ((2,), len(SHAPES), 0),
    "colour": ((2,), len(COLOURS), 0),
    "size": ((2,), len(SIZES), 0),
    "texture": ((2,), len(TEXTURES), 0),
    "count": ((2,), len(COUNTS), 1),
    "relation": ((), len(RELATIONS), 0),
    "layout": ((2,), N_LAYOUTS, 0),
    "jitter": ((2, 2), N_JITTERS, 0),
    "background": ((), N_BACKGROUNDS, 0),
    "motion": ((), len(MOTIONS), 0),
    "wording": ((), 2**63, 0),
}


@dataclass(frozen=True, eq=False)
class SceneBatch:
    """Hold `n` scenes as integer arrays; the second axis of length 2 is the group.

    The first six fields and the motion are the meaning of a scene; the last four are nuisance: they
    change the picture or the words, not which captions are true. All fields are int16 except
    `wording`. The two groups of a scene must differ in shape or colour: no caption could tell them
    apart otherwise.

    Args:
        shape, colour, size, texture: (n, 2), positions in SHAPES, COLOURS, SIZES, TEXTURES.
        count: (n, 2), number of objects in the group, 1 to 3.
        relation: (n,), group 0 is RELATIONS[relation] group 1.
        motion: (n,), the drift of the scene in a clip, a position in MOTIONS; a still image does
            not show it.
        layout: (n, 2), the arrangement of the objects inside the group, 0 to 3.
        jitter: (n, 2, 2), the place of the group in its free area along and across the relation, in
            sixteenths.
        background: (n,), one of 8 light backgrounds, 0 to 7.
        wording: (n,) int64 >= 0, decides the words of the captions.
    """

    shape: np.ndarray
    colour: np.ndarray
    size: np.ndarray
    texture: np.ndarray
    count: np.ndarray
    relation: np.ndarray
    motion: np.ndarray
    layout: np.ndarray
    jitter: np.ndarray
    background: np.ndarray
    wording: np.ndarray

    def __post_init__(self) -> None:
        n = len(np.atleast_1d(np.asarray(self.relation)))
        for name, (entry, n_values, smallest) in DOMAIN.items():
            values = np.asarray(getattr(self, name))
            largest = n_values - 1 + smallest
            if values.dtype.kind not in "iu" or values.shape != (n, *entry):
                shapes = f"{(n, *entry)}, got {values.dtype} {values.shape}"
                raise RetrievalInputError(f"scenes: {name} must hold integers of shape {shapes}")
            outside = np.argwhere((values < smallest) | (values > largest))
            if len(outside):
                raise RetrievalInputError(
                    f"scenes: {name} must lie in {smallest}..{largest}, "
                    f"got {values[tuple(outside[0])]} in scene {outside[0][0]}"
                )
            dtype = np.int64 if name == "wording" else np.int16
            object.__setattr__(self, name, values.astype(dtype, copy=False))
        equal = np.flatnonzero(self.pair[:, 0] == self.pair[:, 1])
        if len(equal):
            row = int(equal[0])
            raise RetrievalInputError(
                f"scenes: both groups of scene {row} are {COLOURS[self.colour[row, 0]]} "
                f"{SHAPES[self.shape[row, 0]]}s; give them another shape or colour"
            )

    def __len__(self) -> int:
        return len(self.relation)

    def __getitem__(self, rows) -> SceneBatch:
        """Return the scenes at `rows` (a slice, positions or a mask) as a batch."""
        rows = [rows] if isinstance(rows, (int, np.integer)) else rows
        return SceneBatch(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def __repr__(self) -> str:
        return f"SceneBatch({len(self):,} scenes)"

    @property
    def pair(self) -> np.ndarray:
        """(n, 2) code of each group's (shape, colour), 0 to 63."""
        return self.shape * len(COLOURS) + self.colour


def concatenate(batches: Iterable[SceneBatch]) -> SceneBatch:
    """Join several batches, in order."""
    batches = list(batches)
    names = [field.name for field in fields(SceneBatch)]
    return SceneBatch(**{n: np.concatenate([getattr(b, n) for b in batches]) for n in names})


def exchange_groups(scenes: SceneBatch, where: np.ndarray) -> SceneBatch:
    """Exchange the groups where `where` (n,) is true: A left of B becomes B right of A."""
    where = np.asarray(where, dtype=bool)
    changed = {"relation": scenes.relation ^ where.astype(np.int16)}
    for name, (entry, _, _) in DOMAIN.items():
        if entry:
            value = getattr(scenes, name)
            mask = where.reshape(-1, *(1,) * len(entry))
            changed[name] = np.where(mask, value[:, ::-1], value)
    return replace(scenes, **changed)


def swap_relation(scenes: SceneBatch) -> SceneBatch:
    """Make hard negatives: the two groups trade places, so A left of B becomes B left of A."""
    return replace(scenes, relation=scenes.relation ^ 1)


def swap_colours(scenes: SceneBatch) -> SceneBatch:
    """Make hard negatives: the groups trade colours; equal colours change nothing.

    The new (shape, colour) pairs can be held-out ones, so the result may belong to the split
    test_unseen.
    """
    return replace(scenes, colour=scenes.colour[:, ::-1])


def canonical(scenes: SceneBatch) -> SceneBatch:
    """Put the left or upper group of each scene first (relation "left of" or "above")."""
    return exchange_groups(scenes, scenes.relation % 2 == 1)


def composition_key(scenes: SceneBatch) -> np.ndarray:
    """Return (n,) int64 codes of shapes, colours and relation, equal for converse scenes."""
    scenes = canonical(scenes)
    pair = scenes.pair.astype(np.int64)
    return (pair[:, 0] * 64 + pair[:, 1]) * 2 + scenes.relation // 2


def mix64(x: np.ndarray) -> np.ndarray:
    """Mix 64-bit words: a bijection, each output bit depends on all input bits (splitmix64)."""
    x = np.asarray(x).astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
