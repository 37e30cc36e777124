"""Tunes and hums of them for the tests of the service and of its page."""

import io
import wave

import numpy as np

from lib.datasets.tunes import LEVELS, hum
from lib.datasets.voices import sing_aloud
from tests.search.melody.tunes import melody

SCALE = np.array([0, 2, 4, 5, 7, 9, 11, 12, 14])
WANTED = 7


def singable_tunes(n: int) -> list:
    """Tunes of 50 notes in steps and small leaps, within the range of a voice."""
    draw = np.random.default_rng(3)
    tunes = []
    for number in range(n):
        walk = np.abs((np.cumsum(draw.choice([-2, -1, 1, 2], 50)) + 4) % 16 - 8)
        steps = draw.choice([0.5, 1, 1, 2], 50)
        tunes.append(melody(60 + SCALE[walk], steps, f"tune {number}"))
    return tunes


TUNES = singable_tunes(30)


def hummed(number=WANTED, *, seconds=8.0, level="clean", tunes=TUNES) -> np.ndarray:
    """A synthesised hum of a tune: float samples at 16 kHz."""
    notes = hum(tunes[number], LEVELS[level], np.random.default_rng(number), seconds=seconds)
    return sing_aloud(notes, "low hum").samples


def wav(samples, rate=16_000, *, channels=1, width=2) -> bytes:
    """The content of a WAV file; samples are floats with full scale at 1."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        whole = np.clip(np.asarray(samples), -1, 1) * 32767
        file.writeframes(np.repeat(whole.astype("<i2"), channels).tobytes())
    return stream.getvalue()
