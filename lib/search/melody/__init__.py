"""Search for tunes by a hummed melody: matchers of notes and of contours, one interface.

    matcher = IntervalMatcher(melodies)
    run = matcher.search(hums, k=10)

Each matcher ignores the key; they differ in what else they ignore, in what they cost, and in which
errors of a singer they forgive.
"""

from lib.search.melody.base import MelodyMatcher
from lib.search.melody.symbols import (
    IntervalMatcher,
    LcssMatcher,
    ParsonsMatcher,
    edit_distances,
    lcss_lengths,
    parsons_code,
)
