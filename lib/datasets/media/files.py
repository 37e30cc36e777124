"""A sequence of files that are opened one by one, when they are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from lib.core.files import MissingFileError, path_inside, sha256_of


def content_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, empty where there is none; read again only when the file
    changed.
    """
    if not path.is_file():
        return ""
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=2**18)
def _digest(path: Path, *_of_this_state: int) -> str:
    return sha256_of(path)


class MediaFiles(Sequence):
    """Files under one root, by name, in evaluation order; `[i]` decodes one, a slice decodes none.

    A subclass gives `open(path)`, and says in `kind` what the files hold.

    Args:
        root: the folder that every file must lie in.
        names: paths relative to `root`, as the annotations write them.

    Raises:
        RetrievalInputError: a name that leads out of `root`; checked when a file is looked for.

    Relations: `PictureFiles` gives pictures, `ClipFiles` frames, `AudioFiles` waveforms.
    """

    kind = "files"

    def __init__(self, root: str | Path, names: Sequence[str]) -> None:
        self.root, self.names = Path(root), tuple(names)

    def open(self, path: Path):
        """Decodes the file at `path`."""
        raise NotImplementedError

    def path(self, position: int) -> Path:
        """Where the file of one item should be; refuses names that lead out of the root."""
        return path_inside(self.root, self.names[position])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, position):
        if isinstance(position, slice):
            return self.take(range(len(self))[position])
        path = self.path(position)
        if not path.is_file():
            raise MissingFileError(
                f"{path} is missing (item {position} of {len(self):,} {self.kind})"
            )
        return self.open(path)

    def take(self, positions) -> MediaFiles:
        """The files at some positions, in the order given, none decoded."""
        return self._renamed([self.names[position] for position in positions])

    def _renamed(self, names: Sequence[str]) -> MediaFiles:
        """The same sequence with other names; a subclass that takes more arguments hands them
        on.
        """
        return type(self)(self.root, names)

    def present(self) -> np.ndarray:
        """`(n,)` bool: which files are there and not empty."""
        return np.array([self._size(position) > 0 for position in range(len(self))], dtype=bool)

    def _size(self, position: int) -> int:
        path = self.path(position)
        return path.stat().st_size if path.is_file() else 0

    def fingerprint(self) -> str:
        """SHA-256 over the names and bytes of the files, which are read once: a second for 750
        MB.
        """
        digest = hashlib.sha256()
        for position, name in enumerate(self.names):
            encoded = name.encode("utf-8", "surrogatepass")
            digest.update(
                f"{len(encoded)}:".encode() + encoded + content_digest(self.path(position)).encode()
            )
        return digest.hexdigest()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self):,} {self.kind} under {self.root})"


def find_damaged(media: Sequence, progress: Callable[[int], None] | None = None) -> dict[int, str]:
    """Decode every entry of a media sequence; returns position and reason of each that cannot be
    read.

    Args:
        media: `PictureFiles`, `ClipFiles`, `AudioFiles`, or the pictures of shards.
        progress: called with 1 after each entry.
    """
    reasons = {}
    for position in range(len(media)):
        try:
            media[position]
        except ValueError as error:  # every error of the readers here is one
            reasons[position] = str(error)
        if progress is not None:
            progress(1)
    return reasons
