"""Encode pictures and sound as one film, with PyAV (the FFmpeg libraries, extra `video`)."""

from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_count
from lib.core.writing import atomic_path
from lib.datasets.media.decoding import MAX_RATE, RATE, require_av

SHARP = 12  # constant rate factor of H.264: nearly no loss


def write_clip(
    path: str | Path,
    frames: np.ndarray,
    fps: int = 8,
    waveform: np.ndarray | None = None,
    *,
    rate: int = RATE,
    bit_rate: int | None = None,
    crf: int = SHARP,
) -> None:
    """Write a clip as mp4 (H.264, or MPEG-4 if that encoder is missing; AAC). Both lose detail.

    Args:
        path: of the file; it is written as a whole or not at all.
        frames: `(n, height, width, 3)` uint8 of even size.
        fps: frames a second.
        waveform: `(n_samples,)` float32 in -1..1, or None for a silent clip.
        rate: samples a second of the waveform.
        bit_rate: bits a second of the sound; None for that of the encoder.
        crf: constant rate factor of H.264, 0 to 51; larger files have smaller ones.
    """
    av = require_av()
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not len(frames):
        expected, got = "uint8 (n, height, width, 3)", f"{frames.dtype} {frames.shape}"
        raise RetrievalInputError(f"frames must be {expected}, got {got}")
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        raise RetrievalInputError(f"height and width must be even, got {frames.shape[1:3]}")
    rate = check_count(rate, "rate", most=MAX_RATE)
    crf = check_count(crf, "crf", least=0, most=51)
    h264 = "libx264" in av.codecs_available
    options = {"crf": str(crf), "preset": "ultrafast"} if h264 else {}
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        video = container.add_stream("libx264" if h264 else "mpeg4", rate=fps, options=options)
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt, video.codec_context.thread_count = "yuv420p", 1
        video.bit_rate = 0 if h264 else 2_000_000
        if waveform is not None:
            sound = container.add_stream("aac", rate=rate, layout="mono")
            if bit_rate is not None:
                sound.bit_rate = check_count(bit_rate, "bit_rate")
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if waveform is not None:
            samples = np.ascontiguousarray(waveform, np.float32)[None]
            block = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            block.sample_rate = rate
            container.mux(sound.encode(block))
            container.mux(sound.encode(None))
