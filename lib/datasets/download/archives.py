"""Unpack untrusted archives: no path out of the folder, no links or devices, no bombs."""

import bz2
import fnmatch
import gzip
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lib.core.checks import RetrievalInputError
from lib.core.paths import path_inside, relative_name
from lib.core.reading import MAX_RATIO, DamagedFileError, MissingFileError, reading
from lib.core.writing import atomic_path
from lib.datasets.tar_files import TarReader

MAX_BYTES = 64 * 2**30  # the largest archive of the benchmarks, COCO's train2014.zip, has 13.5 GB
MAX_MEMBERS = 1_000_000  # COCO's train2014.zip has 82,784 members
FREE_BYTES = 2**20  # up to this size, any compression ratio is allowed
CHUNK = 2**20
DECOMPRESSORS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}


@dataclass(frozen=True)
class Unpacked:
    """Counts of `unpack`: files written, files that were already complete, bytes of both."""

    n_written: int
    n_present: int
    n_bytes: int


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    kind: str  # "file", "folder", or the reason to refuse it
    open: Callable[[], IO[bytes]]


def unpack(
    archive: str | Path,
    root: str | Path,
    *,
    members: Sequence[str] = (),
    max_bytes: int = MAX_BYTES,
    max_ratio: float = MAX_RATIO,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Unpacked:
    """Unpack a zip or tar archive under `root`, after a check of all its members.

    A file with the size of its member is kept, so an interrupted call can be repeated. Files appear
    under their names only when they are complete.

    Args:
        archive: a `.zip`, or a `.tar` with any compression that the standard library reads.
        root: the folder for all files.
        members: file names without folders, `"dataset_coco.json"` or with `*`: only these are
            unpacked, without their folders. Empty: all, in their folders.
        max_bytes: limit for all members together.
        max_ratio: limit for the bytes of all members per byte of the archive.
        progress: called with the bytes done and the total bytes.
    """
    archive, root = Path(archive), Path(root)
    if not archive.is_file():
        raise MissingFileError(f"{archive} is missing; download it first")
    advice = "Delete it and download it again"
    with reading(archive, "no whole archive", advice), _listed(archive) as listed:
        member_by_path = _targets(listed, archive, root, members, max_bytes, max_ratio)
        return _write(member_by_path, archive, progress)


@contextmanager
def _listed(archive: Path) -> Iterator[Iterator[_Member]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield (_zip_member(opened, info) for info in opened.infolist())
        return
    with archive.open("rb") as stream:
        head = stream.read(6)
    decompress = next((f for magic, f in DECOMPRESSORS.items() if head.startswith(magic)), open)
    with decompress(archive, "rb") as stream:
        yield _tar_members(stream)


def _zip_member(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    mode = info.external_attr >> 16  # 0 in archives that were not made on Unix
    if info.flag_bits & 1:
        kind = "encrypted"
    elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        kind = "a link" if stat.S_ISLNK(mode) else "a device"
    else:
        kind = "folder" if info.is_dir() else "file"
    return _Member(info.filename, info.file_size, kind, lambda: opened.open(info))


def _tar_members(stream: IO[bytes]) -> Iterator[_Member]:
    reader = TarReader(stream)
    for info in reader:
        kind = "file" if info.isfile() else "folder" if info.isdir() else "a device"
        kind = "a link" if info.issym() or info.islnk() else kind
        yield _Member(info.name, info.size, kind, lambda i=info: reader.archive.extractfile(i))
    if reader.end_block() != bytes(tarfile.BLOCKSIZE):
        raise EOFError("the mark of the end is missing")


def _targets(
    listed: Iterator[_Member],
    archive: Path,
    root: Path,
    patterns: Sequence[str],
    max_bytes: int,
    max_ratio: float,
) -> dict[Path, _Member]:
    """Map the path of each file to its member; one bad member refuses the whole archive."""
    limit = min(max_bytes, max(FREE_BYTES, int(max_ratio * archive.stat().st_size)))
    targets: dict[Path, _Member] = {}
    total = 0

    def refuse(problem: str) -> None:
        raise RetrievalInputError(f"{archive}: {problem}. Nothing was unpacked")

    for position, member in enumerate(listed):
        relative_name(member.name, root)
        label = f"member {position}, {member.name!r},"
        if member.kind not in ("file", "folder"):
            refuse(f"{label} is {member.kind}; the archive of a corpus holds plain files")
        total += member.size
        if total > limit or position >= MAX_MEMBERS:
            refuse(
                f"it holds more than {limit:,} bytes or {MAX_MEMBERS:,} members; the limit is"
                f" {max_ratio:g} bytes for one of the archive"
            )
        file_name = member.name.rsplit("/", 1)[-1]
        chosen = not patterns or any(fnmatch.fnmatchcase(file_name, p) for p in patterns)
        if member.kind == "file" and chosen:
            path = path_inside(root, file_name if patterns else member.name)
            if path in targets:
                refuse(f"{label} occurs twice")
            targets[path] = member
    folders = {folder for path in targets for folder in path.parents}
    for path, member in targets.items():
        if path in folders or path.is_dir():
            refuse(f"{member.name!r} is a file and a folder")
    names = [path.name for path in targets]
    absent = [p for p in patterns if not any(fnmatch.fnmatchcase(name, p) for name in names)]
    if absent:
        refuse(f"it has no {', '.join(absent)}; check that it is the right archive")
    return targets


def _write(
    member_by_path: dict[Path, _Member], archive: Path, progress: Callable[[int, int], None]
) -> Unpacked:
    total = sum(member.size for member in member_by_path.values())
    done = n_written = 0
    for path, member in member_by_path.items():
        if not (path.is_file() and path.stat().st_size == member.size):
            with atomic_path(path) as temporary, member.open() as stream:
                _copy(stream, temporary, member, archive)
            n_written += 1
        done += member.size
        progress(done, total)
    return Unpacked(n_written, len(member_by_path) - n_written, total)


def _copy(stream: IO[bytes], path: Path, member: _Member, archive: Path) -> None:
    """Copy a member; its content must have exactly the size in the archive's list."""
    n_left = member.size
    with open(path, "wb") as out:
        while n_left >= 0 and (chunk := stream.read(CHUNK)):
            n_left -= len(chunk)
            if n_left >= 0:
                out.write(chunk)
    if n_left:
        raise DamagedFileError(
            f"{archive}: the content of {member.name!r} does not have the {member.size:,} bytes"
            " that its list states"
        )
