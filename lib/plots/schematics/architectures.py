"""Architectures: two towers, a cross-encoder, late interaction, and two stages in a row."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from lib.core.checks import RetrievalInputError
from lib.plots.lettering import drawable, width_of, wrap_text
from lib.plots.pictures import dark_on_white
from lib.plots.schematics.canvas import (
    BIG,
    GREY,
    INK,
    NORMAL,
    SMALL,
    WIDTH,
    arrow,
    box,
    cell,
    colour_of,
    described,
    fitting_size,
    new_canvas,
    strip,
    tile,
    tint,
    write,
)
from lib.plots.style import styled

CELLS = 8  # of a vector whose values are not given


@styled
def two_towers(
    text: str,
    image: np.ndarray,
    *,
    text_vector: Sequence[float] | None = None,
    image_vector: Sequence[float] | None = None,
    score: float | None = None,
    text_encoder: str = "text encoder",
    image_encoder: str = "image encoder",
) -> Figure:
    """Draw a dual encoder: a text and an image, each through its tower, and one cosine.

    Args:
        text: the query.
        image: `(height, width)` or `(height, width, 3)`, an item of the gallery.
        text_vector, image_vector: `(d,)`, up to 10 numbers of their embeddings, drawn as shades.
        score: the cosine, written where it is given.
        text_encoder, image_encoder: names of the towers.
    """
    figure, ax = new_canvas(4.5)
    rows = {"text": 3.25, "image": 1.15}
    box(ax, 1.1, rows["text"], 2.0, 1.1, f"“{text}”", "text", BIG)
    tile(ax, image, 1.1, rows["image"], 1.4)
    parts = {"text": (text_encoder, text_vector), "image": (image_encoder, image_vector)}
    for role, (name, vector) in parts.items():
        y = rows[role]
        box(ax, 4.1, y, 2.5, 1.1, name, role, BIG, "bold")
        n = CELLS if vector is None else np.size(vector)
        values = CELLS if vector is None else vector
        strip(ax, 6.75, y, values, role, cell_size=min(0.22, 1.75 / max(n, 1)))
        arrow(ax, (2.15 if role == "text" else 1.85, y), (2.8, y), role)
        arrow(ax, (5.4, y), (6.58, y), role)
        arrow(ax, (6.92, y), (8.3, 2.2 + 0.32 * np.sign(y - 2.2)), role)
    write(ax, 6.75, 2.2, "one vector each", SMALL, color=GREY)
    shown = "cosine" if score is None else f"cosine = {score:.2f}"
    box(ax, 9.5, 2.2, 2.3, 1.4, shown, "score", BIG, "bold", note="of the two vectors")
    write(ax, 4.1, rows["text"] + 0.8, "once for each query", SMALL, color=GREY)
    write(ax, 4.1, rows["image"] - 0.8, "once for each item, before any query", SMALL, color=GREY)
    here = "" if score is None else f", here {score:.2f}"
    return described(
        figure,
        f"A dual encoder: the {text_encoder} turns “{text}” into one vector, the {image_encoder}"
        f" turns each image into one vector before any query is known, and the score is the cosine"
        f" of the two vectors{here}.",
    )


@styled
def cross_encoder(
    text: str, image: np.ndarray, *, side: int = 2, score: float | None = None
) -> Figure:
    """Draw a cross-encoder: the words and the patches of one pair go through one model together.

    Args:
        text: the query; its first words are drawn, as many as there is room for.
        image: `(height, width)` or `(height, width, 3)`.
        side: the image is cut into `side x side` patches, 1 or 2.
        score: the output, written where it is given.
    """
    if side not in (1, 2):
        raise RetrievalInputError(f"side must be 1 or 2, got {side}")
    words = text.split()
    if not words:
        raise RetrievalInputError(f"text must hold a word, got {text!r}")
    figure, ax = new_canvas(4.3)
    left, right = 0.15, 7.75  # of the model
    patch = 0.86
    gap, between = 0.3, 0.12  # between words and patches, and inside a group
    room = right - left - 0.3 - gap - side**2 * (patch + between)
    shown, sizes = _first_words(words, room, between)
    sizes += [patch] * side**2
    total = sum(sizes) + between * (len(sizes) - 2) + gap
    places, x = [], (left + right - total) / 2
    for at, width in enumerate(sizes):
        places.append(x + width / 2)
        x += width + (gap if at == len(shown) - 1 else between)
    roles = ["text"] * len(shown) + ["image"] * side**2
    box(ax, (left + right) / 2, 2.95, right - left, 2.2, role="plain")
    write(ax, (left + right) / 2, 3.72, "one cross-encoder for both", BIG, weight="bold")
    patches = _patches(image, side)
    for at, (x, role) in enumerate(zip(places, roles, strict=True)):
        if role == "text":
            box(ax, x, 0.98, sizes[at], 0.62, shown[at], "text")
        else:
            tile(ax, patches[at - len(shown)], x, 0.98, 0.72)
        arrow(ax, (x, 1.38), (x, 1.98), role)
        for other in places:
            look = {"color": "0.6", "lw": 0.8, "ls": "-", "marker": "", "zorder": 2}
            ax.plot([x, other], [2.1, 3.2], **look)
        for y in (2.1, 3.2):
            ax.plot(x, y, marker="o", ms=11, color=colour_of(role), mec="white", zorder=3)
    middle = sum(places[: len(shown)]) / len(shown), sum(places[len(shown) :]) / side**2
    write(ax, middle[0], 0.38, "words of the query", SMALL, color=colour_of("text"))
    below = "patches of the item" if side > 1 else "the item"
    write(ax, middle[1], 0.38, below, SMALL, color=colour_of("image"))
    arrow(ax, (right + 0.08, 2.95), (8.55, 2.95), "score")
    written = "score" if score is None else f"score = {score:.2f}"
    box(ax, 9.62, 2.95, 2.05, 1.2, written, "score", BIG, "bold", note="of this pair")
    said = "Nothing can be computed before the query: one pass for each pair."
    write(ax, 9.62, 1.35, wrap_text(said, 2.1, SMALL, 5), SMALL, color=GREY)
    here = "" if score is None else f", here {score:.2f}"
    return described(
        figure,
        f"A cross-encoder: the words of “{text}” and {side**2} patches of one image enter one"
        f" model together, each attends to all others, and the output is the score of this"
        f" pair{here}.",
    )


def _first_words(words: Sequence[str], room: float, between: float) -> tuple[list, list]:
    """Return the words that fit into a row of boxes, and the widths of their boxes."""
    sizes = [max(0.62, width_of(drawable(word), NORMAL) + 0.36) for word in words]
    ends = np.cumsum([size + between for size in sizes])
    if ends[-1] <= room:
        return list(words), sizes
    n = max(1, int((ends <= room - 0.62 - between).sum()))
    return [*words[:n], "…"], [*sizes[:n], 0.62]


def _patches(image: np.ndarray, side: int) -> list[np.ndarray]:
    """Cut an image into `side x side` patches, row by row."""
    return [
        patch
        for band in np.array_split(dark_on_white(image), side, axis=0)
        for patch in np.array_split(band, side, axis=1)
    ]


@styled
def late_interaction(
    words: Sequence[str], patches: Sequence[np.ndarray | str], similarities: np.ndarray
) -> Figure:
    """Draw MaxSim: a cell for each word and patch, the largest of each row, and their sum.

        s(q, d) = sum over words i of max over patches j of <q_i, d_j>

    Args:
        words: of the query, at most 8.
        patches: pictures, or names, of the parts of the item, at most 16.
        similarities: `(n_words, n_patches)` cosines.
    """
    values = np.asarray(similarities, dtype=float)
    if values.shape != (len(words), len(patches)) or not values.size:
        shape = f"({len(words)}, {len(patches)})"
        raise RetrievalInputError(f"similarities must have shape {shape}, got {values.shape}")
    if len(words) > 8 or len(patches) > 16 or not np.isfinite(values).all():
        raise RetrievalInputError(
            f"similarities must be finite, of at most 8 words and 16 patches, got {values.shape}."
            " Draw a part of the item."
        )
    wide = min(1.1, 6.2 / len(patches))
    tall, base = 0.62, 0.85
    left = (WIDTH - wide * len(patches)) / 2 + 0.3
    top = base + tall * len(words)
    figure, ax = new_canvas(top + wide + 0.65)
    for j, patch in enumerate(patches):
        x = left + (j + 0.5) * wide
        if isinstance(patch, str):
            shown = wrap_text(patch, wide - 0.05, SMALL, 2)
            write(ax, x, top + 0.1, shown, SMALL, va="bottom", color=colour_of("image"))
        else:
            tile(ax, patch, x, top + 0.08 + wide / 2, wide - 0.12)
    end = left + wide * len(patches)
    write(ax, (left + end) / 2, top + wide + 0.38, "patches of the item", color=colour_of("image"))
    best = values.argmax(axis=1)
    middle = top - tall / 2
    write(ax, left - 0.15, top + 0.3, "words", ha="right", color=colour_of("text"))
    write(ax, end + 1.0, top + 0.3, "maximum", weight="bold", color=colour_of("score"))
    for i, word in enumerate(words):
        y = middle - i * tall
        fitted = fitting_size(word, left - 0.3, NORMAL, 12)
        shown = wrap_text(word, left - 0.3, fitted, 1)
        write(ax, left - 0.15, y, shown, fitted, ha="right", color=colour_of("text"))
        for j, value in enumerate(values[i]):
            shade = 0.05 + 0.6 * float(np.clip(value, 0, 1))
            place = left + (j + 0.5) * wide, y
            cell(ax, *place, wide, tall, tint("score", shade))
            if wide >= 0.55:
                weight = "bold" if j == best[i] else "normal"
                write(ax, *place, f"{value:.2f}", SMALL, weight=weight)
        place = left + best[i] * wide + 0.03, y - tall / 2 + 0.03
        frame = {"fill": False, "ec": colour_of("score"), "lw": 3.5, "zorder": 5}
        ax.add_patch(plt.Rectangle(place, wide - 0.06, tall - 0.06, **frame))
        arrow(ax, (end + 0.08, y), (end + 0.55, y), "score", width=1.8)
        write(ax, end + 1.0, y, f"{values[i, best[i]]:.2f}", NORMAL, weight="bold")
    total = float(values.max(axis=1).sum())
    look = {"color": INK, "lw": 1.5, "ls": "-", "marker": ""}
    ax.plot([end + 0.6, end + 1.4], [base - 0.05] * 2, **look)
    write(ax, end + 0.45, base - 0.4, "score = sum =", BIG, ha="right", weight="bold")
    write(ax, end + 1.0, base - 0.4, f"{total:.2f}", BIG, weight="bold", color=colour_of("score"))
    return described(
        figure,
        f"Late interaction of {len(words)} words and {len(patches)} patches: the largest"
        f" similarity of each word is framed, and the score is their sum, {total:.2f}.",
    )


@styled
def two_stages(counts: Mapping[str, int], stages: Mapping[str, str]) -> Figure:
    """Draw a funnel: a cheap stage keeps a few candidates, a costly one orders them.

    Args:
        counts: name to number of items, from the gallery to what is shown; never rising.
        stages: name of each stage to a line about it, one fewer than counts.
    """
    numbers = list(counts.values())
    if not 2 <= len(counts) <= 4 or len(stages) != len(counts) - 1:
        raise RetrievalInputError(
            f"counts must be 2 to 4 and stages one fewer, got {len(counts)} and {len(stages)}"
        )
    if min(numbers) < 1 or any(a < b for a, b in zip(numbers, numbers[1:], strict=False)):
        raise RetrievalInputError(f"counts must be positive and must not rise, got {numbers}")
    figure, ax = new_canvas(3.7)
    middle, wide = 1.85, 1.5
    step = (WIDTH - 0.2 - wide) / len(stages)  # from one count to the next
    logs = np.log(np.array(numbers) + 1.0)
    heights = 1.0 + 2.2 * (logs - logs[-1]) / max(logs[0] - logs[-1], 1e-9)
    centres = 0.1 + wide / 2 + step * np.arange(len(counts))
    for at, (name, note) in enumerate(stages.items()):
        start, end = centres[at] + wide / 2 + 0.12, centres[at + 1] - wide / 2 - 0.12
        reach = heights[at] / 2, heights[at + 1] / 2
        corners = [(start, middle - reach[0]), (start, middle + reach[0]),
                   (end, middle + reach[1]), (end, middle - reach[1])]  # fmt: skip
        ax.add_patch(plt.Polygon(corners, fc="0.94", ec="none"))
        room = end - start - 0.2
        title = wrap_text(name, room, NORMAL, 2, "bold")
        said = wrap_text(note, room, SMALL, 2)
        x = (start + end) / 2
        write(ax, x, middle + 0.12, title, NORMAL, va="bottom", weight="bold")
        write(ax, x, middle - 0.12, said, SMALL, va="top", color=GREY)
        arrow(ax, (start + 0.1, middle), (end - 0.05, middle), "plain")
    for at, (name, number) in enumerate(counts.items()):
        role = "score" if at == len(counts) - 1 else "image"
        box(ax, centres[at], middle, wide, heights[at], f"{number:,}", role, BIG, "bold", note=name)
    said = ", then ".join(
        f"{name} keeps {after:,} of {before:,}"
        for name, before, after in zip(stages, numbers, numbers[1:], strict=False)
    )
    return described(figure, f"Search in {len(stages)} stages: {said}.")
