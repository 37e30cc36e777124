"""Cards of one sample: a picture or frames, a waveform, texts."""

import numpy as np
import pytest

from lib import plots
from lib.core.checks import RetrievalInputError

PICTURE = np.zeros((16, 16, 3), dtype=np.uint8)
WAVE = np.sin(np.arange(5000) / 9)


def test_a_picture_and_its_texts(check_lettering):
    texts = ["a star above two moons", "a caption of many words " * 9, "c", "d", "e"]
    figure = plots.sample_card([PICTURE], texts, note="and 15 more")
    said = " ".join(text.get_text() for text in figure.axes[0].texts)
    assert "a star above two moons" in said and "and 15 more" in said
    assert "a picture, and 5 texts (and 15 more)" in plots.description(figure)
    check_lettering(figure)


def test_frames_with_a_sound(check_lettering):
    figure = plots.sample_card([PICTURE] * 4, ["dog barking"], sound=WAVE)
    assert len(figure.axes[0].images) == 4 and len(figure.axes[0].lines) == 1
    assert "4 frames of a clip with its sound, and one text" in plots.description(figure)
    check_lettering(figure)


@pytest.mark.parametrize(
    ("pictures", "texts", "sound", "message"),
    [
        ([], ["a"], None, "1 to 4 pictures and 1 to 6 texts, got 0 and 1"),
        ([PICTURE], [], None, "got 1 and 0"),
        ([PICTURE], ["a"], [np.nan], "sound must be finite numbers"),
    ],
)
def test_what_is_no_sample_is_refused(pictures, texts, sound, message):
    with pytest.raises(RetrievalInputError, match=message):
        plots.sample_card(pictures, texts, sound=sound)
