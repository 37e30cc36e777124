"""Dynamic time warping of contours: the tempo may change from frame to frame.

The steps (1, 1), (1, 2) and (2, 1) keep the tempo between a half and the double, and none of them
stays in its row, so a row of the table is one numpy expression over all tunes.
"""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import check_number, real_numbers
from lib.datasets.tunes import Melody
from lib.search.melody.base import MelodyMatcher, Notes, Packed
from lib.search.melody.contours import contour

SHIFTS = tuple(range(-7, 8))  # semitones
DTW_STEP = 0.2  # seconds of a frame


def subsequence_dtw(query, texts: Sequence, *, most: float = np.inf) -> np.ndarray:
    """Compute the cost of the best warped match of a query with a part of each text.

        c(i, j) = min(|q_i - t_j|, most)
        D[0, j] = c(0, j)
        D[i, j] = min(D[i-1, j-1] + c(i, j),  D[i-1, j-2] + c(i, j),
                      D[i-2, j-1] + c(i-1, j) + c(i, j))
        cost = min over j of D[m-1, j] / m

    Every frame of the query counts once, so the cost is a mean difference.

    Args:
        query: `(m,)` numbers.
        texts: n lists of numbers, each with one at least.
        most: largest cost of a frame; a wrong note then counts no more than that.

    Returns:
        float64 `(n,)`; inf for a text that is too short.

    Source: M. Mueller, Fundamentals of Music Processing, 2015, sections 3.2 and 7.2.
    """
    query = real_numbers(query, "query")
    most = most if most == np.inf else check_number(most, "most", 0, above=True)
    texts = Packed([real_numbers(text, f"texts[{i}]") for i, text in enumerate(texts)])
    return _subsequence_dtw(query[None], texts, most)[0]


def _subsequence_dtw(queries: np.ndarray, texts: Packed, most: float) -> np.ndarray:
    """Return costs `(n_queries, n_texts)` of queries of one length `(n_queries, m)`."""
    values = texts.values[None]

    def moved(row: np.ndarray, steps: int) -> np.ndarray:
        """Shift the columns to the right; nothing comes from another text."""
        result = np.full_like(row, np.inf)
        result[:, steps:] = row[:, :-steps]
        for step in range(steps):
            behind = texts.starts + step
            result[:, behind[behind < texts.ends]] = np.inf
        return result

    def cost(number: int) -> np.ndarray:
        difference = np.abs(values - queries[:, number, None])
        return np.minimum(difference, most, out=difference)

    before, row, last_cost = None, cost(0), cost(0)
    for number in range(1, queries.shape[1]):
        own = cost(number)
        best = np.minimum(moved(row, 1), moved(row, 2))
        if before is not None:
            np.minimum(best, moved(before, 1) + last_cost, out=best)
        before, row, last_cost = row, best + own, own
    return np.minimum.reduceat(row, texts.starts, axis=1) / queries.shape[1]


def tuned(pitches: np.ndarray) -> np.ndarray:
    """Move pitches to the nearest whole semitones as a whole, and centre them.

        f = angle of the sum of exp(2 pi i p) / 2 pi,   x = p - f - round(mean of (p - f))

    A person sings between the semitones; shifts by whole ones then meet a written tune exactly.

    Args:
        pitches: `(n,)` MIDI numbers.
    """
    off = np.angle(np.exp(2j * np.pi * pitches).sum()) / (2 * np.pi)
    return pitches - off - np.round(np.mean(pitches - off))


class DtwMatcher(MelodyMatcher):
    """Rank tunes by subsequence DTW of contours, s = -cost, the best of several keys.

    Query and tune are tuned and centred, see `tuned`. A part of a tune has another mean than the
    whole, so each shift of the query is tried. It is meant as a second stage: see
    `TwoStageRetriever`.

    Args:
        melodies: the tunes.
        shifts: semitones.
        most: largest cost of a frame, in semitones.
        step: seconds of a frame.
    """

    def __init__(
        self,
        melodies: Sequence[Melody],
        *,
        shifts: Sequence[float] = SHIFTS,
        most: float = 3.0,
        step: float = DTW_STEP,
    ) -> None:
        super().__init__(melodies, "DTW")
        self.shifts = real_numbers(shifts, "shifts").astype(np.float32)
        self.most = check_number(most, "most", 0, above=True)
        self.step = check_number(step, "step", 0, above=True)
        self.contours = Packed([self._centred(melody) for melody in self.melodies])

    def _centred(self, notes: Notes) -> np.ndarray:
        return tuned(contour(notes, step=self.step)).astype(np.float32)

    @property
    def stored_bytes(self) -> int:
        """Return the bytes of the contours."""
        return self.contours.values.nbytes

    def _keys(self, query: Notes) -> np.ndarray:
        """Return the contour of the query in each key, `(n_shifts, m)`."""
        return self._centred(query) + self.shifts[:, None]

    def comparisons_of(self, query: Notes, ids: np.ndarray) -> int:
        return self._keys(query).size * int(self.contours.lengths[ids].sum())

    def scores_of(self, query: Notes, ids: np.ndarray) -> np.ndarray:
        costs = _subsequence_dtw(self._keys(query), self.contours.take(ids), self.most)
        return -np.minimum(costs.min(axis=0), self.most).astype(np.float64)  # too short: most
