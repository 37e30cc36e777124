"""The order in which written music is played: repeats, first and second endings, parts.

ABC 2.1, section 4.8: a repeat without a sign at its start goes back to the latest double bar, the
end of a repeat, or the beginning.
"""

import re
from collections.abc import Sequence

from lib.datasets.tunes.abc_fields import FieldError

Mark = tuple[int, str, object]
Range = tuple[int, int]
MOST_PARTS = 200
MOST_PLAYED = 100_000  # notes


def played_ranges(marks: Sequence[Mark], n_notes: int, parts: str = "") -> list[Range]:
    """Return the ranges of written notes in the order in which they are played.

    Args:
        marks: of `abc_music.Voice`.
        n_notes: number of written notes.
        parts: the order of the parts in the head of the tune, such as `"ABA"` or `"A2(BC)2"`.
    """
    borders = [(position, name) for position, kind, name in marks if kind == "part"]
    order = part_order(parts)
    if not order or not borders:
        ranges = _repeated([mark for mark in marks if mark[1] != "part"], 0, n_notes)
    else:
        ends = [position for position, _ in borders[1:]] + [n_notes]
        ranges = _repeated(_inside(marks, 0, borders[0][0]), 0, borders[0][0])
        played: dict[str, list[Range]] = {}
        for (start, name), end in zip(borders, ends, strict=True):
            played.setdefault(name, []).extend(_repeated(_inside(marks, start, end), start, end))
        for name in order:
            if name not in played:
                raise FieldError(f"P: asks for part {name!r}, which the tune does not mark")
            ranges += played[name]
    if sum(end - start for start, end in ranges) > MOST_PLAYED:
        raise FieldError(f"the tune plays more than {MOST_PLAYED:,} notes")
    return ranges


def _inside(marks: Sequence[Mark], start: int, end: int) -> list[Mark]:
    """Take the marks of a part; at its borders, ends belong to the part before them."""
    closing = ("end", "double")
    return [
        mark
        for mark in marks
        if mark[1] != "part"
        and (start < mark[0] < end or mark[0] == (end if mark[1] in closing else start))
    ]


def part_order(text: str) -> list[str]:
    """Return the letters of a `P:` field in the order of play: `"A2(BC)2"` is A A B C B C."""
    compact = re.sub(r"[\s.]", "", text)
    if not re.fullmatch(r"(?:[A-Z]\d?|\(|\)\d?)*", compact):
        raise FieldError(f"the order of parts must be like 'ABA' or 'A(BC)2', got {text!r}")
    groups: list[list[str]] = [[]]  # the innermost group last
    for sign, times in re.findall(r"([A-Z()])(\d?)", compact):
        if sign == "(":
            groups.append([])
            continue
        if sign == ")" and len(groups) == 1:
            raise FieldError(f"a ')' of the order of parts closes nothing: {text!r}")
        more = groups.pop() if sign == ")" else [sign]
        groups[-1] += more * int(times or 1)
        if len(groups[-1]) > MOST_PARTS:
            raise FieldError(f"the order of parts must have at most {MOST_PARTS} parts")
    if len(groups) > 1:
        raise FieldError(f"a '(' of the order of parts is not closed: {text!r}")
    return groups[0]


class _Section:
    """A section of the music, and the endings of its repeats."""

    def __init__(self, start: int, marked: bool = False) -> None:
        self.start = start
        self.marked = marked  # begins with a sign
        self.body_end: int | None = None
        self.endings: dict[int, Range] = {}  # by pass
        self.open: tuple[tuple[int, ...], int] | None = None  # passes and start of an ending
        self.closed_at: int | None = None  # where a repeat sign closed the last ending

    def open_ending(self, passes: tuple[int, ...], position: int) -> None:
        self.close_ending(position)
        if self.body_end is None:
            self.body_end = position
        self.open, self.closed_at = (passes, position), None

    def close_ending(self, position: int) -> None:
        if self.open:
            passes, start = self.open
            self.endings.update(dict.fromkeys(passes, (start, position)))
            self.open = None

    def ranges(self, end: int) -> list[Range]:
        """Return body and ending of each pass, or the section as it stands."""
        self.close_ending(end)
        if not self.endings:
            return [(self.start, end)]
        body = (self.start, self.body_end)
        played = [one for number in sorted(self.endings) for one in (body, self.endings[number])]
        second_unmarked = self.closed_at is not None and max(self.endings) == 1
        return [*played, body] if second_unmarked else played


def _repeated(marks: Sequence[Mark], start: int, end: int) -> list[Range]:
    """Play the repeats between two positions."""
    ranges: list[Range] = []
    section = _Section(start)
    for position, kind, value in marks:
        closed_at = section.closed_at
        if closed_at is not None and not (kind == "ending" and position == closed_at):
            ranges += section.ranges(closed_at)
            section = _Section(closed_at)
        if kind == "ending":
            section.open_ending(value, position)
        elif kind == "end" and section.open:
            section.close_ending(position)
            section.closed_at = position
        elif kind == "end":
            ranges += [(section.start, position)] * value
            section = _Section(position)
        elif kind == "start" or section.open or not section.marked:
            ranges += section.ranges(position)
            section = _Section(position, marked=kind == "start")
    if section.closed_at is not None:
        ranges += section.ranges(section.closed_at)
        section = _Section(section.closed_at)
    ranges += section.ranges(end)
    return [(first, last) for first, last in ranges if last > first]
