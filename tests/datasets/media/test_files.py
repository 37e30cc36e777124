"""Media files as sequences: names, slices, links, fingerprints, and what is missing or damaged."""

import os

import numpy as np
import pytest
from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.datasets.media.encoding import write_clip
from lib.datasets.media.files import AudioFiles, ClipFiles, PictureFiles, find_damaged, find_names
from lib.datasets.miniatures.writing import tone


@pytest.fixture
def root(tmp_path):
    (tmp_path / "a").mkdir()
    Image.new("RGB", (4, 3), (255, 0, 0)).save(tmp_path / "a" / "red.png")
    Image.new("L", (2, 2), 7).save(tmp_path / "grey.png")
    return tmp_path


@pytest.fixture(scope="module")
def grey(tmp_path_factory):
    """A clip of 80 frames at 4 a second in which frame i has the grey value 3 i, with a sound."""
    pytest.importorskip("av")
    root = tmp_path_factory.mktemp("clips")
    levels = 3 * np.arange(80, dtype=np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (80, 32, 48, 3))
    write_clip(root / "grey.mp4", frames, 4, tone(440, 20))
    write_clip(root / "short.mp4", frames[:2], 4)
    return root


def shown(frames: np.ndarray) -> list[int]:
    return np.rint(frames.mean(axis=(1, 2, 3)) / 3).astype(int).tolist()


def test_sequence(root):
    files = PictureFiles(root, ["a/red.png", "grey.png", "gone.png"])
    assert len(files) == 3 and files[0].size == (4, 3) and files[-2].size == (2, 2)
    assert files.present().tolist() == [True, True, False]
    part = files[1:]
    assert isinstance(part, PictureFiles) and part.names == ("grey.png", "gone.png")
    assert files.take([2, 0]).names == ("gone.png", "a/red.png")
    with pytest.raises(MissingFileError, match=r"gone\.png is missing \(item 2 of 3"):
        files[2]
    with pytest.raises(IndexError):
        files[3]
    assert [picture.size for picture in files[:2]] == [(4, 3), (2, 2)]


def test_empty_file_is_not_present(root):
    (root / "empty.jpg").touch()
    assert not PictureFiles(root, ["empty.jpg"]).present().any()


def test_fingerprint(root):
    names = ["a/red.png", "grey.png"]
    before = PictureFiles(root, names).fingerprint()
    assert before == PictureFiles(root, names).fingerprint()
    assert before != PictureFiles(root, names[::-1]).fingerprint()
    with open(root / "grey.png", "ab") as stream:
        stream.write(b"\0")
    assert before != PictureFiles(root, names).fingerprint()


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../../x", ""])
def test_names_stay_inside(root, name):
    with pytest.raises(RetrievalInputError):
        PictureFiles(root, [name])[0]
    with pytest.raises(RetrievalInputError):
        PictureFiles(root, [name]).present()


def test_link_that_leaves(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret.png"
    Image.new("RGB", (1, 1)).save(outside)
    (root / "link.png").symlink_to(outside)
    with pytest.raises(RetrievalInputError, match="link"):
        PictureFiles(root, ["link.png"])[0]


def test_damaged_files_are_listed_with_their_reasons(root):
    (root / "cut.png").write_bytes((root / "a" / "red.png").read_bytes()[:50])
    seen = []
    damaged = find_damaged(PictureFiles(root, ["grey.png", "cut.png", "a/red.png"]), seen.append)
    assert list(damaged) == [1] and "cut.png cannot be decoded" in damaged[1] and seen == [1, 1, 1]


def test_another_picture_of_equal_size_and_time_is_another_fingerprint(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"one picture")
    before, stat = PictureFiles(tmp_path, ["a.png"]).fingerprint(), path.stat()
    other = tmp_path / "b.png"
    other.write_bytes(b"the other 1")
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(path)
    assert PictureFiles(tmp_path, ["a.png"]).fingerprint() != before


def test_files_are_read_when_asked_for_and_stay_inside_the_root(grey):
    clips = ClipFiles(grey, ["grey.mp4", "short.mp4", "gone.mp4"], n_frames=3)
    assert len(clips) == 3 and clips[0].shape == (3, 32, 48, 3) and len(clips[-3]) == 3
    assert clips.present().tolist() == [True, True, False]
    assert clips[1:].names == ("short.mp4", "gone.mp4") and clips[1:].n_frames == 3
    with pytest.raises(MissingFileError, match="gone.mp4"):
        clips[2]
    (grey / "link.mp4").symlink_to("/etc/hostname")
    for name in ("../grey.mp4", "/etc/passwd", "link.mp4"):
        with pytest.raises(RetrievalInputError, match="the name"):
            ClipFiles(grey, [name])[0]


def test_parts_of_one_file_go_with_their_names(grey):
    clips = ClipFiles(grey, ["grey.mp4"] * 3, [(0, 4), (4, 8), (8, 12)], n_frames=1)
    assert [shown(clip) for clip in clips.take([2, 0])] == [[40], [8]]
    assert AudioFiles(grey, ["grey.mp4"], [(1, 1.5)], rate=4_000)[0].shape == (2_000,)
    with pytest.raises(RetrievalInputError, match="1 names have 2 segments"):
        ClipFiles(grey, ["grey.mp4"], [(0, 1), (1, 2)])


def test_a_fingerprint_knows_names_parts_and_settings(grey):
    plain = ClipFiles(grey, ["grey.mp4"], n_frames=3)
    assert plain.fingerprint() == ClipFiles(grey, ["grey.mp4"], n_frames=3).fingerprint()
    others = [
        ClipFiles(grey, ["grey.mp4"], n_frames=4),
        ClipFiles(grey, ["short.mp4"], n_frames=3),
        ClipFiles(grey, ["grey.mp4"], [(0, 20)], n_frames=3),
        AudioFiles(grey, ["grey.mp4"]),
    ]
    assert len({files.fingerprint() for files in (plain, *others)}) == 5


def test_names_are_found_in_the_first_layout_that_has_them(tmp_path):
    for name in ("videos/all/a.mp4", "videos/b.webm", "videos/a.mp4", "other/-c.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find_names(
        tmp_path,
        ["a", "b", ("c", "-c"), "d"],
        ["videos/all", "videos", "other", "none"],
        [".mp4", ".webm"],
    )
    assert found == ["videos/all/a.mp4", "videos/b.webm", "other/-c.mp4", "videos/all/d.mp4"]
