"""Training batches of `hums`: a hum of a tune, and the window of the tune that it sings.

Hums are excerpts sung with the errors of `SingingErrors`, from almost none to more than those of
level `hard`, then spoilt as contours: glides, noise of the tracker, octave slips, silent spans.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lib.core.checks import check_count
from lib.datasets.tunes import LEVELS, Melody, SingingErrors, load_corpus, sing
from lib.datasets.tunes.hums import excerpt, humming_tempo
from lib.models.contour_encoder import contour_input
from lib.search.melody.contour_vectors import contour_vectors
from lib.search.melody.contours import times_of
from lib.search.melody.windows import LENGTHS, window_contours, window_starts

SEED = 41  # of training hums: no task draws with it
SPREAD = 0.08  # of the logarithm of the length of a hum, around that of the windows
# Shares of the errors of level hard; a hum takes one at random.
STRENGTHS = np.linspace(0, 1.3, 14)
COEFFICIENTS, CANDIDATES, NEAREST = 12, 6000, 12  # of the search for tunes that look alike
GLIDES, NOISE = (0.0, 1.5), (0.0, 0.3)  # frames of a glide; semitones of noise in each frame
SLIPS, HIDDEN, FLAGS, NO_RESTS = 0.1, 0.2, 0.04, 0.25  # shares of hums, and of frames (flags)


def errors_of(strength: float) -> SingingErrors:
    """Scale the errors of level `hard`; key, octave and tempo are always those of `hard`."""
    hard = LEVELS["hard"]
    names = ("tempo_drift", "timing", "pitch", "drift", "dropped", "inserted", "wrong",
             "octave_jump")  # fmt: skip
    scaled = {name: strength * getattr(hard, name) for name in names}
    return SingingErrors(key=hard.key, octave=hard.octave, tempo=hard.tempo, **scaled)


@dataclass(frozen=True)
class HumBatch:
    """Contours of a batch: hum i sings window i; no two are of one family.

    Args:
        hums, windows: float32 `(B, 2, 80)`, see `contour_input`.
    """

    hums: Tensor
    windows: Tensor


def spoil(
    pitches: np.ndarray, voiced: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Spoil contours of hums as voice and tracker do.

    Args:
        pitches, voiced: `(n, 80)`.
        rng: draws glides, noise, spans an octave off, silent spans and wrong flags.

    Returns:
        New pitches and flags.
    """
    n, frames = pitches.shape
    glide = rng.uniform(*GLIDES, (n, 1))  # a pitch is reached by an exponential
    keep = glide / (1 + glide)
    pitches = pitches.astype(np.float64)
    for frame in range(1, frames):
        before = pitches[:, frame - 1 : frame]
        now = pitches[:, frame : frame + 1]
        pitches[:, frame : frame + 1] = now + keep * (before - now)
    pitches += rng.normal(0, 1, pitches.shape) * rng.uniform(*NOISE, (n, 1))
    pitches += _spans(n, frames, SLIPS, 8, rng) * rng.choice([-12, 12], (n, 1))
    hidden = _spans(n, frames, HIDDEN, 16, rng)
    held = np.maximum.accumulate(np.where(hidden, 0, np.arange(frames)), axis=1)
    pitches = np.take_along_axis(pitches, held, axis=1)
    flags = voiced | (rng.random((n, 1)) < NO_RESTS)
    flags = (flags ^ (rng.random(flags.shape) < FLAGS)) & ~hidden
    return pitches, flags


def _spans(n: int, frames: int, share: float, longest: int, rng: np.random.Generator) -> np.ndarray:
    """Mark one span of at most `longest` frames in a share of rows, bool `(n, frames)`."""
    length = rng.integers(2, longest + 1, (n, 1)) * (rng.random((n, 1)) < share)
    start = rng.integers(0, frames, (n, 1))
    frame = np.arange(frames)
    return (frame >= start) & (frame < start + length)


class Places:
    """The places at which a hum of one length may begin, and the windows of that length.

    Args:
        melodies: the tunes.
        seconds: length of a window.
        family_of: family of each tune.
    """

    def __init__(self, melodies: Sequence[Melody], seconds: float, family_of: np.ndarray) -> None:
        self.seconds = seconds
        pitches, voiced, owners, notes, windows = [], [], [], [], []
        n_windows = 0
        for tune, melody in enumerate(melodies):
            starts = window_starts(melody, seconds)
            own_pitches, own_voiced = window_contours(melody, starts, seconds)
            pitches.append(own_pitches.astype(np.int8))
            voiced.append(own_voiced)
            onsets, end = times_of(melody)
            onsets = onsets[: max(1, int(np.sum(end - onsets >= seconds)))]
            owners.append(np.full(onsets.size, tune))
            notes.append(np.arange(onsets.size))
            windows.append(n_windows + np.abs(onsets[:, None] - starts).argmin(axis=1))
            n_windows += starts.size
        self.pitches, self.voiced = np.concatenate(pitches), np.concatenate(voiced)
        # A place is a note at which a hum may begin, and the indexed window that is nearest to it.
        self.tune_of, self.note_of = np.concatenate(owners), np.concatenate(notes)
        self.window_of = np.concatenate(windows)
        self.shapes = contour_vectors(self.pitches.astype(np.float32), COEFFICIENTS)
        self.family_of = family_of[self.tune_of]
        order = np.argsort(self.family_of, kind="stable")
        cuts = np.flatnonzero(np.diff(self.family_of[order])) + 1
        self.of_family = np.split(order, cuts)

    def draw(self, n_seeds: int, rng: np.random.Generator) -> np.ndarray:
        """Choose n places of different families, and for each another that looks like it."""
        families = rng.choice(len(self.of_family), n_seeds, replace=False)
        chosen = [int(rng.choice(self.of_family[family])) for family in families.tolist()]
        used = set(self.family_of[chosen].tolist())
        others = rng.integers(self.tune_of.size, size=CANDIDATES)
        family_of_others = self.family_of[others].tolist()
        alike = self.shapes[self.window_of[chosen]] @ self.shapes[self.window_of[others]].T
        nearest = np.argpartition(-alike, NEAREST, axis=1)[:, :NEAREST]
        order = np.take_along_axis(-alike, nearest, axis=1).argsort(axis=1)
        for row in np.take_along_axis(nearest, order, axis=1).tolist():
            for at in row:
                if family_of_others[at] not in used:
                    used.add(family_of_others[at])
                    chosen.append(int(others[at]))
                    break
        return np.array(chosen)


class HumStream:
    """Batches of training hums as a pure function of the step.

    A batch has windows of one length; the lengths of the index take turns. Half of a batch are hums
    of tunes at random. Each of the other half sings the place that looks most like one of them, by
    contour vectors, among 6,000 places at random: tunes that are hard to tell apart stand in one
    batch.

    Args:
        batch_size: hums, each of another family; even, and at most the number of families.
        seed: of the training.
        split: whose tunes are sung.
        lengths: of the windows, in seconds.
    """

    def __init__(
        self,
        batch_size: int,
        seed: int,
        *,
        split: str = "train",
        lengths: Sequence[float] = LENGTHS,
    ) -> None:
        corpus = load_corpus()
        positions = corpus.positions(split)
        self.seed, self.melodies = seed, [corpus.melodies[position] for position in positions]
        self.family_of = corpus.families[positions]
        n_families = np.unique(self.family_of).size
        self.batch_size = check_count(batch_size, "batch_size", least=2, most=n_families)
        self.errors = [errors_of(strength) for strength in STRENGTHS]
        self.tempos = [humming_tempo(melody) for melody in self.melodies]
        self.places = [Places(self.melodies, seconds, self.family_of) for seconds in lengths]

    def batch(self, step: int) -> HumBatch:
        rng = np.random.default_rng([SEED, self.seed, step])
        places = self.places[step % len(self.places)]
        chosen = places.draw(self.batch_size // 2, rng)
        parts = [self.hum(places, place, rng) for place in chosen.tolist()]
        hums = spoil(*map(np.concatenate, zip(*parts, strict=True)), rng)
        windows = places.window_of[chosen]
        written = contour_input(places.pitches[windows], places.voiced[windows])
        return HumBatch(torch.from_numpy(contour_input(*hums)), torch.from_numpy(written))

    def hum(
        self, places: Places, place: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sing a tune from a place, and return the contour."""
        tune, tempo = places.tune_of[place], self.tempos[places.tune_of[place]]
        seconds = places.seconds * float(np.exp(rng.normal(0, SPREAD)))
        part = excerpt(self.melodies[tune], int(places.note_of[place]), seconds * tempo / 60)
        errors = self.errors[int(rng.integers(len(self.errors)))]
        hum = sing(part, errors, rng, tempo=tempo)
        return window_contours(hum, np.zeros(1), times_of(hum)[1])
