"""Search for tunes by a hummed melody: matchers of notes and of contours, one interface.

    matcher = IntervalMatcher(melodies)
    run = matcher.search(hums, k=10)

Each matcher ignores the key; they differ in what else they ignore, in what they cost, and in which
errors of a singer they forgive. `HumSearch` joins two of them in stages and takes sounds too:

    for hit in open_hum_search().find(hum, k=10):  # samples, or a contour
        print(hit.label, hit.score, hit.start)  # start: seconds from the first note of the tune
"""

from lib.search.melody.base import MelodyMatcher
from lib.search.melody.contour_vectors import ContourVectorMatcher, contour_vectors
from lib.search.melody.contours import LinearScalingMatcher, contour
from lib.search.melody.dtw import DtwMatcher, subsequence_dtw
from lib.search.melody.hum_search import HumHit, HumSearch, first_seconds, open_hum_search
from lib.search.melody.learned import LearnedContourMatcher
from lib.search.melody.matched_part import MatchedPart, matched_part
from lib.search.melody.symbols import (
    IntervalMatcher,
    LcssMatcher,
    ParsonsMatcher,
    edit_distances,
    lcss_lengths,
    parsons_code,
)
from lib.search.melody.videos import melody_of_file, open_video_search
