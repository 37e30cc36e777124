"""Festival's singing mode: recorded syllables of a man who sings "la", the held-out singer.

Festival (The Centre for Speech Technology Research, Edinburgh) is a program of the system. Only
this voice needs it; the contours of its hums, which `data/artifacts/hum` holds, are read without.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.datasets.tunes import SungNotes
from lib.datasets.voices.sound import (
    LEAD,
    RATE,
    SungSound,
    check_sung,
    in_range,
    note_pitches,
    scaled,
)

PROGRAM = "text2wave"
CENTRE = 48.0  # MIDI pitch, 131 Hz: a low voice
SHORTEST = 0.08  # seconds of a note or of a rest that is sung as one
SECONDS_ALLOWED = 120  # of the program, for one melody
ADVICE = "On Debian: apt-get install festival festvox-kallpc16k"
HEAD = """<?xml version="1.0"?>
<!DOCTYPE SINGING PUBLIC "-//SINGING//DTD SINGING mark up//EN" "Singing.v0_1.dtd" []>
<SINGING BPM="60">
"""


def available() -> bool:
    """Return True if Festival is installed."""
    return shutil.which(PROGRAM) is not None


def singing_markup(notes: SungNotes) -> str:
    """Write notes as Festival's singing mark-up: one "la" a note, in Hz and seconds.

    Rests below 0.08 s lengthen the note before them.
    """
    onsets = notes.onsets - notes.onsets[0]
    lines, now = [], 0.0
    for number, pitch in enumerate(notes.pitches):
        start, end = onsets[number], onsets[number] + notes.durations[number]
        following = onsets[number + 1] if number + 1 < len(notes) else end
        if following - end < SHORTEST:
            end = following
        if start - now >= SHORTEST:
            lines.append(f'<REST SECONDS="{start - now:.3f}"></REST>')
        seconds, hertz = max(SHORTEST, end - max(now, start)), 440 * 2 ** ((pitch - 69) / 12)
        lines.append(
            f'<PITCH FREQ="{hertz:.2f}"><DURATION SECONDS="{seconds:.3f}">la</DURATION></PITCH>'
        )
        now = max(now, start) + seconds
    return HEAD + "\n".join(lines) + "\n</SINGING>\n"


def sing_with_festival(notes: SungNotes) -> SungSound:
    """Sing notes with Festival's voice `kal_diphone`.

    Args:
        notes: what is sung; they are moved by octaves into the range of the voice.

    Returns:
        The sound. Its true pitch is that of the notes; the singer's own glides are not known.
    """
    if not available():
        raise MissingFileError(f"{PROGRAM}, of Festival, is needed here. {ADVICE}")
    notes = in_range(check_sung(notes), CENTRE)
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder) / "score.xml", Path(folder) / "sound.wav"
        score.write_text(singing_markup(notes), encoding="ascii")
        command = [PROGRAM, "-mode", "singing", str(score), "-o", str(sound)]
        done = subprocess.run(command, capture_output=True, timeout=SECONDS_ALLOWED)
        if done.returncode or not sound.is_file():
            why = done.stderr.decode("utf-8", "replace").strip()[-300:]
            raise RetrievalInputError(f"{PROGRAM} could not sing the notes: {why}. {ADVICE}")
        rate, samples = wavfile.read(sound)
    if rate != RATE:
        raise RetrievalInputError(
            f"{PROGRAM} must give {RATE} samples a second, got {rate}. {ADVICE}"
        )
    truth = note_pitches(notes)
    lead = np.zeros(round(LEAD * RATE))
    samples = np.concatenate([lead, samples.astype(np.float64), np.zeros(truth.size)])
    return SungSound(scaled(samples[: truth.size]), truth)
