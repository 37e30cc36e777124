import pytest

from lib.core import paths
from lib.core.checks import RetrievalInputError


def test_the_data_folder_can_be_moved(tmp_path, monkeypatch):
    monkeypatch.delenv("CROSSMODAL_DATA", raising=False)
    monkeypatch.delenv("CROSSMODAL_CACHE", raising=False)
    assert paths.data_dir().name == "data" and paths.data_dir().is_absolute()
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    assert (
        paths.artifacts_dir() == tmp_path / "artifacts" and paths.cache_dir() == tmp_path / "cache"
    )
    monkeypatch.setenv("CROSSMODAL_CACHE", str(tmp_path / "mine"))
    assert (
        paths.artifacts_dir() == tmp_path / "artifacts" and paths.cache_dir() == tmp_path / "mine"
    )


@pytest.mark.parametrize(
    "name", ["a.jpg", "val2014/a.jpg", "a..b.jpg", "...", "-a--b.mp4", "ünï/a b.jpg"]
)
def test_a_name_inside_becomes_a_path(tmp_path, name):
    assert paths.path_inside(tmp_path, name) == tmp_path.resolve() / name


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "..", "../a", "a/../../b", "a/..", "C:/windows", "..\\a", "a\0b"]
)
def test_a_name_that_could_leave_is_refused(tmp_path, name):
    with pytest.raises(RetrievalInputError, match="must be a relative path inside"):
        paths.path_inside(tmp_path, name)


@pytest.mark.parametrize("name", ["a/\ud800.jpg", "a/" + "ü" * 128, "b" * 256 + "/c"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name):
    with pytest.raises(RetrievalInputError, match="cannot be that of a file"):
        paths.path_inside(tmp_path, name)
    assert paths.path_inside(tmp_path, "b" * 255) == tmp_path.resolve() / ("b" * 255)
    assert paths.is_file_name("a/b\udce9.jpg")  # a byte that is no UTF-8, as Python names it


def test_a_link_that_leaves_is_refused(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to(tmp_path)
    (root / "within").symlink_to(root)
    assert paths.path_inside(root, "within/a") == root.resolve() / "a"
    with pytest.raises(RetrievalInputError, match="by a link"):
        paths.path_inside(root, "out/a")


def test_labels_become_distinct_names_of_files():
    assert paths.file_stem("ViT-B-32 openai") == "ViT-B-32-openai"
    assert paths.file_stem("../../[red]a/b\n\x1b") == "red-a-b"
    assert paths.file_stem("\u6a21\u578b \u00e9") == "\u6a21\u578b-\u00e9"
    odd = [paths.file_stem(text) for text in ("", "-", "..", ":", "\udce9", "\udcea")]
    long = [paths.file_stem("\u6a21" * n) for n in (36, 37, 300, 301)]
    assert len({*odd, *long}) == 10 and all(len(stem.encode()) <= 110 for stem in long)
