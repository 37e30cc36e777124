"""Festival as a singer: its mark-up by hand, and its sound where it is installed."""

import re

import numpy as np
import pytest

from lib.core.reading import MissingFileError
from lib.datasets.tunes import SungNotes
from lib.datasets.voices import RATE, festival
from lib.datasets.voices.sound import LEAD
from tests.datasets.voices.notes import TUNE


def test_the_mark_up_holds_frequencies_seconds_and_rests():
    lines = festival.singing_markup(TUNE).splitlines()[3:-1]
    assert lines[0] == '<PITCH FREQ="261.63"><DURATION SECONDS="0.400">la</DURATION></PITCH>'
    assert lines[3] == '<REST SECONDS="0.400"></REST>'
    assert len(lines) == 5


def test_short_rests_lengthen_the_note_before_them():
    notes = SungNotes([0, 0.5], [0.45, 0.4], [60.0, 62.0])
    text = festival.singing_markup(notes)
    assert "REST" not in text and text.count('SECONDS="0.500"') == 1


def test_the_times_add_up():
    notes = SungNotes([0, 0.02, 0.5, 2.0], [0.02, 0.3, 0.5, 1], [60.0, 61.0, 62.0, 63.0])
    seconds = map(float, re.findall(r'SECONDS="([\d.]+)"', festival.singing_markup(notes)))
    assert sum(seconds) == pytest.approx(3.0, abs=0.1)


@pytest.mark.skipif(not festival.available(), reason="festival must be installed")
def test_festival_sings_from_the_first_note_to_the_last():
    sound = festival.sing_with_festival(TUNE)
    loud = np.flatnonzero(np.abs(sound.samples) > 0.05) / RATE
    assert loud[0] == pytest.approx(LEAD, abs=0.1) and 1.9 < loud[-1] - LEAD < 2.4


def test_without_festival_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(festival, "available", lambda: False)
    with pytest.raises(MissingFileError, match="apt-get install festival"):
        festival.sing_with_festival(TUNE)
