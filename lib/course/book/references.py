"""The bibliography of the book: each citation of a notebook leads to one checked entry."""

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from lib.core.checks import RetrievalInputError

ENTRIES = Path(__file__).parent / "bibliography.toml"
TITLE = re.compile(r"(?<!\*)\*([^*]+)\*(?!\*)")
YEAR = re.compile(r"\b((?:19|20)\d\d)\b")
# "Wang and Isola 2020", "Schroff et al. 2015 (FaceNet)", "D. Douglas, T. Peucker, 1973"
NAMED = re.compile(
    r"(?P<names>[^\W\d_][\w'’. -]*?(?:(?:,| and) [^\W\d_][\w'’. -]*?)*?(?: et al\.)?),? "
    r"(?P<year>(?:19|20)\d\d)(?: \((?P<called>[^)]+)\))?"
)


@dataclass(frozen=True)
class Entry:
    """A work: authors, title, venue, year, and an arXiv number or DOI.

    Attributes:
        key: its name in labels.
        also: further years under which notebooks cite it.
        called: further titles under which notebooks cite it.
        id: `arXiv:NUMBER`, `doi:NAME` or nothing.
    """

    key: str
    authors: str
    title: str
    where: str
    year: int
    id: str = ""
    also: tuple[int, ...] = ()
    called: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """Name the first author without initials, as in "Järvelin"."""
        return re.sub(r"^(?:[^\W\d_]\.[- ]?)+", "", self.authors.split(", ")[0]).strip()

    @property
    def label(self) -> str:
        """Name its place in the book."""
        return f"work-{self.key}"


class UnknownCitationError(RetrievalInputError):
    """A notebook cites a work that the bibliography does not hold, or holds otherwise."""


@dataclass
class Citations:
    """Citations of all chapters: keys of the chapters that cite a work, by its key."""

    chapters: dict[str, list[str]] = field(default_factory=dict)

    def add(self, entry: Entry, chapter: str) -> None:
        """Note that a chapter cites a work."""
        citing = self.chapters.setdefault(entry.key, [])
        if chapter not in citing:
            citing.append(chapter)


@cache
def read_entries() -> dict[str, Entry]:
    """Read the bibliography: entries by key."""
    read = tomllib.loads(ENTRIES.read_text(encoding="utf-8"))
    for values in read.values():
        values |= {name: tuple(values.get(name, ())) for name in ("also", "called")}
    return {key: Entry(key=key, **values) for key, values in read.items()}


def plain(text: str) -> str:
    """Fold a title or a name for comparison: lower case, no accents, letters and digits."""
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", " ", folded).strip()


def link_references(text: str, chapter: str, citations: Citations) -> str:
    """Link the citations of a reference section to the bibliography.

    Args:
        text: the section without its heading, a list with a work or several a line.
        chapter: key of the chapter, for the list of who cites what.
        citations: what is found is added.

    Returns:
        The text with a link on each title, or on author and year where there is no title.
    """
    section, heading, after = text.partition("\n## ")
    lines = [
        _link_line(line, chapter, citations) if line.startswith("- ") else line
        for line in section.splitlines()
    ]
    return "\n".join(lines) + heading + after


def _link_line(line: str, chapter: str, citations: Citations) -> str:
    found: list[tuple[int, int, Entry]] = []
    for match in TITLE.finditer(line):
        found.append((*match.span(), _entry_of_title(match[1], line)))
    for match in NAMED.finditer(line):
        after = line[match.end() :].lstrip(", ")
        if after.startswith("*") or any(a < match.end() and match.start() < b for a, b, _ in found):
            continue  # its title follows, or it is part of a title
        if entry := _entry_of_names(match, found):
            found.append((*match.span(), entry))
    years = {year for _, _, entry in found for year in (entry.year, *entry.also)}
    if unknown := {int(year) for year in YEAR.findall(line)} - years:
        raise UnknownCitationError(
            f"{sorted(unknown)} in {line!r} of {chapter} belongs to no entry that was found there."
            f" Add the work to {ENTRIES.name}, or mend the line."
        )
    for start, end, entry in sorted(found, key=lambda place: -place[0]):
        citations.add(entry, chapter)
        line = f"{line[:start]}[{line[start:end]}](#{entry.label}){line[end:]}"
    return line


def _entry_of_title(title: str, line: str) -> Entry:
    """Find the work of a title; author and year of the line must be its own."""
    wanted = plain(title)
    entries = [
        entry
        for entry in read_entries().values()
        if f"{plain(entry.title)} ".startswith(f"{wanted} ") or wanted in map(plain, entry.called)
    ]
    entries = [
        entry
        for entry in entries
        if plain(entry.family) in plain(line)
        and {str(year) for year in (entry.year, *entry.also)} & set(YEAR.findall(line))
    ]
    # "Microsoft COCO" begins two titles; the year before the title decides.
    if len(entries) > 1:
        before = YEAR.findall(line[: line.index(f"*{title}*")])
        entries = [entry for entry in entries if before and str(entry.year) == before[-1]]
    if len(entries) != 1:
        raise UnknownCitationError(
            f"`title` must be that of one work in {ENTRIES.name} whose first author and year stand"
            f" in the same line, got {title!r} ({len(entries)} works). Add it, or mend the line."
        )
    return entries[0]


def _entry_of_names(match: re.Match, found: list) -> Entry | None:
    """Find the work of "Sohn 2016 (N-pair)"; None where a title beside it has been found."""
    names, year, called = plain(match["names"]), int(match["year"]), plain(match["called"] or "")
    entries = [
        entry
        for entry in read_entries().values()
        if re.search(rf"\b{plain(entry.family)}\b", names) and year in (entry.year, *entry.also)
    ]
    if any(entry in entries for _, _, entry in found):
        return None
    if len(entries) > 1:
        entries = [entry for entry in entries if called in map(plain, entry.called)]
    return entries[0] if len(entries) == 1 else None


def bibliography_page(citations: Citations, titles: Mapping[str, str]) -> str:
    """Write the bibliography: each work with a link to its text and to who cites it.

    Args:
        citations: of all chapters.
        titles: title of each chapter by key.
    """
    lines = ["# Bibliography\n", "Works that the chapters cite, by first author.\n"]
    entries = sorted(read_entries().values(), key=lambda e: (plain(e.family), e.year, e.title))
    for entry in entries:
        lines += [f"({entry.label})=\n", "{.work}", " ".join(_described(entry, citations, titles))]
        lines.append("")
    return "\n".join(lines)


def _described(entry: Entry, citations: Citations, titles: Mapping[str, str]) -> Iterator[str]:
    title = entry.title.replace("*", "\\*")
    yield f"{entry.authors}. *{title}*. {entry.where}, {entry.year}."
    kind, _, name = entry.id.partition(":")
    if kind == "arXiv":
        yield f"[{entry.id}](https://arxiv.org/abs/{name})."
    elif kind == "doi":
        yield f"[{entry.id}](https://doi.org/{name})."
    citing = [
        f"[{titles[key].split(':')[0]}](#notebook-{key})"
        for key in citations.chapters.get(entry.key, [])
    ]
    if citing:
        yield f"Cited in {', '.join(citing)}."
