"""Download files with checks: resumable, verified by checksum, and never over an existing file."""

import json
import os
from pathlib import Path

from lib.core.paths import path_inside
from lib.core.reading import DamagedFileError, recorded_digest, verify
from lib.core.writing import (
    CHECKSUM_SUFFIX,
    atomic_path,
    make_folder,
    only_writer,
    sha256_of,
    write_checksum,
)
from lib.datasets.download.archives import unpack
from lib.datasets.download.resumable_http import (
    DownloadError,
    Progress,
    ResumableDownload,
    no_progress,
)
from lib.datasets.download.sources import RemoteFile

PART_SUFFIX = ".part"
UNPACKED_SUFFIX = ".unpacked"
# First bytes of files by suffix; files of other suffixes may begin with anything but a web page.
BEGINNINGS = {
    ".zip": (b"PK",),
    ".gz": (b"\x1f\x8b",),
    ".tgz": (b"\x1f\x8b",),
    ".json": (b"{", b"["),
    ".parquet": (b"PAR1",),
}
WEB_PAGE = (b"<!doctype html", b"<html")


def obtain(
    file: RemoteFile, root: str | Path, *, progress: Progress = no_progress, **options
) -> tuple[str, ...]:
    """Download a file and unpack it if it is an archive; existing files are checked and kept.

    Args:
        file: the file to get.
        root: the folder of the corpus.
        progress: called with bytes done and total bytes, for the download and for the unpacking.
        **options: `retries`, `wait_s` and `timeout_s` of `ResumableDownload`.

    Returns:
        A line for each step. After unpacking, `<file>.unpacked` records that the archive can be
        deleted.
    """
    target = path_inside(root, file.file)
    marker = target.with_name(target.name + UNPACKED_SUFFIX)
    if file.is_archive and marker.is_file() and not target.exists():
        return (f"{file.file}: unpacked earlier; delete {marker.name} to download it again",)
    lines = [fetch(file, root, progress=progress, **options)]
    if file.is_archive:
        done = unpack(target, root, members=file.members, progress=progress)
        with atomic_path(marker) as temporary:
            record = {"url": file.url, "files": done.n_written + done.n_present}
            temporary.write_text(json.dumps(record) + "\n")
        lines.append(
            f"{file.file}: {done.n_written:,} files unpacked, {done.n_present:,} were there; "
            "the archive may be deleted"
        )
    return tuple(lines)


def fetch(
    file: RemoteFile, root: str | Path, *, progress: Progress = no_progress, **options
) -> str:
    """Download one file under `root`, or check the existing one; return a line about it.

    Without a published checksum, the SHA-256 of the first download is recorded in `<file>.sha256`,
    and later downloads are compared with it. Arguments are as in `obtain`.
    """
    target = path_inside(root, file.file)
    sidecar = target.with_name(target.name + CHECKSUM_SUFFIX)
    if target.exists():
        return _check_existing(file, target, sidecar)
    make_folder(target.parent)
    part = target.with_name(target.name + PART_SUFFIX)
    with only_writer(part):
        if target.exists():  # another process has completed it meanwhile
            return _check_existing(file, target, sidecar)
        download = ResumableDownload(part, file.size, progress=progress, **options)
        download.fetch(file.url)
        problem = _wrong_content(file.file, part)
        if problem:
            download.forget()
            raise DownloadError(f"{file.url} sent {problem}, now deleted. Open it in a browser")
        digest, origin = file.sha256, "published"
        if digest is None and sidecar.is_file():
            digest = recorded_digest(sidecar, "Delete it, so that this download is recorded anew.")
            origin = f"recorded in {sidecar.name} at the first download"
        if digest and sha256_of(part) != digest:
            download.forget()
            raise DamagedFileError(
                f"{file.url} sent a file that does not have the SHA-256 {digest[:12]}... {origin};"
                " it was deleted. Try again. If it happens again, the publisher or somebody in"
                " between has changed the file"
            )
        os.replace(part, target)  # if this is interrupted, the next call starts from the part
        download.forget()
    if file.sha256:
        return f"{file.file}: downloaded, SHA-256 as published"
    if digest:
        return f"{file.file}: downloaded, SHA-256 as recorded at the first download"
    return f"{file.file}: downloaded. {_record_digest(target, sidecar)}"


def _wrong_content(name: str, path: Path) -> str:
    """Describe content that does not fit the name, such as a sign-in page; empty if it may fit."""
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


def _check_existing(file: RemoteFile, target: Path, sidecar: Path) -> str:
    """Check an existing file by its published checksum, its recorded one, or its first bytes."""
    advice = "It was left alone: move it away to download it again."
    size = target.stat().st_size
    if file.size is not None and size != file.size:
        raise DamagedFileError(f"{target} must have {file.size:,} bytes, got {size:,}. {advice}")
    if file.sha256:
        if sha256_of(target) != file.sha256:
            sha256 = f"the published SHA-256 {file.sha256[:12]}..."
            raise DamagedFileError(f"{target} does not have {sha256}. {advice}")
        return f"{file.file}: there, SHA-256 as published"
    if sidecar.is_file():
        verify(target, rebuild=advice)
        return f"{file.file}: there, SHA-256 as recorded"
    problem = _wrong_content(file.file, target)
    if problem:
        raise DamagedFileError(f"{target} is {problem}. {advice}")
    return f"{file.file}: there. {_record_digest(target, sidecar)}"


def _record_digest(target: Path, sidecar: Path) -> str:
    digest = write_checksum(target)
    digest = f"its SHA-256 {digest[:12]}... is recorded in {sidecar.name}"
    return f"Unverified, no checksum is published: {digest}"
