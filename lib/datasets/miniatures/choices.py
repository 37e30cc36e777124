"""Miniatures of SugarCrepe and Winoground: scenes, and what their twins exchange."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from lib.datasets.choices import OF
from lib.datasets.miniatures.writing import Miniature, write_json, write_lines, write_pictures
from lib.datasets.scenes import (
    COLOURS,
    SHAPES,
    SIZES,
    SceneBatch,
    captions,
    render,
    sample_swappable,
    swap_colours,
    twins,
)

N_SCENES = 40  # of SugarCrepe: each is in both files of swaps
N_OTHERS = 20  # examples of the other files, on the first scenes
N_PAIRS = 15  # of Winoground, for each tag
GROUP = 20  # rows of a group in its Parquet file
SPACED, GAP = 5, 3  # in each file of SugarCrepe: a caption that ends with a space, a key left out
FIRST_IMAGE = 900_001  # above COCO's own ids
ORDER = 4  # of the five captions: the one that states shapes, colours, counts and the relation
# Tag, sub-tag, which of `twins` is the second image, and whether its colours are exchanged.
_TAGS = (
    ("Object", "Noun", 1, False),
    ("Relation", "Adjective-Color", 2, True),
    ("Both", "Noun, Adjective-Color", 3, True),
)
_PLACE = "(?:on the left|on the right|at the top|at the bottom)"
_BETWEEN = f"(?:(?:to the )?(?:left|right) of|above|over|below|under|{_PLACE} and)"


def write_sugarcrepe(root: Path) -> Miniature:
    """Write the seven files of SugarCrepe on 40 scenes: 40 examples of each swap, 20 of the others.

    Traps: keys have a gap, images repeat within and across files, a caption ends with a space.
    """
    scenes = sample_swappable("test", N_SCENES, seed=21)
    names = [f"{FIRST_IMAGE + at:012d}.jpg" for at in range(N_SCENES)]
    write_pictures(scenes, [root / "val2017" / name for name in names])
    right, first = _told(scenes), scenes[:N_OTHERS]
    wrong = {
        "add_att": _with_size(first),
        "add_obj": _with_object(first),
        "replace_att": _told(replace(first, colour=_other(first.colour, len(COLOURS)))),
        "replace_obj": _told(replace(first, shape=_other(first.shape, len(SHAPES)))),
        "replace_rel": _told(replace(first, relation=first.relation ^ 2)),
        "swap_att": _told(swap_colours(scenes)),
        "swap_obj": [_exchanged(text) for text in right],
    }
    for file, texts in wrong.items():
        entries = {}
        for at, text in enumerate(texts):
            key = str(at + (at >= GAP))
            caption = right[at] + (" " if at == SPACED else "")
            entries[key] = {"filename": names[at], "caption": caption, "negative_caption": text}
        write_json(root / "data" / f"{file}.json", entries)
    counts = {OF + file: len(texts) for file, texts in wrong.items()}
    return Miniature({"test": {"examples": sum(counts.values())} | counts})


def write_winoground(root: Path) -> Miniature:
    """Write both releases of Winoground, 15 pairs of twins for each tag.

    The older one is `examples.jsonl` and pictures; today's is Parquet with the pictures inside.

    Object: the groups trade places. Relation: they trade colours. Both: places and colours.

    Traps: tags alternate, pictures are PNG, the file of lines names them without suffix, Parquet
    has several groups of rows.
    """
    scenes = sample_swappable("test", N_PAIRS * len(_TAGS), seed=22)
    others = twins(scenes)
    (root / "images").mkdir()
    entries = []
    for at in range(len(scenes)):
        tag, sub_tag, which, colours = _TAGS[at % len(_TAGS)]
        pair = others[[at, at + which * len(scenes)]]
        images = [f"ex_{at}_img_{side}" for side in range(2)]
        for name, pixels in zip(images, render(pair)):
            Image.fromarray(pixels).save(root / "images" / f"{name}.png")
        texts = _told(scenes[at]) + _told(swap_colours(scenes[at]) if colours else scenes[at])
        if tag != "Relation":
            texts[1] = _exchanged(texts[1])
        entry = {"id": at, "image_0": images[0], "image_1": images[1]}
        entry |= {"caption_0": texts[0], "caption_1": texts[1], "tag": sub_tag}
        entry |= {"secondary_tag": "", "num_main_preds": 1, "collapsed_tag": tag}
        entries.append(entry)
    write_lines(root / "examples.jsonl", map(json.dumps, entries))
    columns = {name: [entry[name] for entry in entries] for name in entries[0]}
    for side in ("image_0", "image_1"):
        files = [root / "images" / f"{name}.png" for name in columns[side]]
        columns[side] = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
    (root / "data").mkdir()
    table = root / "data" / "test-00000-of-00001.parquet"
    pq.write_table(pa.table(columns), table, row_group_size=GROUP)
    n = len(entries)
    return Miniature({"test": {"examples": n, "images": 2 * n, "captions": 2 * n}})


def _exchanged(text: str) -> str:
    """Exchange the two things that a caption names: "A left of B" becomes "B left of A"."""
    return re.sub(rf"^(.+?) ({_BETWEEN}) (.+?)((?: {_PLACE})?)$", r"\3 \2 \1\4", text)


def _told(scenes: SceneBatch) -> list[str]:
    return [five[ORDER] for five in captions(scenes)]


def _other(values: np.ndarray, n_values: int) -> np.ndarray:
    """Give group 0 the next value that neither group has, `(n, 2)`."""
    new = (values[:, 0] + 1) % n_values
    new = np.where(new == values[:, 1], (new + 1) % n_values, new)
    return np.stack([new, values[:, 1]], axis=1)


def _with_size(scenes: SceneBatch) -> list[str]:
    """Add to each caption the wrong size of group 0, before its colour."""
    texts = []
    for text, colour, size in zip(_told(scenes), scenes.colour[:, 0], scenes.size[:, 0]):
        told = COLOURS[colour]
        texts.append(
            text.replace(f"an {told}", f"a {told}").replace(told, f"{SIZES[1 - size]} {told}")
        )
    return texts


def _with_object(scenes: SceneBatch) -> list[str]:
    """Add to each caption an object that the scene does not have."""
    colour = _other(scenes.colour, len(COLOURS))[:, 0]
    shape = _other(scenes.shape, len(SHAPES))[:, 0]
    added = [f"{COLOURS[c]} {SHAPES[s]}" for c, s in zip(colour, shape)]
    return [
        f"{text} and {'an' if new[0] in 'aeiou' else 'a'} {new}"
        for text, new in zip(_told(scenes), added)
    ]
