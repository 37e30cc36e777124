"""Written clips: what is asked for is in the file."""

import numpy as np
import pytest

from lib.datasets.media.encoding import write_clip


def test_rate_and_bit_rate_of_the_sound_are_those_asked_for(tmp_path):
    av = pytest.importorskip("av")
    noise = np.random.default_rng(0).normal(0, 0.2, 2 * 48_000).astype(np.float32)
    frames = np.zeros((8, 32, 32, 3), np.uint8)
    for bit_rate in (32_000, 96_000):
        path = tmp_path / f"{bit_rate}.mp4"
        write_clip(path, frames, 4, noise, rate=48_000, bit_rate=bit_rate)
        with av.open(str(path)) as container:
            sound = container.streams.audio[0]
            assert sound.codec_context.sample_rate == 48_000
            assert sound.bit_rate == pytest.approx(bit_rate, rel=0.25)
