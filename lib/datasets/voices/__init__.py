"""Voices: from sung notes to a sound, the same melody through singers that share nothing.

`sing_aloud` is the door. Its voices are of three kinds: a source-filter synthesiser in numpy
(`synthesis`), the sampled voices of a soundfont (`soundfont`), and Festival, which joins recorded
syllables (`festival`). What is trained on one kind is tested on the others.
"""

from lib.datasets.voices.aloud import VOICES, sing_aloud
from lib.datasets.voices.sound import RATE, SungSound, in_range, with_noise
from lib.datasets.voices.synthesis import Singer, synthesise
