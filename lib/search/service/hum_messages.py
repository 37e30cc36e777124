"""Answer a hum: the types of what is returned, apart from the search, which loads torch."""

from pydantic import BaseModel

MOST_TUNES = 50  # of one answer
NOT_SERVED = "This service has no tunes. Start it with: crossmodal serve --tunes"


class HeardHum(BaseModel):
    """A melody that was heard: its seconds, and its notes as (onset, seconds, MIDI pitch)."""

    seconds: float
    notes: list[tuple[float, float, float]]


class FoundTune(BaseModel):
    """A tune, and the part of it that the hum matches.

    `score` orders the tunes, best first; `off` is the mean distance of the pitch in semitones, keys
    and tempo apart. `notes` are all notes of the tune as (onset, seconds, MIDI pitch), at the tempo
    at which it is hummed. `start` and `end` are seconds in them; `places` are the seconds that each
    0.2 s of the hum match, none in a tune that is less than half as long as the hum. The hum moved
    by `moved` semitones is in their key.
    """

    rank: int
    title: str
    collection: str
    source: str
    key: str
    score: float
    off: float
    start: float
    end: float
    places: list[float]
    moved: float
    seconds: float
    notes: list[tuple[float, float, float]]


class HumAnswer(BaseModel):
    """The melody that was heard, doubts about it, and the tunes, best first."""

    heard: HeardHum
    remarks: list[str]
    searched: int
    tunes: list[FoundTune]
