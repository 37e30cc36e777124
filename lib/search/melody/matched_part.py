"""The part of a tune that a hum matches: the path of DTW, and the key in which it was sung."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lib.core.checks import RetrievalInputError, check_number, real_numbers
from lib.search.melody.base import Notes, check_notes
from lib.search.melody.contours import contour
from lib.search.melody.dtw import DTW_STEP, SHIFTS, tuned

WORST = 3.0  # semitones that a frame can count


@dataclass(frozen=True, eq=False)
class MatchedPart:
    """A part of a tune that was found by DTW.

    Args:
        places: float64 `(m,)`, for each frame of the hum the beginning of the frame of the tune
            that it matches: seconds from the first note of the tune, at its humming tempo.
        moved: semitones that bring the hum into the key of the tune.
        cost: mean difference in semitones, as `DtwMatcher` scores it.
        step: seconds of a frame.
    """

    places: np.ndarray
    moved: float
    cost: float
    step: float

    @property
    def start(self) -> float:
        """Return the beginning of the part in seconds."""
        return float(self.places[0])

    @property
    def end(self) -> float:
        """Return the end of the part in seconds."""
        return float(self.places[-1]) + self.step


def matched_part(
    hum: Notes, tune: Notes, *, shifts=SHIFTS, most: float = WORST, step: float = DTW_STEP
) -> MatchedPart:
    """Find the part of a tune that a hum matches best, by subsequence DTW.

    The costs are those of `subsequence_dtw`; here each cell also keeps the step that led to it.
    The key is the median difference of the matched frames. Of equal costs the first shift and the
    earliest end are taken.

    Args:
        hum: what was heard.
        tune: one of those that were found; at least half as long as the hum.
        shifts, most, step: as in `DtwMatcher`.
    """
    (hum,), (tune,) = check_notes([hum], "hum"), check_notes([tune], "tune")
    shifts = real_numbers(shifts, "shifts")
    most = check_number(most, "most", 0, above=True)
    query, text = contour(hum, step=step), contour(tune, step=step)
    keys = tuned(query) + shifts[:, None]  # (n_shifts, m)
    costs, steps = _paths(keys, tuned(text), most)
    shift, last = np.unravel_index(np.argmin(costs), costs.shape)
    if not np.isfinite(costs[shift, last]):
        raise RetrievalInputError(
            f"tune must be at least half as long as the hum, which has {query.size} frames; it has"
            f" {text.size}"
        )
    frames = _walk_back(steps[:, shift], int(last))
    moved = float(np.median(text[frames] - query))
    return MatchedPart(frames * step, moved, float(costs[shift, last]), step)


def _paths(keys: np.ndarray, text: np.ndarray, most: float) -> tuple[np.ndarray, np.ndarray]:
    """Return mean costs `(n_shifts, n_frames)`, and steps `(m, n_shifts, n_frames)`.

    Step 0 comes from (i-1, j-1), 1 from (i-1, j-2), 2 from (i-2, j-1).
    """

    def moved(row: np.ndarray, steps: int) -> np.ndarray:
        return np.pad(row, ((0, 0), (steps, 0)), constant_values=np.inf)[:, : row.shape[1]]

    def cost(number: int) -> np.ndarray:
        return np.minimum(np.abs(keys[:, number, None] - text), most)

    row, last_cost = cost(0), cost(0)
    before = np.full_like(row, np.inf)
    steps = np.zeros((keys.shape[1], *row.shape), np.int8)
    for number in range(1, keys.shape[1]):
        own = cost(number)
        paths = np.stack([moved(row, 1), moved(row, 2), moved(before, 1) + last_cost])
        steps[number] = paths.argmin(axis=0)
        before, row, last_cost = row, paths.min(axis=0) + own, own
    return row / keys.shape[1], steps


def _walk_back(steps: np.ndarray, last: int) -> np.ndarray:
    """Return the frame of the tune of each frame of the hum, int64 `(m,)`, from its last one."""
    frames, row, column = np.empty(len(steps), np.int64), len(steps) - 1, last
    while row >= 0:
        step = steps[row, column] if row else 0
        frames[row] = column
        if step == 2:
            frames[row - 1] = column
        row, column = row - (2 if step == 2 else 1), column - (2 if step == 1 else 1)
    return frames
