"""The miniatures with clips: the same each time, whole or not at all, and readable without PyAV."""

import json

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets import scenes
from lib.datasets.completeness import MINIATURE
from lib.datasets.media import decoding
from lib.datasets.media.decoding import read_frames
from lib.datasets.miniatures import activitynet, audioset, msrvtt, vggsound
from lib.datasets.miniatures.clips import write_clip, write_scene_clip

ALL = pytest.mark.parametrize(
    "miniature", [activitynet, audioset, msrvtt, vggsound], ids=lambda m: m.NAME
)


@ALL
def test_without_pyav_nothing_is_written_but_annotations_can_be(miniature, tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "available", lambda: False)
    with pytest.raises(RetrievalInputError, match="PyAV"):
        miniature.write_miniature(tmp_path / "mini")
    assert not list(tmp_path.iterdir())
    miniature.write_miniature(tmp_path / "mini", media=False)
    assert json.loads((tmp_path / "mini" / MINIATURE).read_text())["name"] == miniature.NAME
    assert not list((tmp_path / "mini").rglob("*.mp4"))


@ALL
def test_annotations_are_the_same_each_time(miniature, tmp_path):
    for name in ("one", "two"):
        miniature.write_miniature(tmp_path / name, media=False)
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file()}
        for name in ("one", "two")
    )
    assert first == second and len(first) > 2


def test_a_scene_survives_the_codec_and_comes_out_the_same_each_time(tmp_path):
    pytest.importorskip("av")
    clip = scenes.render_clip(scenes.sample("test", 1))[0]
    for name in ("one.mp4", "two.mp4"):
        write_scene_clip(tmp_path / name, clip)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()
    frames = read_frames(tmp_path / "one.mp4", len(clip))
    assert np.abs(frames[:, ::2, ::2].astype(int) - clip).mean() < 3  # of 255


def test_writing_refuses_what_no_codec_takes(tmp_path):
    pytest.importorskip("av")
    with pytest.raises(RetrievalInputError, match="must be even"):
        write_clip(tmp_path / "odd.mp4", np.zeros((2, 33, 32, 3), np.uint8))
    with pytest.raises(RetrievalInputError, match="frames must be uint8"):
        write_clip(tmp_path / "float.mp4", np.zeros((2, 32, 32, 3)))
    assert not list(tmp_path.iterdir())
