"""Prepare a stored notebook for the book: numbered formulas and figures, targets, cross-links."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from lib.course.notebooks.pages import describe_figures, title_of

SHOWN_MIMES = ("text/html", "image/png", "image/svg+xml", "text/plain")
# Parts of a line that no link may enter: code, formulas, links, roles.
CLOSED = re.compile(r"`+[^`]*`+|\$\$.*?\$\$|\$[^$]*\$|\[[^\]]*\]\([^)]*\)|<[^>]+>")
NAMED_PAGES = {
    "data/README.md": "data.md",
    "data/RESULTS.md": "models.md",
    "lib/cli/README.md": "commands.md",
}
FENCE = re.compile(r"^\s*(```|~~~)")
HEADING = re.compile(r"^(#{1,4})\s+(.+)$")
NUMBERED = re.compile(r"(\d+(?:\.\d+)?)\.?\s")
FORMULA = re.compile(r"^> \*\*Formula\.\*\*\s*(.*)$")
FIGURE = re.compile(r"#.*?\bFigures?(?: and table)?\s*:\s*(.+)")
BESIDE_IT = re.compile(
    r"[.;,]? (?:and )?(?:[Cc]heck|[Tt]able|[Ss]entence|the headline)\b| \((?:not )?checked"
)
PLACES = re.compile(
    r"\b[Nn]otebooks? (?P<notebook>\d\d)(?:,? (?:section|sec\.) (?P<its>\d+(?:\.\d+)?))?"
    r"|\b(?:(?<=and )|(?<=to )|(?<=or )|(?<=, ))(?P<further>\d\d)\b(?![.,]?\d)"
    r"|\b(?P<word>[Ss]ections?|[Ss]ection) (?P<section>\d+(?:\.\d+)?)"
    r"|\b[Ll]ab (?P<lab>\d)\b"
)


@dataclass(frozen=True)
class NumberedFormula:
    """A numbered formula: `number` as in 5.2, `name`, LaTeX, and the label of its place."""

    number: str
    name: str
    latex: str
    label: str


@dataclass(frozen=True)
class NumberedFigure:
    """A numbered figure: `number` as in 5.2, what it shows, and the label of its place.

    Attributes:
        sentence: what it shows, computed from its data.
        png: the picture in base64.
    """

    number: str
    name: str
    label: str
    sentence: str
    png: str


@dataclass
class Chapter:
    """A notebook of the book, with what the indexes list of it.

    Attributes:
        stem: name of the file, for example `05_loss_infonce`.
        title: the first heading.
        notebook: the prepared notebook.
        stored: the notebook as it is stored.
        question: the question of its header; empty in a lab without one.
        formulas: its formulas in order.
        figures: its figures in order.
        sections: labels of its numbered sections by number, `"5"` or `"5.2"`.
    """

    stem: str
    title: str
    notebook: nbformat.NotebookNode
    stored: nbformat.NotebookNode
    question: str = ""
    formulas: list[NumberedFormula] = field(default_factory=list)
    figures: list[NumberedFigure] = field(default_factory=list)
    sections: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Name the chapter in labels: `05`, or `lab-3`."""
        match = re.match(r"(lab)_(\d+)|(\d+)", self.stem)
        if match is None:
            return self.stem
        return f"lab-{match[2]}" if match[1] else match[3]

    @property
    def number(self) -> str:
        """Number its formulas and figures: `5`, or `L3`."""
        return self.key.replace("lab-", "L").lstrip("0") or "0"


def read_chapter(path: Path, notebook: nbformat.NotebookNode) -> Chapter:
    """Collect what a stored notebook holds, before its text is linked."""
    prepared = nbformat.from_dict(notebook)
    chapter = Chapter(path.stem, title_of(notebook, path.stem), prepared, notebook)
    for cell in prepared.cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                match = HEADING.match(line)
                number = NUMBERED.match(match[2]) if match and len(match[1]) > 1 else None
                if number:
                    label = f"section-{chapter.key}-{number[1].replace('.', '-')}"
                    chapter.sections.setdefault(number[1], label)
    first = prepared.cells[0].source if prepared.cells else ""
    if question := re.search(r"\*\*Question\.\*\*\s*(.+)", first):
        chapter.question = question[1].strip()
    return chapter


def prepare_chapter(
    chapter: Chapter,
    chapters: Mapping[str, Chapter],
    link_references: Callable[[str, str], str] = lambda text, key: text,
    link_words: Callable[[str, set[str]], str] = lambda text, linked: text,
) -> None:
    """Number the formulas and figures of a chapter and link its text.

    Args:
        chapter: it is changed.
        chapters: all of them by key, for the links.
        link_references: links the citations of a reference section of the chapter with that key.
        link_words: links the words of a text to the glossary, and notes them.
    """
    linked: set[str] = set()
    describe_figures(chapter.notebook)
    cells = []
    for cell in chapter.notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = link_words(_markdown(cell.source, chapter, chapters), linked)
            before, heading, after = cell.source.partition("## References")
            if heading:
                cell.source = before + heading + link_references(after, chapter.key)
        elif cell.cell_type == "code":
            if title := _figure_title(cell, chapter):
                cells.append(nbformat.v4.new_markdown_cell(title))
            _show_outputs(cell)
        cells.append(cell)
    chapter.notebook.cells = cells
    for cell in cells:  # ids must be unique
        cell.pop("id", None)
    chapter.notebook.nbformat_minor = 4


def _figure_title(cell, chapter: Chapter) -> str:
    """Write the numbered title of a cell's first picture, or nothing if it has none."""
    pictures = [output for output in cell.outputs if "image/png" in output.get("data", {})]
    if not pictures:
        return ""
    sentence = pictures[0].metadata["image/png"]["alt"]
    match = FIGURE.match(cell.source.splitlines()[0])
    name = BESIDE_IT.split(match[1])[0].rstrip(" .;:") if match else ""
    name = name if name[1:2].isupper() else name[:1].upper() + name[1:]
    number = f"{chapter.number}.{len(chapter.figures) + 1}"
    label = f"figure-{chapter.key}-{len(chapter.figures) + 1}"
    png = pictures[0]["data"]["image/png"]
    chapter.figures.append(NumberedFigure(number, name or sentence, label, sentence, png))
    return f"({label})=\n\n{{.figure-title}}\n**Figure {number}.** {escape_markdown(name)}"


def escape_markdown(text: str) -> str:
    """Escape the characters of plain text that Markdown would read as marks."""
    return re.sub(r"([\\`*_\[\]<>$|])", r"\\\1", text)


def _show_outputs(cell) -> None:
    """Keep of each output what a page shows, with the alternative texts of its pictures."""
    for output in cell.outputs:
        data = output.get("data")
        if data is None:
            continue
        best = next((mime for mime in SHOWN_MIMES if mime in data), None)
        alt = output.get("metadata", {}).get("image/png", {}).get("alt")
        if best == "image/png" and alt:
            cell.metadata["mystnb"] = {"image": {"alt": alt}}
        output["data"] = nbformat.from_dict({best: data[best]} if best else {})


def _markdown(source: str, chapter: Chapter, chapters: Mapping[str, Chapter]) -> str:
    """Set targets and links in the text of a cell."""
    lines, fenced, seen = source.splitlines(), False, []
    for at, line in enumerate(lines):
        if FENCE.match(line):
            fenced = not fenced
        if fenced:
            seen.append(line)
        elif match := HEADING.match(line):
            seen += [*_target_of_heading(match, chapter), line]
        elif match := FORMULA.match(line):
            seen += _formula(match[1], lines[at + 1 :], chapter)
        else:
            seen.append(link_places(_flat_links(line), chapter, chapters))
    return "\n".join(seen)


def _flat_links(line: str) -> str:
    """Point links at pages, which lie side by side, and name the page of the datasheets."""
    line = re.sub(r"\]\((?:\.\./|labs/|\./)+([\w-]+\.ipynb)", r"](\1", line)
    for name, page in NAMED_PAGES.items():
        line = re.sub(rf"(?<!\[)`{re.escape(name)}`", f"[`{name}`]({page})", line)
    return line


def _target_of_heading(match: re.Match, chapter: Chapter) -> list[str]:
    if len(match[1]) == 1:
        return [f"(notebook-{chapter.key})=", ""]
    number = NUMBERED.match(match[2])
    label = number and chapter.sections.get(number[1])
    return ["", f"({label})=", ""] if label else []


def _formula(name: str, following: list[str], chapter: Chapter) -> list[str]:
    """Number a formula and set its target above the quotation that holds it."""
    quoted = []
    for line in following:
        if not line.startswith(">"):
            break
        quoted.append(line.lstrip("> "))
    displayed = re.search(r"\$\$(.+?)\$\$", "\n".join(quoted), flags=re.DOTALL)
    latex = displayed[1].strip() if displayed else ""
    number = f"{chapter.number}.{len(chapter.formulas) + 1}"
    label = f"formula-{chapter.key}-{len(chapter.formulas) + 1}"
    chapter.formulas.append(NumberedFormula(number, name.strip().rstrip(":,. "), latex, label))
    return ["", f"({label})=", "", f"> **Formula {number}.** {name}"]


def link_places(line: str, chapter: Chapter, chapters: Mapping[str, Chapter]) -> str:
    """Link "notebook 05", "section 3" and "lab 2" outside of code, formulas and links."""
    pieces, at = [], 0
    for closed in CLOSED.finditer(line):
        pieces += [_link_text(line[at : closed.start()], chapter, chapters), closed[0]]
        at = closed.end()
    return "".join([*pieces, _link_text(line[at:], chapter, chapters)])


def _link_text(text: str, chapter: Chapter, chapters: Mapping[str, Chapter]) -> str:
    named = "otebook" in text

    def link(match: re.Match) -> str:
        key = match["notebook"] or (match["further"] if named else None)
        if match["lab"]:
            key = f"lab-{match['lab']}"
        if key:
            other = chapters.get(key)
            label = other and (other.sections.get(match["its"]) or f"notebook-{key}")
        elif match["section"]:
            # "section 4 of notebook 03" is a section of that notebook
            of = re.match(r",? of (?:the )?notebook (\d\d)", text[match.end() :])
            label = (chapters.get(of[1], chapter) if of else chapter).sections.get(match["section"])
        else:
            label = None
        return (
            f"[{match[0]}](#{label})" if label and label != f"notebook-{chapter.key}" else match[0]
        )

    return PLACES.sub(link, text)
