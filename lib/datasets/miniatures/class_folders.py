"""Miniature of pictures in one folder a class: scenes of one kind, in ImageNet's form."""

from pathlib import Path

import numpy as np

from lib.datasets.miniatures.writing import Miniature, write_lines, write_pictures
from lib.datasets.scenes import SceneBatch, sample
from lib.datasets.scenes.world import SHAPES, SIZES

# Split: (stream of the scenes, scenes to choose from, pictures of the classes in turn).
PARTS = {"val": ("test", 600, (5, 8, 11)), "train": ("train", 400, (2,))}
FIRST_ID = 90_000_001  # above WordNet's own
PATTERNS = ("solid", "striped", "spotted")  # words of the textures, in their order
KINDS = tuple(f"{size} {pattern}" for size in SIZES for pattern in PATTERNS)


def write_class_folders(root: Path) -> Miniature:
    """Write `val/` and `train/` with a folder for each of six kinds, named as WordNet ids.

    A kind is a size and a pattern, "small striped", that both groups of a scene have. Templates
    are the shapes, "a {} star". Models of scenes, which learned more of shapes and colours, are
    right in less than two thirds of the pictures.

    Traps: the names of the classes are in another order than the folders, the classes differ in
    size, one template has CLIP_benchmark's `{c}`, a hidden file lies among the pictures, and
    suffixes are in capitals, as in ImageNet.
    """
    n = len(KINDS)
    folders = [f"n{FIRST_ID + at}" for at in range(n)]
    # The last kind has the first id.
    lines = [f"{folders[n - 1 - at]} {kind}" for at, kind in enumerate(KINDS)]
    write_lines(root / "classnames.txt", lines)
    templates = [f"a {{}} {shape}" for shape in SHAPES]
    write_lines(root / "templates.txt", [*templates[:-1], templates[-1].replace("{}", "{c}")])
    counts = {}
    for split, (stream, n_scenes, sizes) in PARTS.items():
        scenes = sample(stream, n_scenes)
        total = 0
        for kind in range(n):
            chosen = _of_kind(scenes, kind)[: sizes[kind % len(sizes)]]
            folder = root / split / folders[n - 1 - kind]
            names = [f"{split}_{kind}{at:03d}.JPEG" for at in range(len(chosen))]
            write_pictures(scenes[chosen], [folder / name for name in names])
            total += len(chosen)
        counts[split] = {"pictures": total, "classes": n}
    (root / "val" / folders[0] / ".hidden").write_bytes(b"left by a file manager")
    return Miniature(counts)


def _of_kind(scenes: SceneBatch, kind: int) -> np.ndarray:
    """Return positions of scenes in which both groups have size and pattern of a kind."""
    size, pattern = divmod(kind, len(PATTERNS))
    same = (scenes.size == size) & (scenes.texture == pattern)
    return np.flatnonzero(same.all(axis=1))
