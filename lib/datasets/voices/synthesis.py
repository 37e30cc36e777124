"""A source-filter voice in numpy: glottal pulses at the sung pitch, three formants, breath.

The source is the flow of air through the vocal folds, one pulse a period; the filter is the vocal
tract, three resonances (G. Fant, Acoustic Theory of Speech Production, 1960).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy.signal import lfilter

from lib.core.checks import RetrievalInputError, check_number
from lib.datasets.tunes import SungNotes
from lib.datasets.voices.sound import RATE, SungSound, check_sung, in_range, sample_times, scaled

A4 = 440.0  # Hz, MIDI 69
JOINED = 0.03  # seconds; notes that are nearer are sung in one breath
RISE, FALL = 0.03, 0.05  # seconds in which a note grows and fades
VIBRATO_AFTER = 0.15  # seconds into a note
WANDER_RATE, JITTER_RATE = 3, 40  # independent deviations a second


@dataclass(frozen=True)
class Singer:
    """A synthetic singer, every trait a parameter.

    Args:
        centre: MIDI pitch in the middle of the range; melodies are moved there by octaves.
        formants: three resonances of the vocal tract, in Hz.
        bandwidths: of the formants, in Hz.
        glide: seconds from the pitch of one note to that of the next.
        vibrato: semitones above and below the note.
        vibrato_rate: Hz.
        wander: deviation of the slow drift of the pitch, in semitones.
        jitter: deviation of its fast unrest, in semitones.
        open_share: part of a period in which the vocal folds are open.
        breath: noise of the air, relative to the pulses.
        dip: loudness between two joined notes, relative to the notes; 1 is a slur.
    """

    centre: float = 50.0
    formants: tuple[float, float, float] = (300.0, 870.0, 2240.0)  # "oo"
    bandwidths: tuple[float, float, float] = (60.0, 90.0, 120.0)
    glide: float = 0.06
    vibrato: float = 0.15
    vibrato_rate: float = 5.5
    wander: float = 0.1
    jitter: float = 0.05
    open_share: float = 0.6
    breath: float = 0.05
    dip: float = 0.3

    def __post_init__(self) -> None:
        for trait in fields(self):
            value = getattr(self, trait.name)
            if trait.name in ("formants", "bandwidths"):
                if len(value) != 3:
                    raise RetrievalInputError(f"{trait.name} must be three, got {value!r}")
                for at, one in enumerate(value):
                    check_number(one, f"{trait.name}[{at}]", 20, RATE / 2, below=True)
            else:
                check_number(value, trait.name, 0, 96 if trait.name == "centre" else np.inf)
        check_number(self.open_share, "open_share", 0, 1, above=True)
        check_number(self.dip, "dip", 0, 1)


SINGERS = {
    "low hum": Singer(),
    "high hum": Singer(
        centre=62, formants=(370, 950, 2670), bandwidths=(70, 100, 140), vibrato=0.3, breath=0.1
    ),
    "child": Singer(
        centre=67, formants=(850, 1600, 3400), bandwidths=(90, 110, 170), vibrato=0.05,
        wander=0.2, jitter=0.1, breath=0.2, glide=0.1,
    ),
    "old man": Singer(
        centre=47, formants=(600, 1050, 2450), vibrato=0.5, vibrato_rate=4.5, jitter=0.15,
        breath=0.15, glide=0.12, open_share=0.75,
    ),
}  # fmt: skip


def synthesise(notes: SungNotes, singer: Singer, rng: np.random.Generator) -> SungSound:
    """Sing notes aloud.

        pitch -> f0 = 440 * 2^((pitch - 69) / 12) -> pulses -> formants -> sound

    Args:
        notes: what is sung; they are moved by octaves into the range of the singer.
        singer: the traits of the voice.
        rng: draws drift, unrest and breath.

    Returns:
        The sound, with the pitch at each sample as it is sung, glides and vibrato included.
    """
    notes = in_range(check_sung(notes), singer.centre)
    pitches, loudness = sung_pitches(notes, singer, rng)
    flow = glottal_flow(A4 * 2 ** ((pitches - 69) / 12), singer.open_share)
    source = np.diff(flow, prepend=flow[0])  # the lips pass on the change of the flow
    source /= np.sqrt(np.mean(source**2))
    breath = rng.standard_normal(source.size) * (0.3 + 0.7 * flow)
    sound = (source + singer.breath * breath) * loudness
    for frequency, bandwidth in zip(singer.formants, singer.bandwidths, strict=True):
        sound = resonate(sound, frequency, bandwidth)
    truth = np.where(loudness > 0, pitches, np.nan).astype(np.float32)
    return SungSound(scaled(sound), truth)


def sung_pitches(
    notes: SungNotes, singer: Singer, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return pitch (MIDI) and loudness (0 to 1) at each sample, both float64 `(n,)`.

    A note is reached from the one before it along half a cosine of `glide` seconds.
    """
    times = sample_times(notes)
    onsets = notes.onsets - notes.onsets[0]
    ends = onsets + notes.durations
    at = np.maximum(np.searchsorted(onsets, times, side="right") - 1, 0)  # note of each sample
    since, left = times - onsets[at], ends[at] - times

    before = notes.pitches[np.maximum(at - 1, 0)]
    part = np.clip(since / singer.glide, 0, 1) if singer.glide else np.ones(times.size)
    pitches = before + (notes.pitches[at] - before) * (1 - np.cos(np.pi * part)) / 2
    depth = singer.vibrato * np.clip(since / VIBRATO_AFTER - 1, 0, 1)
    phase = rng.uniform(0, 2 * np.pi)
    pitches += depth * np.sin(2 * np.pi * singer.vibrato_rate * times + phase)
    pitches += _smooth_noise(times, singer.wander, WANDER_RATE, rng)
    pitches += _smooth_noise(times, singer.jitter, JITTER_RATE, rng)

    joined = np.concatenate([[False], onsets[1:] - ends[:-1] < JOINED, [False]])
    floors = np.where(joined, singer.dip, 0.0)
    rise = floors[at] + (1 - floors[at]) * np.clip(since / RISE, 0, 1)
    fall = floors[at + 1] + (1 - floors[at + 1]) * np.clip(left / FALL, 0, 1)
    sounds = (since >= 0) & ((left > 0) | joined[at + 1])
    return pitches, np.where(sounds, np.minimum(rise, fall), 0.0)


def _smooth_noise(
    times: np.ndarray, deviation: float, rate: float, rng: np.random.Generator
) -> np.ndarray:
    """Return normal deviations, `rate` of them a second, with straight lines between them."""
    knots = np.arange(times[0], times[-1] + 2 / rate, 1 / rate)
    return np.interp(times, knots, rng.normal(0, deviation, knots.size))


def glottal_flow(frequencies: np.ndarray, open_share: float) -> np.ndarray:
    """Return the flow of air through the vocal folds, 0 to 1, one pulse a period.

        u = fractional part of the sum of f / rate
        flow = (1 - cos(pi u / r)) / 2          for u below r = 2/3 open_share: the folds open
               cos(pi (u - r) / (2 (o - r)))    for u below o = open_share: they close, faster
               0                                after that

    Args:
        frequencies: Hz at each sample, `(n,)`.
        open_share: part of a period in which the folds are open.

    Source: A. Rosenberg, Effect of glottal pulse shape on the quality of natural vowels, JASA 1971,
    pulse B with trigonometric flanks.
    """
    u = np.cumsum(frequencies / RATE) % 1.0
    opening = open_share * 2 / 3
    rising = (1 - np.cos(np.pi * u / opening)) / 2
    falling = np.cos(np.pi / 2 * (u - opening) / (open_share - opening))
    return np.where(u < opening, rising, np.where(u < open_share, falling, 0.0))


def resonate(samples: np.ndarray, frequency: float, bandwidth: float) -> np.ndarray:
    """Filter samples by one resonance.

        y_t = (1 - 2 r cos w + r^2) x_t + 2 r cos(w) y_{t-1} - r^2 y_{t-2}
        r = exp(-pi bandwidth / rate),  w = 2 pi frequency / rate

    Source: D. Klatt, Software for a cascade/parallel formant synthesizer, JASA 1980.
    """
    r = np.exp(-np.pi * bandwidth / RATE)
    back = np.array([1.0, -2 * r * np.cos(2 * np.pi * frequency / RATE), r * r])
    return lfilter([back.sum()], back, samples)
