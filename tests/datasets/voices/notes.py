"""A short sung tune for the tests of voices."""

import numpy as np

from lib.datasets.tunes import SungNotes

PITCHES = [60.0, 62.3, 64.0, 67.0]
TUNE = SungNotes([0, 0.4, 0.8, 1.6], [0.4, 0.4, 0.4, 0.6], PITCHES, "four notes")


def middles(sound_lead, notes=TUNE):
    """Return the time in the middle of each note."""
    return sound_lead + notes.onsets + notes.durations / 2


def strongest_frequency(samples, rate, lowest=50.0):
    """Return the frequency of the lowest partial that is nearly as strong as the strongest."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size), 8 * samples.size))
    frequencies = np.fft.rfftfreq(8 * samples.size, 1 / rate)
    spectrum[frequencies < lowest] = 0
    peaks = np.flatnonzero(
        (spectrum[1:-1] > spectrum[:-2])
        & (spectrum[1:-1] >= spectrum[2:])
        & (spectrum[1:-1] > 0.2 * spectrum.max())
    )
    return frequencies[peaks[0] + 1]
