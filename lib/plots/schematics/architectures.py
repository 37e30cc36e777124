"""Architectures: two towers, a cross-encoder, late interaction, and two stages in a row."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from lib.plots.schematics.canvas import (
    BIG,
    GREY,
    SMALL,
    arrow,
    box,
    described,
    new_canvas,
    strip,
    tile,
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
        text_vector, image_vector: `(d,)`, up to 12 numbers of their embeddings, drawn as shades.
        score: the cosine, written where it is given.
        text_encoder, image_encoder: names of the towers.
    """
    figure, ax = new_canvas(4.3)
    rows = {"text": 3.05, "image": 0.95}
    box(ax, 1.15, rows["text"], 1.9, 0.95, f"“{text}”", "text", BIG)
    tile(ax, image, 1.15, rows["image"], 1.35)
    for role, name, vector in (
        ("text", text_encoder, text_vector), ("image", image_encoder, image_vector)
    ):  # fmt: skip
        y = rows[role]
        box(ax, 4.0, y, 2.5, 1.1, name, role, BIG, "bold")
        strip(ax, 6.6, y, CELLS if vector is None else vector, role, cell=0.21)
        arrow(ax, (2.15 if role == "text" else 1.87, y), (2.7, y), role)
        arrow(ax, (5.3, y), (6.45, y), role)
        arrow(ax, (6.78, y), (8.3, 2.0 + 0.32 * np.sign(y - 2.0)), role)
    write(ax, 6.6, 2.0, "one vector each", SMALL, color=GREY)
    written = "" if score is None else f"{score:.2f}"
    box(ax, 9.45, 2.0, 2.2, 1.35, "cosine" + written.join((" = ", "")) * bool(written), "score",
        BIG, "bold", note="of the two vectors")  # fmt: skip
    write(ax, 4.0, rows["text"] + 0.85, "once for each query", SMALL, color=GREY)
    write(ax, 4.0, rows["image"] - 0.8, "once for each item, before any query", SMALL, color=GREY)
    shown = "" if score is None else f", here {score:.2f}"
    return described(
        figure,
        f"A dual encoder: the {text_encoder} turns “{text}” into one vector, the {image_encoder}"
        f" turns each image into one vector before any query is known, and the score is the cosine"
        f" of the two vectors{shown}.",
    )
