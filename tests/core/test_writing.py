import errno
import hashlib
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from lib.core import paths, reading, writing
from lib.core.checks import RetrievalInputError


def test_sha256_of_bytes_and_files(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    known = (  # FIPS 180-2, appendix B.1
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    assert (
        writing.sha256_of(b"abc")
        == writing.sha256_of(tmp_path / "x")
        == writing.sha256_of(str(tmp_path / "x"))
        == known
    )


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with writing.atomic_path(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.is_relative_to(path.parent) and temporary.name == path.name
    assert path.read_text() == "new"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="half way"), writing.atomic_path(path) as temporary:
        temporary.write_text("ne")
        raise RuntimeError("half way")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("system", ["linux", "another"])
def test_a_name_that_is_taken_is_kept(tmp_path, monkeypatch, system):
    if system == "another":
        monkeypatch.setattr(writing, "_rename", lambda *arguments: errno.ENOSYS)
    path = tmp_path / "x.txt"
    path.write_text("theirs")
    with pytest.raises(FileExistsError), writing.atomic_path(path, replace=False) as temporary:
        temporary.write_text("ours")
    assert path.read_text() == "theirs" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError):
        writing.rename_new(tmp_path / "absent", tmp_path / "new")
    writing.rename_new(path, tmp_path / "y.txt")
    assert (tmp_path / "y.txt").read_text() == "theirs" and not path.exists()


def test_files_have_the_usual_permissions(tmp_path):
    (tmp_path / "plain").write_text("")
    with writing.atomic_path(tmp_path / "atomic") as temporary:
        temporary.write_text("")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "atomic")]
    assert modes[0] == modes[1]


def test_a_folder_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "index"
    for content in ("old", "new"):
        with writing.atomic_folder(path, ours=["old"]) as temporary:
            (temporary / content).write_text(content)
            assert temporary.is_relative_to(path.parent)
            assert not (path / content).exists()
        assert [p.name for p in path.iterdir()] == [content]
        assert [p.name for p in path.parent.iterdir()] == ["index"]


def test_an_error_leaves_the_old_folder_and_nothing_else(tmp_path):
    path = tmp_path / "index"
    with writing.atomic_folder(path) as temporary:
        (temporary / "a").write_text("old")
    with pytest.raises(RuntimeError, match="half way"), writing.atomic_folder(path) as temporary:
        (temporary / "a").write_text("ne")
        raise RuntimeError("half way")
    assert (path / "a").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["index"]


def test_a_folder_that_cannot_take_its_name_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "index"
    with writing.atomic_folder(path) as temporary:
        (temporary / "a").write_text("old")
    rename = Path.rename

    def fails(source, target):
        if source.parent.name == "new":
            raise OSError("no")
        return rename(source, target)

    monkeypatch.setattr(writing, "_exchange", lambda one, other: False)  # as on a Mac
    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="no"), writing.atomic_folder(path) as temporary:
        (temporary / "a").write_text("new")
    assert (path / "a").read_text() == "old"


def test_a_folder_has_the_usual_permissions_and_no_file_in_its_place(tmp_path):
    (tmp_path / "plain").mkdir()
    with writing.atomic_folder(tmp_path / "atomic"):
        pass
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "atomic")]
    assert modes[0] == modes[1]
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file"), writing.atomic_folder(tmp_path / "file"):
        pass


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    path = tmp_path / "index"
    with writing.atomic_folder(path) as temporary:
        (temporary / "a").write_text("old")
        (temporary / "sub").mkdir()
    (path / "sub" / "notes.txt").write_text("mine")
    with (
        pytest.raises(
            RetrievalInputError, match=r"index would be replaced, but holds .*: sub/notes\.txt\."
        ),
        writing.atomic_folder(path) as temporary,
    ):
        (temporary / "a").write_text("new")
        (temporary / "sub").mkdir()
    assert (path / "a").read_text() == "old" and (path / "sub" / "notes.txt").read_text() == "mine"
    with writing.atomic_folder(path, ours=["sub", "sub/notes.txt"]) as temporary:
        (temporary / "a").write_text("new")
    assert (path / "a").read_text() == "new" and not (path / "sub").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["index"]


def killed(write) -> None:
    """Runs a function in a process that ends at `os._exit`, without any cleaning up."""
    child = os.fork()
    if not child:
        try:
            write()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9, (
        "it was not killed where it should be"
    )


def test_what_killed_writers_leave_is_cleaned_and_what_live_ones_write_is_not(
    tmp_path, monkeypatch
):
    def half():
        with writing.atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            os._exit(9)

    for _ in range(3):
        killed(half)
    monkeypatch.setattr(writing, "_cleaned_folders", set())  # as in a new process
    with writing.atomic_path(tmp_path / "live") as temporary:
        temporary.write_text("live")
        assert len(list(tmp_path.iterdir())) == 1  # the room of this one
        monkeypatch.setattr(writing, "_cleaned_folders", set())
        with writing.atomic_path(tmp_path / "other") as other:
            other.write_text("other")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["live", "other"]


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_writer_killed_while_it_replaces_a_folder_leaves_one_of_them(
    tmp_path, monkeypatch, exchanges
):
    path = tmp_path / "index"
    writing.save_arrays(path / "a.npz", x=np.array("old"))
    rename, exchange = Path.rename, writing._exchange

    def dies_behind(function):
        def replaced(*arguments):
            function(*arguments)
            os._exit(9)

        return replaced

    def replace():
        if exchanges:
            writing._exchange = dies_behind(exchange)
        else:
            writing._exchange, Path.rename = lambda one, other: False, dies_behind(rename)
        with writing.atomic_folder(path) as temporary:
            writing.save_arrays(temporary / "a.npz", x=np.array("new"))

    killed(replace)
    assert path.exists() == exchanges
    assert reading.load_arrays(path / "a.npz")["x"] == ("new" if exchanges else "old")


def test_an_error_without_a_number_is_named_too(tmp_path):
    problem = r"a\.npy cannot be written: 640 requested and 8 written\. Choose another place"
    with (
        pytest.raises(writing.UnwritableFileError, match=problem),
        writing.atomic_path(tmp_path / "a.npy"),
    ):
        raise OSError("640 requested and 8 written")  # as numpy raises it


def test_what_cannot_be_written_is_named_with_advice(tmp_path, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")
    with (
        pytest.raises(
            writing.UnwritableFileError, match=r"a\.txt cannot be written: No space.* free space"
        ),
        writing.atomic_path(tmp_path / "a.txt"),
    ):
        raise full
    with (
        pytest.raises(
            writing.UnwritableFileError, match=r"index cannot be written: Read-only.*another place"
        ),
        writing.atomic_folder(tmp_path / "index"),
    ):
        raise OSError(errno.EROFS, "Read-only file system")
    monkeypatch.setattr(
        writing, "_disk_error", lambda room: errno.EDQUOT
    )  # a library that does not say why
    with (
        pytest.raises(
            writing.UnwritableFileError, match=r"b\.npz cannot be written: 10 requested.*Your share"
        ),
        writing.atomic_path(tmp_path / "b.npz"),
    ):
        raise OSError("10 requested and 0 written")
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "a.txt", tmp_path / "file" / "deep" / "a.txt"):
        with (
            pytest.raises(writing.UnwritableFileError, match="cannot be written"),
            writing.atomic_path(path),
        ):
            pass
    with (
        pytest.raises(writing.UnwritableFileError, match="is a folder"),
        writing.atomic_path(tmp_path),
    ):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_error_about_another_file_stays_what_it_is(tmp_path):
    with pytest.raises(PermissionError), writing.atomic_path(tmp_path / "a.txt"):
        raise PermissionError(errno.EACCES, "Permission denied", "/elsewhere/b.txt")
    with pytest.raises(RuntimeError, match="half way"), writing.atomic_path(tmp_path / "a.txt"):
        raise RuntimeError("half way")


def test_a_cache_that_cannot_be_written_is_made_anew_and_spoken_of_once(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CROSSMODAL_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(writing, "_warned_places", set())
    with pytest.warns(UserWarning, match="CROSSMODAL_CACHE names a folder") as caught:
        for _ in range(2):
            path = paths.cache_dir() / "deep" / "a.npz"
            assert reading.cached_arrays(path, lambda: {"x": np.arange(3)})["x"].tolist() == [
                0,
                1,
                2,
            ]
    assert len(caught) == 1


def test_arrays_come_back_as_they_were(tmp_path):
    path = tmp_path / "a.npz"
    digest = writing.save_arrays(
        path, codes=np.arange(6, dtype=np.int8).reshape(2, 3), name=np.array("icons")
    )
    loaded = reading.load_arrays(path)
    assert loaded["codes"].dtype == np.int8 and loaded["codes"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert str(loaded["name"]) == "icons"
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (tmp_path / "a.npz.sha256").read_text() == f"{digest}  a.npz\n"


def test_the_same_arrays_make_the_same_bytes(tmp_path):
    digests = {writing.save_arrays(tmp_path / f"{i}.npz", x=np.arange(5)) for i in range(2)}
    assert len(digests) == 1


def test_saving_again_replaces_file_and_checksum(tmp_path):
    writing.save_arrays(tmp_path / "a.npz", x=np.arange(3))
    writing.save_arrays(tmp_path / "a.npz", x=np.arange(4))
    assert reading.load_arrays(tmp_path / "a.npz")["x"].size == 4


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"writes \.npz files, got 'a\.bin'"):
        writing.save_arrays(tmp_path / "a.bin", x=np.arange(3))


def test_compressed_arrays_are_the_same_arrays(tmp_path):
    arrays = {"a": np.zeros((100, 100), np.int8), "b": np.arange(5.0)}
    for name, compressed in (("small", True), ("plain", False)):
        writing.save_arrays(tmp_path / f"{name}.npz", compressed=compressed, **arrays)
        for key, value in reading.load_arrays(tmp_path / f"{name}.npz").items():
            np.testing.assert_array_equal(value, arrays[key])
    assert (tmp_path / "small.npz").stat().st_size < (tmp_path / "plain.npz").stat().st_size / 5


def test_a_file_within_a_folder_that_is_made_is_named_by_its_final_place(tmp_path):
    with (
        pytest.raises(writing.UnwritableFileError) as caught,
        writing.atomic_folder(tmp_path / "corpus") as folder,
        writing.atomic_path(folder / "clips" / "1.mp4"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(caught.value).startswith(
        f"{tmp_path / 'corpus' / 'clips' / '1.mp4'} cannot be written: No space"
    )
    assert caught.value.errno == errno.ENOSPC and not list(tmp_path.iterdir())


def test_a_room_that_was_half_removed_goes_away(tmp_path):
    """Its writer was killed when the lock was gone and the rest was not."""
    (tmp_path / ".crossmodal-half" / "old" / "index").mkdir(parents=True)
    (tmp_path / ".crossmodal-half" / "new").mkdir()
    writing.remove_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_temporary_folder_of_a_killed_process_is_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(writing.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(writing, "_cleaned_folders", set())

    def left():
        with writing.temporary_folder() as folder:
            (folder / "a.txt").write_text("x")
            os._exit(9)

    killed(left)
    assert len(list(tmp_path.iterdir())) == 1
    with writing.temporary_folder() as folder:
        assert folder.is_relative_to(tmp_path) and not list(folder.iterdir())
        assert len(list(tmp_path.iterdir())) == 1
    assert not list(tmp_path.iterdir())


def test_a_place_is_tried_before_the_work(tmp_path):
    writing.check_writable(tmp_path / "new" / "folder" / "a.json")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(writing.UnwritableFileError, match="is a folder"):
        writing.check_writable(tmp_path)
    with pytest.raises(writing.UnwritableFileError, match="is a file, not a folder"):
        writing.check_writable(tmp_path / "file" / "deep" / "a.json")


def test_a_folder_is_not_written_through_a_link_to_nothing(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with (
        pytest.raises(writing.UnwritableFileError, match="link is a link to nothing"),
        writing.atomic_folder(tmp_path / "link"),
    ):
        pass
