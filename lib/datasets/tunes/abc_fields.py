"""Fields of ABC music: what a key, a meter, a unit length or a tempo in words and digits means.

The standard is ABC 2.1, https://abcnotation.com/wiki/abc:standard:v2.1.
"""

import re
from dataclasses import dataclass

# Position of each tonic on the circle of fifths: the number of sharps of its major key.
FIFTHS = {"F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5}
# Sharps of a mode, relative to the major key on the same tonic, by its first three letters.
MODES = {
    "": 0, "maj": 0, "ion": 0, "m": -3, "min": -3, "aeo": -3,
    "mix": -1, "dor": -2, "phr": -4, "lyd": 1, "loc": -5,
}  # fmt: skip
SHARP_ORDER = "fcgdaeb"  # the letters that sharps are given to, in turn; flats in reverse
PIPES = {"f": 1, "c": 1}  # the scale of the Highland bagpipe, `K:HP` and `K:Hp`
KEY = re.compile(r"([A-G])([#b]?)(.*)$")
GLUED = re.compile(r"^(\w+)([=^_]+[a-gA-G])\b")  # `Dmix=c`
ACCIDENTALS = {"^^": 2, "^": 1, "": 0, "=": 0, "_": -1, "__": -2}
GLOBAL_ACCIDENTAL = re.compile(r"(\^\^|\^|=|__|_)([A-Ga-g])$")
# Words after the key that say how it is printed, not how it sounds.
PRINTED = re.compile(r"(clef=|middle=|staffscale=|stafflines=|style=|treble|bass|alto|tenor|perc)")
FRACTION = re.compile(r"(\d{1,4})\s*/\s*(\d{1,4})$")
BEATS = re.compile(r"((?:\d{1,3}/\d{1,3}\s*)+)=\s*(\d{1,4}(?:\.\d{1,4})?)$")
COUNT = re.compile(r"(C\d?\s*=\s*)?(\d{1,4}(?:\.\d{1,4})?)$")


class FieldError(ValueError):
    """A field that cannot be read; the reader of the file adds its name and the line."""


@dataclass(frozen=True)
class Key:
    """A key: its name, the alteration of each letter, and a shift of all pitches in semitones."""

    name: str
    signature: dict[str, int]
    shift: int = 0


def read_key(text: str) -> Key:
    """Read a `K:` field: `"G"`, `"E Minor"`, `"Amix"`, `"Hp"`, `"none"`, `"D mix =c clef=bass"`."""
    text = text.strip()
    if text.lower() in ("", "none"):
        return Key(text, {})
    if re.match(r"H[Pp]\b", text):
        return Key("Hp", dict(PIPES))
    match = KEY.match(text)
    if not match:
        raise FieldError(f"the key must be like 'G', 'F#m' or 'E dorian', got {text!r}")
    tonic, sign, rest = match.groups()
    words = GLUED.sub(r"\1 \2", rest).split()
    mode = words.pop(0) if words and _is_mode(words[0]) else ""
    name = f"{tonic}{sign}{mode}" if len(mode) < 2 else f"{tonic}{sign} {mode}"
    sharps = FIFTHS[tonic] + {"": 0, "#": 7, "b": -7}[sign] + MODES[mode.lower()[:3]]
    signature = signature_of(sharps)
    shift = 0
    for word in words:
        accidental = GLOBAL_ACCIDENTAL.match(word)
        transposed = re.match(r"(octave|transpose)=(-?\d{1,2})$", word)
        if accidental:
            signature[accidental[2].lower()] = ACCIDENTALS[accidental[1]]
        elif transposed:
            shift += int(transposed[2]) * (12 if transposed[1] == "octave" else 1)
        elif word != "exp" and not PRINTED.match(word):
            raise FieldError(f"the key must be like 'G', 'F#m' or 'E dorian', got {text!r}")
    return Key(name, signature, shift)


def _is_mode(word: str) -> bool:
    """Return whether a word names a mode by its first three letters, or is the `m` of minor."""
    word = word.lower()
    return word == "m" or (word.isalpha() and len(word) > 2 and word[:3] in MODES)


def signature_of(sharps: int) -> dict[str, int]:
    """Return the alteration of each letter in a key with so many sharps; flats are negative."""
    order = SHARP_ORDER if sharps > 0 else SHARP_ORDER[::-1]
    sign, signature = (1 if sharps > 0 else -1), {}
    for step in range(abs(sharps)):
        letter = order[step % 7]
        signature[letter] = signature.get(letter, 0) + sign
    return signature


def read_fraction(text: str, field: str) -> float:
    """Read `"1/8"` or `"1"` as a number above 0."""
    match = FRACTION.match(text.strip())
    if match and int(match[1]) and int(match[2]):
        return int(match[1]) / int(match[2])
    if re.match(r"[1-9]\d{0,2}$", text.strip()):
        return float(text)
    raise FieldError(f"{field} must be a fraction like 1/8, got {text.strip()!r}")


@dataclass(frozen=True)
class Meter:
    """A meter: the length of a bar in whole notes (0 for free), and whether it is compound."""

    bar: float
    compound: bool = False  # three subdivisions a beat, as in 6/8

    @property
    def unit(self) -> float:
        """Return the default note length in whole notes: 1/16 below 3/4, else 1/8."""
        return 1 / 16 if 0 < self.bar < 0.75 else 1 / 8


def read_meter(text: str) -> Meter:
    """Read an `M:` field: `"6/8"`, `"C"`, `"C|"`, `"(2+3)/8"`, `"none"`."""
    text = text.strip()
    if text in ("C", "C|"):
        return Meter(1.0)
    if text.lower() in ("none", ""):
        return Meter(0.0)
    match = re.match(r"\(?(\d{1,3}(?:\s*\+\s*\d{1,3}){0,20})\)?\s*/\s*(\d{1,3})$", text)
    beats = sum(map(int, match[1].split("+"))) if match else 0
    if not beats or not int(match[2]):
        raise FieldError(f"the meter must be like '6/8', 'C' or 'none', got {text!r}")
    return Meter(beats / int(match[2]), compound=beats in (6, 9, 12))


def read_tempo(text: str, unit: float) -> float | None:
    """Read a `Q:` field as quarter notes a minute; None where it holds words alone.

    Args:
        text: `"1/4=120"`, `'3/8=80 "Lively"'`, `"C3=40"`, where C is the unit length, or `"120"`:
            quarter notes, as people wrote it and abc2midi plays it.
        unit: the unit length `L:` in whole notes.
    """
    digits = re.sub(r'"[^"]*"', "", text).strip()
    if not digits:
        return None
    match, count = BEATS.match(digits), COUNT.match(digits)
    if match:
        beat = sum(read_fraction(part, "the beat of Q:") for part in match[1].split())
        tempo = float(match[2]) * beat * 4
    elif count:
        units = re.sub(r"\D", "", count[1]) or "1" if count[1] else None
        tempo = float(count[2]) * (1 if units is None else int(units) * unit * 4)
    else:
        raise FieldError(f"the tempo must be like '1/4=120', got {text.strip()!r}")
    if tempo <= 0:
        raise FieldError(f"the tempo must be above 0, got {text.strip()!r}")
    return tempo
