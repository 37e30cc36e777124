"""Lab 8: draw things with the mouse, and let the joint space find their pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from lib import metrics
from lib.core.checks import RetrievalInputError, unit_rows
from lib.course.cases import Wrong, describe, expect
from lib.course.labs.engine import Criterion, Lab, Measured
from lib.datasets import emoji, pictures, sketches
from lib.datasets.strokes import Drawing
from lib.models.artifact_files import load_embeddings
from lib.models.numpy_text import load_text_encoder
from lib.search.sketches import load_sketch_encoder

FEWEST = {"validation": 5, "test": 10}  # drawn things
DEPTH = 10
WEIGHT = 0.2  # of the word
COPY = 0.015  # mean difference of pixels, as a share, below which a drawing is the artist's line


@dataclass(frozen=True)
class DrawnThing:
    """One drawing, what it shall find, and the word beside it, "" for none."""

    name: str
    drawing: Drawing
    word: str


@cache
def gallery() -> np.ndarray:
    """Return the unit vectors of the 1,914 emoji in colour, (n, 256), in the order of `emoji`."""
    stored = load_embeddings("pictures")["all_image"].astype(np.float32)
    return unit_rows(stored[pictures.load_pictures().positions(sources=["emoji"])], "stored")


@cache
def places_to_draw(split: str) -> dict[str, int]:
    """Return the emoji that can be drawn, name to place: of the test split, or of all others."""
    test = np.isin(np.arange(len(emoji.load_emoji())), sketches.emoji_places("test"))
    drawn = np.array(sorted(sketches.emoji_strokes()))
    names = emoji.load_emoji().names["en"]
    return {names[at]: at for at in drawn.tolist() if test[at] == (split == "test")}


def things_by_lot(split: str, number: int, seed: int) -> list[str]:
    """Draw names of things by lot, so that nobody chooses the easy ones."""
    names = sorted(places_to_draw(split))
    return np.random.default_rng(seed).permutation(names)[:number].tolist()


def recorded_drawings(split: str) -> dict[str, tuple[Drawing, str]]:
    """Return the first recorded drawing of each thing of a split, each with a word: the baseline.

    A language model drew them with a mouse, see `data/README.md`; the word is that of its group.
    """
    groups, names = emoji.load_emoji().subgroups, {at: n for n, at in places_to_draw(split).items()}
    found: dict[str, tuple[Drawing, str]] = {}
    for record in sketches.load_hand_drawn():
        if record.place in names:
            word = sketches.category_word(groups[record.place])
            name = names[record.place]
            found.setdefault(name, (record.drawing, "" if word in name.split() else word))
    return found


def search_by_sketches(
    drawings: Mapping[str, Any], split: str, *, words: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels of the queries, and the places of the emoji, best first, for each.

    Args:
        drawings: name to strokes, or to strokes and a word.
        split: "validation" or "test".
        words: False leaves the words away.
    """
    queries = _queries_of(drawings, split)
    pixels = sketches.draw_sketches([query.drawing for query in queries])
    return pixels, _ranked(queries, _encoded(pixels), words)


def _encoded(pixels: np.ndarray) -> np.ndarray:
    return load_sketch_encoder().encode_image(pixels)


def _ranked(queries: Sequence[DrawnThing], vectors: np.ndarray, words: bool) -> np.ndarray:
    said = np.array([bool(query.word) and words for query in queries])
    if said.any():
        texts = [query.word for query, has in zip(queries, said) if has]
        vectors = vectors.copy()
        vectors[said] = (1 - WEIGHT) * vectors[said] + WEIGHT * load_text_encoder(
            "pictures"
        ).encode_text(texts)
    return np.argsort(-(vectors @ gallery().T), axis=1, kind="stable")


def _queries_of(drawings: Mapping[str, Any], split: str) -> list[DrawnThing]:
    """Check the answer."""
    expect(
        isinstance(drawings, Mapping),
        f"the answer must be a dict of names and strokes, got {describe(drawings)}"
        ' | For example {"duck": canvas.drawing()}, or {"duck": (canvas.drawing(), "bird")}.',
    )
    known = places_to_draw(split)
    queries = []
    for name, value in drawings.items():
        expect(
            name in known,
            f"no emoji that can be drawn here is called {name!r}"
            f' | sorted(places_to_draw("{split}")) lists the names.',
        )
        with_word = isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], str)
        strokes, word = value if with_word else (value, "")
        queries.append(DrawnThing(name, _as_drawing(strokes, name), word.strip().lower()))
        shared = set(queries[-1].word.split()) & set(name.lower().split())
        expect(
            not shared,
            f"the word for {name!r} is a part of its name"
            " | Say what kind of thing it is, as if you had forgotten the name.",
        )
    expect(
        len(queries) >= FEWEST[split],
        f"{len(queries)} things are drawn, at least {FEWEST[split]} are asked for"
        " | Draw more: a share of few queries says little.",
    )
    return queries


def _as_drawing(strokes: Any, name: str) -> Drawing:
    if isinstance(strokes, Drawing):
        return strokes
    try:
        lines = tuple(np.array(line, dtype=float) for line in strokes if len(line))
        return Drawing(lines)
    except (RetrievalInputError, TypeError, ValueError) as error:
        raise Wrong(
            f"the drawing of {name!r} cannot be read: {error}",
            "Give canvas.drawing(), or a list of strokes, each a list of points (x, y).",
        ) from None


def _refuse_copies(queries: Sequence[DrawnThing], pixels: np.ndarray, split: str) -> None:
    lines = sketches.emoji_strokes()
    own = [lines[places_to_draw(split)[query.name]] for query in queries]
    clean = sketches.draw_sketches(own)
    for at, query in enumerate(queries):
        for other in range(at):
            if np.array_equal(pixels[at], pixels[other]):
                raise Wrong(
                    f"{queries[other].name!r} and {query.name!r} are the same", "Draw both."
                )
        if np.abs(clean[at].astype(int) - pixels[at]).mean() < COPY * 255:
            raise Wrong(f"{query.name!r} is the line of the artist", "Draw it yourself.")


def _measure(drawings: Mapping[str, Any], split: str) -> Measured:
    queries = _queries_of(drawings, split)
    pixels = sketches.draw_sketches([query.drawing for query in queries])
    _refuse_copies(queries, pixels, split)
    vectors = _encoded(pixels)
    own = np.array([places_to_draw(split)[query.name] for query in queries])
    ranks = {}
    for words in (False, True):
        order = _ranked(queries, vectors, words)
        ranks[words] = (order == own[:, None]).argmax(axis=1) + 1
    found = {
        f"R@{DEPTH}": 100.0 * (ranks[False] <= DEPTH),
        "R@1": 100.0 * (ranks[False] == 1),
        f"R@{DEPTH} with words": 100.0 * (ranks[True] <= DEPTH),
    }
    values = {name: float(hits.mean()) for name, hits in found.items()}
    intervals = {name: metrics.bootstrap_interval(hits) for name, hits in found.items()}
    values |= {"drawn": float(len(queries)), "median rank": float(np.median(ranks[False]))}
    costs = {f"chance of R@{DEPTH}": round(100 * DEPTH / len(gallery()), 2)}
    costs["words"] = sum(bool(query.word) for query in queries)
    missed = [q.name for q, rank in zip(queries, ranks[False]) if rank > DEPTH]
    symptoms = [f"not among the first {DEPTH}: {', '.join(missed[:8])}"] if missed else []
    return Measured(values, intervals, costs, tuple(symptoms))


LAB = Lab(
    "sketches",
    "Give a dict of names of emoji and the strokes that you drew, at least 10 for the test, each"
    " alone or with a word: {'duck': (strokes, 'bird')}. The picture of the emoji must be found"
    " among 1,914.",
    _measure,
    (
        Criterion("things", 3, "drawn", 20, 10, "Draw more things."),
        Criterion("found among the first ten", 5, f"R@{DEPTH}", 75, 40,
                  "Look at what was found instead: which lines mislead?"),
        Criterion("found first", 3, "R@1", 35, 15, "Draw what tells the thing from its rivals."),
        Criterion("with a word", 3, f"R@{DEPTH} with words", 65, 40,
                  "Which word says what the lines cannot?"),
        Criterion("failures", 3, "", "the worst three, as pictures, each with a cause that a second"
                  " drawing tests", "pictures and guesses", none="no failures shown"),
        Criterion("comparison", 3, "", "beside recorded and generated drawings of the same things,"
                  " with intervals; things drawn by lot", "two numbers", none="no comparison"),
    ),
    limit_s=60.0,
)  # fmt: skip
