"""Write the files of a miniature: pictures and clips of scenes, tones, JSON and CSV."""

import csv
import io
import json
import wave
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lib.core.writing import atomic_folder
from lib.datasets.completeness import write_miniature_card
from lib.datasets.media.decoding import RATE
from lib.datasets.media.encoding import write_clip
from lib.datasets.scenes import SceneBatch, concatenate, render, sample, sample_swappable, twins

FPS = 8  # frames per second of the clips


@dataclass(frozen=True)
class Clip:
    """One clip or sound of a miniature; `path` is relative to the root, .wav for a sound alone.

    `frames` are `(n, height, width, 3)` uint8, `waveform` is `(n_samples,)` float32 at `RATE`.
    """

    path: str
    frames: np.ndarray | None
    waveform: np.ndarray | None = None


@dataclass(frozen=True)
class Miniature:
    """Counts of a miniature by split, and its clips, which are made while they are written."""

    counts: Mapping[str, Mapping[str, int]]
    clips: Iterable[Clip] = ()


def write_miniature(
    folder: str | Path, name: str, write_files: Callable[[Path], Miniature], *, media: bool = True
) -> None:
    """Write a miniature as a whole, or nothing; an existing folder is replaced.

    Args:
        write_files: writes annotations and pictures under a root, and returns the rest.
        media: write the clips, which needs PyAV; False for all other files.
    """
    with atomic_folder(folder) as root:
        miniature = write_files(root)
        for clip in miniature.clips if media else ():
            if clip.frames is None:
                _write_wave(root / clip.path, clip.waveform)
            else:
                # Each pixel becomes two by two, because films halve the colour planes.
                large = clip.frames.repeat(2, axis=1).repeat(2, axis=2)
                write_clip(root / clip.path, large, FPS, clip.waveform)
        write_miniature_card(root, name, miniature.counts)


def write_json(path: Path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def write_csv(path: Path, rows: Iterable[Sequence], *, lineterminator: str = "\r\n") -> None:
    with open(path, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator=lineterminator).writerows(rows)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def scenes_with_twins(n_families: int, n_others: int, *, seed: int, start: int) -> SceneBatch:
    """Draw test scenes: families of four twins, which trained models confuse, then others.

    The first scene of each family comes first, then the second ones. `seed` is the random stream of
    the families (numbers of the course use 0); `start` is the first single scene in stream 0.
    """
    families = twins(sample_swappable("test", n_families, seed))
    return concatenate([families, sample("test", n_others, start=start)])


def jpeg_bytes(pixels: np.ndarray) -> bytes:
    """Encode uint8 `(height, width, 3)` as JPEG, without loss of colour resolution."""
    stream = io.BytesIO()
    # Thin stripes of 64 x 64 pixels survive these settings.
    Image.fromarray(pixels).save(stream, "JPEG", quality=95, subsampling=0)
    return stream.getvalue()


def write_pictures(scenes: SceneBatch, paths: Iterable[Path]) -> None:
    """Draw each scene at 64 x 64 and save it as JPEG, about 2 kB each."""
    for pixels, path in zip(render(scenes), paths, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg_bytes(pixels))


def tone(hertz: float, seconds: float) -> np.ndarray:
    """Compute a pure tone at half of full scale, float32 `(n_samples,)` at `RATE`."""
    times = np.arange(round(seconds * RATE)) / RATE
    return (0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def _write_wave(path: Path, waveform: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(RATE)
        stream.writeframes((waveform * 32767).astype("<i2").tobytes())
