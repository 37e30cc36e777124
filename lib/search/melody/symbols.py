"""Melodies as strings: Parsons code and intervals, compared by edit distance or LCSS.

A hum is a part of a tune, so a query may begin and end anywhere in it: what precedes and follows
costs nothing (Sellers 1980). All tunes are compared at once, one numpy row for each query symbol.
"""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import check_number, real_numbers
from lib.datasets.tunes import Melody
from lib.search.melody.base import MelodyMatcher, Notes, Packed

SAME_PITCH = 0.5  # semitones; smaller steps of a singer count as none


def parsons_code(notes: Notes) -> np.ndarray:
    """Return 1 (up), -1 (down) or 0 (repeat) for each note after the first, float64 `(n - 1,)`.

    Steps below half a semitone are repeats: sung pitches lie between the semitones.

    Source: D. Parsons, The Directory of Tunes and Musical Themes, 1975.
    """
    steps = np.diff(notes.pitches)
    return np.where(np.abs(steps) < SAME_PITCH, 0.0, np.sign(steps))


def edit_distances(query, texts: Sequence, *, span: float = 0.0) -> np.ndarray:
    """Compute the edit distance of a query to the nearest part of each text.

        D[0, j] = 0,  D[i, 0] = i
        D[i, j] = min(D[i-1, j-1] + s(q_i, t_j),  D[i-1, j] + 1,  D[i, j-1] + 1)
        distance = min over j of D[m, j]

    s is 0 for equal and 1 for unequal symbols; with `span` it grows with their difference, to 1.

    Args:
        query: `(m,)` numbers.
        texts: n lists of numbers; one may be empty.
        span: the difference from which two symbols count as wholly unequal; 0 for any difference.

    Returns:
        float64 `(n,)`, from 0 to m.

    Source: P. Sellers, The Theory and Computation of Evolutionary Distances, 1980.
    """
    query, span = real_numbers(query, "query"), check_number(span, "span", 0)
    return _edit_distances(query, _packed(texts), span)


def lcss_lengths(query, texts: Sequence, *, tolerance: float = 0.0) -> np.ndarray:
    """Compute the length of the longest common subsequence of a query with each text.

        L[i, j] = max(L[i-1, j], L[i, j-1], L[i-1, j-1] + 1 if |q_i - t_j| <= tolerance)

    Gaps cost nothing, so a long text holds much of any query.

    Args:
        query: `(m,)` numbers.
        texts: n lists of numbers; one may be empty.
        tolerance: largest difference of two symbols that match.

    Returns:
        float64 `(n,)`, from 0 to m.
    """
    query, tolerance = real_numbers(query, "query"), check_number(tolerance, "tolerance", 0)
    return _lcss_lengths(query, _packed(texts), tolerance)


def _packed(texts: Sequence) -> Packed:
    """Pack texts, each behind a place for column 0 of its table."""
    return Packed([np.concatenate([[0.0], np.asarray(text, dtype=np.float64)]) for text in texts])


def _edit_distances(query: np.ndarray, texts: Packed, span: float) -> np.ndarray:
    values, first = texts.values, texts.starts
    # A step along the text costs 1 for each symbol: a running minimum of D - ramp. The ramp rises
    # by more than any distance between two texts, so that nothing is carried from one to the next.
    ramp = np.arange(values.size) + (len(query) + 1.0) * texts.owners
    row = np.zeros(values.size)
    for number, symbol in enumerate(query, start=1):
        difference = np.abs(values - symbol)
        cost = np.minimum(difference / span, 1) if span else (difference > 0).astype(float)
        above = row + 1
        row[1:] = np.minimum(row[:-1] + cost[1:], above[1:])
        row[first] = number
        row = np.minimum.accumulate(row - ramp) + ramp
    return np.minimum.reduceat(row, first)


def _lcss_lengths(query: np.ndarray, texts: Packed, tolerance: float) -> np.ndarray:
    values, first = texts.values, texts.starts
    ramp = (len(query) + 1.0) * texts.owners
    row = np.zeros(values.size)
    for symbol in query:
        match = np.abs(values - symbol) <= tolerance
        row[1:] = np.maximum(row[1:], (row[:-1] + 1) * match[1:])
        row[first] = 0
        row = np.maximum.accumulate(row + ramp) - ramp
    return row[texts.ends - 1]


class _StringMatcher(MelodyMatcher):
    """Score by the symbols between successive notes."""

    def __init__(self, melodies: Sequence[Melody], name: str) -> None:
        super().__init__(melodies, name)
        self.texts = _packed([self.symbols_of(melody) for melody in self.melodies])

    @staticmethod
    def symbols_of(notes: Notes) -> np.ndarray:
        """Return the semitones from each note to the next, float64 `(n - 1,)`."""
        return np.diff(notes.pitches).astype(np.float64)

    @property
    def stored_bytes(self) -> int:
        """Return one byte for each symbol of the tunes."""
        return int(self.texts.lengths.sum()) - len(self.texts)

    def comparisons_of(self, query: Notes, ids: np.ndarray) -> int:
        return (len(query) - 1) * int(self.texts.lengths[ids].sum() - len(ids))


class ParsonsMatcher(_StringMatcher):
    """Rank tunes by the edit distance of Parsons codes: only up, down and repeat count.

    s = 1 - D / m
    """

    symbols_of = staticmethod(parsons_code)

    def __init__(self, melodies: Sequence[Melody]) -> None:
        super().__init__(melodies, "Parsons code")

    def scores_of(self, query: Notes, ids: np.ndarray) -> np.ndarray:
        symbols = self.symbols_of(query)
        return 1 - _edit_distances(symbols, self.texts.take(ids), 0.0) / max(1, symbols.size)


class IntervalMatcher(_StringMatcher):
    """Rank tunes by the edit distance of intervals, in any key and rhythm.

        s = 1 - D / m

    Args:
        melodies: the tunes.
        span: semitones from which two intervals count as wholly unequal.
    """

    def __init__(self, melodies: Sequence[Melody], *, span: float = 2.0) -> None:
        super().__init__(melodies, "interval edit distance")
        self.span = check_number(span, "span", 0)

    def scores_of(self, query: Notes, ids: np.ndarray) -> np.ndarray:
        symbols = self.symbols_of(query)
        distances = _edit_distances(symbols, self.texts.take(ids), self.span)
        return 1 - distances / max(1, symbols.size)


class LcssMatcher(_StringMatcher):
    """Rank tunes by the longest common subsequence of intervals, s = L / m.

    Args:
        melodies: the tunes.
        tolerance: semitones within which two intervals match.
    """

    def __init__(self, melodies: Sequence[Melody], *, tolerance: float = 0.5) -> None:
        super().__init__(melodies, "interval LCSS")
        self.tolerance = check_number(tolerance, "tolerance", 0)

    def scores_of(self, query: Notes, ids: np.ndarray) -> np.ndarray:
        symbols = self.symbols_of(query)
        lengths = _lcss_lengths(symbols, self.texts.take(ids), self.tolerance)
        return lengths / max(1, symbols.size)
