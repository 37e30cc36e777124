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
RELATIONS = (
    "left of",
    "right of",
    "above",
    "below",
)  # r ^ 1 is the converse of r; r // 2 is the axis
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
    """`n` scenes as integer arrays; the second axis of length 2 is the group.

    The first seven fields are what a scene means, the last four are nuisance: two scenes that
    differ in them only make the same captions true. All fields are int16 except `wording`.

    Args:
        shape, colour, size, texture: (n, 2), positions in SHAPES, COLOURS, SIZES, TEXTURES.
        count: (n, 2), number of objects in the group, 1 to 3.
        relation: (n,), group 0 is RELATIONS[relation] group 1.
        motion: (n,), where the scene drifts in a clip, a position in MOTIONS; a still image does
            not show it.
        layout: (n, 2), which arrangement of the objects inside the group, 0 to 3.
        jitter: (n, 2, 2), where the group sits in its free room along and across the relation, in
            sixteenths.
        background: (n,), which light background, 0 to 7.
        wording: (n,) int64 >= 0, decides which words the captions use.

    Raises:
        RetrievalInputError: a field has the wrong shape or a value outside its domain, or the two
            groups of a scene agree in shape and colour (no caption could tell them apart).
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
            given = np.asarray(getattr(self, name))
            if given.dtype.kind not in "iu" or given.shape != (n, *entry):
                raise RetrievalInputError(
                    f"scenes: {name} must hold integers of shape {(n, *entry)}, "
                    f"got {given.dtype} {given.shape}"
                )
            outside = (given < smallest) | (given > n_values - 1 + smallest)
            if outside.any():
                row = np.argwhere(outside)[0]
                raise RetrievalInputError(
                    f"scenes: {name} must lie in {smallest}..{n_values - 1 + smallest}, "
                    f"got {given[tuple(row)]} in scene {row[0]}"
                )
            dtype = np.int64 if name == "wording" else np.int16
            object.__setattr__(self, name, given.astype(dtype, copy=False))
        pair = self.pair
        if (pair[:, 0] == pair[:, 1]).any():
            row = int(np.flatnonzero(pair[:, 0] == pair[:, 1])[0])
            raise RetrievalInputError(
                f"scenes: both groups of scene {row} are {COLOURS[self.colour[row, 0]]} "
                f"{SHAPES[self.shape[row, 0]]}s; give them another shape or colour"
            )

    def __len__(self) -> int:
        return len(self.relation)

    def __getitem__(self, rows) -> SceneBatch:
        """The scenes at `rows` (a slice, positions or a mask), as a batch."""
        rows = [rows] if isinstance(rows, (int, np.integer)) else rows
        return SceneBatch(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def __repr__(self) -> str:
        return f"SceneBatch({len(self):,} scenes)"

    @property
    def pair(self) -> np.ndarray:
        """(n, 2) code of each group's (shape, colour), 0 to 63."""
        return self.shape * len(COLOURS) + self.colour


def concatenate(batches: Iterable[SceneBatch]) -> SceneBatch:
    """One batch from several, in order."""
    batches = list(batches)
    return SceneBatch(
        **{
            f.name: np.concatenate([getattr(b, f.name) for b in batches])
            for f in fields(SceneBatch)
        }
    )


def exchange_groups(scenes: SceneBatch, where: np.ndarray) -> SceneBatch:
    """The same scenes told from the other group where `where` (n,) is true: A left of B = B right
    of A.
    """
    where = np.asarray(where, dtype=bool)
    changed = {"relation": scenes.relation ^ where.astype(np.int16)}
    for name, (entry, _, _) in DOMAIN.items():
        if entry:
            value = getattr(scenes, name)
            mask = where.reshape(-1, *(1,) * len(entry))
            changed[name] = np.where(mask, value[:, ::-1], value)
    return replace(scenes, **changed)


def swap_relation(scenes: SceneBatch) -> SceneBatch:
    """Hard negatives: the two groups trade places, so "A left of B" becomes "B left of A"."""
    return replace(scenes, relation=scenes.relation ^ 1)


def swap_colours(scenes: SceneBatch) -> SceneBatch:
    """Hard negatives: the groups trade colours; where the colours are equal, nothing changes.

    The new (shape, colour) pairs can be held-out ones, so the result may belong to the split
    test_unseen.
    """
    return replace(scenes, colour=scenes.colour[:, ::-1])


def canonical(scenes: SceneBatch) -> SceneBatch:
    """The same scenes with the left or upper group first (relation is "left of" or "above")."""
    return exchange_groups(scenes, scenes.relation % 2 == 1)


def composition_key(scenes: SceneBatch) -> np.ndarray:
    """(n,) int64 code of (shape, colour, shape, colour, relation); converse descriptions share one
    code.
    """
    return composition_codes(canonical(scenes))


def composition_codes(scenes: SceneBatch) -> np.ndarray:
    pair = scenes.pair.astype(np.int64)
    return (pair[:, 0] * 64 + pair[:, 1]) * 2 + scenes.relation // 2


def mix64(x: np.ndarray) -> np.ndarray:
    """A bijection of 64-bit words whose output bits all depend on all input bits (splitmix64's
    finaliser).
    """
    x = np.asarray(x).astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def check_integer(value: int, name: str, smallest: int, largest: int = 2**63 - 1) -> int:
    """`value` as an int in `smallest..largest`, or an error that says what was given."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise RetrievalInputError(
            f"{name} must be an integer, got {value!r} of type {type(value).__name__}"
        )
    if not smallest <= value <= largest:
        raise RetrievalInputError(f"{name} must be in {smallest}..{largest}, got {value}")
    return int(value)
