"""The sound of one media file, through PyAV, the optional extra `video`."""

from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_count
from lib.core.files import DamagedFileError
from lib.datasets.media.decoding import FAR, SLACK, check_part, opened, require_av, seconds_into

RATE = 16_000  # samples a second; what most audio encoders take
MAX_RATE = 768_000  # samples a second in a file; no recorder gives more
MAX_SECONDS = 600.0  # of one waveform
TAIL = 4096  # samples; longer than any filter of the resampler


def read_waveform(
    path: str | Path,
    rate: int = RATE,
    start: float | None = None,
    end: float | None = None,
    *,
    max_seconds: float = MAX_SECONDS,
) -> np.ndarray:
    """The sound of a file, its channels averaged, at a rate of your choice.

    Args:
        path: a file in one of CONTAINERS, a video with sound among them.
        rate: samples a second of the result.
        start, end: seconds from the first sample; the whole where None. An end behind the file is
            cut to it.
        max_seconds: the longest part that is decoded.

    Returns:
        `(n_samples,)` float32, full scale at 1.0.

    Raises:
        MissingFileError: no such file.
        DamagedFileError: no sound in it, or not readable.
        RetrievalInputError: PyAV is missing, a part outside the file or longer than `max_seconds`.
    """
    rate = check_count(rate, "rate")
    check_part(start, end)
    first = start or 0.0
    with opened(path, "audio") as (container, stream):
        native = stream.codec_context.sample_rate
        samples, lead = _native_samples(path, container, stream, first, end, max_seconds)
    stop = None if end is None else round((end - first) * native)
    skip = max(0, round(first * native) - lead)  # a sound may begin later than the part
    mono = samples[skip:][:stop]
    if mono.size == 0:
        raise RetrievalInputError(
            f"{path} has no sound between {start} and {end} s; it is shorter than that"
        )
    if not np.isfinite(mono).all():  # sounds stored as floats may hold anything
        raise DamagedFileError(
            f"{path} holds samples that are not finite numbers. Get the file again, or leave it out"
        )
    return _resampled(mono, native, rate)


def _native_samples(path, container, stream, first: float, end: float | None, max_seconds: float):
    """Mono float32 samples at the file's own rate, from `first` or before, and the number of the
    first.
    """
    av = require_av()
    rate = stream.codec_context.sample_rate
    if not 0 < rate <= MAX_RATE:
        raise DamagedFileError(
            f"{path} says that it has {rate:,} samples a second; expected 1 to {MAX_RATE:,}. Get it"
            " again"
        )
    if first > FAR:
        container.seek(
            round((first - 1) / stream.time_base) + (stream.start_time or 0), stream=stream
        )
    # Packed, since taking more than eight planes out of a frame ends the process. Keeps channels
    # and rate.
    to_float = av.AudioResampler(format="flt")
    blocks, lead, n_samples = [], None, 0
    last = min(first + max_seconds, np.inf if end is None else end)
    for frame in container.decode(stream):
        if lead is None:
            lead = round(seconds_into(stream, frame.pts or 0) * rate)
        for part in to_float.resample(frame):
            blocks.append(part.to_ndarray().reshape(part.samples, -1).mean(axis=1))
        n_samples += frame.samples
        if (lead + n_samples) / rate > last + SLACK:
            break
    kept = lead + n_samples - first * rate if blocks else 0
    if min(kept, np.inf if end is None else (end - first) * rate) > max_seconds * rate:
        raise RetrievalInputError(
            f"{path} has more than max_seconds = {max_seconds:g} s of sound to read; give start"
            " and end"
        )
    if not blocks:
        raise DamagedFileError(f"{path} has no sample that can be decoded")
    return np.concatenate(blocks).astype(np.float32, copy=False), lead


def _resampled(mono: np.ndarray, native: int, rate: int) -> np.ndarray:
    """`round(n rate / native)` samples."""
    if native == rate:
        return np.ascontiguousarray(mono)
    av = require_av()
    # Silence behind the sound, cut off again below: the filter gives nothing for less than its own
    # length.
    padded = np.pad(mono, (0, TAIL))
    block = av.AudioFrame.from_ndarray(padded[None], format="flt", layout="mono")
    block.sample_rate = native
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    parts = resampler.resample(block) + resampler.resample(None)
    samples = np.concatenate([part.to_ndarray()[0] for part in parts])
    wanted = max(1, round(mono.size * rate / native))
    return np.pad(samples[:wanted], (0, max(0, wanted - samples.size)))
