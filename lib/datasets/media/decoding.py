"""Frames of one media file, through PyAV (the FFmpeg libraries), the optional extra `video`.

Files come from strangers. FFmpeg would follow a playlist that is named clip.mp4 to other files and
to the network, so only the containers below are opened, by the file protocol alone, and pictures
have a size limit.
"""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_count
from lib.core.files import DamagedFileError, MissingFileError

CONTAINERS = "mov,matroska,avi,wav,flac,mp3,ogg"  # demuxers; "mov" is mp4 too, "matroska" webm too
MAX_PIXELS = 4096 * 2304  # of one frame
SLACK = 1.0  # seconds by which a header may promise more than the file holds
FAR = 10.0  # seconds; without an index, a longer way than this is jumped: encoders set a key frame sooner


def available() -> bool:
    """Whether PyAV is installed."""
    return importlib.util.find_spec("av") is not None


def require_av():
    """The module `av`, or an error that says how to get it."""
    if not available():
        raise RetrievalInputError(
            "video and sound are read by the package av (PyAV), which is not installed. Run: pip"
            " install 'crossmodal-retrieval[video]'. Annotations, and embeddings that you have,"
            " need none of it"
        )
    import av

    return av


def sample_times(duration: float, n_frames: int) -> np.ndarray:
    """The middles of `n_frames` equal segments of a clip.

        t_i = (i + 1/2) duration / n_frames,   i = 0 .. n_frames - 1

    Neither the first frame nor the last, which are often black or a title, and the same on every
    run.

    Args:
        duration: seconds, above 0.
        n_frames: at least 1.

    Returns:
        `(n_frames,)` float64 seconds, ascending.

    Raises:
        RetrievalInputError: a duration that is not above 0, or no frames.

    Reference: L. Wang et al., Temporal Segment Networks, ECCV 2016 (its test-time sampling).
    """
    n_frames = check_count(n_frames, "n_frames")
    if not (np.isfinite(duration) and duration > 0):
        raise RetrievalInputError(
            f"duration must be a finite number of seconds above 0, got {duration!r}"
        )
    return (np.arange(n_frames) + 0.5) * (duration / n_frames)


def read_frames(
    path: str | Path,
    n_frames: int = 12,
    start: float | None = None,
    end: float | None = None,
    *,
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Read the frames that a viewer sees at `sample_times` of a clip, or of a part of it.

    Frames are upright (the rotation that a phone writes into the container is applied) and have
    square pixels (width times the sample aspect ratio). Time runs from the first frame to the end
    of the picture, however long the sound is. The file is not decoded as a whole: where a key frame
    lies between one wanted time and the next, reading goes on from there. A clip of fewer frames
    than `n_frames` shows some of them more than once.

    Args:
        path: a file in one of CONTAINERS.
        n_frames: how many, at least 1.
        start, end: seconds from the first frame; the whole clip where None. An end behind the
            clip's own is cut to it.
        max_pixels: the largest height x width that is decoded.

    Returns:
        `(n_frames, height, width, 3)` uint8 RGB; never fewer frames.

    Raises:
        MissingFileError: no such file.
        DamagedFileError: no video in it, not readable, or over a second shorter than its header
            says.
        RetrievalInputError: PyAV is missing, a part outside the clip, or frames above `max_pixels`.
    """
    check_count(n_frames, "n_frames")
    check_part(start, end)
    with opened(path, "video") as (container, stream):
        width, height = stream.codec_context.width, stream.codec_context.height
        shown_width = max(1, round(width * (stream.sample_aspect_ratio or 1)))
        _check_size(path, max(width, shown_width) * height, max_pixels)
        # What the header says need not be what comes: the decoder itself refuses to make room for
        # more.
        stream.codec_context.options = {"max_pixels": str(max_pixels)}
        duration = _duration(container, stream)
        first, last = start or 0.0, min(duration if end is None else end, duration)
        if not first < last:
            raise RetrievalInputError(
                f"{path} lasts {duration:.2f} s; the part from {start} to {end} s is not in it"
            )
        pictures = []
        for frame, short in _frames_at(
            container, stream, first + sample_times(last - first, n_frames)
        ):
            if frame is None or short > SLACK:
                raise DamagedFileError(_ends_early(str(path), duration))
            # A frame of another size than the stream's keeps it, so that the change is told below.
            wide = shown_width if (frame.width, frame.height) == (width, height) else frame.width
            upright = np.rot90(
                frame.to_ndarray(format="rgb24", width=wide, height=frame.height),
                round(frame.rotation / 90),
            )
            pictures.append(upright)
        if len({picture.shape for picture in pictures}) > 1:
            raise DamagedFileError(
                f"{path} changes its picture size on the way; frames of one size are needed"
            )
        return np.stack(pictures)


def check_part(start: float | None, end: float | None) -> None:
    """Refuses a part of a clip that cannot be one: a negative start, or an end that is not behind
    it.
    """
    first = 0.0 if start is None else start
    if not (np.isfinite(first) and first >= 0 and (end is None or first < end)):
        raise RetrievalInputError(
            f"a part must run from a start of at least 0 to a later end, got {start} to {end}"
        )


@contextmanager
def opened(path: str | Path, kind: str) -> Iterator:
    """Open a container and its first stream of that kind; what cannot be read is a
    DamagedFileError.
    """
    av = require_av()
    if not Path(path).is_file():
        raise MissingFileError(f"{path} is missing")
    limits = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    try:
        # Titles may be in any encoding, and nobody reads them here.
        with av.open(
            os.path.abspath(path), container_options=limits, metadata_errors="replace"
        ) as container:
            streams = getattr(container.streams, kind)
            if not streams:
                raise DamagedFileError(f"{path} holds no {kind}")
            if streams[0].codec_context is None:
                raise DamagedFileError(
                    f"{path} holds {kind} of a codec that is not known here. Convert it"
                )
            streams[0].codec_context.thread_count = 1
            yield container, streams[0]
    except (RetrievalInputError, DamagedFileError, MissingFileError):
        raise
    except (
        Exception
    ) as error:  # FFmpeg's errors, and whatever PyAV raises of streams that make no sense
        if isinstance(error, MemoryError) and not hasattr(
            error, "errno"
        ):  # FFmpeg's: a number in the file
            raise MemoryError(
                f"{path} takes more memory to decode than there is. Free some"
            ) from error
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DamagedFileError(
            f"{path} cannot be read as {kind}: {text}. It is incomplete, or of a kind "
            f"other than {CONTAINERS}. Get the file again, or leave it out"
        ) from error


def _check_size(path: str | Path, size: int, max_pixels: int) -> None:
    if size > max_pixels:
        raise RetrievalInputError(
            f"{path} has frames of {size:,} pixels, more than max_pixels = {max_pixels:,}"
        )


def seconds_into(stream, stamp: int) -> float:
    """Seconds since the stream's first frame."""
    return float((stamp - (stream.start_time or 0)) * stream.time_base)


def _duration(container, stream) -> float:
    """Seconds from the first frame of a stream to its end: what the stream says, else what its
    packets say.

    The duration of a container (all that Matroska states) is that of its longest stream, so it only
    tells whether the file was cut.
    """
    if stream.duration:
        return float(stream.duration * stream.time_base)
    start = stream.start_time or 0
    ends = _last_seconds(container, stream, (container.duration or 0) / 1e6)
    container.seek(start, stream=stream)
    if stream.index not in ends:
        raise DamagedFileError(f"{container.name} has an empty {stream.type} stream")
    stated = (container.duration or 0) / 1e6
    if max(ends.values()) < stated - SLACK:
        raise DamagedFileError(_ends_early(container.name, stated))
    return ends[stream.index] - float(start * stream.time_base)


def _last_seconds(container, stream, near: float) -> dict[int, float]:
    """Last second of each stream, by its index, from the packets behind the last key frame of one
    stream.
    """
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
    return (
        f"{name} has no frame in its last seconds, though its header says that it lasts"
        f" {seconds:.2f} s. Get the file again, or leave it out"
    )


def _frames_at(container, stream, times: np.ndarray) -> Iterator[tuple]:
    """For each of the ascending times the frame on screen, and by how many seconds the film ended
    before it.

    A frame may stay on screen for long (a slide show); only the end of the film says that nothing
    follows.
    """

    def appears(frame) -> float:
        stamp = frame.dts if frame.pts is None else frame.pts
        return shown if stamp is None else seconds_into(stream, stamp)

    decoder = container.decode(stream)
    held, shown, ahead = None, 0.0, None
    for time in times:
        if _worth_a_jump(stream, shown, time):
            container.seek(round(time / stream.time_base) + (stream.start_time or 0), stream=stream)
            decoder, held, ahead = container.decode(stream), None, None
        # A jump may land late; then the first frame there is the nearest, and the loop ends with
        # it.
        while held is None or shown <= time:
            ahead = ahead or next(decoder, None)
            if ahead is None or (held is not None and appears(ahead) > time):
                break
            held, shown, ahead = ahead, appears(ahead), None
        yield (
            held,
            0.0 if ahead or held is None else time - shown - 1 / float(stream.average_rate or 1),
        )


def _worth_a_jump(stream, now: float, time: float) -> bool:
    """Whether a key frame lies between what is on screen and the wanted time."""
    entries = getattr(stream, "index_entries", ())  # older versions of PyAV do not show them
    if not len(entries):
        return time - now > FAR
    at = entries.search_timestamp(
        round(time / stream.time_base) + (stream.start_time or 0), backward=True
    )
    return at >= 0 and seconds_into(stream, entries[at].timestamp) > now
