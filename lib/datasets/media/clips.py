"""Clips and sounds of a corpus: files that are decoded one by one, when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_count
from lib.core.files import sha256_of
from lib.datasets.media.decoding import check_part, read_frames
from lib.datasets.media.files import MediaFiles
from lib.datasets.media.waveforms import RATE, read_waveform

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi")


class _TimedFiles(MediaFiles):
    """Files of which the whole is read, or a part that begins and ends at some second."""

    def __init__(
        self, root: str | Path, names: Sequence[str], segments: Sequence | None = None
    ) -> None:
        super().__init__(root, names)
        self.segments = (
            None
            if segments is None
            else tuple((float(start), float(end)) for start, end in segments)
        )
        if self.segments is not None and len(self.segments) != len(self.names):
            raise RetrievalInputError(f"{len(self.names)} names have {len(self.segments)} segments")
        for part in self.segments or ():
            check_part(*part)

    def _settings(self) -> dict:
        """How a file is read; with the files it decides what comes out."""
        raise NotImplementedError

    def _read(self, path: Path, start: float | None, end: float | None) -> np.ndarray:
        raise NotImplementedError

    def __getitem__(self, position):
        if isinstance(position, slice):
            return super().__getitem__(position)
        return self._read(
            self.path(position), *(self.segments[position] if self.segments else (None, None))
        )

    def take(self, positions) -> _TimedFiles:
        positions = list(positions)
        segments = (
            None if self.segments is None else [self.segments[position] for position in positions]
        )
        names = [self.names[position] for position in positions]
        return type(self)(self.root, names, segments, **self._settings())

    def fingerprint(self) -> str:
        """SHA-256 over the names and sizes of the files, the parts, and how they are read."""
        facts = [super().fingerprint(), self.kind, self.segments, self._settings()]
        return sha256_of(json.dumps(facts, sort_keys=True).encode())


class ClipFiles(_TimedFiles):
    """Clips as frames at fixed times: `[i]` is uint8 `(n_frames, height, width, 3)`, see
    `read_frames`.

    Args:
        root: the folder that every file must lie in.
        names: paths relative to `root`; one may come several times, for several parts.
        segments: `(start, end)` of each entry in seconds, or None: whole files.
        n_frames: frames of each clip, in the middles of as many equal segments.

    Raises:
        RetrievalInputError: segments that do not fit; reading raises what `read_frames` does.

    Relations: `PictureFiles` gives pictures, `AudioFiles` waveforms.
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

    def _settings(self) -> dict:
        return {"n_frames": self.n_frames}

    def _read(self, path: Path, start: float | None, end: float | None) -> np.ndarray:
        return read_frames(path, self.n_frames, start, end)


class AudioFiles(_TimedFiles):
    """Sounds as waveforms: `[i]` is float32 `(n_samples,)`, one channel, see `read_waveform`.

    Args:
        root: the folder that every file must lie in.
        names: paths relative to `root`; a video gives its sound.
        segments: `(start, end)` of each entry in seconds, or None: whole files.
        rate: samples a second.

    Raises:
        RetrievalInputError: segments that do not fit; reading raises what `read_waveform` does.

    Relations: `ClipFiles` over the same names gives what is seen.
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

    def _settings(self) -> dict:
        return {"rate": self.rate}

    def _read(self, path: Path, start: float | None, end: float | None) -> np.ndarray:
        return read_waveform(path, self.rate, start, end)


def find_names(
    root: str | Path,
    stems: Sequence[str | tuple[str, ...]],
    folders: Sequence[str],
    suffixes: Sequence[str],
) -> list[str]:
    """Names of many files that users keep in one of several layouts.

    Each folder is listed once and the stems are looked up in the lists. The first folder wins, then
    the first spelling, then the first suffix.

    Args:
        root: the corpus.
        stems: file names without suffix; a tuple holds several spellings of one.
        folders: relative to `root`; one that is not there is passed over.
        suffixes: with the dot.

    Returns:
        The path of each file relative to `root`; where none is found, the preferred one, which is
        then missing by name.
    """
    listed = []
    for folder in folders:
        path = Path(root) / folder
        listed.append(
            (folder, {entry.name for entry in path.iterdir()} if path.is_dir() else set())
        )

    def find(spellings: tuple[str, ...]) -> str:
        there = (
            f"{folder}/{stem}{suffix}"
            for folder, names in listed
            for stem in spellings
            for suffix in suffixes
            if stem + suffix in names
        )
        return next(there, f"{folders[0]}/{spellings[0]}{suffixes[0]}")

    return [find((stem,) if isinstance(stem, str) else stem) for stem in stems]
