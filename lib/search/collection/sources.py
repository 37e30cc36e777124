"""Find the pictures of a collection: files in folders, and samples of img2dataset shards."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import NamedTuple

from lib.core.checks import RetrievalInputError, is_unicode
from lib.core.reading import DamagedFileError, MissingFileError
from lib.core.texts import decode_text
from lib.datasets.laion.shards import Shard

_KINDS = "jpg", "jpeg", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff", "ppm", "pgm", "avif"
SUFFIXES = frozenset(f".{kind}" for kind in (*_KINDS, "heic", "heif"))
SHARD = ".tar"
CAPTION = ".txt"  # a file beside a picture, with the same stem
MANIFEST = "collection.json"  # a folder that holds one is a collection, and is not indexed
MAX_FILE_BYTES = 1 << 28
MAX_CAPTION_BYTES = 1 << 16

Place = tuple[int, str, str]  # root, path, member: what identifies a picture


class Caption(NamedTuple):
    """The caption of a picture, "" without one; or the reason why it cannot be used."""

    text: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Item:
    """One picture that was found, not yet read: plain data, so that any process can read it.

    Args:
        root: position of its root in the list of roots.
        path: relative to the root, with "/".
        member: key of the sample in a shard; "" for a file.
        size, mtime_ns: of the file, or size of the content and time of the shard.
        folder: of the root.
        start: first byte of the content in a shard; None for a file.
        caption: of the sample in a shard; None for a file, whose caption lies beside it.
    """

    root: int
    path: str
    member: str
    size: int
    mtime_ns: int
    folder: Path
    start: int | None = None
    caption: str | None = None

    @property
    def place(self) -> Place:
        return self.root, self.path, self.member

    @property
    def name(self) -> str:
        return f"{self.path}, sample {self.member}" if self.member else self.path

    @property
    def file(self) -> Path:
        """The file of the picture, or the shard."""
        return self.folder / self.path

    def read(self) -> bytes:
        """Read the bytes of the picture."""
        if self.start is None:
            return read_file(self.file)
        return read_part(self.file, self.start, self.size, self.name)

    def read_caption(self) -> Caption:
        """Read the caption in the shard, or in the file beside the picture."""
        if self.caption is not None:
            return Caption(self.caption)
        beside = self.file.with_suffix(CAPTION)
        try:
            mode = beside.stat().st_mode
            if S_ISDIR(mode):
                return Caption()
            return caption_of(_read_plain(beside, MAX_CAPTION_BYTES), beside.name)
        except (FileNotFoundError, NotADirectoryError):
            return Caption()
        except OSError as error:
            return Caption(problem=f"{beside.name} cannot be read: {error.strerror or error}")
        except RetrievalInputError as error:
            return Caption(problem=str(error))


def caption_of(content: bytes, name: str) -> Caption:
    """Decode a caption; `name` is that of its file."""
    if len(content) > MAX_CAPTION_BYTES:
        return Caption(problem=f"{name} has more than {MAX_CAPTION_BYTES:,} bytes; shorten it")
    try:
        return Caption(decode_text(content, name).strip())
    except DamagedFileError as error:
        return Caption(problem=str(error))


@dataclass(frozen=True)
class Failure:
    """A picture that could not be used, and why; or a caption, whose member ends in ".txt"; or a
    folder, whose path ends in "/".
    """

    root: int
    path: str
    member: str
    reason: str

    @property
    def place(self) -> Place:
        return self.root, self.path, self.member

    @classmethod
    def of_caption(cls, place: Place, problem: str) -> "Failure":
        """Say that a picture is here without its caption."""
        root, path, member = place
        name = f"{path}, sample {member}," if member else path
        return cls(root, path, member + CAPTION, f"{name} has no caption: {problem}")

    @property
    def is_folder(self) -> bool:
        return self.path.endswith("/")

    @property
    def is_caption(self) -> bool:
        """Return whether the picture is there, and its caption alone is missing."""
        return self.member.endswith(CAPTION) and " has no caption: " in self.reason

    @property
    def sentence(self) -> str:
        """Name the picture and the reason; many reasons name it already."""
        place = f"{self.path} {self.member}".rstrip()
        return self.reason if self.path in self.reason else f"{place}: {self.reason}"


@dataclass(frozen=True)
class Root:
    """A folder that is indexed, or chosen files of it."""

    folder: Path
    files: tuple[str, ...] | None = None  # None: all pictures below the folder


def roots_of(sources: Sequence[str | Path]) -> list[Root]:
    """Turn folders and files into roots; a missing source is an error.

    Single files of one folder make one root.
    """
    if not sources:
        raise RetrievalInputError("sources must name at least one folder or file, got none")
    roots: dict[Path, Root] = {}
    for source in map(Path, sources):
        if source.is_dir():
            roots[source.resolve()] = Root(source.resolve())
        elif source.is_file():
            if source.suffix.lower() not in SUFFIXES | {SHARD}:
                kinds = ", ".join(sorted(SUFFIXES | {SHARD}))
                raise RetrievalInputError(f"{source} must be a picture or a shard ({kinds})")
            folder = source.parent.resolve()
            known = roots.setdefault(folder, Root(folder, ()))
            if known.files is not None:
                roots[folder] = Root(folder, tuple(dict.fromkeys((*known.files, source.name))))
        else:
            raise MissingFileError(f"{source} is missing; give a folder, a picture or a shard")
    for inner in roots:
        outer = next((folder for folder in inner.parents if folder in roots), None)
        if outer is not None and roots[outer].files is None:
            raise RetrievalInputError(f"{inner} lies in {outer}, which is given too; give one")
    return list(roots.values())


def find_items(
    roots: Sequence[tuple[int, Root]], failed: Callable[[Failure], None]
) -> Iterator[Item]:
    """Yield the pictures of all roots in the order of their paths.

    Hidden folders, collections and folders behind links are skipped; a link to a file is followed.

    Args:
        roots: positions and roots.
        failed: receives what looks like a picture or a shard, or may hold some, and is unusable.
    """
    for position, root in roots:
        for name in _names_of(root, lambda *what, at=position: failed(Failure(at, *what))):
            path = root.folder / name
            try:
                stat = path.stat()
            except OSError as error:  # a link to nothing, or a file that went away
                failed(Failure(position, readable(name), "", f"{error.strerror}"))
                continue
            if not is_unicode(name):
                failed(Failure(position, readable(name), "", "its name is not UTF-8; rename it"))
            elif not S_ISREG(stat.st_mode):
                failed(Failure(position, name, "", "it is no plain file"))
            elif path.suffix.lower() == SHARD:
                yield from _samples(root.folder, position, name, stat.st_mtime_ns, failed)
            else:
                known = position, name, "", stat.st_size, stat.st_mtime_ns
                yield Item(*known, root.folder)


def count_files(roots: Sequence[Root]) -> int | None:
    """Count the pictures of roots for a progress bar; None where there are shards to be read."""
    total = 0
    for root in roots:
        for name in _names_of(root, lambda *what: None):
            if name.lower().endswith(SHARD):
                return None
            total += 1
    return total


def _names_of(root: Root, failed: Callable[[str, str, str], None]) -> Iterator[str]:
    """Yield the relative names of the pictures and shards of a root, sorted.

    A folder below that cannot be listed is passed to `failed`: path, "", reason.
    """
    if root.files is not None:
        yield from root.files
        return

    def refuse(error: OSError) -> None:
        if Path(error.filename) == root.folder:
            raise RetrievalInputError(
                f"{root.folder} cannot be listed: {error.strerror}. Make it readable, or leave it"
                " out; nothing was removed from the collection"
            )
        name = Path(error.filename).relative_to(root.folder).as_posix()
        why = f"the folder cannot be listed: {error.strerror}; known pictures of it stay"
        failed(f"{readable(name)}/", "", why)

    for here, folders, files in os.walk(root.folder, onerror=refuse):
        at = Path(here)
        kept = (f for f in folders if not f.startswith("."))
        folders[:] = sorted(f for f in kept if not os.path.isfile(at / f / MANIFEST))
        for file in sorted(files):
            if Path(file).suffix.lower() in SUFFIXES | {SHARD} and not file.startswith("."):
                yield (at / file).relative_to(root.folder).as_posix()


def _samples(
    folder: Path, root: int, name: str, mtime_ns: int, failed: Callable[[Failure], None]
) -> Iterator[Item]:
    """Yield the samples of a shard."""
    try:
        shard = Shard(folder / name, contents=("txt",))
        for sample, row in shard:
            try:
                suffix = sample.picture_suffix
            except DamagedFileError as error:
                failed(Failure(root, name, sample.key, str(error)))
                continue
            caption, problem = (row.caption if row else None) or "", ""
            if not caption and "txt" in sample.parts:
                caption, problem = caption_of(sample.parts["txt"], f"{sample.key}.txt")
            if problem:
                failed(Failure.of_caption((root, name, sample.key), problem))
            start, size = sample.places[suffix]
            yield Item(root, name, sample.key, size, mtime_ns, folder, start, caption)
        for member, reason in shard.report.refused:
            failed(Failure(root, name, readable(member), reason))
        problems = [shard.report.damage, *shard.report.problems]
        problems += [f"sample {key!r} is cut off" for key in shard.report.cut]
        if missing := shard.report.without_sample:
            shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            problems.append(f"{len(missing):,} samples of its table are not in the tar: {shown}")
    except (DamagedFileError, RetrievalInputError, OSError) as error:
        problems = [str(error)]
    for problem in filter(None, problems):
        failed(Failure(root, name, "", problem))


def read_file(path: Path) -> bytes:
    """Read the file of a picture whole; an empty one is an error, see `_read_plain`."""
    content = _read_plain(path, MAX_FILE_BYTES)
    if not content:
        raise RetrievalInputError(f"{path.name} is empty")
    if len(content) > MAX_FILE_BYTES:
        raise RetrievalInputError(
            f"{path.name} has more than {MAX_FILE_BYTES:,} bytes, which are not read"
        )
    return content


def read_part(shard: Path, start: int, size: int, name: str) -> bytes:
    """Read a part of a shard; `name` is for errors."""
    with open(shard, "rb") as stream:
        stream.seek(start)
        content = stream.read(size)
    if len(content) < size:
        raise DamagedFileError(f"{name} ends too early: the shard has changed")
    return content


def _read_plain(path: Path, most: int) -> bytes:
    """Read a plain file, one byte beyond `most` where it is longer.

    A pipe, a device or an endless file of /proc is an error at once.
    """
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as stream:
        stat = os.fstat(stream.fileno())
        if not S_ISREG(stat.st_mode):
            raise RetrievalInputError(f"{path.name} is no plain file")
        return stream.read(most + 1) if stat.st_size else b""


def readable(name: str) -> str:
    """Return a name that can be stored as UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
