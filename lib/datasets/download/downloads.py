"""Downloads that go on where they stopped, and are checked before anyone reads them."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from lib.core.paths import path_inside
from lib.core.reading import DamagedFileError, recorded_digest, verify
from lib.core.writing import CHECKSUM_SUFFIX, atomic_path, only_writer, sha256_of, write_checksum
from lib.datasets.download.archives import unpack
from lib.datasets.download.resumable_http import DownloadError, Progress, ResumingDownloader

PART_SUFFIX = ".part"
UNPACKED_SUFFIX = ".unpacked"
# What files of a suffix begin with; other suffixes may begin with anything but a web page.
BEGINNINGS = {
    ".zip": (b"PK",),
    ".gz": (b"\x1f\x8b",),
    ".tgz": (b"\x1f\x8b",),
    ".json": (b"{", b"["),
    ".parquet": (b"PAR1",),
}
WEB_PAGE = (b"<!doctype html", b"<html")


@dataclass(frozen=True)
class Source:
    """One file of a corpus and where its publisher offers it.

    Args:
        url: the address.
        file: the name under the root of the corpus.
        seen_in: where the address, and the size and checksum if there are any, were found.
        splits: the splits that cannot be read without it; None for all of them, empty for an extra.
        size: bytes, where they are published.
        sha256: hex digest, where it is published.
        members: of an archive, the file names that are wanted; empty for everything in it.
        archive: unpack it under the root.
    """

    url: str
    file: str
    seen_in: str
    splits: tuple[str, ...] | None = None
    size: int | None = None
    sha256: str | None = None
    members: tuple[str, ...] = ()
    archive: bool = False


def obtain(
    source: Source,
    root: str | Path,
    *,
    progress: Progress | None = None,
    retries: int = 5,
    wait_s: float = 1.0,
) -> tuple[str, ...]:
    """Downloads a file and, if it is an archive, unpacks it; what is there already is checked and
    left alone.

    Args:
        source: what to get.
        root: the folder of the corpus.
        progress: called with bytes done and bytes in all, of the download and then of the
            unpacking.
        retries: attempts that bring nothing new before it gives up; one that brings bytes starts
            the count again.
        wait_s: before the second attempt; doubled each time, to 30 s at most.

    Returns:
        What was done, a line for each step. An archive that was unpacked may be deleted:
        `<file>.unpacked` remembers it.

    Raises:
        DownloadError: the address does not answer as it should; bytes that arrived are kept as
            `<file>.part`.
        DamagedFileError: the file is there and is another one (it is never overwritten), or what
            arrived has another checksum (it is deleted).
        UnwritableFileError: another process downloads the same file, or the disk is full or
            read-only.
        RetrievalInputError: an archive with members that are refused; see `unpack`.
    """
    target = path_inside(root, source.file)
    marker = target.with_name(target.name + UNPACKED_SUFFIX)
    if source.archive and marker.is_file() and not target.exists():
        return (f"{source.file}: unpacked earlier; delete {marker.name} to download it again",)
    lines = [fetch(source, root, progress=progress, retries=retries, wait_s=wait_s)]
    if source.archive:
        done = unpack(target, root, members=source.members, progress=progress)
        with atomic_path(marker) as temporary:
            temporary.write_text(
                json.dumps({"url": source.url, "files": done.written + done.kept}) + "\n"
            )
        lines.append(
            f"{source.file}: {done.written:,} files unpacked, {done.kept:,} were there; "
            "the archive may be deleted"
        )
    return tuple(lines)


def fetch(
    source: Source,
    root: str | Path,
    *,
    progress: Progress | None = None,
    retries: int = 5,
    wait_s: float = 1.0,
) -> str:
    """Downloads one file under `root`, or checks the one that is there; arguments and errors as
    `obtain`.

    Returns:
        What is known of it. Where no checksum is published, the SHA-256 of the first download is
        recorded in `<file>.sha256` and compared from then on.
    """
    target = path_inside(root, source.file)
    sidecar = target.with_name(target.name + CHECKSUM_SUFFIX)
    if target.exists():
        return _present(source, target, sidecar)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + PART_SUFFIX)
    with only_writer(part):
        if target.exists():  # by now
            return _present(source, target, sidecar)
        downloader = ResumingDownloader(
            part, source.size, retries=retries, wait_s=wait_s, progress=progress
        )
        downloader.fetch(source.url)
        problem = _foreign(source.file, part)
        if problem:
            downloader.forget()
            raise DownloadError(
                f"{source.url} sent {problem}, which was deleted. Open the address in a browser"
            )
        known = source.sha256
        if known is None and sidecar.is_file():
            known = recorded_digest(sidecar, "Delete it, so that this download is recorded anew.")
        if known and sha256_of(part) != known:
            downloader.forget()
            whose = (
                "published"
                if source.sha256
                else f"recorded in {sidecar.name} at the first download"
            )
            raise DamagedFileError(
                f"what {source.url} sent has not the SHA-256 {known[:12]}... {whose}, and was"
                " deleted. Try again; if it stays so, the publisher has changed the file, or"
                " someone between has"
            )
        os.replace(
            part, target
        )  # whole and checked; killed before this, the next call starts from the part
        downloader.forget()
    if source.sha256:
        return f"{source.file}: downloaded, SHA-256 as published"
    if known:
        return f"{source.file}: downloaded, SHA-256 as recorded at the first download"
    return f"{source.file}: downloaded. {_unverified(target, sidecar)}"


def _foreign(name: str, path: Path) -> str:
    """What a file is instead of what its name says, such as a page to sign in; empty if it may be
    right.
    """
    with open(path, "rb") as stream:
        head = stream.read(512).removeprefix(b"\xef\xbb\xbf").lstrip()
    suffix = Path(name).suffix.lower()
    if not head:
        return f"an empty file for {name}"
    if head.lower().startswith(WEB_PAGE) and suffix not in (".html", ".htm"):
        return f"a web page instead of {name}"
    if not head.startswith(BEGINNINGS.get(suffix, b"")):
        return f"no {suffix} file for {name}: it begins with {head[:20]!r}"
    return ""


def _present(source: Source, target: Path, sidecar: Path) -> str:
    """Checks a file that is there, by the best that is known of it."""
    advice = "It was left alone: move it away to download it again."
    size = target.stat().st_size
    if source.size is not None and size != source.size:
        raise DamagedFileError(
            f"{target} has {size:,} bytes, the published one {source.size:,}. {advice}"
        )
    if source.sha256:
        if sha256_of(target) != source.sha256:
            raise DamagedFileError(
                f"{target} has not the published SHA-256 {source.sha256[:12]}.... {advice}"
            )
        return f"{source.file}: there, SHA-256 as published"
    if sidecar.is_file():
        verify(target, rebuild=advice)
        return f"{source.file}: there, SHA-256 as recorded"
    problem = _foreign(source.file, target)
    if problem:
        raise DamagedFileError(f"{target} is {problem}. {advice}")
    return f"{source.file}: there. {_unverified(target, sidecar)}"


def _unverified(target: Path, sidecar: Path) -> str:
    digest = write_checksum(target)
    return (
        f"Unverified, no checksum is published: its SHA-256 {digest[:12]}... is recorded in"
        f" {sidecar.name}"
    )
