"""Media files of a corpus as sequences: each file is decoded when its position is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from lib.core.checks import RetrievalInputError, check_count
from lib.core.paths import path_inside
from lib.core.reading import MissingFileError
from lib.core.writing import sha256_of
from lib.datasets.media.decoding import RATE, check_part, read_frames, read_waveform
from lib.datasets.media.pictures import open_picture

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi")


class MediaFiles(Sequence):
    """Sequence of files under one root, in evaluation order: `[i]` decodes one, a slice none.

    `names` are paths relative to `root`, as the annotations write them.
    """

    kind = "files"

    def __init__(self, root: str | Path, names: Sequence[str]) -> None:
        self.root, self.names = Path(root), tuple(names)

    def read(self, position: int):
        """Decode one file; each subclass has its own way."""
        raise NotImplementedError

    def path(self, position: int) -> Path:
        """Return the path of one file; a name that leads out of the root is refused."""
        return path_inside(self.root, self.names[position])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, position):
        if isinstance(position, slice):
            return self.take(range(len(self))[position])
        path = self.path(position)
        if not path.is_file():
            item = f"item {position} of {len(self):,} {self.kind}"
            raise MissingFileError(f"{path} is missing ({item})")
        return self.read(position)

    def take(self, positions) -> Self:
        """Return the files at some positions, in the order given; none is decoded."""
        return type(self)(self.root, [self.names[position] for position in positions])

    def present(self) -> np.ndarray:
        """Return `(n,)` bool: True for each file that exists and is not empty."""
        paths = [self.path(position) for position in range(len(self))]
        return np.array([path.is_file() and path.stat().st_size > 0 for path in paths], dtype=bool)

    def fingerprint(self) -> str:
        """Return the SHA-256 of names and bytes; 750 MB take about a second, once."""
        digest = hashlib.sha256()
        for position, name in enumerate(self.names):
            encoded = name.encode("utf-8", "surrogatepass")
            content = content_digest(self.path(position)).encode()
            digest.update(f"{len(encoded)}:".encode() + encoded + content)
        return digest.hexdigest()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self):,} {self.kind} under {self.root})"


class PictureFiles(MediaFiles):
    """Sequence of pictures: `[i]` is one RGB `PIL.Image`, see `open_picture`."""

    kind = "pictures"

    def read(self, position: int) -> Image.Image:
        return open_picture(self.path(position))


class _TimedFiles(MediaFiles):
    """Files of which the whole is read, or the part between two times."""

    def __init__(
        self, root: str | Path, names: Sequence[str], segments: Sequence | None = None
    ) -> None:
        super().__init__(root, names)
        if segments is not None:
            segments = tuple((float(start), float(end)) for start, end in segments)
            if len(segments) != len(self.names):
                raise RetrievalInputError(f"{len(self.names)} names have {len(segments)} segments")
            for start, end in segments:
                check_part(start, end)
        self.segments = segments

    def settings(self) -> dict:
        """Return the keyword arguments that decide how a file is read."""
        raise NotImplementedError

    def part(self, position: int) -> tuple[float | None, float | None]:
        """Return start and end of one entry, in seconds."""
        return self.segments[position] if self.segments else (None, None)

    def take(self, positions) -> Self:
        positions = list(positions)
        names = [self.names[position] for position in positions]
        segments = self.segments and [self.segments[position] for position in positions]
        return type(self)(self.root, names, segments, **self.settings())

    def fingerprint(self) -> str:
        """Return the SHA-256 of names, bytes, parts and settings."""
        facts = [super().fingerprint(), self.kind, self.segments, self.settings()]
        return sha256_of(json.dumps(facts, sort_keys=True).encode())


class ClipFiles(_TimedFiles):
    """Sequence of clips: `[i]` is uint8 `(n_frames, height, width, 3)`, see `read_frames`.

    Args:
        names: paths relative to `root`; a name can occur again with another segment.
        segments: `(start, end)` of each entry in seconds, or None for whole files.
        n_frames: frames per clip, at the centres of equal segments.
    """

    kind = "clips"

    def __init__(
        self,
        root: str | Path,
        names: Sequence[str],
        segments: Sequence | None = None,
        *,
        n_frames: int = 12,
    ) -> None:
        super().__init__(root, names, segments)
        self.n_frames = check_count(n_frames, "n_frames")

    def settings(self) -> dict:
        return {"n_frames": self.n_frames}

    def read(self, position: int) -> np.ndarray:
        return read_frames(self.path(position), self.n_frames, *self.part(position))


class AudioFiles(_TimedFiles):
    """Sequence of waveforms: `[i]` is mono float32 `(n_samples,)`, see `read_waveform`.

    `rate` is in samples per second; `names` and `segments` are as in `ClipFiles`.
    """

    kind = "sounds"

    def __init__(
        self,
        root: str | Path,
        names: Sequence[str],
        segments: Sequence | None = None,
        *,
        rate: int = RATE,
    ) -> None:
        super().__init__(root, names, segments)
        self.rate = check_count(rate, "rate")

    def settings(self) -> dict:
        return {"rate": self.rate}

    def at_rate(self, rate: int) -> AudioFiles:
        """Return the same sounds, resampled to `rate` when they are read."""
        return AudioFiles(self.root, self.names, self.segments, rate=rate)

    def read(self, position: int) -> np.ndarray:
        return read_waveform(self.path(position), self.rate, *self.part(position))


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file, or "" if it is missing; cached until the file changes."""
    if not path.is_file():
        return ""
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=2**18)
def _digest(path: Path, *_file_state: int) -> str:
    return sha256_of(path)


def find_names(
    root: str | Path,
    stems: Sequence[str | tuple[str, ...]],
    folders: Sequence[str],
    suffixes: Sequence[str],
) -> list[str]:
    """Find files that users keep in one of several layouts; each folder is listed once.

    The first folder wins, then the first spelling, then the first suffix.

    Args:
        stems: file names without suffix; a tuple holds several spellings of one name.
        folders: folders relative to `root`; missing ones are skipped.
        suffixes: suffixes with the dot.

    Returns:
        The path of each file relative to `root`. For a missing file, its preferred path.
    """
    entries = {}
    for folder in folders:
        path = Path(root) / folder
        entries[folder] = {entry.name for entry in path.iterdir()} if path.is_dir() else set()

    def find(spellings: tuple[str, ...]) -> str:
        matches = (
            f"{folder}/{stem}{suffix}"
            for folder, names in entries.items()
            for stem in spellings
            for suffix in suffixes
            if stem + suffix in names
        )
        return next(matches, f"{folders[0]}/{spellings[0]}{suffixes[0]}")

    return [find((stem,) if isinstance(stem, str) else stem) for stem in stems]


def find_damaged(media: Sequence, progress: Callable[[int], None] | None = None) -> dict[int, str]:
    """Decode every entry of a media sequence; return `{position: reason}` of those that fail.

    `progress` is called with 1 after each entry.
    """
    reasons = {}
    for position in range(len(media)):
        try:
            media[position]
        except ValueError as error:  # every error of the readers here is a ValueError
            reasons[position] = str(error)
        if progress is not None:
            progress(1)
    return reasons
