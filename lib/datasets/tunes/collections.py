"""Collections of folk tunes inside the package `music21`, read by path and never imported.

`data/README.md` has their sources, legal status and faults. Faults that keep a tune from being read
are mended by the corrections in `data/published/abc_corrections.csv`, one a line, and by nothing
else.
"""

import hashlib
import importlib.util
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from lib.core.checks import check_choice
from lib.core.paths import cache_dir, data_dir
from lib.core.reading import DamagedFileError, MissingFileError, cached_arrays
from lib.datasets.csv_files import read_table
from lib.datasets.tunes.abc_files import read_text, read_tune, split_tunes
from lib.datasets.tunes.melody import Melody
from lib.datasets.tunes.packed import pack_melodies, unpack_melodies

FREE = ("airdsAirs", "oneills1850", "ryansMammoth", "miscFolk")
ESSEN = "essenFolksong"  # for non-commercial use
COLLECTIONS = (*FREE, ESSEN)
TITLES = {
    "airdsAirs": "Aird's Airs, Glasgow 1778 to 1801",
    "oneills1850": "O'Neill's Music of Ireland, Chicago 1903",
    "ryansMammoth": "Ryan's Mammoth Collection, Boston 1883",
    "miscFolk": "American fifes and Northumbrian Minstrelsy",
    ESSEN: "Essen folk songs",
}
# In these the letter B, H in German, is lost: `3A2c22` was `B3A2c2B2`.
UNREADABLE = frozenset(
    f"{ESSEN}/{tune}"
    for tune in (
        "dva0.abc#27",
        "erk20.abc#237",
        "folkHaydn.abc#13",
        "han2.abc#374",
        "han2.abc#445",
        "lot.abc#107",
    )
)
CORRECTIONS = "abc_corrections.csv"
COLUMNS = ("file", "line", "old", "new", "reason")
ADVICE = "Install it with: pip install music21==10.5.1"


def collection_files(collection: str) -> list[Path]:
    """Return the `.abc` files of a collection, ordered by name."""
    check_choice(collection, COLLECTIONS, "collection")
    spec = importlib.util.find_spec("music21")
    if spec is None or not spec.submodule_search_locations:
        raise MissingFileError(f"music21, the source of the tunes, is missing. {ADVICE}")
    folder = Path(next(iter(spec.submodule_search_locations))) / "corpus" / collection
    paths = sorted(folder.glob("*.abc"))
    if not paths:
        raise MissingFileError(f"{folder} holds no .abc file. {ADVICE}")
    return paths


@lru_cache(maxsize=1)
def corrections() -> dict[str, list[tuple[int, str, str]]]:
    """Read the corrections as `{"collection/file": [(line, old, new), ...]}`, last line first."""
    found: dict[str, list[tuple[int, str, str]]] = {}
    for _, row in read_table(data_dir() / "published" / CORRECTIONS, COLUMNS):
        found.setdefault(row["file"], []).append((int(row["line"]), row["old"], row["new"]))
    return {file: sorted(rows, reverse=True) for file, rows in found.items()}


def corrected_text(path: Path) -> str:
    """Read a file of a collection and replace the faulty places that the corrections name.

    A correction replaces what begins on its line and may end on the next; the number of lines stays
    the same.
    """
    lines = read_text(path).split("\n")
    for line, old, new in corrections().get(f"{path.parent.name}/{path.name}", ()):
        place = slice(line - 1, line + old.count("\n"))
        text = "\n".join(lines[place])
        if old.removesuffix("\n") not in text:
            raise DamagedFileError(f"{path}, line {line}, must hold {old!r}. {ADVICE}")
        lines[place] = text.replace(old, new).split("\n")
    return "\n".join(lines)


def read_collection(collection: str, *, repeats: bool = False) -> list[Melody]:
    """Read the melodies of one collection, in the order of files and tunes.

    Args:
        collection: one of `COLLECTIONS`. `"essenFolksong"` may be used for non-commercial purposes
            only, and leaves out the six tunes of `UNREADABLE`.
        repeats: play repeats, endings and parts; by default each written note comes once.
    """
    melodies = []
    for path in collection_files(collection):
        name = f"{collection}/{path.name}"
        head, *tunes = split_tunes(corrected_text(path))
        for lines in tunes:
            number = lines[0][1][2:].strip()
            if f"{name}#{number}" not in UNREADABLE:
                melodies.append(read_tune([*head, *lines], name, repeats))
    return melodies


def title_of_collection(source: str) -> str:
    """Return the title of the book from which a tune was taken, by `Melody.source`."""
    return TITLES.get(source.partition("/")[0], "")


@lru_cache(maxsize=4)
def load_tunes(collections: Sequence[str] = FREE, *, repeats: bool = False) -> tuple[Melody, ...]:
    """Load the tunes of some collections; by default the 4,433 that are free to use.

    What was read is kept in the cache folder, and read again if files or reader change.

    Args:
        collections: names of `COLLECTIONS`, as a tuple. `COLLECTIONS` itself adds the 8,508
            readable tunes of Essen, for non-commercial use.
        repeats: as in `read_collection`.
    """
    melodies: list[Melody] = []
    for name in collections:
        key = cache_key(name, repeats)
        path = cache_dir() / "tunes" / f"{name}-{key[:16]}.npz"
        make = partial(_packed_collection, name, repeats)
        melodies += unpack_melodies(cached_arrays(path, make, key))
    return tuple(melodies)


def cache_key(collection: str, repeats: bool) -> str:
    """Return a checksum of all that decides the melodies: files, corrections, and the reader."""
    digest = hashlib.sha256(f"{collection} {repeats}".encode())
    paths = [*collection_files(collection), data_dir() / "published" / CORRECTIONS]
    for path in (*paths, *sorted(Path(__file__).parent.glob("*.py"))):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _packed_collection(collection: str, repeats: bool) -> dict[str, np.ndarray]:
    return pack_melodies(read_collection(collection, repeats=repeats))
