"""The door to all voices."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.voices import VOICES, festival, sing_aloud, soundfont
from lib.datasets.voices.synthesis import SINGERS
from tests.datasets.voices.notes import TUNE


@pytest.mark.parametrize("voice", VOICES)
def test_the_same_melody_through_each_voice(voice):
    if voice not in SINGERS and not (
        festival.available() if voice == "festival" else soundfont.available()
    ):
        pytest.skip(f"what the voice {voice!r} needs is not installed")
    sound = sing_aloud(TUNE, voice)
    assert sound.samples.shape == sound.pitches.shape
    assert sound.seconds == pytest.approx(2.7)
    heard = sound.pitches_at([0.4, 0.85, 1.2, 2.15])  # past the middle of each note
    assert np.diff(heard) == pytest.approx(np.diff(TUNE.pitches), abs=1.5)


def test_unknown_voices_and_seeds_are_refused():
    with pytest.raises(RetrievalInputError, match="voice must be one of 'low hum'"):
        sing_aloud(TUNE, "tenor")
    with pytest.raises(RetrievalInputError, match="seed"):
        sing_aloud(TUNE, seed=-1)
