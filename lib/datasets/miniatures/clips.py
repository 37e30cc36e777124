"""Clips for the miniatures: scenes as films, and tones as their sound."""

from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.core.writing import atomic_path
from lib.datasets.media.decoding import RATE, require_av

FPS = 8  # of the scenes: a clip of 8 frames lasts a second


def write_clip(
    path: str | Path,
    frames: np.ndarray,
    fps: int = 8,
    waveform: np.ndarray | None = None,
    rate: int = RATE,
) -> None:
    """Writes a clip as mp4 (H.264, or MPEG-4 where the encoder is missing; AAC): for the
    miniatures.

    Args:
        path: ends in `.mp4`.
        frames: `(n, height, width, 3)` uint8, height and width even.
        fps: frames a second.
        waveform: `(n_samples,)` float32 in -1..1, or None for a silent film.
        rate: its samples a second.

    Raises:
        RetrievalInputError: PyAV is missing, or other shapes.

    Relations: `read_frames` and `read_waveform` read it; both codecs lose detail.
    """
    av = require_av()
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise RetrievalInputError(
            f"frames must be uint8 (n, height, width, 3), got {frames.dtype} {frames.shape}"
        )
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        raise RetrievalInputError(f"height and width must be even, got {frames.shape[1:3]}")
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        video = container.add_stream(
            codec,
            rate=fps,
            options={"crf": "12", "preset": "ultrafast"} if codec == "libx264" else {},
        )
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt, video.codec_context.thread_count = "yuv420p", 1
        video.bit_rate = 0 if codec == "libx264" else 2_000_000
        sound = None if waveform is None else container.add_stream("aac", rate=rate, layout="mono")
        for picture in frames:
            container.mux(
                video.encode(
                    av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                )
            )
        container.mux(video.encode(None))
        if sound is not None:
            block = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(waveform, np.float32)[None], format="fltp", layout="mono"
            )
            block.sample_rate = rate
            container.mux(sound.encode(block))
            container.mux(sound.encode(None))


def tone(hertz: float, seconds: float, rate: int = RATE) -> np.ndarray:
    """A pure tone at half of full scale, float32 `(n_samples,)`."""
    times = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def write_scene_clip(
    path: str | Path, frames: np.ndarray, waveform: np.ndarray | None = None
) -> None:
    """Writes one clip of `scenes.render_clip`, each pixel as two by two: films halve the colour
    planes.
    """
    write_clip(path, frames.repeat(2, axis=1).repeat(2, axis=2), FPS, waveform)
