"""Addresses, terms and manual steps of the published benchmarks, from data/published."""

import tomllib
from dataclasses import dataclass
from functools import lru_cache

from lib.core.checks import RetrievalInputError
from lib.core.paths import data_dir
from lib.core.reading import reading


@dataclass(frozen=True)
class RemoteFile:
    """One file of a corpus at its publisher's address.

    Args:
        file: the name under the root of the corpus; zip and tar files are unpacked there.
        seen_in: the source of the address, the size and the checksum.
        splits: the splits that need it; None for all of them, empty for an extra.
        size, sha256: in bytes and as hex digest, if published.
        members: of an archive, the file names that are unpacked; empty for all of them.
    """

    url: str
    file: str
    seen_in: str
    splits: tuple[str, ...] | None = None
    size: int | None = None
    sha256: str | None = None
    members: tuple[str, ...] = ()

    @property
    def is_archive(self) -> bool:
        return self.file.endswith((".zip", ".tar", ".tar.gz"))


@dataclass(frozen=True)
class CorpusSource:
    """Files and conditions of one corpus.

    Args:
        terms: the owner and the terms of each part; shown before a download.
        by_hand: manual steps; `{root}` stands for the folder of the corpus.
    """

    terms: str
    files: tuple[RemoteFile, ...]
    by_hand: tuple[str, ...] = ()


@lru_cache
def load_sources() -> dict[str, CorpusSource]:
    """Load the sources of all corpora, by name, from `data/published/downloads.toml`."""
    path = data_dir() / "published" / "downloads.toml"
    with reading(path, "no list of downloads", "Install the project again"):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: _source(**fields) for name, fields in content.items()}


def _source(terms: str, files: list[dict] = (), by_hand: list[str] = ()) -> CorpusSource:
    with_tuples = [
        {name: tuple(value) if isinstance(value, list) else value for name, value in file.items()}
        for file in files
    ]
    return CorpusSource(terms, tuple(RemoteFile(**file) for file in with_tuples), tuple(by_hand))


def choose_files(
    source: CorpusSource, split: str, names: tuple[str, ...] = ()
) -> tuple[RemoteFile, ...]:
    """Choose the files that a split needs, or those of the given names."""
    if not names:
        return tuple(file for file in source.files if file.splits is None or split in file.splits)
    file_by_name = {file.file: file for file in source.files}
    unknown = [name for name in names if name not in file_by_name]
    if unknown:
        names = ", ".join(file_by_name)
        raise RetrievalInputError(f"file names must be among {names}, got {unknown[0]!r}")
    return tuple(file_by_name[name] for name in names)


def missing_space(files: tuple[RemoteFile, ...], free: int) -> int:
    """Compute the bytes that a disk with `free` bytes lacks for files; an archive counts twice."""
    needed = sum((file.size or 0) * (2 if file.is_archive else 1) for file in files)
    return max(0, needed - free)
