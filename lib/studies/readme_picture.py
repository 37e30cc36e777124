"""Draw the moving picture of the README: words are typed, a sketch is drawn, a tune is hummed.

    python -m lib.studies.readme_picture data/three_searches.gif

Every frame shows what the committed models find for the query as far as it is given.
"""

import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from lib.core.writing import atomic_path
from lib.datasets.sketches.hand_drawn import HandDrawn, load_hand_drawn
from lib.datasets.strokes import Drawing
from lib.datasets.tunes import SungNotes, hum_task
from lib.search import picture_retriever
from lib.search.melody.hum_search import HumHit, open_hum_search
from lib.search.pictures import PictureHit, PictureRetriever

TEXT = "a sad yellow face"
SKETCH = "cat"  # the word of a recorded drawing
WIDTH, HEIGHT, LEFT = 800, 400, 300  # pixels
MARGIN, GAP, TILE = 24, 12, 104
PAGE = "#ffffff"
INK, GREY, BLUE, PALE = "#1b1b1b", "#6b6b6b", "#0072b2", "#eef3f7"
STEPS = ("Type", "Draw", "Hum")
FRAME_MS, HOLD_MS = 120, 2600
TUNES, TUNE_NOTES = 4, 26  # that are shown
HUM_FRAMES = 14
SEED = 7  # of the hum


def frames() -> Iterator[tuple[Image.Image, int]]:
    """Yield each frame and the milliseconds that it is shown."""
    retriever = picture_retriever()
    yield from typed(retriever)
    yield from drawn(retriever)
    yield from hummed()


def typed(retriever: PictureRetriever, text: str = TEXT) -> Iterator[tuple[Image.Image, int]]:
    """Yield frames of words that are typed; each whole word searches."""
    hits: list[PictureHit] = []
    for n in range(1, len(text) + 1):
        if n == len(text) or text[n] == " ":
            hits = retriever.by_text(text[:n], 8, per_concept=1)
        page, pen = sheet(0, "Words find pictures")
        top = HEIGHT // 2 - 40
        box = (MARGIN, top, LEFT - MARGIN, top + 48)
        pen.rounded_rectangle(box, 8, outline=BLUE, width=2)
        pen.text((MARGIN + 12, top + 12), text[:n] + "|", INK, font(20))
        show_pictures(page, retriever, hits)
        yield page, HOLD_MS if n == len(text) else FRAME_MS


def drawn(retriever: PictureRetriever) -> Iterator[tuple[Image.Image, int]]:
    """Yield frames of a recorded drawing; each whole stroke searches."""
    strokes = recorded(SKETCH).drawing.strokes
    hits: list[PictureHit] = []
    for n, stroke in enumerate(strokes, start=1):
        parts = np.linspace(1, len(stroke), 4).astype(int)[1:]
        for part in parts:
            so_far = [*strokes[: n - 1], stroke[:part]]
            if part == len(stroke):
                hits = retriever.by_sketch(Drawing(strokes[:n]), 8, per_concept=1)
            page, _ = sheet(1, "A sketch finds pictures")
            show_strokes(page, so_far, strokes)
            show_pictures(page, retriever, hits)
            last = n == len(strokes) and part == len(stroke)
            yield page, HOLD_MS if last else FRAME_MS


def hummed() -> Iterator[tuple[Image.Image, int]]:
    """Yield frames of a hum of eight seconds; its end searches."""
    hum, hits = searched_hum()
    for n in np.linspace(1, len(hum), HUM_FRAMES).astype(int):
        page, pen = sheet(2, "A hummed melody finds the tune")
        box = (MARGIN, 120, LEFT - MARGIN, HEIGHT - 70)
        pen.rounded_rectangle(box, 8, outline=BLUE, width=2)
        show_notes(pen, hum.onsets, hum.durations, hum.pitches, box, BLUE, n)
        if n == len(hum):
            show_tunes(pen, hits)
        yield page, HOLD_MS if n == len(hum) else 2 * FRAME_MS


@lru_cache(maxsize=1)
def searched_hum() -> tuple[SungNotes, list[HumHit]]:
    """Return a hum of a test tune with errors of the level medium, and the tunes it finds."""
    hum = hum_task("test", "medium", n_queries=1, seed=SEED).queries[0]
    return hum, open_hum_search().find(hum, TUNES)


def recorded(word: str) -> HandDrawn:
    """Return the first recorded drawing of a word."""
    return next(one for one in load_hand_drawn() if one.word == word)


# ---- drawing


@lru_cache(maxsize=16)
def font(size: int) -> ImageFont.FreeTypeFont:
    """Load the font of all figures."""
    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)


def sheet(step: int, title: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Make an empty frame with the names of the three searches, one of them marked."""
    page = Image.new("RGB", (WIDTH, HEIGHT), PAGE)
    pen = ImageDraw.Draw(page)
    left = MARGIN
    for place, name in enumerate(STEPS):
        width = pen.textlength(name, font(18)) + 28
        fill = BLUE if place == step else PALE
        pen.rounded_rectangle((left, 20, left + width, 52), 16, fill=fill)
        pen.text((left + 14, 25), name, PAGE if place == step else GREY, font(18))
        left += width + 8
    pen.text((MARGIN, 74), title, INK, font(18))
    return page, pen


def show_pictures(
    page: Image.Image, retriever: PictureRetriever, hits: Sequence[PictureHit]
) -> None:
    """Paste eight hits on the right."""
    if not hits:
        return
    pixels = retriever.gallery.pixels([hit.position for hit in hits], TILE)
    for place, picture in enumerate(pixels):
        row, column = divmod(place, 4)
        at = LEFT + 10 + column * (TILE + GAP), 110 + row * (TILE + GAP + 14)
        page.paste(Image.fromarray(picture), at)


def show_strokes(page: Image.Image, so_far: Sequence[np.ndarray], strokes: Sequence) -> None:
    """Draw the strokes so far, in the frame of all."""
    side, fine = LEFT - 2 * MARGIN, 3
    low, high = (bound(np.concatenate(strokes), axis=0) for bound in (np.min, np.max))
    scale = (side - 36) / (high - low).max()
    paper = Image.new("RGB", (side * fine, side * fine), PAGE)
    pen = ImageDraw.Draw(paper)
    for stroke in so_far:
        points = fine * ((stroke - (low + high) / 2) * scale + side / 2)
        pen.line([tuple(point) for point in points], INK, 4 * fine, "curve")
    page.paste(paper.resize((side, side), Image.Resampling.LANCZOS), (MARGIN, 116))
    ImageDraw.Draw(page).rounded_rectangle(
        (MARGIN, 116, MARGIN + side, 116 + side), 8, outline=BLUE, width=2
    )


def show_notes(
    pen: ImageDraw.ImageDraw,
    onsets: np.ndarray,
    lengths: np.ndarray,
    pitches: np.ndarray,
    box: tuple[int, int, int, int],
    colour: str,
    n: int | None = None,
) -> None:
    """Draw the first n notes as bars: time to the right, pitch upwards, all notes fill the box."""
    left, top, right, bottom = box
    end = onsets[-1] + lengths[-1] - onsets[0]
    low, high = float(np.min(pitches)), float(np.max(pitches))
    x = left + 10 + (right - left - 20) * (onsets - onsets[0]) / end
    width = (right - left - 20) * lengths / end
    y = bottom - 14 - (bottom - top - 28) * (pitches - low) / max(high - low, 1)
    for one in range(len(onsets) if n is None else n):
        bar = (x[one], y[one] - 3, x[one] + max(width[one] - 2, 2), y[one] + 3)
        pen.rounded_rectangle(bar, 3, fill=colour)


def show_tunes(pen: ImageDraw.ImageDraw, hits: Sequence[HumHit]) -> None:
    """Show titles of the best tunes on the right, and the notes from where the hum begins."""
    tunes = open_hum_search().tunes
    for rank, hit in enumerate(hits, start=1):
        top, tune = 106 + (rank - 1) * 68, tunes[hit.position]
        colour = BLUE if rank == 1 else GREY
        pen.text((LEFT + 12, top + 16), f"{rank}  {tune.title[:24]}", colour, font(17))
        part = slice(hit.note, hit.note + TUNE_NOTES)
        notes = tune.onsets[part], tune.durations[part], tune.pitches[part]
        show_notes(pen, *notes, (LEFT + 270, top, WIDTH - MARGIN, top + 58), colour)


def write(path: Path) -> None:
    """Write the frames as an animated GIF that begins again."""
    shown = list(frames())
    pages = [page.quantize(64, dither=Image.Dither.NONE) for page, _ in shown]
    with atomic_path(path) as temporary:
        pages[0].save(
            temporary, "GIF", save_all=True, append_images=pages[1:], loop=0, optimize=True,
            duration=[milliseconds for _, milliseconds in shown],
        )  # fmt: skip


if __name__ == "__main__":
    write(Path(sys.argv[1]))
