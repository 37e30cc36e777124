"""Print the pages of decks as PDF, and their slides as PNG, with the Chromium of the system."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from lib.core.writing import atomic_folder, atomic_path

NAMES = ("chromium", "chromium-browser", "google-chrome")
SLIDE = {"width": 1280, "height": 720}  # pixels
PICTURES = [f"{number:02d}.png" for number in range(1, 100)]
READY_MS = 60_000  # at most, until reveal.js has laid the pages out


def why_no_browser() -> str:
    """Say what is missing for a browser; empty if nothing is."""
    if find_chromium() is None:
        return f"one of {', '.join(NAMES)} must be installed"
    return "" if find_spec("playwright") else "playwright must be installed"


def find_chromium() -> str | None:
    """Return the path of the Chromium of the system, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def open_browser() -> Iterator:
    """Start the Chromium of the system without a window, and end it afterwards."""
    from playwright.sync_api import sync_playwright

    # Chromium's own sandbox does not run as root; the pages are ours and load nothing.
    arguments = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    with sync_playwright() as running:
        started = running.chromium.launch(executable_path=find_chromium(), args=arguments)
        try:
            yield started
        finally:
            started.close()


def print_pdf(page: str | Path, browser) -> Path:
    """Print a deck, one slide a page.

    Args:
        page: the HTML of the deck.
        browser: see `open_browser`.

    Returns:
        The PDF, beside the page.
    """
    page = Path(page).resolve()
    path = page.with_suffix(".pdf")
    tab = browser.new_page(color_scheme="light")
    try:
        tab.goto(f"{page.as_uri()}?print-pdf")
        tab.wait_for_selector(".pdf-page", timeout=READY_MS)
        with atomic_path(path) as temporary:
            tab.pdf(path=temporary, prefer_css_page_size=True, print_background=True)
    finally:
        tab.close()
    return path


def photograph(page: str | Path, browser) -> Path:
    """Write a PNG of each slide at its own size, for those who look at them all.

    Returns:
        The folder of the pictures, `01.png` and so on, beside the page and named as it.
    """
    page = Path(page).resolve()
    tab = browser.new_page(viewport=SLIDE, color_scheme="light")
    try:
        tab.goto(page.as_uri())
        tab.wait_for_function("window.Reveal && Reveal.isReady()", timeout=READY_MS)
        with atomic_folder(page.with_suffix(""), ours=PICTURES) as temporary:
            for number in range(tab.evaluate("Reveal.getTotalSlides()")):
                tab.evaluate(f"Reveal.slide({number})")
                tab.screenshot(path=temporary / f"{number + 1:02d}.png")
    finally:
        tab.close()
    return page.with_suffix("")
