"""Archives unpacked member by member: no path out of the folder, no links, no bombs."""

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
from lib.datasets.tar_headers import HeaderStream

MAX_BYTES = 64 * 2**30  # the largest archive of the benchmarks, COCO's train2014.zip, holds 13.5 GB
MAX_MEMBERS = 1_000_000  # and 82,784 members
FREE_BYTES = 2**20  # below this much, no ratio is suspicious
CHUNK = 2**20
COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}


@dataclass(frozen=True)
class Unpacked:
    """What `unpack` did: files written and left as they were, and the bytes of both together."""

    written: int
    kept: int
    n_bytes: int


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    kind: str  # "file", "folder", or what it is instead
    open: Callable[[], IO[bytes]]


def unpack(
    archive: str | Path,
    root: str | Path,
    *,
    members: Sequence[str] = (),
    max_bytes: int = MAX_BYTES,
    max_ratio: float = MAX_RATIO,
    progress: Callable[[int, int], None] | None = None,
) -> Unpacked:
    """Writes the files of a zip or tar archive under `root`, once all of them have been looked at.

    Args:
        archive: a `.zip`, or a `.tar` with any compression that the standard library reads.
        root: the folder that all files go into; it need not exist.
        members: file names without folders, `"dataset_coco.json"` or with `*`: only these, and
            without their folders. Empty: everything, in its folders.
        max_bytes: the most that the members together may take.
        max_ratio: the most bytes that one byte of the archive may turn into.
        progress: called with the bytes done and the bytes in all.

    Returns:
        The counts. A file that is there with the size of its member is kept, so that an interrupted
        call goes on where it stopped: files appear under their names only when they are whole.

    Raises:
        MissingFileError: no archive.
        RetrievalInputError: a member that is absolute, has a `..` part, is a link, a device,
            encrypted or there twice; more bytes or members than allowed; a name asked for that is
            not there.
        DamagedFileError: the archive ends early, or a member's checksum or size is wrong.
    """
    archive, root = Path(archive), Path(root)
    if not archive.is_file():
        raise MissingFileError(f"{archive} is missing; download it first")
    advice = "Delete it and download it again"
    with reading(archive, "no whole archive", advice), _members(archive) as listed:
        plan = _plan(listed, archive, root, members, max_bytes, max_ratio)
        return _write(plan, archive, progress or (lambda done, total: None))


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[_Member]]:
    """The members of an archive of either kind, in its order."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield (_zip_member(opened, info) for info in opened.infolist())
    else:
        with archive.open("rb") as stream:
            head = stream.read(6)
        unpacked = next(
            (opener for magic, opener in COMPRESSED.items() if head.startswith(magic)), open
        )
        with unpacked(archive, "rb") as stream:
            headers = HeaderStream(stream)
            with tarfile.open(fileobj=headers, mode="r:") as opened:
                yield _tar_members(opened, headers)


def _zip_member(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    mode = info.external_attr >> 16  # zero in archives that were not made on a Unix
    if info.flag_bits & 1:
        kind = "encrypted"
    elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        kind = "a link" if stat.S_ISLNK(mode) else "a device"
    else:
        kind = "folder" if info.is_dir() else "file"
    return _Member(info.filename, info.file_size, kind, lambda: opened.open(info))


def _tar_members(opened: tarfile.TarFile, headers: HeaderStream) -> Iterator[_Member]:
    """The members, up to the block of zeros that must end them: without it, some may have been cut
    away.
    """
    for info in opened:
        headers.check(opened, info)
        yield _tar_member(opened, info)
    headers.listing = False
    opened.fileobj.seek(opened.offset)
    if opened.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise EOFError("the mark of the end is missing")


def _tar_member(opened: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    if info.issym() or info.islnk():
        kind = "a link"
    else:
        kind = "file" if info.isfile() else "folder" if info.isdir() else "a device"
    return _Member(info.name, info.size, kind, lambda: opened.extractfile(info))


def _plan(
    listed: Iterator[_Member],
    archive: Path,
    root: Path,
    names: Sequence[str],
    max_bytes: int,
    max_ratio: float,
) -> list[tuple[_Member, Path]]:
    """Which member goes where; refuses the archive as a whole when one member is not what it should
    be.
    """
    limit = min(max_bytes, max(FREE_BYTES, int(max_ratio * archive.stat().st_size)))
    plan: dict[Path, _Member] = {}
    total = 0
    for position, member in enumerate(listed):
        relative_name(member.name, root)
        if member.kind not in ("file", "folder"):
            raise RetrievalInputError(
                f"{archive}: member {position}, {member.name!r}, is {member.kind}; the archive of a"
                " corpus holds plain files. Nothing was unpacked"
            )
        total += member.size
        if total > limit or position >= MAX_MEMBERS:
            raise RetrievalInputError(
                f"{archive} holds more than {limit:,} bytes or {MAX_MEMBERS:,} members, which it"
                f" may not (at most {max_ratio:g} bytes for one of the archive). Nothing was"
                " unpacked"
            )
        last = member.name.rsplit("/", 1)[-1]
        wanted = any(fnmatch.fnmatchcase(last, name) for name in names)
        if member.kind == "folder" or (names and not wanted):
            continue
        path = path_inside(root, last if names else member.name)
        if path in plan:
            raise RetrievalInputError(
                f"{archive}: member {position}, {member.name!r}, is there twice"
            )
        plan[path] = member
    folders = {folder for path in plan for folder in path.parents}
    mixed = [member.name for path, member in plan.items() if path in folders or path.is_dir()]
    if mixed:
        raise RetrievalInputError(
            f"{archive}: {mixed[0]!r} is a file and a folder. Nothing was unpacked"
        )
    absent = [
        name for name in names if not any(fnmatch.fnmatchcase(path.name, name) for path in plan)
    ]
    if absent:
        raise RetrievalInputError(
            f"{archive} has no {', '.join(absent)}; is it the archive it should be?"
        )
    return [(member, path) for path, member in plan.items()]


def _write(
    plan: list[tuple[_Member, Path]], archive: Path, progress: Callable[[int, int], None]
) -> Unpacked:
    total = sum(member.size for member, _ in plan)
    done = written = 0
    for member, path in plan:
        if not (path.is_file() and path.stat().st_size == member.size):
            with (
                atomic_path(path) as temporary,
                open(temporary, "wb") as out,
                member.open() as stream,
            ):
                _copy(stream, out, member, archive)
            written += 1
        done += member.size
        progress(done, total)
    return Unpacked(written, len(plan) - written, total)


def _copy(stream: IO[bytes], out: IO[bytes], member: _Member, archive: Path) -> None:
    """Copies exactly the bytes that the list of the archive promised."""
    left = member.size
    while chunk := stream.read(CHUNK):
        left -= len(chunk)
        if left < 0:
            break
        out.write(chunk)
    if left:
        raise DamagedFileError(
            f"{archive}: {member.name!r} is not of the {member.size:,} bytes it is said to be"
        )
