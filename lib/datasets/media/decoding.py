"""Decode frames and sound of one media file, with PyAV (the FFmpeg libraries, extra `video`).

Files come from strangers. FFmpeg would follow a playlist named clip.mp4 to other files and to the
network. Therefore only the containers below are opened, only local files, with size limits.
"""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_count
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.media.sound_length import stated_seconds

CONTAINERS = "mov,matroska,avi,wav,flac,mp3,ogg"  # demuxers: "mov" reads mp4, "matroska" webm
MAX_PIXELS = 4096 * 2304  # of one frame
SLACK = 1.0  # seconds by which a header may exceed the content
# Seconds. Without an index, the reader seeks over longer gaps: most encoders set a key frame
# within this time.
FAR = 10.0

RATE = 16_000  # samples per second, as most audio encoders take it
MAX_RATE = 768_000  # samples per second of a file; no recorder gives more
MAX_SECONDS = 600.0  # of one waveform
TAIL = 4096  # samples; longer than any filter of the resampler


def available() -> bool:
    """Return True if PyAV is installed."""
    return importlib.util.find_spec("av") is not None


def require_av():
    """Import and return PyAV; the error says how to install it."""
    if not available():
        raise RetrievalInputError(
            "video and sound need the package av (PyAV). Run: pip install"
            " 'crossmodal-retrieval[video]'. Annotations and your own embeddings do not need it"
        )
    import av

    return av


def sample_times(duration: float, n_frames: int) -> np.ndarray:
    """Compute the centres of `n_frames` equal segments of a clip: `(n_frames,)` float64 seconds.

        t_i = (i + 1/2) duration / n_frames,   i = 0 .. n_frames - 1

    This avoids the first and the last frame, which are often black or a title.

    Reference: L. Wang et al., Temporal Segment Networks, ECCV 2016 (its test-time sampling).
    """
    n_frames = check_count(n_frames, "n_frames")
    if not (np.isfinite(duration) and duration > 0):
        raise RetrievalInputError(f"duration must be finite and above 0 s, got {duration!r}")
    return (np.arange(n_frames) + 0.5) * (duration / n_frames)


def read_frames(
    path: str | Path,
    n_frames: int = 12,
    start: float | None = None,
    end: float | None = None,
    *,
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Read the frames on screen at `sample_times` of a clip, or of a part of it.

    Frames are upright (the container's rotation is applied) and have square pixels (width times
    the sample aspect ratio). Time runs from the first frame to the end of the picture, whatever the
    length of the sound. A clip of fewer frames than `n_frames` repeats some.

    Args:
        path: a file in one of CONTAINERS.
        n_frames: number of frames, at least 1.
        start, end: seconds from the first frame; None for the whole clip. An end after the clip's
            own end is cut to it.
        max_pixels: the largest height x width that is decoded.

    Returns:
        `(n_frames, height, width, 3)` uint8 RGB.
    """
    check_count(n_frames, "n_frames")
    check_part(start, end)
    with open_stream(path, "video") as (container, stream):
        width, height = stream.codec_context.width, stream.codec_context.height
        square_width = max(1, round(width * (stream.sample_aspect_ratio or 1)))
        n_pixels = max(width, square_width) * height
        if n_pixels > max_pixels:
            raise RetrievalInputError(
                f"{path} has frames of {n_pixels:,} pixels, more than max_pixels = {max_pixels:,}"
            )
        # Frames may be larger than the header says: the decoder applies the limit as well.
        stream.codec_context.options = {"max_pixels": str(max_pixels)}
        duration = _duration(container, stream)
        first, last = start or 0.0, min(duration if end is None else end, duration)
        if not first < last:
            raise RetrievalInputError(
                f"{path} lasts {duration:.2f} s; the part from {start} to {end} s is not in it"
            )
        pictures = []
        times = first + sample_times(last - first, n_frames)
        for frame, seconds_short in _frames_at(container, stream, times):
            if frame is None or seconds_short > SLACK:
                raise DamagedFileError(_ends_early(str(path), duration))
            # A frame of another size than the stream keeps its size; the check below reports it.
            same_size = (frame.width, frame.height) == (width, height)
            shown_width = square_width if same_size else frame.width
            pixels = frame.to_ndarray(format="rgb24", width=shown_width, height=frame.height)
            pictures.append(np.rot90(pixels, round(frame.rotation / 90)))
        if len({picture.shape for picture in pictures}) > 1:
            sizes = sorted({picture.shape[1::-1] for picture in pictures})
            raise DamagedFileError(f"{path}: frames must have one size, got {sizes}")
        return np.stack(pictures)


def read_waveform(
    path: str | Path,
    rate: int = RATE,
    start: float | None = None,
    end: float | None = None,
    *,
    max_seconds: float = MAX_SECONDS,
) -> np.ndarray:
    """Read the sound of a file as mono (the mean of its channels), resampled to `rate`.

    Args:
        path: a file in one of CONTAINERS; it may be a video with sound.
        rate: samples per second of the result.
        start, end: seconds from the first sample; None for the whole sound. An end after the end
            of the file is cut to it.
        max_seconds: the longest part that is decoded.

    Returns:
        `(n_samples,)` float32, full scale at 1.0.
    """
    rate = check_count(rate, "rate")
    check_part(start, end)
    first = start or 0.0
    with open_stream(path, "audio") as (container, stream):
        native_rate = stream.codec_context.sample_rate
        samples, lead = _native_samples(path, container, stream, first, end, max_seconds)
    n_samples = None if end is None else round((end - first) * native_rate)
    skip = max(0, round(first * native_rate) - lead)  # a sound may begin later than the part
    mono = samples[skip:][:n_samples]
    if mono.size == 0:
        raise RetrievalInputError(f"{path} has no sound between {start} and {end} s")
    if not np.isfinite(mono).all():  # sounds stored as floats may hold anything
        raise DamagedFileError(
            f"{path} holds samples that are not finite numbers. Get the file again, or leave it out"
        )
    return _resampled(mono, native_rate, rate)


def check_part(start: float | None, end: float | None) -> None:
    """Refuse a part with a negative start, or with an end that is not after the start."""
    first = 0.0 if start is None else start
    if not (np.isfinite(first) and first >= 0 and (end is None or first < end)):
        raise RetrievalInputError(
            f"a part must run from a start of at least 0 to a later end, got {start} to {end}"
        )


@contextmanager
def open_stream(path: str | Path, kind: str) -> Iterator:
    """Open a container and its first stream of a kind; unreadable files raise DamagedFileError."""
    av = require_av()
    if not Path(path).is_file():
        raise MissingFileError(f"{path} is missing")
    limits = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    try:
        # Titles may be in any encoding, and are not read here.
        with av.open(
            os.path.abspath(path), container_options=limits, metadata_errors="replace"
        ) as container:
            streams = getattr(container.streams, kind)
            if not streams:
                raise DamagedFileError(f"{path} holds no {kind}")
            if streams[0].codec_context is None:
                raise DamagedFileError(f"{path} holds {kind} of an unknown codec. Convert it")
            streams[0].codec_context.thread_count = 1
            yield container, streams[0]
    except (RetrievalInputError, DamagedFileError, MissingFileError):
        raise
    except Exception as error:  # FFmpeg's errors, and PyAV's for streams that make no sense
        # FFmpeg also answers "out of memory" to a wrong number in the file; that one has an errno.
        if isinstance(error, MemoryError) and not hasattr(error, "errno"):
            raise MemoryError(f"{path} needs more memory than is free. Free some") from error
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DamagedFileError(
            f"{path} cannot be read as {kind}: {text}. It is incomplete, or of a kind "
            f"other than {CONTAINERS}. Get the file again, or leave it out"
        ) from error


def _seconds_into(stream, stamp: int) -> float:
    """Return the seconds since the stream's first frame."""
    return float((stamp - (stream.start_time or 0)) * stream.time_base)


def _duration(container, stream) -> float:
    """Return the seconds from a stream's first frame to its end, from its header or its packets.

    The duration of a container (all that Matroska states) is that of its longest stream. It only
    shows whether the file was cut.
    """
    if stream.duration:
        return float(stream.duration * stream.time_base)
    start = stream.start_time or 0
    stated = (container.duration or 0) / 1e6
    end_by_stream = _end_by_stream(container, stream, stated)
    container.seek(start, stream=stream)
    if stream.index not in end_by_stream:
        raise DamagedFileError(f"{container.name} has an empty {stream.type} stream")
    if max(end_by_stream.values()) < stated - SLACK:
        raise DamagedFileError(_ends_early(container.name, stated))
    return end_by_stream[stream.index] - float(start * stream.time_base)


def _end_by_stream(container, stream, near: float) -> dict[int, float]:
    """Find the last second of each stream, from the packets after `stream`'s last key frame."""
    for begin in (round(near / stream.time_base), 0):
        container.seek(begin, stream=stream)
        ends: dict[int, float] = {}
        for packet in container.demux():
            if packet.pts is not None:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                ends[packet.stream_index] = max(end, ends.get(packet.stream_index, end))
        if stream.index in ends:
            break
    return ends


def _ends_early(name: str, seconds: float) -> str:
    advice = "Get the file again, or leave it out"
    return f"{name} ends before the {seconds:.2f} s of its header. {advice}"


def _frames_at(container, stream, times: np.ndarray) -> Iterator[tuple]:
    """Yield, for each ascending time, the frame on screen and the seconds since the film's end.

    A frame may stay on screen for long (a slide show). Only the end of the film says that no
    other frame follows.
    """

    def appears(frame) -> float:
        stamp = frame.dts if frame.pts is None else frame.pts
        return shown_at if stamp is None else _seconds_into(stream, stamp)

    decoder = container.decode(stream)
    shown, shown_at, ahead = None, 0.0, None
    for time in times:
        if _key_frame_between(stream, shown_at, time):
            container.seek(round(time / stream.time_base) + (stream.start_time or 0), stream=stream)
            decoder, shown, ahead = container.decode(stream), None, None
        # A seek may land after `time`. Then the first frame there is the nearest one.
        while shown is None or shown_at <= time:
            ahead = ahead or next(decoder, None)
            if ahead is None or (shown is not None and appears(ahead) > time):
                break
            shown, shown_at, ahead = ahead, appears(ahead), None
        at_end = ahead is None and shown is not None
        yield shown, time - shown_at - 1 / float(stream.average_rate or 1) if at_end else 0.0


def _key_frame_between(stream, now: float, time: float) -> bool:
    """Return True if a key frame lies between two times, which makes a seek worth it."""
    entries = getattr(stream, "index_entries", ())  # older versions of PyAV do not show them
    if not len(entries):
        return time - now > FAR
    stamp = round(time / stream.time_base) + (stream.start_time or 0)
    position = entries.search_timestamp(stamp, backward=True)
    return position >= 0 and _seconds_into(stream, entries[position].timestamp) > now


def _native_samples(path, container, stream, first: float, end: float | None, max_seconds: float):
    """Return mono float32 samples at the file's rate, and the position of the first of them."""
    rate = stream.codec_context.sample_rate
    if not 0 < rate <= MAX_RATE:
        expected = f"1 to {MAX_RATE:,} samples a second"
        raise DamagedFileError(f"{path} must have {expected}, got {rate:,}. Get it again")
    if first > FAR:
        target = round((first - 1) / stream.time_base) + (stream.start_time or 0)
        container.seek(target, stream=stream)
    # Packed floats: reading more than eight planes of a frame ends the process. The resampler
    # keeps channels and rate.
    to_float = require_av().AudioResampler(format="flt")
    blocks, lead, n_samples = [], None, 0
    last = min(first + max_seconds, np.inf if end is None else end)
    for frame in container.decode(stream):
        if lead is None:
            lead = round(_seconds_into(stream, frame.pts or 0) * rate)
        for part in to_float.resample(frame):
            blocks.append(part.to_ndarray().reshape(part.samples, -1).mean(axis=1))
        n_samples += frame.samples
        if (lead + n_samples) / rate > last + SLACK:
            break
    else:
        stated = stated_seconds(path, container, stream)
        if stated and blocks and (lead + n_samples) / rate < min(stated, last) - SLACK:
            raise DamagedFileError(_ends_early(str(path), stated))
    n_usable = lead + n_samples - first * rate if blocks else 0
    if min(n_usable, np.inf if end is None else (end - first) * rate) > max_seconds * rate:
        most = f"at most max_seconds = {max_seconds:g} s"
        raise RetrievalInputError(f"the sound of {path} must be {most}; give start and end")
    if not blocks:
        where = f" from {first:g} s on" if first else ""
        raise DamagedFileError(f"{path} has no sample that can be decoded{where}")
    return np.concatenate(blocks).astype(np.float32, copy=False), lead


def _resampled(mono: np.ndarray, native_rate: int, rate: int) -> np.ndarray:
    """Resample to `round(n rate / native_rate)` samples."""
    if native_rate == rate:
        return np.ascontiguousarray(mono)
    av = require_av()
    # The filter gives nothing for sounds shorter than itself: silence is added, and cut off below.
    padded = np.pad(mono, (0, TAIL))
    block = av.AudioFrame.from_ndarray(padded[None], format="flt", layout="mono")
    block.sample_rate = native_rate
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    parts = resampler.resample(block) + resampler.resample(None)
    samples = np.concatenate([part.to_ndarray()[0] for part in parts])
    n_samples = max(1, round(mono.size * rate / native_rate))
    return np.pad(samples[:n_samples], (0, max(0, n_samples - samples.size)))
