"""Lab 1: draw concepts, and let the joint space find their icons by your drawings."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from lib import metrics
from lib.course.cases import Wrong, describe, expect
from lib.course.labs.engine import Criterion, Lab, Measured
from lib.datasets import icons
from lib.datasets.user_drawings import as_icon, read_picture
from lib.models.artifact_files import load_embeddings
from lib.models.numpy_image import load_image_encoder

FEWEST = {"validation": 5, "test": 10}  # drawn concepts
COPY = 0.03  # mean difference of pixels, as a share, below which a drawing is the icon itself
PAGE, SCALE, PEN = 64, 4, 14
DEPTH = 5
# Strokes of the example drawings on a page of 64 x 64: a box or an oval has four numbers in a list,
# a line has points in a tuple.
EXAMPLES = {
    "validation": {
        "cross": [((32, 8), (32, 56)), ((14, 22), (50, 22))],
        "grid": [["box", 10, 10, 54, 54], ((25, 10), (25, 54)), ((39, 10), (39, 54)),
                 ((10, 25), (54, 25)), ((10, 39), (54, 39))],
        "ring": [["oval", 14, 22, 50, 58], ((24, 20), (20, 10), (44, 10), (40, 20), (24, 20))],
        "dumbbell": [((16, 32), (48, 32)), ((16, 18), (16, 46)), ((48, 18), (48, 46)),
                     ((9, 24), (9, 40)), ((55, 24), (55, 40))],
        "bucket": [((12, 22), (18, 56), (46, 56), (52, 22), (12, 22)),
                   ((14, 22), (22, 8), (42, 8), (50, 22))],
        "pumpkin": [["oval", 8, 20, 56, 56], ["oval", 22, 20, 42, 56], ((32, 20), (36, 8))],
    },
    "test": {
        "sun": [["oval", 22, 22, 42, 42], ((32, 6), (32, 15)), ((32, 49), (32, 58)),
                ((6, 32), (15, 32)), ((49, 32), (58, 32)), ((13, 13), (20, 20)),
                ((44, 44), (51, 51)), ((13, 51), (20, 44)), ((44, 20), (51, 13))],
        "eye": [((6, 32), (18, 20), (32, 15), (46, 20), (58, 32), (46, 44), (32, 49), (18, 44),
                 (6, 32)), ["oval", 24, 24, 40, 40]],
        "tent": [((8, 54), (32, 10), (56, 54), (8, 54)), ((25, 54), (32, 36), (39, 54))],
        "anchor": [["oval", 26, 6, 38, 18], ((32, 18), (32, 56)), ((20, 26), (44, 26)),
                   ((10, 38), (14, 48), (22, 54), (32, 56), (42, 54), (50, 48), (54, 38))],
        "balloon": [["oval", 16, 6, 48, 44], ((32, 44), (29, 50), (34, 54), (31, 60))],
        "door": [["box", 16, 6, 48, 58], ["oval", 39, 30, 43, 34]],
        "television": [["box", 6, 18, 58, 52], ((20, 6), (32, 18), (44, 6))],
        "database": [["oval", 12, 6, 52, 20], ((12, 13), (12, 50)), ((52, 13), (52, 50)),
                     ["arc", 12, 43, 52, 57], ["arc", 12, 24, 52, 38]],
        "bell": [((14, 46), (20, 38), (20, 24), (26, 14), (38, 14), (44, 24), (44, 38), (50, 46),
                  (14, 46)), ((28, 52), (36, 52)), ((32, 8), (32, 14))],
        "keyboard": [["box", 4, 18, 60, 46], ((12, 26), (15, 26)), ((22, 26), (25, 26)),
                     ((32, 26), (35, 26)), ((42, 26), (45, 26)), ((52, 26), (54, 26)),
                     ((18, 38), (46, 38))],
    },
}  # fmt: skip


def example_drawings(split: str) -> dict[str, Image.Image]:
    """Draw the examples, a picture a concept, made by code in one pass and not improved since."""
    return {concept: _drawn(strokes) for concept, strokes in EXAMPLES[split].items() if strokes}


def _drawn(strokes: list) -> Image.Image:
    page = Image.new("L", (PAGE * SCALE, PAGE * SCALE), 255)
    pen = ImageDraw.Draw(page)
    for stroke in strokes:
        if isinstance(stroke, tuple):
            points = [(SCALE * x, SCALE * y) for x, y in stroke]
            pen.line(points, fill=0, width=PEN, joint="curve")
            continue
        kind, *box = stroke
        box = [SCALE * edge for edge in box]
        if kind == "box":
            pen.rectangle(box, outline=0, width=PEN)
        elif kind == "oval":
            pen.ellipse(box, outline=0, width=PEN)
        else:
            pen.arc(box, 0, 180, fill=0, width=PEN)
    return page


@cache
def gallery(split: str) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return the icons of a split: pictures (n, 64, 64), unit vectors (n, 256), concepts."""
    corpus = icons.load_icons()
    rows = corpus.positions(split)
    vectors = load_embeddings("pictures")["all_image"][rows].astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    concepts = tuple(icons.concept_of(corpus.names[row]) for row in rows)
    return corpus.images[rows], vectors, concepts


def concepts_to_draw(split: str) -> list[str]:
    """List the concepts of one word that have icons in a split."""
    return sorted({concept for concept in gallery(split)[2] if concept.isalpha()})


def as_query(drawing: Any, name: str = "the drawing") -> np.ndarray:
    """Turn a PIL image, an array or the path of an image file into a query, uint8 (64, 64, 3)."""
    if isinstance(drawing, str | Path):
        return read_picture(drawing)
    if isinstance(drawing, np.ndarray):
        expect(
            drawing.dtype == np.uint8 and drawing.ndim in (2, 3),
            f"{name} is {describe(drawing)} of {drawing.dtype}"
            " | Give a PIL image, the path of a PNG file, or uint8 (height, width).",
        )
        drawing = Image.fromarray(drawing)
    expect(
        isinstance(drawing, Image.Image),
        f"{name} is {describe(drawing)} | Give a PIL image or the path of a PNG file.",
    )
    return np.repeat(255 - as_icon(drawing, name)[..., None], 3, axis=2)


def search_by_drawings(drawings: Mapping[str, Any], split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the queries, and the ids of the icons of a split in order of cosine, best first."""
    queries = np.stack([as_query(drawing, repr(key)) for key, drawing in drawings.items()])
    vectors = load_image_encoder("pictures").encode_image(queries)
    return queries, np.argsort(-(vectors @ gallery(split)[1].T), axis=1, kind="stable")


def _measure(drawings: Mapping[str, Any], split: str) -> Measured:
    expect(
        isinstance(drawings, Mapping),
        f"the answer must be a dict of concepts and drawings, got {describe(drawings)}"
        ' | For example {"sun": picture, "eye": "eye.png"}.',
    )
    known = set(gallery(split)[2])
    for concept in drawings:
        expect(
            concept in known,
            f"no icon here shows the concept {concept!r}"
            f' | concepts_to_draw("{split}") lists what can be drawn.',
        )
    expect(
        len(drawings) >= FEWEST[split],
        f"{len(drawings)} concepts are drawn, at least {FEWEST[split]} are asked for"
        " | Draw more: a share of few queries says little.",
    )
    queries, order = search_by_drawings(drawings, split)
    _refuse_copies(list(drawings), queries, order, split)
    concepts = np.array(gallery(split)[2])
    right = concepts[order] == np.array(list(drawings))[:, None]
    ranks = right.argmax(axis=1) + 1
    found = {f"R@{k}": 100.0 * (ranks <= k) for k in (DEPTH, 1)}
    values = {name: float(hits.mean()) for name, hits in found.items()}
    intervals = {name: metrics.bootstrap_interval(hits) for name, hits in found.items()}
    values["concepts"] = float(len(drawings))
    values["median rank"] = float(np.median(ranks))
    chance = 100 * np.mean([1 - (1 - np.mean(concepts == c)) ** DEPTH for c in drawings])
    missed = [c for c, rank in zip(drawings, ranks, strict=True) if rank > DEPTH]
    symptoms = [f"not among the first {DEPTH}: {', '.join(missed)}"] if missed else []
    return Measured(values, intervals, {"chance of R@5": round(float(chance), 2)}, tuple(symptoms))


def _refuse_copies(names: list[str], queries: np.ndarray, order: np.ndarray, split: str) -> None:
    for at, (name, query) in enumerate(zip(names, queries, strict=True)):
        for other in range(at):
            if np.array_equal(query, queries[other]):
                raise Wrong(f"{names[other]!r} and {name!r} are the same picture", "Draw both.")
        icon = as_query(255 - gallery(split)[0][order[at, 0]])
        if np.abs(icon.astype(int) - query).mean() < COPY * 255:
            raise Wrong(f"{name!r} is an icon of the gallery, not a drawing", "Draw it yourself.")


LAB = Lab(
    "joint_space",
    "Give a dict of concepts and your own drawings of them, at least 10 for the test: PIL images or"
    " paths of PNG files. The query is the drawing; an icon of the concept must come first.",
    _measure,
    (
        Criterion("concepts", 3, "concepts", 20, 12, "Draw more concepts."),
        Criterion("found among the first five", 6, "R@5", 80, 50,
                  "Look at what was found instead: which lines mislead?"),
        Criterion("found first", 5, "R@1", 60, 35, "Draw what tells the concept from its rivals."),
        Criterion("failures", 3, "", "the worst three, as pictures, each with a cause that a second"
                  " drawing tests", "pictures and guesses", none="no failures shown"),
        Criterion("comparison", 3, "", "beside the example drawings, with intervals, and says how"
                  " many more queries would decide", "two numbers", none="no comparison"),
    ),
    limit_s=60.0,
)  # fmt: skip
