"""Pages for lecturers: whole, 90 minutes long, and pointing to cells that exist."""

import re
from functools import cache

import pytest

from lib.core.reading import DamagedFileError, MissingFileError
from lib.course import instructor
from lib.course.instructor import INSTRUCTOR, read_unit
from lib.course.notebooks import read_notebook
from lib.course.prerequisites import NOTEBOOKS, prerequisites, titles

PATHS = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
SYLLABI = sorted(INSTRUCTOR.glob("syllabus_*.md"))


@cache
def cell_ids(name: str) -> set[str]:
    return {cell.id for cell in read_notebook(NOTEBOOKS / name).cells}


WRITTEN = [path for path in PATHS if (INSTRUCTOR / "units" / f"{path.stem}.md").exists()]


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_each_notebook_has_a_whole_unit(path):
    unit = read_unit(INSTRUCTOR / "units" / f"{path.stem}.md")
    assert unit.title == f"{path.stem[:2]} {titles()[path.stem[:2]]}"
    assert unit.minutes == instructor.UNIT_MINUTES
    assert len(unit.questions) == 5 and all(q and answer for q, answer in unit.questions)
    wrong = unit.table("Misconceptions")
    assert 3 <= len(wrong) <= 6 and all(len(row) == 3 for row in wrong)
    assert all(instructor.CELL_LINK.search(row[2]) for row in wrong)
    assert any(name == path.name for name, _ in unit.cells)
    for name, cell in unit.cells:
        assert cell in cell_ids(name), f"{name} has no cell {cell}"
    named = {f"{int(n):02d}" for n in re.findall(r"\b\d\d\b", unit.sections["Before"])}
    needed = prerequisites()[path.stem[:2]]
    assert not needed or named, "the section Before names no notebook"


def test_no_unit_without_its_notebook():
    assert {path.stem for path in (INSTRUCTOR / "units").glob("*.md")} == {p.stem for p in WRITTEN}


@pytest.mark.parametrize("path", SYLLABI, ids=lambda path: path.stem)
def test_a_syllabus_teaches_before_it_needs(path):
    taught = instructor.units_of_syllabus(path)
    told = instructor.told_instead(path)
    assert len(set(taught)) == len(taught) and not told & set(taught)
    for place, number in enumerate(taught):
        missing = prerequisites()[number] - set(taught[:place]) - told
        assert not missing, f"{number} comes before {sorted(missing)}"


def test_twelve_weeks_teach_everything():
    (path,) = (path for path in SYLLABI if "12_weeks" in path.name)
    assert instructor.units_of_syllabus(path) == [path.stem[:2] for path in PATHS]
    assert len(SYLLABI) == 3


def test_a_week_of_several_units_fits_into_a_lecture():
    (path,) = (path for path in SYLLABI if "12_weeks" in path.name)
    text = path.read_text(encoding="utf-8")
    weeks = {row[1]: row[0] for row in re.findall(r"^(\| (\d+) \| \[.*)$", text, re.M)}
    parts = dict(re.findall(r"^\| (\d+) \| .* \| (\d+ \+ [\d +]+) \|$", text, re.M))
    for week, row in weeks.items():
        units = instructor.UNIT_LINK.findall(row)
        minutes = [int(one) for one in parts.get(week, "90").split("+")]
        assert len(minutes) == len(units), f"week {week} names minutes for {len(minutes)} units"
        assert sum(minutes) <= instructor.UNIT_MINUTES


def test_a_page_that_is_missing_or_not_whole(tmp_path):
    with pytest.raises(MissingFileError, match="is missing"):
        read_unit(tmp_path / "99_x.md")
    (tmp_path / "99_x.md").write_text("# 99 X\n\n## Goals\nNone.\n")
    with pytest.raises(DamagedFileError, match="must have the sections"):
        read_unit(tmp_path / "99_x.md")
