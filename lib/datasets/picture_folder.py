"""Write icons and emoji as picture files: a folder as anybody has one, whose contents are known."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from lib.core.checks import RetrievalInputError, check_count
from lib.core.writing import atomic_path
from lib.datasets.picture_gallery import load_gallery

FACTS = "facts.csv"
BLOCK = 500  # pictures in memory at one time
PAPER = 250  # a pixel that is darker in some channel is ink


def write_picture_folder(
    folder: str | Path, positions: Sequence[int], *, size: int = 128
) -> list[str]:
    """Write pictures of `load_gallery` as PNG files, and a table of facts beside them.

    A picture goes to `FAMILY/its_name.png`. The table `facts.csv` has a row for each: path, name,
    family, concept (a number that pictures of one concept share) and ink, the percent of the page
    that is drawn.

    Args:
        folder: new, or empty.
        positions: (n,) of the pictures in `load_gallery`.
        size: width and height in pixels.

    Returns:
        n paths relative to the folder, with "/", in the order of the positions.
    """
    folder, size = Path(folder), check_count(size, "size", most=1024)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RetrievalInputError(f"{folder} must be a new or an empty folder; give another one")
    gallery, positions = load_gallery(), np.asarray(positions, dtype=int)
    paths: list[str] = []
    taken: set[str] = set()
    rows = []
    for start in range(0, len(positions), BLOCK):
        block = positions[start : start + BLOCK]
        for position, pixels in zip(block.tolist(), gallery.pixels(block, size), strict=True):
            name, family = gallery.names[position], gallery.family(position)
            path = _free_path(f"{family}/{file_name_of(name)}", taken)
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(target)
            ink = 100 * float((pixels.min(axis=2) < PAPER).mean())
            paths.append(path)
            rows.append((path, name, family, int(gallery.groups[position]), round(ink, 1)))
    with (
        atomic_path(folder / FACTS) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(("path", "name", "family", "concept", "ink"))
        writer.writerows(rows)
    return paths


def file_name_of(name: str) -> str:
    """Return a name as part of a file name: letters and digits, "_" between them."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "unnamed"


def _free_path(stem: str, taken: set[str]) -> str:
    """Return `stem.png`, or `stem_2.png` and so on where that is taken."""
    path, number = f"{stem}.png", 1
    while path in taken:
        number += 1
        path = f"{stem}_{number}.png"
    taken.add(path)
    return path
