"""Slides of the notebooks: decks of short markdown, whose numbers and pictures are stored outputs.

    python -m lib.course.slides 00 05        decks whose names begin so; all without a name

reads `notebooks/instructor/slides/NN_topic.md` and writes `build/slides/NN_topic.html`, one file
that asks for nothing else, and a PDF of it where Chromium is installed. How to write a deck stands
in `notebooks/instructor/slides/README.md`.

The page is reveal.js, whose files the wheel `sphinx-revealjs` holds; they are read by path, as the
icon fonts are, and nothing of that package is imported.
"""

from lib.course.slides.build import build_deck, deck_paths, find_problems
from lib.course.slides.deck import Deck, Slide, read_deck
from lib.course.slides.pdf import open_browser, photograph, print_pdf, why_no_browser
from lib.course.slides.stored import StoredNotebook
