"""Icons: 16,546 real drawings with their designers' names, from the fonts inside `qtawesome`.

Seven open icon families ship in that package as TrueType fonts with a JSON map from name to code
point. The fonts are read by path, because importing the package needs Qt. Drawings are 64 x 64, one
channel, 0 = background and 255 = ink. `data/README.md` has licences, splits and known flaws.
"""

import hashlib
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL import __version__ as pillow_version

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.paths import cache_dir
from lib.core.qrels import Qrels
from lib.core.reading import MissingFileError, cached_arrays, reading
from lib.core.task import RetrievalTask
from lib.datasets.concept_splits import SPLITS, group_by_keys, split_of

SIZE = 64
FAMILIES = {  # family: the stem its font and name map start with
    "codicon": "codicon",
    "elusive": "elusiveicons-webfont",
    "fontawesome-regular": "fontawesome6-regular-webfont",
    "fontawesome-solid": "fontawesome6-solid-webfont",
    "material": "materialdesignicons6-webfont",
    "phosphor": "phosphor",
    "remix": "remixicon",
}
STYLE_WORDS = frozenset(["fill", "outline", "line", "thin", "bold", "light", "variant"])
DIRECTIONS = ("text_to_image", "image_to_text")
SAME_NAME, SAME_CONCEPT, SAME_HEAD = 3, 2, 1  # grades


def concept_of(name: str) -> str:
    """Return a name without its style words: `"alarm-fill"` and `"alarm-light"` are `"alarm"`."""
    return "-".join(word for word in name.split("-") if word not in STYLE_WORDS) or name


def head_of(name: str) -> str:
    """Return the first word of the concept, the base object: account-alert, account-cash."""
    return concept_of(name).split("-")[0]


def phrase_of(name: str) -> str:
    """Return a name as a person types it: `"alarm-light"` -> `"alarm light"`."""
    return name.replace("-", " ")


@dataclass(frozen=True)
class Icons:
    """All icons, aligned by position.

    Args:
        images: uint8 (n, 64, 64), 255 = ink.
        names: the designer's name of each image.
        families: family of each image.
        groups: int64 (n,). Images that share a concept, or have identical pixels, share a group.
            A group lies in one split, so neither a concept nor a drawing leaks.
        splits: split of each image.
    """

    images: np.ndarray
    names: tuple[str, ...]
    families: tuple[str, ...]
    groups: np.ndarray
    splits: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def positions(self, split: str) -> np.ndarray:
        """Return the positions of a split's images, in order."""
        return np.flatnonzero(self.splits == check_choice(split, SPLITS, "split"))


def _font_folder() -> Path:
    spec = importlib.util.find_spec("qtawesome")
    if spec is None or spec.origin is None:
        raise MissingFileError("qtawesome, the source of the icons, is missing. Run: make run")
    return Path(spec.origin).parent / "fonts"


def _only(folder: Path, pattern: str) -> Path:
    paths = sorted(folder.glob(pattern))
    if len(paths) != 1:
        raise MissingFileError(
            f"expected one file {pattern} in qtawesome's fonts, found {len(paths)}. "
            f"Install the version named in constraints.txt."
        )
    return paths[0]


def font_files() -> dict[str, tuple[Path, Path]]:
    """Return `{family: (font, name map)}`."""
    folder = _font_folder()
    return {
        family: (_only(folder, f"{stem}-[0-9]*.ttf"), _only(folder, f"{stem}-charmap-*.json"))
        for family, stem in FAMILIES.items()
    }


def draw_glyph(font: ImageFont.FreeTypeFont, character: str, size: int = SIZE) -> np.ndarray:
    """Draw one character centred in a square, smaller if it would touch the border."""
    left, top, right, bottom = font.getbbox(character)
    width, height = right - left, bottom - top
    longest = size - 4 * size // SIZE
    if max(width, height) > longest:
        font = font.font_variant(size=max(1, int(font.size * longest / max(width, height))))
        left, top, right, bottom = font.getbbox(character)
        width, height = right - left, bottom - top
    canvas = Image.new("L", (size, size), 0)
    origin = ((size - width) // 2 - left, (size - height) // 2 - top)
    ImageDraw.Draw(canvas).text(origin, character, fill=255, font=font)
    return np.asarray(canvas)


def read_catalogue() -> list[tuple[str, str, int]]:
    """Read (family, name, code point) of every icon, by family and in the order of its map."""
    rows = []
    for family, (_, charmap) in font_files().items():
        with reading(charmap, "no map of icon names", "Install qtawesome again"):
            codes = json.loads(charmap.read_text())
            rows += [(family, name, int(code, 16)) for name, code in codes.items()]
    return rows


def draw_icons(rows: Sequence[tuple[str, str, int]], size: int = SIZE) -> np.ndarray:
    """Draw icons of the catalogue, uint8 (n, size, size), 255 = ink."""
    paths = font_files().items()
    em = 52 * size // SIZE
    fonts = {family: ImageFont.truetype(str(path), em) for family, (path, _) in paths}
    return np.stack([draw_glyph(fonts[family], chr(code), size) for family, _, code in rows])


def _cached_images(rows: Sequence[tuple[str, str, int]]) -> np.ndarray:
    """Draw the images once (some seconds), and again if the cache is damaged or fonts change."""
    recipe = json.dumps([rows, SIZE, pillow_version]).encode()
    path = cache_dir() / f"icons-{hashlib.sha256(recipe).hexdigest()[:12]}.npz"
    return cached_arrays(path, lambda: {"images": draw_icons(rows)})["images"]


def group_keys(names: Sequence[str], groups: np.ndarray) -> dict[int, str]:
    """Return the alphabetically first concept of each group, which stands for it in hashes."""
    keys: dict[int, str] = {}
    for group, name in zip(groups.tolist(), names, strict=True):
        keys[group] = min(keys.get(group, "~"), concept_of(name))
    return keys


@lru_cache(maxsize=1)
def load_icons() -> Icons:
    """Load all icons with names, groups and splits; the arrays are shared and read-only."""
    rows = read_catalogue()
    images = _cached_images(rows)
    names = tuple(name for _, name, _ in rows)
    # A group shares concepts or pixels.
    drawings = [image.tobytes() for image in images]
    groups = group_by_keys(zip(map(concept_of, names), drawings, strict=True))
    keys = group_keys(names, groups)
    splits = np.array([split_of(keys[group]) for group in groups.tolist()])
    for array in (images, groups, splits):
        array.setflags(write=False)
    return Icons(images, names, tuple(family for family, _, _ in rows), groups, splits)


def judge(names: Sequence[str], icons: Icons, positions: np.ndarray) -> Qrels:
    """Grade every (name, image) pair of a split.

    Grade 3: the image has the name, or its pixels are those of a gallery image that has it.
    Grade 2: same group, that is the same concept in another style or family, or a concept that
    shares a drawing with it. Grade 1: another concept with the same first word.

    Args:
        names: the queries, unique names of the corpus.
        icons: the corpus.
        positions: int (n_images,), the gallery.

    Returns:
        `Qrels` of shape `(len(names), len(positions))`.
    """
    group_of = dict(zip(icons.names, icons.groups.tolist(), strict=True))
    gallery_names = [icons.names[p] for p in positions]
    drawings = [icons.images[p].tobytes() for p in positions]
    names_of_drawing: dict[bytes, set[str]] = {}
    by_group: dict[int, list[int]] = {}
    by_head: dict[str, list[int]] = {}
    for item, (position, name) in enumerate(zip(positions, gallery_names, strict=True)):
        names_of_drawing.setdefault(drawings[item], set()).add(name)
        by_group.setdefault(int(icons.groups[position]), []).append(item)
        by_head.setdefault(head_of(name), []).append(item)
    queries, items, grades = [], [], []
    for query, name in enumerate(names):
        if name not in group_of:
            raise RetrievalInputError(f"names[{query}] is {name!r}, which no icon has")
        row = dict.fromkeys(by_head.get(head_of(name), []), SAME_HEAD)
        for item in by_group.get(group_of[name], []):
            row[item] = SAME_NAME if name in names_of_drawing[drawings[item]] else SAME_CONCEPT
        queries += [query] * len(row)
        items += row.keys()
        grades += row.values()
    return Qrels.from_pairs(
        np.array(queries), np.array(items), np.array(grades), shape=(len(names), len(positions))
    )


def task(split: str = "test", direction: str = "text_to_image") -> RetrievalTask:
    """Return the task from names to icons, or from icons to names, on one split.

    A text is a unique name, written as a phrase; all images with this name are hits (grade 3).
    `query_groups` is the concept group, the unit of splits and intervals.

    Args:
        split: `"train"`, `"validation"` or `"test"`, without shared concepts and drawings.
        direction: `"text_to_image"` or `"image_to_text"`.
    """
    return names_task(load_icons().positions(split), split, direction)


def names_task(positions: np.ndarray, split: str, direction: str) -> RetrievalTask:
    """Return the task between these icons and their names; see `task`."""
    check_choice(direction, DIRECTIONS, "direction")
    icons = load_icons()
    if len(positions) == 0:
        raise RetrievalInputError(f"the {split} split holds no icons")
    first_position: dict[str, int] = {}
    for position in positions:
        first_position.setdefault(icons.names[position], int(position))
    names = list(first_position)
    by_name = RetrievalTask(
        name="icons",
        split=split,
        direction="text_to_image",
        queries=[phrase_of(name) for name in names],
        gallery=icons.images[positions],
        qrels=judge(names, icons, positions),
        query_groups=icons.groups[list(first_position.values())],
        hit_grade=SAME_NAME,
        datasheet="icons",
    )
    return by_name if direction == "text_to_image" else by_name.turned(icons.groups[positions])
