"""Read the pages of the instructor's edition: units of 90 minutes and syllabi."""

import re
from dataclasses import dataclass
from pathlib import Path

from lib.core.paths import ROOT
from lib.core.reading import DamagedFileError, MissingFileError

INSTRUCTOR = ROOT / "notebooks" / "instructor"
SECTIONS = ("Goals", "Before", "Plan", "What to skip", "Misconceptions", "Board", "Quiz")
UNIT_MINUTES = 90
CELL_LINK = re.compile(r"\]\(\.\./\.\./([\w/]+\.ipynb)#cell-id=([\w-]+)\)")
UNIT_LINK = re.compile(r"\]\(units/(\d\d)_\w+\.md\)")


@dataclass(frozen=True)
class Unit:
    """The page of one unit.

    Args:
        path: its file.
        title: such as `"03 Metrics"`.
        sections: text by heading, in the order of `SECTIONS`.
    """

    path: Path
    title: str
    sections: dict[str, str]

    def table(self, section: str) -> list[list[str]]:
        """Return the cells of the rows of a section's table, without its head."""
        rows = [line for line in self.sections[section].splitlines() if line.startswith("|")]
        return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[2:]]

    @property
    def minutes(self) -> int:
        """Return the sum of the minutes of the plan."""
        return sum(int(row[0].strip("| ")) for row in self.table("Plan"))

    @property
    def cells(self) -> list[tuple[str, str]]:
        """Return each notebook and cell that the page points to."""
        return [pair for text in self.sections.values() for pair in CELL_LINK.findall(text)]

    @property
    def questions(self) -> list[tuple[str, str]]:
        """Return the questions of the quiz with their answers."""
        found = re.findall(r"^\d+\. (.*?)(?=^\d+\. |\Z)", self.sections["Quiz"], re.S | re.M)
        pairs = [one.partition("**Answer.**")[::2] for one in found]
        return [(question.strip(), answer.strip()) for question, answer in pairs]


def read_unit(path: Path) -> Unit:
    """Read the page of a unit, and check that it has every section once, in order."""
    if not path.is_file():
        raise MissingFileError(f"{path} is missing: each notebook has a page for its lecturer")
    title, *parts = re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.M)
    sections = {head.strip(): text.strip() for head, _, text in (p.partition("\n") for p in parts)}
    if tuple(sections) != SECTIONS or len(parts) != len(SECTIONS):
        raise DamagedFileError(f"{path} must have the sections {SECTIONS}, got {tuple(sections)}")
    return Unit(path, title.removeprefix("# ").strip(), sections)


def units_of_syllabus(path: Path) -> list[str]:
    """Return the numbers of the units that a syllabus teaches, in its order."""
    return UNIT_LINK.findall(path.read_text(encoding="utf-8"))


def told_instead(path: Path) -> set[str]:
    """Return the numbers in the last column of a syllabus, "told in five minutes instead"."""
    rows = [line for line in path.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    if "told in five minutes" not in rows[0]:
        return set()
    return {number for row in rows[2:] for number in re.findall(r"\d\d", row.split("|")[-2])}
