"""Videos by a hum: one rendered clip, heard from its file, found at its second."""

from dataclasses import replace

import numpy as np
import pytest

from lib.core.reading import MissingFileError
from lib.datasets.media import decoding
from lib.datasets.tunes import SungNotes
from lib.datasets.tunes_videos import clip_file, clip_score, load_recipes
from lib.datasets.voices import soundfont
from lib.search.melody import melody_of_file, open_video_search

needs_rendering = pytest.mark.skipif(
    not (soundfont.available() and decoding.available()), reason="av and tinysoundfont are missing"
)


@needs_rendering
def test_a_hum_finds_the_second_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSMODAL_CACHE", str(tmp_path))
    recipe = replace(load_recipes()[30], seconds=14)
    path, seen = clip_file(recipe), []
    search = open_video_search([path], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 1)] and search.labels == [path.name]
    melody = clip_score(recipe).melody
    part = (melody.onsets > 5) & (melody.onsets < 11)
    hum = SungNotes(melody.onsets[part] * 1.1, melody.durations[part], melody.pitches[part] - 9.0)
    hit = search.find(hum, 1)[0]
    assert hit.label == path.name
    assert hit.start == pytest.approx(melody.onsets[part][0], abs=1.5)
    assert len(list((tmp_path / "melodies").glob("*.npz"))) == 1
    again = melody_of_file(path)
    assert np.array_equal(again.pitches, search.tunes[0].pitches)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises((MissingFileError, FileNotFoundError), match="no.mp4"):
        open_video_search([tmp_path / "no.mp4"])
