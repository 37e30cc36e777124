"""Pitch of a voice: from a sound to the melody that was hummed.

`hear_melody` takes samples and `hear_file` a recording; what they return, `Heard`, holds the
contour and the notes that the matchers of `lib.search.melody` take. Two trackers: swift-f0, a small
network, and autocorrelation by hand. `hear_mix` hears the leading voice of music that is
accompanied.
"""

from lib.models.pitch.autocorrelation import autocorrelation, track_by_autocorrelation
from lib.models.pitch.hearing import (
    BY_HAND,
    SWIFT,
    TRACKERS,
    Heard,
    hear_file,
    hear_melody,
    track_pitch,
)
from lib.models.pitch.mix import hear_mix, hear_mix_file, track_mix
from lib.models.pitch.swift import track_by_swift_f0
from lib.models.pitch.track import PitchTrack, contour_of, mended
