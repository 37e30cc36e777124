"""Make collections of 16,000 to a million vectors, and queries that they do not hold.

The first 16,000 rows are the vectors of real pictures. Later rows lie around them, displaced by the
difference of two others, so that they vary as real pictures do:

    row = unit(x_a + 0.5 (x_b - x_c))

Queries are the vectors of the 2,460 pictures that are left, and their names.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from lib.core.checks import check_count, unit_rows
from lib.core.paths import cache_dir
from lib.core.writing import atomic_path
from lib.datasets.picture_gallery import load_gallery
from lib.datasets.pictures import NAME
from lib.models.artifact_files import load_embeddings
from lib.search.collection import model_of
from lib.search.collection.files import CollectionFolder
from lib.search.collection.indexing import EXACT_UP_TO, IndexWish, update_index
from lib.search.collection.vectors_only import add_vectors

N_REAL = 16_000
DISPLACED = 0.5  # the mean cosine of a row with the picture that it lies around is then 0.86
BLOCK = 20_000  # rows of a part, and of one random stream
LEAST, LARGEST = 1_000, 10_000_000
WISH = IndexWish(recall=0.95, families=("IVF",))
Log = Callable[[str], None]


@dataclass(frozen=True)
class RealRows:
    """Vectors and names of real pictures: those that collections hold, and the others."""

    held: np.ndarray  # (16,000, dim)
    held_names: list[str]
    others: np.ndarray  # (2,460, dim)
    other_names: list[str]


@dataclass(frozen=True)
class MadeCollection:
    """A collection of made-up size.

    Args:
        path: its folder.
        n: vectors.
        index: in words: what was chosen, with the recall that tuning reports.
        write_s: processor seconds in which its files were written.
        tune_s: processor seconds in which its index was chosen and built; 0 without one.
    """

    path: Path
    n: int
    index: str
    write_s: float
    tune_s: float


@lru_cache(maxsize=1)
def real_rows() -> RealRows:
    """Split the stored vectors of icons and emoji at random, with their names."""
    vectors = unit_rows(load_embeddings(NAME)["all_image"], "the stored embeddings")
    names = load_gallery().names
    order = np.random.default_rng(0).permutation(len(vectors))
    held, others = order[:N_REAL], order[N_REAL:]
    return RealRows(
        vectors[held], [names[at] for at in held], vectors[others], [names[at] for at in others]
    )


def made_rows(block: int, most: int | None = None) -> tuple[np.ndarray, list[str]]:
    """Return the rows of a block of 20,000, or at most so many, and their names."""
    real, rng = real_rows(), np.random.default_rng([1, block])
    numbers = block * BLOCK + np.arange(BLOCK)
    at = numbers % N_REAL
    plus, minus = rng.integers(0, N_REAL, (2, BLOCK))
    rows = real.held[at] + np.float32(DISPLACED) * (real.held[plus] - real.held[minus])
    rows = np.where((numbers < N_REAL)[:, None], real.held[at], rows)[:most]
    return unit_rows(rows, "rows"), [real.held_names[place] for place in at[:most]]


def text_queries(n: int) -> list[str]:
    """Return n names of pictures that no collection holds; different ones come first."""
    names = list(dict.fromkeys(real_rows().other_names))
    return [names[at % len(names)] for at in range(n)]


def vector_queries(n: int) -> np.ndarray:
    """Return n vectors of pictures that no collection holds, float32 (n, dim)."""
    others = real_rows().others
    return others[np.arange(n) % len(others)]


def made_collection(n: int, log: Log = print) -> MadeCollection:
    """Return the collection of n vectors; make it where it is missing, which is kept.

    A stopped run goes on behind its last part. A collection of more than 50,000 rows gets an
    inverted file with the settings that reach a recall of 0.95. `crossmodal index` would try
    graphs too, whose building takes much longer.
    """
    n = check_count(n, "n", least=LEAST, most=LARGEST)
    model = model_of(NAME, None)
    path = cache_dir() / "serving_collections" / f"{n}-{model['artifact_sha256'][:12]}"
    facts, folder = path.with_suffix(".json"), CollectionFolder(path)
    if facts.is_file() and folder.exists() and folder.read().rows == n:
        return MadeCollection(path, n, **json.loads(facts.read_text()))
    log(f"writing a collection of {n:,} vectors into {path}")
    start = time.process_time()
    identity = {"model": NAME, "rows": "made by lib.studies.serving"}
    if folder.exists():
        keep_rows(folder, n)
    done = folder.read().rows if folder.exists() else 0
    for block in range(done // BLOCK, -(-n // BLOCK)):
        rows, names = made_rows(block, n - block * BLOCK)
        add_vectors(path, rows, names, model=model, identity=identity)
    wrote = time.process_time()
    index = update_index(path, WISH if n > EXACT_UP_TO else None, log=log)
    tune_s = time.process_time() - wrote if folder.read().index else 0.0
    made = {"index": index, "write_s": wrote - start, "tune_s": tune_s}
    with atomic_path(facts) as temporary:
        temporary.write_text(json.dumps(made) + "\n")
    return MadeCollection(path, n, **made)


def keep_rows(folder: CollectionFolder, n: int) -> None:
    """Drop the parts behind the first n rows: those that a measurement of reloads added."""
    with folder.writing():
        manifest, parts = folder.read(), []
        while sum(part.rows for part in parts) < n and len(parts) < len(manifest.parts):
            parts.append(manifest.parts[len(parts)])
        folder.write(replace(manifest, parts=tuple(parts)))
        folder.remove_leftovers()
