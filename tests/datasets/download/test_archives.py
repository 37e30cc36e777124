"""Archives: what is written, and everything that must not be."""

import gzip
import io
import stat
import tarfile
import zipfile

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.download import archives
from lib.datasets.download.archives import Unpacked, unpack
from lib.datasets.laion.shards import Shard

FILES = {"val/a.jpg": b"first", "val/deep/b.jpg": b"second one", "dataset.json": b"{}"}


def zip_of(path, files, *, compression=zipfile.ZIP_DEFLATED, modes=None):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = compression
            info.external_attr = (modes or {}).get(name, stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)
    return path


def tar_of(path, files, extra=()):
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in extra:
            archive.addfile(info)
    return path


def tar_member(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def found(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.mark.parametrize("make, name", [(zip_of, "a.zip"), (tar_of, "a.tar"), (tar_of, "a.tar.gz")])
def test_every_file_arrives_in_its_folder(tmp_path, make, name):
    seen = []
    archive = make(tmp_path / name, FILES)
    done = unpack(archive, tmp_path / "root", progress=lambda *counts: seen.append(counts))
    assert done == Unpacked(3, 0, 17) and found(tmp_path / "root") == FILES
    assert seen == [(5, 17), (15, 17), (17, 17)]


def test_wanted_files_come_without_their_folders_and_the_others_not(tmp_path):
    files = {
        "data/MSRVTT_data.json": b"{}",
        "__MACOSX/._MSRVTT_data.json": b"?",
        "data/x.9k.csv": b"id",
        "y": b"",
    }
    archive = zip_of(tmp_path / "a.zip", files)
    unpack(archive, tmp_path / "root", members=("MSRVTT_data.json", "*.csv"))
    assert found(tmp_path / "root") == {"MSRVTT_data.json": b"{}", "x.9k.csv": b"id"}
    with pytest.raises(RetrievalInputError, match=r"has no dataset_coco\.json; check that it is"):
        unpack(archive, tmp_path / "root", members=("dataset_coco.json",))


def test_whole_files_are_kept_and_others_written_again(tmp_path):
    archive = zip_of(tmp_path / "a.zip", FILES)
    unpack(archive, tmp_path / "root")
    (tmp_path / "root" / "val" / "a.jpg").write_bytes(b"fir")
    (tmp_path / "root" / "dataset.json").unlink()
    assert unpack(archive, tmp_path / "root") == Unpacked(2, 1, 17)
    assert found(tmp_path / "root") == FILES


@pytest.mark.parametrize(
    "name", ["../out.txt", "val/../../out.txt", "/etc/out.txt", "C:/out.txt", "a\\..\\b.txt"]
)
@pytest.mark.parametrize("make, suffix", [(zip_of, "zip"), (tar_of, "tar")])
@pytest.mark.parametrize("members", [(), ("dataset.json",)])
def test_names_that_lead_out_refuse_the_whole_archive(tmp_path, make, suffix, name, members):
    archive = make(tmp_path / f"a.{suffix}", {**FILES, name: b"out"})
    with pytest.raises(RetrievalInputError, match="must be a relative path inside"):
        unpack(archive, tmp_path / "root", members=members)
    assert names_under(tmp_path) == {archive.name}


def names_under(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "extra, what",
    [
        (tar_member("val/link", tarfile.SYMTYPE, "/etc/passwd"), "a link"),
        (tar_member("val/link", tarfile.SYMTYPE, "a.jpg"), "a link"),
        (tar_member("val/link", tarfile.LNKTYPE, "val/a.jpg"), "a link"),
        (tar_member("val/pipe", tarfile.FIFOTYPE), "a device"),
        (tar_member("val/null", tarfile.CHRTYPE), "a device"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, extra, what):
    archive = tar_of(tmp_path / "a.tar", FILES, [extra])
    with pytest.raises(
        RetrievalInputError, match=f"member 3, .*, is {what}; .*Nothing was unpacked"
    ):
        unpack(archive, tmp_path / "root")
    assert names_under(tmp_path) == {"a.tar"}


@pytest.mark.parametrize("mode, what", [(stat.S_IFLNK, "a link"), (stat.S_IFIFO, "a device")])
def test_links_and_devices_in_a_zip_are_refused(tmp_path, mode, what):
    archive = zip_of(tmp_path / "a.zip", {**FILES, "val/l": b"/etc"}, modes={"val/l": mode | 0o777})
    with pytest.raises(RetrievalInputError, match=f"'val/l', is {what}"):
        unpack(archive, tmp_path / "root")


def test_a_link_that_is_already_there_is_not_followed_out(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root" / "val").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RetrievalInputError, match="leads out of"):
        unpack(zip_of(tmp_path / "a.zip", FILES), tmp_path / "root")
    assert names_under(tmp_path) == {"a.zip"}


def test_an_encrypted_member_is_refused(tmp_path):
    archive = zip_of(tmp_path / "a.zip", {"a.txt": b"secret"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag, in the list at the end
    archive.write_bytes(content)
    with pytest.raises(RetrievalInputError, match="is encrypted"):
        unpack(archive, tmp_path / "root")


@pytest.mark.parametrize("make, name", [(zip_of, "a.zip"), (tar_of, "a.tar.gz")])
def test_bombs_are_refused_before_they_go_off(tmp_path, make, name):
    archive = make(tmp_path / name, {"bomb.json": bytes(3 * 2**20)})
    with pytest.raises(RetrievalInputError, match="holds more than 1,048,576 bytes"):
        unpack(archive, tmp_path / "root")
    assert names_under(tmp_path) == {name}
    unpack(archive, tmp_path / "root", max_ratio=2000)  # whoever knows better says so


def test_more_bytes_or_members_than_allowed_are_refused(tmp_path, monkeypatch):
    archive = zip_of(tmp_path / "a.zip", FILES)
    with pytest.raises(RetrievalInputError, match="more than 16 bytes"):
        unpack(archive, tmp_path / "root", max_bytes=16)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    with pytest.raises(RetrievalInputError, match="or 2 members"):
        unpack(archive, tmp_path / "root")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", b"one")
        archive.writestr("a.txt", b"two")
    with pytest.raises(RetrievalInputError, match=r"member 1, 'a\.txt', occurs twice"):
        unpack(tmp_path / "a.zip", tmp_path / "root")


def test_a_flipped_byte_is_found_and_its_file_does_not_appear(tmp_path):
    archive = zip_of(tmp_path / "a.zip", FILES, compression=zipfile.ZIP_STORED)
    archive.write_bytes(archive.read_bytes().replace(b"second one", b"second two"))
    with pytest.raises(DamagedFileError, match="Bad CRC.*download it again"):
        unpack(archive, tmp_path / "root")
    assert found(tmp_path / "root") == {"val/a.jpg": b"first"}


@pytest.mark.parametrize(
    "make, name, keep", [(zip_of, "a.zip", 0.7), (tar_of, "a.tar", 0.2), (tar_of, "a.tar.gz", 0.7)]
)
def test_an_archive_that_is_cut_is_damaged(tmp_path, make, name, keep):
    archive = make(tmp_path / name, FILES)
    content = archive.read_bytes()
    archive.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(DamagedFileError, match="Delete it and download it again"):
        unpack(archive, tmp_path / "root")


def test_no_archive_and_a_file_that_is_none(tmp_path):
    with pytest.raises(MissingFileError, match="download it first"):
        unpack(tmp_path / "a.zip", tmp_path / "root")
    (tmp_path / "a.zip").write_text("<html>please sign in</html>")
    with pytest.raises(DamagedFileError):
        unpack(tmp_path / "a.zip", tmp_path / "root")


def test_a_member_that_is_the_root_or_file_and_folder_at_once_is_refused(tmp_path):
    archive = tar_of(tmp_path / "a.tar", {".": b"root"})
    with pytest.raises(RetrievalInputError, match="the folder .* itself"):
        unpack(archive, tmp_path / "root")
    archive = tar_of(tmp_path / "b.tar", {"a": b"file", "a/b": b"below"})
    with pytest.raises(RetrievalInputError, match="'a' is a file and a folder"):
        unpack(archive, tmp_path / "root")
    assert not (tmp_path / "root").exists()
    unpack(
        tar_of(tmp_path / "c.tar", FILES, [tar_member("./", tarfile.DIRTYPE)]), tmp_path / "root"
    )


def hostile_headers():
    """Names and bytes of tars that ask for memory or time without end."""

    def header(kind, size, **fields):
        info = tarfile.TarInfo("evil")
        info.type, info.size = kind, size
        for name, value in fields.items():
            setattr(info, name, value)
        return info.tobuf(tarfile.GNU_FORMAT)

    yield "a pax header of 64 MB", header(tarfile.XHDTYPE, 2**26) + bytes(2**20)
    yield "a long name of 64 MB", header(tarfile.GNUTYPE_LONGNAME, 2**26) + bytes(2**20)
    yield "digits", header(tarfile.XHDTYPE, 2**15) + b"1" * 2**15
    yield "a negative size", header(tarfile.REGTYPE, -512) * 2
    yield "2^40 bytes", header(tarfile.REGTYPE, 2**40) + bytes(2**20)
    sparse = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
    pax = header(tarfile.XHDTYPE, len(sparse)) + sparse.ljust(512, b"\0")
    yield (
        "a list of holes without end",
        pax + header(tarfile.REGTYPE, 512) + b"9999".ljust(512, b"9"),
    )
    yield "headers that announce headers", header(tarfile.XHDTYPE, 0) * 5000


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gz"])
@pytest.mark.parametrize(
    "content", [pytest.param(body, id=name) for name, body in hostile_headers()]
)
def test_hostile_headers_end_at_once(tmp_path, content, compress):
    path = tmp_path / "a.tar"
    path.write_bytes(compress(content))
    with pytest.raises((DamagedFileError, RetrievalInputError), match=r"a\.tar"):
        unpack(path, tmp_path / "root")
    reader = Shard(path)
    assert list(reader) == [] and reader.report.damage
