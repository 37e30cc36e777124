"""Generated pages of the book: contents, index of formulas, index of figures."""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.course.book.notebook_text import Chapter, escape_markdown

CONTENTS = Path(__file__).parent / "contents.toml"
HUM_PAGE = "hum"  # folder of the page that searches by a hum, beside the pages of the book
REFERENCE = {
    "results": "Results, by question",
    "formulas": "Index of formulas",
    "figures": "Index of figures",
    "glossary": "Glossary",
    "bibliography": "Bibliography",
    "models": "Results of the models",
    "data": "Data",
    "commands": "Commands",
}
INTRODUCTION = """# Cross-modal retrieval, measured

Search images by text, and learn why it works. Each chapter is a notebook that was executed on a
laptop without a GPU; all numbers and pictures are what it measured. Chapters begin with a question
and ask you to predict results before they show them. A click on *Show the code* opens the code of a
figure or a table.

**To run and change the code**, type `make lab` in the project: it opens working copies in which the
predictions are yet to be made and the exercises to be solved. The book does not hold the solutions:
try first; they are in `notebooks/solutions/`. **To look something up**, use the search, the
[glossary](glossary.md), or the indexes of [formulas](formulas.md) and [figures](figures.md). **To
see what was found**, read the [results by question](results.md).
"""


@dataclass(frozen=True)
class BookPart:
    """A part of the book: a title, the question it answers and its chapters."""

    title: str
    question: str
    chapters: tuple[Chapter, ...]


def parts_of(chapters: Sequence[Chapter]) -> list[BookPart]:
    """Group chapters into parts: each part of `contents.toml`, and the labs."""
    parts = tomllib.loads(CONTENTS.read_text(encoding="utf-8"))["part"]
    ends = [part["begins"] for part in parts[1:]] + ["99"]
    numbered = [chapter for chapter in chapters if chapter.key[0].isdigit()]
    others = tuple(chapter for chapter in chapters if not chapter.key[0].isdigit())
    found = [
        BookPart(
            part["title"],
            part["question"],
            tuple(c for c in numbered if part["begins"] <= c.key < end),
        )
        for part, end in zip(parts, ends)
    ]
    if others:
        found.append(BookPart("Labs", "What can you find out and build yourself?", others))
    return [part for part in found if part.chapters]


def contents_page(chapters: Sequence[Chapter]) -> str:
    """Write the first page: an introduction, and the parts with the questions of their chapters."""
    titled = [f"{title} <{name}>" for name, title in REFERENCE.items()]
    return "\n".join([INTRODUCTION, *_parts(chapters), *_toctree("Reference", titled)])


def _parts(chapters: Sequence[Chapter]) -> Iterator[str]:
    for part in parts_of(chapters):
        yield f"## {part.title}\n\n*{part.question}*\n"
        for chapter in part.chapters:
            question = f": {chapter.question}" if chapter.question else ""
            yield f"- [{escape_markdown(chapter.title)}]({chapter.stem}.ipynb){question}"
        yield ""
        yield from _toctree(part.title, [chapter.stem for chapter in part.chapters])
    yield "## Reference\n"
    yield from (f"- [{title}]({name}.md)" for name, title in REFERENCE.items())
    yield f'- <a href="{HUM_PAGE}/index.html">Hum a tune</a>: a search that runs in the browser'


def _toctree(caption: str, names: Sequence[str]) -> list[str]:
    return ["", f"```{{toctree}}\n:hidden:\n:caption: {caption}\n", *names, "```", ""]


def formulas_page(chapters: Sequence[Chapter]) -> str:
    """Write the index of formulas: each with its name and a link to where it is explained."""
    lines = [f"# {REFERENCE['formulas']}\n", "The symbols are explained where a link leads.\n"]
    for chapter in chapters:
        if chapter.formulas:
            lines.append(f"## {escape_markdown(chapter.title)}\n")
        for formula in chapter.formulas:
            name = f" {formula.name}" if formula.name else ""
            lines.append(f"[**{formula.number}**](#{formula.label}){name}\n")
            lines += [f"$$\n{formula.latex}\n$$\n"] if formula.latex else []
    return "\n".join(lines)


def figures_page(chapters: Sequence[Chapter]) -> str:
    """Write the index of figures: each with what it shows and a link."""
    lines = [f"# {REFERENCE['figures']}\n"]
    for chapter in chapters:
        if chapter.figures:
            lines.append(f"## {escape_markdown(chapter.title)}\n")
        for figure in chapter.figures:
            lines.append(f"- [{figure.number}](#{figure.label}) {escape_markdown(figure.name)}")
        lines.append("")
    return "\n".join(lines)
