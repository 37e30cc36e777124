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
    row, _ = _last_row(queries, texts, most, places=False)
    return np.minimum.reduceat(row, texts.starts, axis=1) / queries.shape[1]


def _last_row(
    queries: np.ndarray, texts: Packed, most: float, *, places: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the last row of the table, and where the best path to each of its cells began."""
    values = texts.values[None]

    def moved(row: np.ndarray, steps: int, outside: float = np.inf) -> np.ndarray:
        """Shift the columns to the right; nothing comes from another text."""
        result = np.full_like(row, outside)
        result[:, steps:] = row[:, :-steps]
        for step in range(steps):
            behind = texts.starts + step
            result[:, behind[behind < texts.ends]] = outside
        return result

    def cost(number: int) -> np.ndarray:
        difference = np.abs(values - queries[:, number, None])
        return np.minimum(difference, most, out=difference)

    before, row, last_cost = None, cost(0), cost(0)
    began = earlier = np.broadcast_to(np.arange(values.size), row.shape) if places else None
    for number in range(1, queries.shape[1]):
        own = cost(number)
        ways = [moved(row, 1), moved(row, 2)]
        if before is not None:
            ways.append(moved(before, 1) + last_cost)
        best = np.minimum.reduce(ways)
        if places:
            origins = [moved(began, 1, 0), moved(began, 2, 0), moved(earlier, 1, 0)]
            came = np.select([best == way for way in ways], origins[: len(ways)])
            began, earlier = came, began
        before, row, last_cost = row, best + own, own
    return row, began


class DtwMatcher(MelodyMatcher):
    """Rank tunes by subsequence DTW of contours, s = -cost, the best of several keys.

    Query and tune are centred by their means. A part of a tune has another mean than the whole, so
    each shift of the query is tried. It is meant as a second stage: see `TwoStageRetriever`.

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
        pitches = contour(notes, step=self.step)
        return (pitches - pitches.mean()).astype(np.float32)

    @property
    def stored_bytes(self) -> int:
        """Return the bytes of the contours."""
        return self.contours.values.nbytes

    def comparisons_of(self, query: Notes, ids: np.ndarray) -> int:
        frames = int(self.contours.lengths[ids].sum())
        return len(self._centred(query)) * frames * self.shifts.size

    def scores_of(self, query: Notes, ids: np.ndarray) -> np.ndarray:
        keys = self._centred(query) + self.shifts[:, None]  # (n_shifts, m)
        costs = _subsequence_dtw(keys, self.contours.take(ids), self.most).min(axis=0)
        return -np.minimum(costs, self.most).astype(np.float64)  # a tune that is too short: most

    def spans(self, query: Notes, ids: np.ndarray) -> np.ndarray:
        """Return where the best match begins and ends in some tunes.

        Args:
            query: a hum.
            ids: `(n,)` positions of tunes.

        Returns:
            float64 `(n, 2)`, seconds from the first onset of each tune; a tune that is too short
            for the query counts as a whole.
        """
        texts = self.contours.take(ids)
        keys = self._centred(query) + self.shifts[:, None]
        rows, began = _last_row(keys, texts, self.most, places=True)
        result = np.empty((len(ids), 2))
        for number, (start, end) in enumerate(zip(texts.starts, texts.ends, strict=True)):
            key, at = np.unravel_index(np.argmin(rows[:, start:end]), (len(keys), end - start))
            first = began[key, start + at] - start if np.isfinite(rows[key, start + at]) else 0
            last = at if np.isfinite(rows[key, start + at]) else end - start - 1
            result[number] = first * self.step, (last + 1) * self.step
        return result
