"""Line drawings of emoji as sketches: strokes, the hand that draws them again, and pictures.

The strokes are those of OpenMoji's line drawings, which belong to one concept alone
(`lib.datasets.emoji.Emoji.telling`). Each is drawn again by `measured_hand()` with a seed of its
own: the same drawing and variant give the same sketch in every task.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_count, whole_numbers
from lib.datasets import emoji, pictures
from lib.datasets.emoji_files import cached_line_strokes
from lib.datasets.strokes import (
    Drawing,
    Hand,
    deform,
    measured_hand,
    pen_widths,
    render_drawings,
)

SIZE, PEN = pictures.SIZE, 2.0  # pixels
MARGIN = 5.0  # free pixels on each side: emoji in colour fill 54 of 64 pixels
SEED = 20  # of all sketches; the place of the emoji and the variant stand behind it
PLAIN = Hand()  # draws the line as it is
LEAKS = ("concept", "drawing")


@lru_cache(maxsize=1)
def emoji_strokes() -> dict[int, Drawing]:
    """Return the line drawing of each emoji that has one of its own, by place in `emoji`."""
    corpus = emoji.load_emoji()
    places = np.flatnonzero(corpus.telling).tolist()
    drawings = cached_line_strokes([corpus.codes[place] for place in places])
    return dict(zip(places, drawings, strict=True))


@lru_cache(maxsize=1)
def _splits() -> tuple[np.ndarray, np.ndarray]:
    """Split, and group of `lib.datasets.pictures`, of each emoji."""
    corpus = pictures.load_pictures()
    positions = corpus.positions(sources=["emoji"])
    return corpus.splits[positions], corpus.groups[positions]


def emoji_groups() -> np.ndarray:
    """Return the concept group of each emoji, int64 (n,); icons of the concept share it."""
    return _splits()[1]


def emoji_places(split: str, *, drawn: bool = False) -> np.ndarray:
    """Return the places of a split's emoji in `emoji`; with `drawn`, those with a line drawing.

    Args:
        split: an entry of `lib.datasets.pictures.SPLITS`.
        drawn: leave out emoji without a line drawing of their own.
    """
    chosen = _splits()[0] == check_choice(split, pictures.SPLITS, "split")
    return np.flatnonzero(chosen & emoji.load_emoji().telling if drawn else chosen)


def training_places(split_by: str = "concept") -> np.ndarray:
    """Return the places of the line drawings on which a model may be trained.

    Split by concept, these are the drawings of the training split: a test drawing shows something
    that was never seen. Split by drawing, those of the test concepts are among them, each in other
    deformations than in the test. That is the usual mistake: the model has seen the answer, and its
    score says nothing about a new thing. It is here for the lesson alone.

    Args:
        split_by: `"concept"` or `"drawing"`.
    """
    check_choice(split_by, LEAKS, "split_by")
    places = emoji_places("train", drawn=True)
    if split_by == "concept":
        return places
    return np.sort(np.concatenate([places, emoji_places("test", drawn=True)]))


def sketch_strokes(
    places: np.ndarray, hand: Hand | None = None, *, variant: int = 0
) -> list[Drawing]:
    """Return line drawings of emoji, each drawn again by a hand.

    Args:
        places: int (n,), places in `emoji` of emoji with a line drawing.
        hand: `measured_hand()` by default; `PLAIN` keeps the lines as they are.
        variant: another number gives other sketches of the same drawings. Tasks use 0, training
            any from 1.
    """
    hand, strokes = measured_hand() if hand is None else hand, emoji_strokes()
    variant = check_count(variant, "variant", least=0)
    sketches = []
    for place in whole_numbers(places, "places").tolist():
        if place not in strokes:
            raise RetrievalInputError(
                f"places must be of emoji with a line drawing of their own, got {place}. See"
                " `emoji_places(split, drawn=True)`"
            )
        plain = strokes[place]
        sketches.append(plain if hand == PLAIN else deform(plain, hand, [SEED, place, variant]))
    return sketches


def draw_sketches(
    drawings: Sequence[Drawing], hand: Hand | None = None, *, variant: int = 0
) -> np.ndarray:
    """Draw sketches as inputs of the models: black lines on white, centred, in one size.

    This is the door for every sketch, also from a canvas or a file.

    Args:
        drawings: at least one.
        hand: its `width` varies the pens; one pen of 2 pixels by default.
        variant: see `sketch_strokes`.

    Returns:
        uint8 (n, 64, 64, 3).
    """
    drawings = [drawings] if isinstance(drawings, Drawing) else list(drawings)
    pens: float | np.ndarray = PEN
    if hand is not None and drawings:
        seed = [SEED, check_count(variant, "variant", least=0)]
        pens = np.clip(pen_widths(hand, PEN, len(drawings), seed), 1, 4)
    ink = render_drawings(drawings, SIZE, pens, margin=MARGIN)
    return np.repeat(255 - ink[..., None], 3, axis=3)
