"""Clips in a page: the bytes are a WAV file that a decoder reads back as nearly the same sound."""

import base64
import io
import re

import numpy as np
import pytest

from lib import plots
from lib.core.checks import RetrievalInputError
from lib.plots.sounds import mu_law, wav_bytes

TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_001) / 16_000)


def test_mu_law_has_the_values_of_g711():
    full = np.array([0, 1, -1, 100 / 32767, -100 / 32767, 1000 / 32767])
    assert mu_law(full).tolist() == [0xFF, 0x80, 0x00, 0xF2, 0x72, 0xCE]


def test_a_decoder_reads_the_tone_back():
    av = pytest.importorskip("av")
    with av.open(io.BytesIO(wav_bytes(TONE, 16_000))) as file:
        stream = file.streams.audio[0]
        assert (stream.rate, stream.codec_context.name) == (8000, "pcm_mulaw")
        heard = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    assert heard.size == 8001
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8001) / 8000)
    assert np.abs(heard / 32768 - expected)[100:-100].max() < 0.02


def test_each_clip_has_a_player_with_its_name():
    shown = plots.sounds({"a <b>": TONE, "second": TONE[:8000]})
    assert repr(shown) == "sound: a <b> (1.0 s)\nsound: second (0.5 s)"
    markup = shown._repr_mimebundle_()["text/html"]
    assert markup.count("<audio controls") == 2 and "a &lt;b&gt; (1.0 s)" in markup
    data = re.search(r"base64,([^\"]+)", markup)[1]
    assert base64.b64decode(data) == wav_bytes(TONE, 16_000)


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ({}, "at least one sound"),
        ({"long": np.zeros(16_000 * 13)}, r"clips\['long'\] must last at most 12 s, got 13.0 s"),
        ({"a": [np.nan]}, r"clips\['a'\]"),
    ],
)
def test_bad_clips(clips, message):
    with pytest.raises(RetrievalInputError, match=message):
        plots.sounds(clips)
