"""Check a deck against its notebook, and write it as one HTML page that asks for nothing else."""

import html
import importlib.util
from pathlib import Path

from lib.core.checks import RetrievalInputError
from lib.core.writing import atomic_path
from lib.course.slides.deck import Deck, Slide, directives, read_deck, settings_in, typed_numbers
from lib.course.slides.pieces import slide_html
from lib.course.slides.stored import StoredNotebook

SLIDES = (10, 15)  # the fewest and the most of a deck
MINUTES = (60, 75)  # of the 90 of a unit; the rest is for questions and exercises
LEAST_ASKED = 3  # questions of students with their answers, a deck
ASKED = "**Asked:**"
REVEAL = "sphinx_revealjs"  # the package whose wheel holds reveal.js
WIDTH, HEIGHT = 1280, 720  # pixels of a slide
# Pictures are data and the scripts stand in the page; the window of the speaker is a frame of it.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:;"
    " frame-src 'self' file: blob: data:"
)
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>{reveal_style}</style><style>{style}</style></head>
<body><div class="reveal"><div class="slides">
{slides}
</div></div>
<script>{reveal}</script><script>{notes}</script>
<script>
Reveal.initialize({{
  width: {width}, height: {height}, margin: 0, center: false, hash: true, transition: "none",
  controls: false, slideNumber: "c/t", pdfSeparateFragments: false, pdfMaxPagesPerSlide: 1,
  totalTime: {seconds}, plugins: [RevealNotes],
}});
</script></body></html>
"""
SECTION = """<section class="{kind}" data-timing="{seconds}"><div class="slide">
<{level}>{title}</{level}>
<div class="body">{body}</div>
</div><aside class="notes"><p><b>{minutes} min</b></p>{notes}</aside></section>
"""


def deck_paths(decks_dir: str | Path, names: tuple[str, ...] = ()) -> list[Path]:
    """List the decks of a folder in order: all, or those that begin with one of `names`."""
    paths = sorted(Path(decks_dir).glob("[0-9][0-9]_*.md"))
    for name in names:
        if not any(path.name.startswith(name) for path in paths):
            known = ", ".join(path.stem for path in paths) or "none"
            raise RetrievalInputError(f"no deck begins with {name!r}; there are: {known}")
    return [path for path in paths if not names or path.name.startswith(tuple(names))]


def build_deck(deck_path: str | Path, notebook_path: str | Path, out_dir: str | Path) -> Path:
    """Write the slides of one notebook as HTML.

    Args:
        deck_path: of the markdown.
        notebook_path: of the executed notebook whose outputs it names.
        out_dir: folder of the page; it is made.

    Returns:
        The page, named as the deck.
    """
    deck, notebook = read_deck(deck_path), StoredNotebook(notebook_path)
    problems = find_problems(deck, notebook)
    if problems:
        raise RetrievalInputError("\n".join([f"{deck.path.name} has problems:", *problems]))
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{deck.path.stem}.html"
    with atomic_path(path) as temporary:
        temporary.write_text(deck_page(deck, notebook), encoding="utf-8")
    return path


def deck_page(deck: Deck, notebook: StoredNotebook) -> str:
    """Return the page of a deck."""
    return PAGE.format(
        policy=POLICY,
        title=html.escape(deck.title),
        style=(Path(__file__).parent / "slides.css").read_text(encoding="utf-8"),
        reveal_style=_reveal_file("dist/reveal.css"),
        reveal=_reveal_file("dist/reveal.js"),
        notes=_reveal_file("plugin/notes/notes.js"),
        slides="".join(
            _section(slide, notebook, "h2" if number else "h1")
            for number, slide in enumerate(deck.slides)
        ),
        width=WIDTH,
        height=HEIGHT,
        seconds=60 * deck.minutes,
    )


def find_problems(deck: Deck, notebook: StoredNotebook) -> list[str]:
    """List what a deck lacks, and what in it no stored output supports; empty if it is whole."""
    problems = []
    for number, slide in enumerate(deck.slides, start=1):
        where = f"slide {number}, {slide.title!r}"
        problems += [f"{where}: {what}" for what in _problems_of(slide, notebook)]
    if not SLIDES[0] <= len(deck.slides) <= SLIDES[1]:
        problems.append(f"{len(deck.slides)} slides; a deck has {SLIDES[0]} to {SLIDES[1]}")
    if not MINUTES[0] <= deck.minutes <= MINUTES[1]:
        problems.append(f"{deck.minutes} minutes; a deck takes {MINUTES[0]} to {MINUTES[1]}")
    notes = "\n".join(slide.notes for slide in deck.slides)
    answered = {piece.argument for piece in directives(notes) if piece.name == "answer"}
    for key in sorted(set(notebook.predictions()) - answered):
        problems.append(f"no notes answer the prediction {key!r}: write {{{{answer {key}}}}}")
    if notes.count(ASKED) < LEAST_ASKED:
        problems.append(f"fewer than {LEAST_ASKED} questions of students; each begins with {ASKED}")
    return problems


def _problems_of(slide: Slide, notebook: StoredNotebook) -> list[str]:
    text = "\n".join((slide.title, slide.body, slide.notes))
    problems = [
        f"the number {number!r} is typed; read it with a directive"
        for number in typed_numbers(text)
    ]
    problems += [
        f"`{setting}` stands in no code cell of {notebook.path.name}"
        for setting in settings_in(text)
        if not notebook.holds(setting)
    ]
    for part in (slide.title, slide.body, slide.notes):
        try:
            slide_html(part, notebook)
        except RetrievalInputError as error:
            problems.append(str(error))
    return problems


def _section(slide: Slide, notebook: StoredNotebook, level: str) -> str:
    title = slide_html(slide.title, notebook).strip().removeprefix("<p>").removesuffix("</p>")
    return SECTION.format(
        kind="title" if level == "h1" else "content",
        seconds=60 * slide.minutes,
        level=level,
        title=title,
        body=slide_html(slide.body, notebook),
        notes=slide_html(slide.notes, notebook),
        minutes=slide.minutes,
    )


def _reveal_file(name: str) -> str:
    """Read a file of reveal.js from the wheel that holds it."""
    found = importlib.util.find_spec(REVEAL)
    if found is None or not found.submodule_search_locations:
        raise RetrievalInputError(
            "the slides need the files of reveal.js, which the package sphinx-revealjs holds:"
            " pip install --no-deps 'sphinx-revealjs==3.2.1'"
        )
    folder = Path(found.submodule_search_locations[0]) / "_static" / "revealjs"
    text = (folder / name).read_text(encoding="utf-8")
    return text.replace("</script", "<\\/script")
