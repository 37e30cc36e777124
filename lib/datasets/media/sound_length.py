"""The length that the header of a sound states, by which a file that was cut off is found.

A decoder reads a WAV, MP3, MP4 or Matroska file of which the end is missing without any error.
"""

import struct
from pathlib import Path

# Programs that write to a pipe do not know the size, and fill in the largest number or nearly so.
UNKNOWN_SIZE = 0x7FFF0000
COUNTED = (b"Xing", b"Info", b"VBRI")  # headers of MP3 with the number of frames
HEAD = 2**16  # bytes in which they are, behind a title
MOST_CHUNKS = 100  # of a WAV file before its samples


def stated_seconds(path: str | Path, container, stream) -> float | None:
    """Return the seconds of a sound by its header; None where the format does not state them.

    Args:
        path: the file, of which `container` and its `stream` are open.
    """
    form = container.format.name
    if form == "wav":
        return wav_seconds(path)
    counted = form == "flac" or "mp4" in form or (form == "mp3" and _is_counted(path))
    if counted and stream.duration:
        return float(stream.duration * stream.time_base)
    # The length of Matroska is that of the longest stream.
    alone = "matroska" in form and len(container.streams) == 1
    return container.duration / 1e6 if alone and container.duration else None


def wav_seconds(path: str | Path) -> float | None:
    """Return the seconds of a WAV file by the size that its header gives to the samples."""
    with open(path, "rb") as stream:
        begin = stream.read(12)
        if begin[:4] != b"RIFF" or begin[8:] != b"WAVE":
            return None
        bytes_per_second = 0
        for _ in range(MOST_CHUNKS):
            header = stream.read(8)
            if len(header) < 8:
                return None
            kind, size = struct.unpack("<4sI", header)
            if kind == b"data":
                known = bytes_per_second and 0 < size < UNKNOWN_SIZE
                return size / bytes_per_second if known else None
            if kind == b"fmt ":
                content = stream.read(min(size, HEAD))
                if len(content) < 14:
                    return None
                rate, per_second, block = struct.unpack_from("<IIH", content, 4)
                bytes_per_second = max(per_second, rate * block)  # one of them may be wrong
                stream.seek(size + size % 2 - len(content), 1)
            else:
                stream.seek(size + size % 2, 1)  # chunks have even sizes
    return None


def _is_counted(path: str | Path) -> bool:
    """Tell whether an MP3 file states its frames; otherwise its length is a guess of FFmpeg."""
    with open(path, "rb") as stream:
        start = stream.read(10)
        if (
            start[:3] == b"ID3"
        ):  # a title, which may hold a picture; 7 bits of each byte of its size
            stream.seek(
                sum((byte & 127) << (21 - 7 * at) for at, byte in enumerate(start[6:10])), 1
            )
        else:
            stream.seek(0)
        content = stream.read(HEAD)
    return any(mark in content for mark in COUNTED)
