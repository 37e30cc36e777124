"""The miniatures with clips: the same each time, whole or not at all, and readable without PyAV."""

import json

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets import scenes
from lib.datasets.completeness import MINIATURE
from lib.datasets.media import decoding
from lib.datasets.media.decoding import read_frames
from lib.datasets.media.encoding import write_clip
from lib.datasets.miniatures.writing import Clip, Miniature, write_miniature
from lib.datasets.registry import CORPORA

ALL = pytest.mark.parametrize("name", ["activitynet", "audioset", "msrvtt", "vggsound"])


@ALL
def test_without_pyav_nothing_is_written_but_annotations_can_be(name, tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "available", lambda: False)
    with pytest.raises(RetrievalInputError, match="PyAV"):
        CORPORA[name].write_miniature(tmp_path / "mini")
    assert not list(tmp_path.iterdir())
    CORPORA[name].write_miniature(tmp_path / "mini", media=False)
    assert json.loads((tmp_path / "mini" / MINIATURE).read_text())["name"] == name
    assert not list((tmp_path / "mini").rglob("*.mp4"))


@ALL
def test_annotations_are_the_same_each_time(name, tmp_path):
    for folder in ("one", "two"):
        CORPORA[name].write_miniature(tmp_path / folder, media=False)
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / folder).rglob("*") if path.is_file()}
        for folder in ("one", "two")
    )
    assert first == second and len(first) > 2


def test_a_scene_survives_the_codec_and_comes_out_the_same_each_time(tmp_path):
    pytest.importorskip("av")
    clip = scenes.render_clip(scenes.sample("test", 1))[0]
    miniature = Miniature({}, [Clip("a.mp4", clip)])
    for folder in ("one", "two"):
        write_miniature(tmp_path / folder, "toy", lambda root: miniature)
    first, second = tmp_path / "one" / "a.mp4", tmp_path / "two" / "a.mp4"
    assert first.read_bytes() == second.read_bytes()
    frames = read_frames(first, len(clip))
    assert np.abs(frames[:, ::2, ::2].astype(int) - clip).mean() < 3  # of 255


def test_writing_refuses_what_no_codec_takes(tmp_path):
    pytest.importorskip("av")
    with pytest.raises(RetrievalInputError, match="must be even"):
        write_clip(tmp_path / "odd.mp4", np.zeros((2, 33, 32, 3), np.uint8))
    with pytest.raises(RetrievalInputError, match="frames must be uint8"):
        write_clip(tmp_path / "float.mp4", np.zeros((2, 32, 32, 3)))
    assert not list(tmp_path.iterdir())
