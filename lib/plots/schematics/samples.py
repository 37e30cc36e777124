"""Sample cards: what one sample of a benchmark holds, pictures and sound beside its texts."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from lib.core.checks import RetrievalInputError
from lib.plots.lettering import height_of, wrap_text
from lib.plots.schematics.canvas import (
    GREY,
    SMALL,
    WIDTH,
    arrow,
    box,
    colour_of,
    described,
    new_canvas,
    tile,
    write,
)
from lib.plots.style import styled

ALONE, FRAME = 2.3, 1.3  # inches of a single picture, and of a frame of a clip
SOUND = 0.8  # inches of a waveform
MOST_POINTS = 900  # of a waveform


@styled
def sample_card(
    pictures: Sequence[np.ndarray],
    texts: Sequence[str],
    *,
    sound: np.ndarray | None = None,
    note: str = "",
) -> Figure:
    """Draw one sample: its picture, or frames of its clip, its sound, and its texts.

    Args:
        pictures: one to four, `(height, width)` or `(height, width, 3)`.
        texts: one to six, from the top; each gets two lines, three beside frames.
        sound: a waveform `(n_samples,)`, drawn under the pictures.
        note: a line under the texts, such as how many more there are.
    """
    if not 1 <= len(pictures) <= 4 or not 1 <= len(texts) <= 6:
        raise RetrievalInputError(
            f"a card needs 1 to 4 pictures and 1 to 6 texts, got {len(pictures)} and {len(texts)}"
        )
    size = ALONE if len(pictures) == 1 else FRAME
    left = 0.15 + len(pictures) * (size + 0.1)
    start = left + 0.75
    room = WIDTH - start - 0.15
    lines = 2 if len(pictures) == 1 else 3
    line = height_of(lines, SMALL) + 0.2
    below = SOUND + 0.25 if sound is not None else 0.0
    height = max(size + below, len(texts) * (line + 0.08)) + (0.35 if note else 0) + 0.3
    figure, ax = new_canvas(height)
    middle = height / 2 + (0.17 if note else 0)
    top = middle + (size + below) / 2
    for at, picture in enumerate(pictures):
        tile(ax, picture, 0.15 + size / 2 + at * (size + 0.1), top - size / 2, size)
    if sound is not None:
        _draw_wave(ax, np.asarray(sound, dtype=float), (0.15, left - 0.1), top - size - 0.25)
    for at, text in enumerate(texts):
        y = middle + ((len(texts) - 1) / 2 - at) * (line + 0.08)
        box(ax, start + room / 2, y, room, line, role="text")
        words = wrap_text(text, room - 0.25, SMALL, lines)
        write(ax, start + 0.12, y, words, SMALL, ha="left")
        arrow(ax, (left + 0.05, middle), (start - 0.06, y), width=1.6)
    if note:
        write(ax, WIDTH - 0.15, 0.17, note, SMALL, color=GREY, ha="right")
    what = "a picture" if len(pictures) == 1 else f"{len(pictures)} frames of a clip"
    heard = " with its sound" if sound is not None else ""
    few = "one text" if len(texts) == 1 else f"{len(texts)} texts"
    more = f" ({note})" if note else ""
    return described(
        figure, f"One sample: {what}{heard}, and {few}{more}. First: “{texts[0].rstrip('.')}”."
    )


def _draw_wave(ax, wave: np.ndarray, ends: tuple[float, float], top: float) -> None:
    if wave.ndim != 1 or not wave.size or not np.isfinite(wave).all():
        raise RetrievalInputError(f"sound must be finite numbers (n_samples,), got {wave.shape}")
    kept = wave[np.linspace(0, wave.size - 1, min(wave.size, MOST_POINTS)).astype(int)]
    loud = kept / max(np.abs(kept).max(), 1e-12)
    x = np.linspace(*ends, kept.size)
    look = {"color": colour_of("image"), "lw": 1.0, "ls": "-", "marker": ""}
    ax.plot(x, top - SOUND / 2 + loud * SOUND / 2, **look)
