"""Read which notebook needs which, and draw it.

python -m lib.course.prerequisites notebooks/instructor/dependencies.svg
"""

import re
import sys
import textwrap
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path

from lib.core.paths import ROOT
from lib.core.reading import DamagedFileError
from lib.core.writing import atomic_path
from lib.course.notebooks import read_notebook

NOTEBOOKS = ROOT / "notebooks"
# "Notebooks 00 to 03", "Notebooks 01, 03 and 05", "Notebook 13 (k-means)"; what only helps stands
# in a sentence of its own and is not needed.
NAMED = re.compile(r"\bNotebooks? ((?:\d\d|, | and | to )+)(?![^.]*\bhelps?\b)")
WIDTH, HEIGHT, GAP_X, GAP_Y, EDGE = 124, 58, 12, 46, 10  # of a box, and between boxes
LINE, LINES = 17, 3  # characters and lines of a title in a box


@cache
def titles() -> Mapping[str, str]:
    """Return the title of each notebook by its number."""
    return {path.name[:2]: _header(path)[0] for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))}


@cache
def prerequisites() -> Mapping[str, frozenset[str]]:
    """Return the numbers of the notebooks that each notebook names as needed before it."""
    found = {}
    for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb")):
        number = path.name[:2]
        found[number] = named_notebooks(_header(path)[1])
        unknown = [one for one in found[number] if one >= number]
        if unknown:
            raise DamagedFileError(f"{path} needs {unknown[0]}, which does not come before it")
    return found


def named_notebooks(text: str) -> frozenset[str]:
    """Return the numbers that a text names as needed, ranges included."""
    numbers: set[str] = set()
    for match in NAMED.finditer(text):
        for part in re.split(r", | and ", match[1]):
            first, _, last = part.strip().partition(" to ")
            if first:
                numbers |= {f"{n:02d}" for n in range(int(first), int(last or first) + 1)}
    return frozenset(numbers)


def nearest(needs: Mapping[str, frozenset[str]]) -> dict[str, list[str]]:
    """Drop what another prerequisite needs already: the transitive reduction."""
    everything: dict[str, set[str]] = {}
    for number in sorted(needs):
        everything[number] = set().union(*({one} | everything[one] for one in needs[number]))
    return {
        number: sorted(one for one in mine if not any(one in everything[other] for other in mine))
        for number, mine in needs.items()
    }


def graph_svg(needs: Mapping[str, frozenset[str]], names: Mapping[str, str]) -> str:
    """Draw the notebooks as boxes, each below what it needs, as one SVG text."""
    row: dict[str, int] = {}
    for number in sorted(needs):
        row[number] = 1 + max((row[one] for one in needs[number]), default=-1)
    rows = [[n for n in sorted(row) if row[n] == at] for at in range(max(row.values()) + 1)]
    width = max(map(len, rows)) * (WIDTH + GAP_X) - GAP_X + 2 * EDGE
    height = len(rows) * (HEIGHT + GAP_Y) - GAP_Y + 2 * EDGE
    place = {}
    for at, boxes in enumerate(rows):
        left = (width - len(boxes) * (WIDTH + GAP_X) + GAP_X) // 2
        for column, number in enumerate(boxes):
            place[number] = left + column * (WIDTH + GAP_X), EDGE + at * (HEIGHT + GAP_Y)
    arrows = nearest(needs)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
        ' aria-label="An arrow leads from each notebook to those that need it.">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7"'
        ' markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#6b6b6b"/></marker>'
        "</defs>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *(_arrow(place[one], place[number]) for number in arrows for one in arrows[number]),
        *(_box(*place[number], number, names[number]) for number in sorted(needs)),
        "</svg>\n",
    ])  # fmt: skip


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    x, y = start[0] + WIDTH // 2, start[1] + HEIGHT
    to_x, to_y = end[0] + WIDTH // 2, end[1]
    bend = GAP_Y // 2
    path = f"M{x},{y} C{x},{y + bend} {to_x},{to_y - bend} {to_x},{to_y}"
    return f'<path d="{path}" fill="none" stroke="#6b6b6b" marker-end="url(#tip)"/>'


def _box(x: int, y: int, number: str, name: str) -> str:
    title = f"{number} {name}"
    lines = textwrap.wrap(title, LINE, max_lines=LINES, placeholder=" ...")
    first = y + HEIGHT // 2 + 5 - 8 * (len(lines) - 1)
    text = "".join(
        f'<text x="{x + WIDTH // 2}" y="{first + 16 * at}" font-family="sans-serif"'
        f' font-size="13" text-anchor="middle" fill="#1b1b1b">{escape(line)}</text>'
        for at, line in enumerate(lines)
    )
    return (
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#eef3f7"'
        f' stroke="#0072b2"/>{text}'
    )


def _header(path: Path) -> tuple[str, str]:
    """Return the short title of a notebook, and its sentences about what comes before it."""
    text = read_notebook(path).cells[0].source
    title = re.match(r"# \d\d ([^:\n]+)", text)
    before = re.search(r"\*\*Before\.\*\*(.*?)(?=\*\*Minutes)", text, re.S)
    if title is None or before is None:
        raise DamagedFileError(f"{path} has no title or no line **Before.** in its first cell")
    return title[1].strip(), before[1]


if __name__ == "__main__":
    with atomic_path(Path(sys.argv[1])) as temporary:
        temporary.write_text(graph_svg(prerequisites(), titles()), encoding="utf-8")
