"""The decks of the course against the stored notebooks, and their pages in a browser."""

import re
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

from lib.course.slides import build, deck_paths, find_problems, photograph, print_pdf, read_deck
from lib.course.slides.__main__ import main
from lib.course.slides.stored import StoredNotebook

ROOT = Path(__file__).resolve().parents[3]
NOTEBOOKS = ROOT / "notebooks"
DECKS = {path.stem: path for path in deck_paths(NOTEBOOKS / "instructor" / "slides")}
LEAST_SCALE = 0.95  # of a figure; its text of 18 px and more then stays at 17
LEAST_FONT = 20  # px of 720, the size that is read from the third row
MEASURE = """() => {
  const slide = Reveal.getCurrentSlide().querySelector('.slide');
  const outside = [], small = [], scales = [];
  for (const element of slide.querySelectorAll('*')) {
    const box = element.getBoundingClientRect();
    if (box.right > 1280 || box.bottom > 720 || box.left < 0 || box.top < 0)
      outside.push(`${element.tagName} ${element.textContent.slice(0, 30)}`);
    if (['PRE', 'math'].includes(element.tagName) && element.scrollWidth > element.clientWidth + 1)
      outside.push(`${element.tagName} is cut: ${element.textContent.slice(0, 30)}`);
    const own = [...element.childNodes].some(n => n.nodeType == 3 && n.textContent.trim());
    if (own && !element.closest('math') && parseFloat(getComputedStyle(element).fontSize) < LEAST)
      small.push(element.textContent.slice(0, 30));
  }
  for (const image of slide.querySelectorAll('img')) {
    const wide = image.clientWidth / image.naturalWidth;
    scales.push(Math.min(wide, image.clientHeight / image.naturalHeight));
  }
  return {outside, small, scales};
}""".replace("LEAST", str(LEAST_FONT))


@cache
def notebook_of(stem):
    return StoredNotebook(NOTEBOOKS / f"{stem}.ipynb")


@cache
def page_of(stem):
    return build.deck_page(read_deck(DECKS[stem]), notebook_of(stem))


def test_every_notebook_has_a_deck():
    stems = {path.stem for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")}
    assert set(DECKS) <= stems, "a deck is named as its notebook"
    assert stems <= set(DECKS), f"decks to be written: {sorted(stems - set(DECKS))}"


@pytest.mark.parametrize("stem", DECKS)
def test_a_deck_is_whole_types_no_number_and_all_its_formulas_become_mathml(stem):
    assert find_problems(read_deck(DECKS[stem]), notebook_of(stem)) == []
    assert 'class="formula"' not in page_of(stem)


def test_problems_are_named(tmp_path):
    path = tmp_path / "00_start_here.md"
    path.write_text("# Title\n\n43 of {{figure none}}, `k=98765`\n\nNotes (2 min):\nSay.\n")
    problems = "\n".join(find_problems(read_deck(path), notebook_of("00_start_here")))
    for what in (
        "slide 1, 'Title': the number '43' is typed",
        "`k=98765` stands in no code cell of 00_start_here.ipynb",
        "no cell 'none'",
        "1 slides; a deck has 10 to 15",
        "2 minutes; a deck takes 60 to 75",
        "no notes answer the prediction 'start.mouth': write {{answer start.mouth}}",
        "fewer than 3 questions of students",
    ):
        assert what in problems


def test_the_command_writes_pages_and_names_what_fails(tmp_path, capsys):
    arguments = ["--notebooks", str(NOTEBOOKS), "--build", str(tmp_path), "--no-pdf"]
    assert main(["00", *arguments]) == 0
    page = (tmp_path / "00_start_here.html").read_text()
    assert page.count("<section") == len(read_deck(DECKS["00_start_here"]).slides)
    assert main(["99", *arguments]) == 1
    assert "no deck begins with '99'" in capsys.readouterr().err
    assert main(["00", "--pieces", *arguments]) == 0
    assert "{{question start.mouth}}" in capsys.readouterr().out


def test_without_a_browser_the_command_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["00", "--notebooks", str(NOTEBOOKS), "--build", str(tmp_path)]) == 0
    assert "No PDF was written: one of chromium" in capsys.readouterr().out


def test_without_reveal_the_command_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(build, "REVEAL", "no_such_package")
    arguments = ["--notebooks", str(NOTEBOOKS), "--build", str(tmp_path), "--no-pdf"]
    assert main(["00", *arguments]) == 1
    assert "pip install --no-deps 'sphinx-revealjs==" in capsys.readouterr().err


def fits(browser, folder, stem):
    """Look at each slide: nothing outside, no small text, no request."""
    path = folder / f"{stem}.html"
    path.write_text(page_of(stem), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    events = []
    page.on("request", lambda asked: events.append(asked.url))
    page.on("pageerror", lambda error: events.append(str(error)))
    page.on("console", lambda message: events.append(message.text))
    page.goto(path.as_uri())
    found = []
    for number in range(page.evaluate("Reveal.getTotalSlides()")):
        page.evaluate(f"Reveal.slide({number})")
        found.append(page.evaluate(MEASURE))
    page.close()
    outside = [event for event in events if not event.startswith((path.as_uri(), "data:"))]
    assert outside == []
    for number, slide in enumerate(found, start=1):
        where = f"slide {number} of {stem}"
        assert slide["outside"] == [], where
        assert slide["small"] == [], where
        assert all(scale >= LEAST_SCALE for scale in slide["scales"]), (where, slide["scales"])


@pytest.mark.browser
def test_the_first_deck_fits_the_screen(browser, tmp_path):
    fits(browser, tmp_path, "00_start_here")


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("stem", DECKS)
def test_every_slide_fits_the_screen(browser, tmp_path, stem):
    fits(browser, tmp_path, stem)


@pytest.mark.browser
def test_the_pdf_has_a_page_for_each_slide(browser, tmp_path):
    page = tmp_path / "00_start_here.html"
    page.write_text(page_of("00_start_here"), encoding="utf-8")
    pdf = print_pdf(page, browser).read_bytes()
    pages = re.findall(rb"/Type\s*/Page\b", pdf)
    assert len(pages) == len(read_deck(DECKS["00_start_here"]).slides)
    assert pdf.startswith(b"%PDF")


@pytest.mark.slow
@pytest.mark.browser
def test_a_picture_of_each_slide(browser, tmp_path):
    page = tmp_path / "00_start_here.html"
    page.write_text(page_of("00_start_here"), encoding="utf-8")
    pictures = sorted(photograph(page, browser).iterdir())
    assert len(pictures) == len(read_deck(DECKS["00_start_here"]).slides)
    assert {Image.open(picture).size for picture in pictures} == {(1280, 720)}


@pytest.mark.browser
def test_the_window_of_the_speaker_shows_notes_and_a_timer(browser, tmp_path):
    path = tmp_path / "00_start_here.html"
    path.write_text(page_of("00_start_here"), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto(path.as_uri())
    with page.expect_popup() as opened:
        page.keyboard.press("s")
    speaker = opened.value
    speaker.wait_for_selector(".speaker-controls-notes:not(.hidden) .value p")
    assert "3 min" in speaker.inner_text(".speaker-controls-notes")
    assert speaker.locator(".speaker-controls-time .timer").count() == 1
    page.close()
