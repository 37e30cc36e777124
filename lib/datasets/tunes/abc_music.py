"""The music of an ABC tune: from its characters to notes with pitch and length.

What is written is read once, in its order; the marks between the notes say in which order they are
played (`abc_order` follows them).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from lib.datasets.tunes.abc_fields import (
    ACCIDENTALS,
    FieldError,
    Key,
    Meter,
    read_fraction,
    read_key,
    read_meter,
)

REST = -1
LENGTH = r"\d{0,4}(?:/\d{1,4}|/{0,4})"
NUMBERS = r"[1-9][\d,-]{0,9}"
# The kinds of tokens; in each kind the groups that `Reader` asks for.
TOKEN = re.compile(
    rf"""(?P<note>(\^\^?|__?|=)?([A-Ga-g])([,']{{0,9}})({LENGTH})(-?))
      | (?P<space>[\s`]+)
      | (?P<bar>\.?(?::*\|[\]|:]* | ::+ | \[\|[\]|:]*)(?:(?:\[|\s+\[)?(?P<number>{NUMBERS}))?)
      | (?P<broken>>{{1,3}}|<{{1,3}})
      | (?P<inline>\[(?P<field>[A-Za-z]):(?P<value>[^\]]*)\])
      | (?P<ending>\[(?P<ending_number>{NUMBERS}))
      | (?P<open>\[)
      | (?P<close>\](?P<chord_length>{LENGTH})(?P<chord_tie>-?))
      | (?P<rest>[zx](?P<rest_length>{LENGTH}))
      | (?P<bars_rest>[ZX](?P<bars>\d{{0,3}}))
      | (?P<tuplet>\((?P<p>[2-9])(?::(?P<q>\d?)(?::(?P<r>\d?))?)?)
      | (?P<tie>-)
      | (?P<silent>\{{[^}}]*\}} | "[^"]*" | ![^!|\s]{{1,30}}! | \+[^+|\s]{{1,30}}\+
                 | [()] | [.~!H-Wh-wy] | [#*;?@] | \\\s*$)
    """,
    re.VERBOSE,
)
GROUPS = tuple(TOKEN.groupindex["note"] + step for step in range(1, 6))
PITCHES = dict(
    zip("CDEFGABcdefgab", (60, 62, 64, 65, 67, 69, 71, 72, 74, 76, 77, 79, 81, 83), strict=True)
)
TUPLET_TIMES = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}  # p notes in the time of q; others by the meter
MOST_NOTES = 20_000  # of one tune; the longest of the corpus has 750
MOST_COLONS = 9


def length_of(digits: str) -> float:
    """Return the multiple of the unit length: `"3"`, `"/"`, `"//"`, `"3/2"`, `"/4"`."""
    if not digits:
        return 1.0
    number, slash, below = digits.partition("/")
    numerator = int(number) if number else 1
    denominator = 1
    if slash:
        denominator = int(below) if below.isdigit() else 2 ** (1 + len(below))
    if not numerator or not denominator:
        raise FieldError(f"a length must be above 0, got {digits!r}")
    return numerator / denominator


def passes_of(text: str) -> tuple[int, ...]:
    """Return the passes of an ending: `"1"`, `"1,3"`, `"1-3"`."""
    passes: list[int] = []
    for part in text.rstrip(",").split(","):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()) or int(last or first) > 20:
            raise FieldError(f"an ending must be like '1' or '1,3', got {text!r}")
        passes += range(int(first), int(last or first) + 1)
    return tuple(passes)


@dataclass
class Voice:
    """Written notes of one voice, and the marks between them.

    `marks` are `(position, kind, value)`; a mark stands before the note at its position. Kinds:
    "start" of a repeated section and its "end" with the number of times it is played, "double" bar,
    "ending" with its passes, "part" with its letter.
    """

    key: Key
    meter: Meter
    unit: float  # in quarter notes
    pitches: list[int] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    ties: list[bool] = field(default_factory=list)
    marks: list[tuple[int, str, object]] = field(default_factory=list)
    in_bar: dict[str, int] = field(default_factory=dict)  # accidentals of the bar, by letter
    last: tuple[str, int] = ("", REST)  # letter with octave marks of the last note, its pitch
    tied: tuple[str, int] | None = None  # the same, where a tie follows it
    broken: str = ""  # sign of broken rhythm since the last note
    tuplet: float = 1.0
    tuplet_left: int = 0
    chord: list[tuple[int, float, bool]] | None = None  # notes of the chord that is open

    def mark(self, kind: str, value: object = None) -> None:
        """Put a mark behind the notes so far."""
        self.marks.append((len(self.pitches), kind, value))

    def add(self, pitch: int, length: float, tie: bool) -> None:
        """Add a note or a rest, after tuplet and broken rhythm."""
        if self.tuplet_left:
            length *= self.tuplet
            self.tuplet_left -= 1
        if self.broken:
            # Between notes of unequal length the standard leaves it open: both stay as written.
            if self.lengths[-1] == length:
                short = 0.5 ** len(self.broken)
                before, after = (2 - short, short) if self.broken[0] == ">" else (short, 2 - short)
                self.lengths[-1] *= before
                length *= after
            self.broken = ""
        if len(self.pitches) >= MOST_NOTES:
            raise FieldError(f"the tune has more than {MOST_NOTES:,} notes")
        self.pitches.append(pitch)
        self.lengths.append(length)
        self.ties.append(tie)

    def sound(self, match: re.Match) -> tuple[int, float, bool]:
        """Return pitch, length and tie of a matched note."""
        accidental, letter, octave, digits, tie = match.group(*GROUPS)
        pitch = PITCHES[letter] + self.key.shift
        if octave:
            pitch += 12 * (octave.count("'") - octave.count(","))
        name, written = letter.lower(), letter + octave
        if accidental:
            self.in_bar[name] = ACCIDENTALS[accidental]
        tied, self.tied = self.tied, None
        if name in self.in_bar:
            pitch += self.in_bar[name]
        elif tied and tied[0] == written:  # an accidental holds on over the bar
            pitch = tied[1]
        else:
            pitch += self.key.signature.get(name, 0)
        if not 0 <= pitch <= 127:
            raise FieldError(f"the note {match[0]!r} has the pitch {pitch}, outside 0..127 of MIDI")
        self.last = written, pitch
        if tie:
            self.tied = self.last
        return pitch, self.unit * length_of(digits), bool(tie)


class MusicReader:
    """Read the lines of one tune into its voices.

    Args:
        key, meter: of the head of the tune.
        unit: unit length in whole notes.
    """

    def __init__(self, key: Key, meter: Meter, unit: float) -> None:
        self.head = (key, meter, 4 * unit)
        self.voices: dict[str, Voice] = {}
        self.voice = self.enter("1")

    def enter(self, name: str) -> Voice:
        """Continue with another voice."""
        self.voice = self.voices.setdefault(name, Voice(*self.head))
        return self.voice

    def first_voice(self) -> Voice:
        """Return the first voice that has a note."""
        for voice in self.voices.values():
            if max(voice.pitches, default=REST) > REST:
                return voice
        raise FieldError("the tune has no note")

    def read_field(self, letter: str, text: str) -> None:
        """Apply a field within the music; those that do not change the notes are passed over."""
        voice = self.voice
        if letter == "V":
            self.enter((text.split() or ["1"])[0])
        elif letter == "K":
            voice.key = read_key(text)
        elif letter == "M":
            voice.meter = read_meter(text)
        elif letter == "L":
            voice.unit = 4 * read_fraction(text, "L:")
        elif letter == "P":
            for each in self.voices.values():
                each.mark("part", text.strip()[:1])

    def read_line(self, line: str) -> None:
        """Read one line of music."""
        position, end = 0, len(line)
        while position < end:
            match = TOKEN.match(line, position)
            if match is None:
                raise FieldError(f"{line[position : position + 12]!r} is not ABC music")
            position = match.end()
            kind = match.lastgroup
            if kind == "note":
                voice = self.voice
                note = voice.sound(match)
                if voice.chord is None:
                    voice.add(*note)
                else:
                    voice.chord.append(note)
            elif kind not in ("space", "silent"):
                READERS[kind](self, match)
        if self.voice.chord is not None:
            raise FieldError("a chord '[' is not closed by ']' on its line")

    def read_bar(self, match: re.Match) -> None:
        voice = self.voice
        voice.in_bar.clear()
        signs = match["bar"].removesuffix(match["number"] or "").rstrip(" \t[").lstrip(".")
        signs = signs.replace("[|]", "")  # an invisible bar
        colons = len(signs) - len(signs.lstrip(":"))
        if colons > MOST_COLONS:
            raise FieldError(f"a repeat sign must have at most {MOST_COLONS} colons, got {colons}")
        if colons or "]:|" in signs:
            voice.mark("end", 2 if signs == "::" else 1 + max(1, colons))
        if signs.endswith(":"):
            voice.mark("start")
        elif not colons and re.search(r"\|\||\|\]|\[\|", signs):
            voice.mark("double")
        if match["number"]:
            voice.mark("ending", passes_of(match["number"]))

    def read_ending(self, match: re.Match) -> None:
        self.voice.mark("ending", passes_of(match["ending_number"]))

    def read_broken(self, match: re.Match) -> None:
        if not self.voice.lengths or self.voice.chord is not None:
            raise FieldError(f"{match[0]!r} must stand between two notes")
        self.voice.broken = match[0]

    def read_tie(self, match: re.Match) -> None:
        """Tie the last note: a space, a grace note or a line break stands before the sign."""
        voice = self.voice
        if voice.ties:
            voice.ties[-1] = voice.pitches[-1] != REST
            voice.tied = voice.last

    def read_inline(self, match: re.Match) -> None:
        self.read_field(match["field"], match["value"])

    def open_chord(self, match: re.Match) -> None:
        if self.voice.chord is not None:
            raise FieldError("a chord '[' stands within a chord")
        self.voice.chord = []

    def close_chord(self, match: re.Match) -> None:
        """Add the top note of a chord with the length of its first note."""
        voice, notes = self.voice, self.voice.chord
        if not notes:
            raise FieldError("']' closes no chord")
        voice.chord = None
        pitch, _, tie = max(notes)
        length = notes[0][1] * length_of(match["chord_length"])
        voice.add(pitch, length, tie or bool(match["chord_tie"]))

    def read_rest(self, match: re.Match) -> None:
        voice = self.voice
        length = voice.unit * length_of(match["rest_length"])
        if voice.chord is None:
            voice.add(REST, length, False)
        else:
            voice.chord.append((REST, length, False))

    def read_rest_of_bars(self, match: re.Match) -> None:
        bars = int(match["bars"] or 1)
        if not bars or not self.voice.meter.bar:
            raise FieldError(f"{match[0]!r} rests for whole bars and needs a meter and a number")
        self.voice.add(REST, bars * 4 * self.voice.meter.bar, False)

    def read_tuplet(self, match: re.Match) -> None:
        voice, p = self.voice, int(match["p"])
        q = int(match["q"] or 0) or TUPLET_TIMES.get(p) or (3 if voice.meter.compound else 2)
        voice.tuplet, voice.tuplet_left = q / p, int(match["r"] or 0) or p


READERS: dict[str, Callable[[MusicReader, re.Match], None]] = {
    "bar": MusicReader.read_bar,
    "ending": MusicReader.read_ending,
    "broken": MusicReader.read_broken,
    "tie": MusicReader.read_tie,
    "inline": MusicReader.read_inline,
    "open": MusicReader.open_chord,
    "close": MusicReader.close_chord,
    "rest": MusicReader.read_rest,
    "bars_rest": MusicReader.read_rest_of_bars,
    "tuplet": MusicReader.read_tuplet,
}
