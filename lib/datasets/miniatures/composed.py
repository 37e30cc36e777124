"""Miniatures of CIRR and FashionIQ: scenes in which one property changes, and the sentence for it.

The sentences are true: "make the red circle blue" leads from one picture to the other.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from lib.datasets.miniatures.writing import Miniature, write_json, write_pictures
from lib.datasets.scenes import (
    COLOURS,
    SHAPES,
    TEXTURES,
    SceneBatch,
    render,
    sample,
    swap_relation,
)

# CIRR: (sets, first scene, folder of the pictures, first number in their names, first pair id)
_CIRR_SPLITS = {
    "val": (11, 1200, "dev", 7, 12060),
    "train": (3, 1240, "train/34", 10108, 0),
    "test1": (4, 1260, "test1", 83, 12063),
}
PER_SET = 5  # scenes of a set; its sixth picture is the first of the next set
_CIRR_PAIRS = ((0, 1, "colour"), (0, 2, "shape"), (0, 3, "texture"), (1, 0, "colour"),
               (0, 4, "place"))  # fmt: skip
SPACES, NO_SOFT_TARGET = 2, 3  # pairs of val with a trap each

# FashionIQ: (families of three scenes, single scenes, first scene)
_CATEGORIES = {"dress": (14, 14, 1300), "shirt": (15, 15, 1340), "toptee": (13, 13, 1380)}
_FASHION_PAIRS = ((0, 1), (0, 2), (1, 0))
BLANK_CAPTION, DOTTED, SHOUTED = 4, 1, 7  # pairs of each category with a trap in a caption
# The last picture of toptee is also one of shirt, as some are in the shop.
SHARED_FROM, SHARED_INTO = "shirt", "toptee"


def write_cirr(root: Path) -> Miniature:
    """Write val with 55 pictures and 55 pairs, train with 15 and test1 with 20 of each.

        captions/cap.rc2.<split>.json       pairs; those of test1 have no target
        image_splits/split.rc2.<split>.json names and paths, in another order than the sets
        dev/, train/34/, test1/             pictures, 64 x 64, PNG

    A set has a scene, the scene in another colour, another shape, another texture, with both
    groups exchanged, and the first scene of the next set.

    Traps: one reference in several pairs, targets that are references elsewhere, pictures in two
    sets, members in any order, several spaces in a row in a text, and a `target_soft` that holds
    the reference and lacks the target.
    """
    counts = {}
    for split, (n_sets, start, folder, first, pair_id) in _CIRR_SPLITS.items():
        scenes = [*_variants(sample("test", n_sets, start=start))]
        prefix = folder.partition("/")[0]
        names = [
            [f"{prefix}-{first + 3 * at}-{k // 2}-img{k % 2}" for k in range(PER_SET)]
            for at in range(n_sets)
        ]
        paths = {}
        for k, batch in enumerate(scenes):
            for at, pixels in enumerate(render(batch)):
                path = f"{folder}/{names[at][k]}.png"
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(root / path)
                paths[names[at][k]] = f"./{path}"
        pairs = list(_cirr_pairs(scenes, names, pair_id))
        if split == "val":
            pairs[SPACES]["caption"] = pairs[SPACES]["caption"].replace(" ", "   ")
            soft = pairs[NO_SOFT_TARGET]
            soft["target_soft"] = {soft["reference"]: 1.0, soft["img_set"]["members"][-1]: -1.0}
        if split == "test1":
            for pair in pairs:
                del pair["target_hard"], pair["target_soft"], pair["img_set"]["target_rank"]
        write_json(root / f"captions/cap.rc2.{split}.json", pairs)
        write_json(root / f"image_splits/split.rc2.{split}.json", paths)
        counts[split] = {"pictures": len(paths), "queries": len(pairs)}
    return Miniature(counts)


def _variants(scenes: SceneBatch) -> Iterator[SceneBatch]:
    """Yield scenes, then each in another colour, shape, texture, and with groups exchanged."""
    yield scenes
    yield recoloured(scenes)
    yield reshaped(scenes)
    texture = scenes.texture.copy()
    texture[:, 0] = (texture[:, 0] + 1) % len(TEXTURES)
    yield replace(scenes, texture=texture)
    yield swap_relation(scenes)


def recoloured(scenes: SceneBatch) -> SceneBatch:
    """Give the first group of every scene another colour, and keep the groups different."""
    colour = scenes.colour.copy()
    new = (colour[:, 0] + 3) % len(COLOURS)
    alike = (scenes.shape[:, 0] == scenes.shape[:, 1]) & (new == colour[:, 1])
    colour[:, 0] = np.where(alike, (new + 1) % len(COLOURS), new)
    return replace(scenes, colour=colour)


def reshaped(scenes: SceneBatch) -> SceneBatch:
    """Give the first group of every scene another shape, and keep the groups different."""
    shape = scenes.shape.copy()
    new = (shape[:, 0] + 3) % len(SHAPES)
    alike = (scenes.colour[:, 0] == scenes.colour[:, 1]) & (new == shape[:, 1])
    shape[:, 0] = np.where(alike, (new + 1) % len(SHAPES), new)
    return replace(scenes, shape=shape)


def _cirr_pairs(scenes: list[SceneBatch], names: list[list[str]], pair_id: int) -> Iterator[dict]:
    """Yield the pairs of all sets in the form of the release."""
    n_sets = len(names)
    for at in range(n_sets):
        members = [*names[at], names[(at + 1) % n_sets][0]]
        members = members[at % 6 :] + members[: at % 6]
        for number, (reference, target, change) in enumerate(_CIRR_PAIRS):
            yield {
                "pairid": pair_id + 8 * at + number,
                "reference": names[at][reference],
                "target_hard": names[at][target],
                "target_soft": {names[at][target]: 1.0},
                "caption": _sentence(scenes[reference], scenes[target], at, change),
                "img_set": {
                    "id": 36 + at,
                    "members": members,
                    "reference_rank": members.index(names[at][reference]),
                    "target_rank": members.index(names[at][target]),
                },
            }


def _sentence(reference: SceneBatch, target: SceneBatch, at: int, change: str) -> str:
    """Say what to do with the first group of a scene to get the other."""
    group = f"the {COLOURS[reference.colour[at, 0]]} {_noun(reference, at)}"
    return {
        "colour": f"make {group} {COLOURS[target.colour[at, 0]]}",
        "shape": f"turn {group} into {COLOURS[target.colour[at, 0]]} {_noun(target, at)}",
        "texture": f"make {group} {TEXTURES[target.texture[at, 0]]}",
        "place": f"move {group} to the other side",
    }[change]


def _noun(scenes: SceneBatch, at: int) -> str:
    noun = SHAPES[scenes.shape[at, 0]]
    if scenes.count[at, 0] == 1:
        return noun
    return noun + ("es" if noun.endswith("s") else "s")


def write_fashioniq(root: Path) -> Miniature:
    """Write val with 42, 45 and 39 pairs among 56, 60 and 52 pictures, and train with a few.

        captions/cap.<category>.<split>.json        candidate, target, two captions
        image_splits/split.<category>.<split>.json  all pictures of the category
        images/<id>.jpg                             scenes, 64 x 64

    Traps: pictures that are in no pair, one picture of two categories, a candidate of several
    pairs, targets that are candidates elsewhere, and captions with a full stop, spaces and commas
    at the end, capitals, and no words at all.
    """
    counts: dict[str, dict[str, int]] = {"val": {}, "train": {}}
    for number, (category, (n_families, n_single, start)) in enumerate(_CATEGORIES.items()):
        for split, (n, n_others, first) in {
            "val": (n_families, n_single, start), "train": (3, 2, start + 200)
        }.items():  # fmt: skip
            base = sample("test", n, start=first)
            family = [base, recoloured(base), reshaped(base)]
            others = sample("test", n_others, start=first + n)
            ids = [[_asin(number, split, 3 * at + k) for k in range(3)] for at in range(n)]
            single = [_asin(number, split, 900 + at) for at in range(n_others)]
            for k, batch in enumerate(family):
                write_pictures(batch, [root / "images" / f"{row[k]}.jpg" for row in ids])
            write_pictures(others, [root / "images" / f"{id_}.jpg" for id_ in single])
            pairs = [
                _fashion_pair(family[a], family[b], at, ids[at][a], ids[at][b])
                for at in range(n)
                for a, b in _FASHION_PAIRS
            ]
            for at, traps in ((BLANK_CAPTION, 1), (DOTTED, 2), (SHOUTED, 3)):
                first_caption, second = pairs[at]["captions"]
                pairs[at]["captions"] = {
                    1: [first_caption, " "],
                    2: [f"{first_caption}.", f" {second}, "],
                    3: [first_caption.upper(), f"{second}?"],
                }[traps]
            pictures = [id_ for row in ids for id_ in row] + single
            if (category, split) == (SHARED_INTO, "val"):
                # A picture of the other category, whose file is there already.
                pictures[-1] = _asin(list(_CATEGORIES).index(SHARED_FROM), split, 0)
            write_json(root / f"captions/cap.{category}.{split}.json", pairs)
            write_json(root / f"image_splits/split.{category}.{split}.json", pictures[::-1])
            counts[split] |= {
                f"{category} pictures": len(pictures),
                f"{category} queries": len(pairs),
            }
    return Miniature(counts)


def _fashion_pair(
    reference: SceneBatch, target: SceneBatch, at: int, candidate: str, wanted: str
) -> dict:
    colour = COLOURS[target.colour[at, 0]]
    captions = [
        f"is {colour} with {_some(_noun(target, at))}",
        f"has {_some(f'{colour} {_noun(target, at)}')} instead of"
        f" {_some(f'{COLOURS[reference.colour[at, 0]]} {_noun(reference, at)}')}",
    ]
    return {"target": wanted, "candidate": candidate, "captions": captions}


def _some(words: str) -> str:
    """Put an article before one thing."""
    if words.endswith("s") and not words.endswith("cross"):
        return words
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _asin(category: int, split: str, number: int) -> str:
    """Return a shop number, ten characters as in the release."""
    return f"B00{'VT'[split == 'train']}{category}{number:04}X"
