"""One door to all voices."""

import numpy as np

from lib.core.checks import check_choice, check_seed
from lib.datasets.tunes import SungNotes
from lib.datasets.voices import festival, soundfont
from lib.datasets.voices.sound import SungSound
from lib.datasets.voices.synthesis import SINGERS, synthesise

FESTIVAL = "festival"
VOICES = (*SINGERS, *soundfont.PROGRAMS, FESTIVAL)


def sing_aloud(notes: SungNotes, voice: str = "low hum", *, seed: int = 0) -> SungSound:
    """Sing notes with a voice.

    Args:
        notes: what is sung, with the errors of the singer; `hum` and `sing` make them. They are
            moved by octaves into the range of the voice.
        voice: one of `VOICES`. The first four are synthesised and need numpy alone; three need the
            packages of `soundfont`, and `"festival"` needs the program of that name.
        seed: draws what a synthesised voice does besides the notes; the others have no chance.

    Returns:
        16,000 samples a second, and the true pitch at each.
    """
    check_choice(voice, VOICES, "voice")
    seed = check_seed(seed)
    if voice in SINGERS:
        return synthesise(notes, SINGERS[voice], np.random.default_rng(seed))
    if voice in soundfont.PROGRAMS:
        return soundfont.play_notes(notes, soundfont.PROGRAMS[voice])
    return festival.sing_with_festival(notes)
