"""Sounds to play in a page: small clips inside the HTML, so that it needs no files."""

import base64
import html
import struct
from collections.abc import Mapping
from math import gcd

import numpy as np
from scipy.signal import resample_poly

from lib.core.checks import RetrievalInputError, check_count, real_numbers

CLIP_RATE = 8000  # samples a second, as on the telephone: a voice needs no more
LONGEST = 12.0  # seconds of a clip: 128 kB of a page
MU_LAW = 7  # the format of a WAV file with one byte a sample, logarithmic
BIAS, CLIP = 132, 32_635  # of G.711


class Sounds:
    """Players of a few clips, one row each; as text, their names and lengths."""

    def __init__(self, text: str, markup: str) -> None:
        self.text, self.markup = text, markup

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {"text/plain": self.text, "text/html": self.markup}


def sounds(clips: Mapping[str, np.ndarray], rate: int = 16_000) -> Sounds:
    """Show players of clips; tag the cell `nbval-ignore-output`.

    A clip is kept at 8,000 samples a second with one byte each, 11 kB of the page a second.

    Args:
        clips: name to samples `(n,)`, full scale at 1, at most 12 s.
        rate: samples a second of all clips.

    Returns:
        An object that shows the players as the last line of a cell.
    """
    if not clips:
        raise RetrievalInputError("clips must hold at least one sound, got none")
    check_count(rate, "rate")
    rows, lines = [], []
    for name, samples in clips.items():
        samples = real_numbers(samples, f"clips[{name!r}]")
        seconds = samples.size / rate
        if seconds > LONGEST:
            raise RetrievalInputError(
                f"clips[{name!r}] must last at most {LONGEST:g} s, got {seconds:.1f} s. Cut it"
            )
        data = base64.b64encode(wav_bytes(samples, rate)).decode("ascii")
        label = html.escape(f"{name} ({seconds:.1f} s)")
        lines.append(f"sound: {name} ({seconds:.1f} s)")
        rows.append(
            f'<tr><td style="text-align:left;font-size:1.1em">{label}</td><td><audio controls'
            f' preload="metadata" aria-label="{label}" src="data:audio/wav;base64,{data}">'
            "</audio></td></tr>"
        )
    return Sounds("\n".join(lines), f"<table>{''.join(rows)}</table>")


def wav_bytes(samples: np.ndarray, rate: int) -> bytes:
    """Return a WAV file of 8,000 samples a second in mu-law, one byte each."""
    common = gcd(rate, CLIP_RATE)
    small = resample_poly(samples, CLIP_RATE // common, rate // common)
    data = mu_law(small).tobytes()
    data += b"\0" * (len(data) % 2)
    form = struct.pack("<HHIIHHH", MU_LAW, 1, CLIP_RATE, CLIP_RATE, 1, 8, 0)
    fact = struct.pack("<I", small.size)
    chunks = b"".join(
        name + struct.pack("<I", size) + body
        for name, size, body in (
            (b"fmt ", len(form), form), (b"fact", 4, fact), (b"data", small.size, data),
        )
    )  # fmt: skip
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def mu_law(samples: np.ndarray) -> np.ndarray:
    """Encode samples as bytes whose steps grow with the amplitude.

    A byte is the complement of a sign, three bits for the octave of the amplitude and four for the
    place in it.

    Source: ITU-T G.711, 1988.
    """
    values = np.rint(np.clip(samples, -1, 1) * 32_767).astype(np.int64)
    size = np.minimum(np.abs(values), CLIP) + BIAS
    octave = np.log2(size).astype(np.int64) - 7
    place = (size >> (octave + 3)) & 15
    return (~(((values < 0) << 7) | (octave << 4) | place) & 255).astype(np.uint8)
