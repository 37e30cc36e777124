"""Tunes that a service searches by a hum: a WAV file in, tunes with their matched parts out."""

import io
import wave
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.datasets.tunes import Melody, SungNotes, title_of_collection
from lib.models.pitch import BY_HAND, SWIFT, Heard, hear_melody
from lib.models.pitch.swift import available
from lib.models.pitch.track import RATE
from lib.search.melody import HumHit, HumSearch, first_seconds, matched_part, open_hum_search
from lib.search.melody.contours import times_of
from lib.search.melody.hum_search import LONGEST
from lib.search.melody.matched_part import WORST
from lib.search.service.hum_messages import FoundTune, HeardHum, HumAnswer

SHORT = 4.5  # seconds of a hum; below it many tunes fit
LONGEST_SOUND = 60.0  # seconds of a file
LOWEST_RATE, HIGHEST_RATE, MOST_CHANNELS = 8_000, 96_000, 8
ADVICE = "The page of the service and most recorders can make one"


class ServedTunes:
    """Folk tunes, ready to be searched by hums.

    Args:
        tunes: the 4,433 free ones by default.
    """

    def __init__(self, tunes: Sequence[Melody] | None = None) -> None:
        self.search = open_hum_search() if tunes is None else HumSearch(tunes)
        self.tunes = self.search.tunes
        self.tracker = SWIFT if available() else BY_HAND
        # The first search loads libraries for seconds: no request shall wait for them.
        self.search.find(hear_melody(np.sin(np.arange(2 * RATE) * 0.1), tracker=self.tracker), 1)

    def described(self) -> dict[str, Any]:
        """Describe the tunes for the page: number, tunes of each book, pitch tracker."""
        books = Counter(title_of_collection(tune.source) for tune in self.tunes)
        return {"tunes": len(self.tunes), "collections": dict(books), "tracker": self.tracker}

    def find(self, content: bytes, k: int) -> HumAnswer:
        """Hear the melody in a WAV file, and find the k best tunes.

        Args:
            content: of the file, 16-bit PCM.
            k: number of tunes.
        """
        samples, rate = read_wav(content)
        heard = hear_melody(samples, rate, tracker=self.tracker)
        hum = first_seconds(heard.contour, LONGEST)
        hits = self.search.find(hum, k)
        tunes = [
            _found_tune(rank, hit, self.tunes[hit.position], hum)
            for rank, hit in enumerate(hits, start=1)
        ]
        return HumAnswer(
            heard=HeardHum(seconds=round(hum.seconds, 2), notes=_triples(hum)),
            remarks=_remarks(heard),
            searched=len(self.tunes),
            tunes=tunes,
        )


def read_wav(content: bytes) -> tuple[np.ndarray, int]:
    """Read a WAV file of 16-bit PCM as `(n, channels)` int16 samples and their rate."""
    if not content:
        raise RetrievalInputError("the body must be a WAV file, got nothing")
    try:
        with wave.open(io.BytesIO(content)) as file:
            channels, width, rate, n = file.getparams()[:4]
            _check_sound(channels, width, rate, n)
            raw = file.readframes(n)
    except (wave.Error, EOFError, RuntimeError) as error:  # RuntimeError: a chunk within a chunk
        why = f": {error}" if str(error) else ""
        raise RetrievalInputError(
            f"the body must be a WAV file of 16-bit PCM{why}. {ADVICE}"
        ) from error
    whole = len(raw) // (2 * channels)
    if not whole:
        raise RetrievalInputError("the WAV file holds no sample. Record again")
    if whole < n:
        raise RetrievalInputError(
            f"the WAV file must hold the {n:,} samples that its header says, got {whole:,}. Send"
            " the whole file"
        )
    return np.frombuffer(raw, "<i2", whole * channels).reshape(whole, channels), rate


def _check_sound(channels: int, width: int, rate: int, n: int) -> None:
    """Refuse what its header says to be no recorded hum, before the samples are read."""
    if width != 2:
        raise RetrievalInputError(
            f"the WAV file must have 16 bits a sample, got {8 * width}. {ADVICE}"
        )
    if not 1 <= channels <= MOST_CHANNELS:
        raise RetrievalInputError(
            f"the WAV file must have 1 to {MOST_CHANNELS} channels, got {channels}"
        )
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise RetrievalInputError(
            f"the WAV file must have {LOWEST_RATE:,} to {HIGHEST_RATE:,} samples a second, got"
            f" {rate:,}"
        )
    if n > LONGEST_SOUND * rate:
        raise RetrievalInputError(
            f"the sound must last at most {LONGEST_SOUND:g} s, got {n / rate:.0f} s. Send the part"
            " that holds the hum"
        )


def _remarks(heard: Heard) -> list[str]:
    """Return doubts about what was heard, and what of it was not searched."""
    remarks, seconds = list(heard.remarks), heard.contour.seconds
    if seconds > LONGEST:
        remarks.append(f"The first {LONGEST:g} of {seconds:.0f} s are searched.")
    if seconds < SHORT:
        remarks.append(f"Only {seconds:.1f} s were heard. Hum five seconds or more.")
    return remarks


def _found_tune(rank: int, hit: HumHit, tune: Melody, hum: SungNotes) -> FoundTune:
    try:
        part = matched_part(hum, tune)
        places, moved, off = part.places.round(2).tolist(), part.moved, part.cost
        start, end = part.start, part.end
    except RetrievalInputError:  # it is too short
        places, moved, off, start, end = [], 0.0, WORST, hit.start, hit.end
    return FoundTune(
        rank=rank,
        title=tune.title,
        collection=title_of_collection(tune.source),
        source=tune.source,
        key=tune.key,
        score=round(hit.score, 3),
        off=round(off, 3),
        start=round(start, 2),
        end=round(end, 2),
        places=places,
        moved=round(moved, 2),
        seconds=round(times_of(tune)[1], 2),
        notes=_triples(tune),
    )


def _triples(notes: Melody | SungNotes) -> list[tuple[float, float, float]]:
    """Return (onset, seconds, pitch) of each note; a melody at the tempo at which it is hummed."""
    onsets, end = times_of(notes)
    seconds = notes.durations * (end - onsets[-1]) / notes.durations[-1]
    rows = np.round(np.stack([onsets, seconds, notes.pitches], axis=1), 3)
    return [tuple(row) for row in rows.tolist()]
