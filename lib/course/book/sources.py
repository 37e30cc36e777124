"""Write the sources of the book: prepared notebooks, generated pages, contents."""

import functools
from pathlib import Path

import nbformat

from lib.core.paths import data_dir
from lib.core.writing import atomic_path
from lib.course.book.glossary import glossary_page, link_words
from lib.course.book.indexes import contents_page, figures_page, formulas_page
from lib.course.book.notebook_text import Chapter, link_places, prepare_chapter, read_chapter
from lib.course.book.references import Citations, bibliography_page, link_references
from lib.course.book.results import results_page
from lib.course.notebooks import find_notebooks, read_notebook

# Pages that the project has already.
PAGES = {
    "models": data_dir() / "RESULTS.md",
    "data": data_dir() / "README.md",
    "commands": Path(__file__).parents[2] / "cli" / "README.md",
}


def write_sources(notebooks: Path, target: Path) -> list[Chapter]:
    """Write the sources of all pages; files that did not change keep their time.

    Args:
        notebooks: folder of the stored notebooks.
        target: folder of the sources; what does not belong there is removed.

    Returns:
        The chapters in order.
    """
    chapters = [read_chapter(path, read_notebook(path)) for path in find_notebooks(notebooks)]
    by_key = {chapter.key: chapter for chapter in chapters}
    citations = Citations()
    files: dict[str, str | bytes] = {}
    for chapter in chapters:
        cited = functools.partial(link_references, citations=citations)
        prepare_chapter(chapter, by_key, cited, link_words)
        files[f"{chapter.stem}.ipynb"] = nbformat.writes(chapter.notebook) + "\n"
    titles = {chapter.key: chapter.title for chapter in chapters}
    files["index.md"] = contents_page(chapters)
    files["formulas.md"] = formulas_page(chapters)
    files["figures.md"] = figures_page(chapters)
    files["glossary.md"] = glossary_page(chapters)
    files["bibliography.md"] = bibliography_page(citations, titles)
    questions = {c.key: link_places(c.question, c, by_key) for c in chapters}
    files["results.md"], pictures = results_page(chapters, questions)
    files |= pictures
    for name, path in PAGES.items():
        files[f"{name}.md"] = path.read_text(encoding="utf-8")
    write_changed(files, target)
    return chapters


def write_changed(files: dict[str, str | bytes], target: Path) -> None:
    """Write files to a folder, only those that differ, and remove every other file."""
    for name, content in files.items():
        path = target / name
        content = content.encode() if isinstance(content, str) else content
        if path.is_file() and path.read_bytes() == content:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    for path in list(target.rglob("*")):
        if path.is_file() and path.relative_to(target).as_posix() not in files:
            path.unlink()
