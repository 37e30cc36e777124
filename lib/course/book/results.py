"""The page of results: for each question of the book its figures, and all checked tables."""

import base64
import html
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence

from lib.core.checks import RetrievalInputError
from lib.course.book.indexes import CONTENTS, REFERENCE, parts_of
from lib.course.book.notebook_text import Chapter, NumberedFigure, escape_markdown
from lib.course.notebooks.pages import payload_outputs
from lib.report import METRICS_MIME


def results_page(
    chapters: Sequence[Chapter], linked: Mapping[str, str]
) -> tuple[str, dict[str, bytes]]:
    """Write the results by question, and their pictures.

    Args:
        chapters: prepared.
        linked: the question of each chapter by key, as Markdown.

    Returns:
        The page, and PNG files by name.
    """
    lines = [
        f"# {REFERENCE['results']}\n",
        "What was measured, under the questions that it answers: the figures that matter most, and"
        " behind a click every table of checked numbers. Each table says how many queries, which"
        " split and how many seeds; the numbers are compared each time the notebooks are tested.\n",
    ]
    pictures: dict[str, bytes] = {}
    for part in parts_of(chapters):
        lines.append(f"## {part.title}: {part.question[0].lower()}{part.question[1:]}\n")
        for chapter in part.chapters:
            lines.append(f"### {escape_markdown(chapter.title)}\n")
            lines.append(f"{linked[chapter.key]} ([The chapter](#notebook-{chapter.key}))\n")
            for figure in key_figures(chapter):
                name = f"results/{figure.label}.png"
                pictures[name] = base64.b64decode(figure.png)
                lines += _shown_figure(figure, name)
            lines += _tables(chapter)
    return "\n".join(lines), pictures


def key_figures(chapter: Chapter) -> list[NumberedFigure]:
    """List the figures that answer the question of a chapter; `contents.toml` names them."""
    wanted = tomllib.loads(CONTENTS.read_text(encoding="utf-8"))["key_figures"]
    found = []
    for part_of_name in wanted.get(chapter.key, []):
        named = [figure for figure in chapter.figures if part_of_name in figure.name]
        if not named:
            raise RetrievalInputError(
                f"`key_figures` of chapter {chapter.key} in {CONTENTS.name} must be parts of names"
                f" of its figures, got {part_of_name!r}. The index of figures lists them."
            )
        found.append(named[0])
    return found


def _shown_figure(figure: NumberedFigure, name: str) -> Iterator[str]:
    yield f"![{escape_markdown(figure.sentence)}]({name})\n"
    yield f"[Figure {figure.number}](#{figure.label}): {escape_markdown(figure.sentence)}\n"


def _tables(chapter: Chapter) -> Iterator[str]:
    """Write the tables of checked numbers of a chapter, each behind its title."""
    for cell in chapter.stored.cells:
        for output in payload_outputs(cell):
            data = output["data"]
            if data[METRICS_MIME]["kind"] == "quality":
                table = re.sub(r"\s*\n\s*", " ", data["text/html"])
                title = html.escape(data[METRICS_MIME].get("title") or "Table")
                yield f'<details class="table"><summary>{title}</summary>'
                yield f'<div class="cell_output"><div class="output text_html">{table}</div></div>'
                yield "</details>\n"
