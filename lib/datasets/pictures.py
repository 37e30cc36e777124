"""Pictures: icons and emoji as one corpus in colour, with names and further captions.

A picture is uint8 (64, 64, 3), dark ink on white paper. Icons come first, then the emoji in colour,
then line drawings of emoji, which are for training only. Icons have search terms as captions, emoji
their other English names. `load_training_pictures` adds drawings of further icon families, of which
the packages are needed for training alone. `data/README.md` has splits, counts and known flaws.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask
from lib.datasets import concept_splits, emoji, further_icons, icon_terms, icons
from lib.datasets.concept_splits import concept_spellings, group_by_keys, thousandth_of

SIZE = icons.SIZE
LINES, FURTHER = "emoji lines", "further icons"
GALLERIES = ("icons", "emoji")  # what is searched
STORED = (*GALLERIES, LINES)  # what `load_pictures` has
SOURCES = (*STORED, FURTHER)
TEST_B = "test_b"
SPLITS = (*concept_splits.SPLITS, TEST_B)
ASIDE = emoji.ASIDE
HELD_OUT = SPLITS[1:]
EMOJI_HEAD = "emoji "  # before the concept of an emoji
TEST_B_BELOW = 60  # thousandths of the training groups of icons
NAME = "pictures"
SAME_NAME, SAME_CONCEPT = icons.SAME_NAME, icons.SAME_CONCEPT  # grades


@dataclass(frozen=True)
class Pictures:
    """All pictures, aligned by position; `pixels` draws some of them.

    Args:
        captions: lower-case texts of each picture, its name first. A training picture has no
            further caption that is another spelling of a held-out concept, see `drop_held_out`.
        sources: entry of `SOURCES` of each picture.
        places: int64 (n,), position of each picture in the corpus of its source.
        heads: first word of an icon's name, or the concept of an emoji: pictures that share it are
            hard to tell apart.
        groups: int64 (n,). Icons and emoji of one concept share a group, and so do equal pixels of
            one source. A group lies in one split.
        splits: an entry of `SPLITS` for each picture, or `"aside"`.
        n_dropped: further captions of training pictures that `drop_held_out` dropped.
    """

    captions: tuple[tuple[str, ...], ...]
    sources: np.ndarray
    places: np.ndarray
    heads: tuple[str, ...]
    groups: np.ndarray
    splits: np.ndarray
    n_dropped: int

    def __len__(self) -> int:
        return len(self.captions)

    @property
    def is_drawing(self) -> np.ndarray:
        """Return bool (n,), true where a picture is drawn in one ink: all but coloured emoji."""
        return self.sources != "emoji"

    @property
    def names(self) -> list[str]:
        """Return the name of each picture, its first caption."""
        return [captions[0] for captions in self.captions]

    def positions(self, split: str | None = None, sources: Sequence[str] = SOURCES) -> np.ndarray:
        """Return the positions of a split, or of all pictures, of some sources, in order."""
        for source in sources:
            check_choice(source, SOURCES, "source")
        chosen = np.isin(self.sources, list(sources))
        if split is not None:
            chosen &= self.splits == check_choice(split, SPLITS, "split")
        return np.flatnonzero(chosen)

    def pixels(self, positions: np.ndarray | slice) -> np.ndarray:
        """Return pictures in colour, uint8 (k, 64, 64, 3), dark ink on white."""
        sources, places = self.sources[positions], self.places[positions]
        pixels = np.empty((len(places), SIZE, SIZE, 3), np.uint8)
        stored = {
            "icons": lambda: icons.load_icons().images,
            "emoji": lambda: emoji.load_emoji().color,
            LINES: lambda: emoji.load_emoji().line,
            FURTHER: lambda: further_icons.load_further_icons().images,
        }
        for source in np.unique(sources).tolist():
            rows = sources == source
            chosen = stored[source]()[places[rows]]
            pixels[rows] = chosen if chosen.ndim == 4 else 255 - chosen[..., None]
        return pixels


def drop_held_out(
    captions: Sequence[Sequence[str]], trained: np.ndarray, held_out: set[str]
) -> tuple[tuple[tuple[str, ...], ...], int]:
    """Drop the further captions of training pictures that name a held-out concept.

    The search term "bell" of a training icon would teach the word of a bell that is tested.

    Args:
        captions: of each picture, its name first. Names stay: the splits keep their concepts apart.
        trained: bool (n,), the training pictures.
        held_out: spellings of the held-out concepts, from `concept_spellings`.

    Returns:
        The captions that remain, and the number of those dropped.
    """
    kept = []
    for (name, *others), is_trained in zip(captions, trained.tolist(), strict=True):
        if is_trained:
            others = [text for text in others if not spellings_of(text) & held_out]
        kept.append((name, *others))
    return tuple(kept), sum(map(len, captions)) - sum(map(len, kept))


def spellings_of(text: str) -> set[str]:
    """Return the spellings by which a caption is recognised as a concept."""
    return concept_spellings(text, icons.STYLE_WORDS)


def _icon_splits(corpus: icons.Icons) -> np.ndarray:
    """Splits of the icons; some groups of the training split become test_b."""
    keys = icons.group_keys(corpus.names, corpus.groups)
    chosen = {group for group, key in keys.items() if thousandth_of(f"test_b:{key}") < TEST_B_BELOW}
    splits = corpus.splits.astype(f"<U{max(map(len, (*SPLITS, ASIDE)))}")
    splits[np.isin(corpus.groups, list(chosen)) & (corpus.splits == "train")] = TEST_B
    return splits


def _emoji_texts(corpus: emoji.Emoji, position: int) -> tuple[str, ...]:
    name = corpus.names["en"][position]
    return name, emoji.concept_of(name), *corpus.aliases[position]


def _join_emoji(
    drawn: icons.Icons, coloured: emoji.Emoji, icon_splits: np.ndarray
) -> tuple[np.ndarray, dict[int, set[int]]]:
    """Find the split of each emoji and, by group of emoji, the groups of icons of its concept.

    A group that meets icons of one split lies there; one that meets several is set aside and is
    not joined to any.
    """
    groups_of: dict[str, set[int]] = {}
    for name, group in zip(drawn.names, drawn.groups.tolist(), strict=True):
        for spelling in spellings_of(icons.phrase_of(name)):
            groups_of.setdefault(spelling, set()).add(group)
    split_of_group = dict(zip(drawn.groups.tolist(), icon_splits.tolist(), strict=True))
    met: dict[int, set[int]] = {group: set() for group in coloured.groups.tolist()}
    for position, group in enumerate(coloured.groups.tolist()):
        for text in _emoji_texts(coloured, position):
            for spelling in spellings_of(text):
                met[group] |= groups_of.get(spelling, set())
    splits = coloured.splits.astype(icon_splits.dtype)
    for group, others in met.items():
        shared = {split_of_group[other] for other in others}
        if len(shared) > 1:
            splits[coloured.groups == group] = ASIDE
            met[group] = set()
        elif shared:
            splits[coloured.groups == group] = shared.pop()
    return splits, met


@lru_cache(maxsize=1)
def load_pictures() -> Pictures:
    """Load names, captions, groups and splits of all pictures; the arrays are read-only."""
    drawn, coloured, terms = icons.load_icons(), emoji.load_emoji(), icon_terms.load_terms()
    icon_splits = _icon_splits(drawn)
    emoji_splits, met = _join_emoji(drawn, coloured, icon_splits)
    lines = np.flatnonzero(coloured.telling)
    in_colour = np.arange(len(coloured))
    keys = [[("icons", group)] for group in drawn.groups.tolist()]
    for group in coloured.groups[np.concatenate([in_colour, lines])].tolist():
        keys.append([("emoji", group), *(("icons", other) for other in met[group])])
    icon_captions = [icon_terms.captions_of(*pair) for pair in zip(drawn.names, terms, strict=True)]
    emoji_captions = [
        icon_terms.clean_terms(pair)
        for pair in (
            (name, *others)
            for name, others in zip(coloured.names["en"], coloured.aliases, strict=True)
        )
    ]
    emoji_heads = [EMOJI_HEAD + emoji.concept_of(name) for name in coloured.names["en"]]
    captions = [*icon_captions, *emoji_captions, *(emoji_captions[i] for i in lines)]
    splits = np.concatenate([icon_splits, emoji_splits, emoji_splits[lines]])
    heads = (*map(icons.head_of, drawn.names), *emoji_heads, *(emoji_heads[i] for i in lines))
    kept, n_dropped = drop_held_out(
        captions, splits == "train", held_out_spellings(captions, heads, splits)
    )
    corpus = Pictures(
        captions=kept,
        sources=np.repeat(STORED, [len(drawn), len(coloured), len(lines)]),
        places=np.concatenate([np.arange(len(drawn)), in_colour, lines]),
        heads=heads,
        groups=group_by_keys(keys),
        splits=splits,
        n_dropped=n_dropped,
    )
    return _read_only(corpus)


def _read_only(corpus: Pictures) -> Pictures:
    for array in (corpus.sources, corpus.places, corpus.groups, corpus.splits):
        array.setflags(write=False)
    return corpus


def held_out_spellings(
    captions: Sequence[Sequence[str]], heads: Sequence[str], splits: np.ndarray
) -> set[str]:
    """Return the spellings of all held-out names, and of the concepts of held-out emoji."""
    held_out = set()
    for position in np.flatnonzero(np.isin(splits, HELD_OUT)).tolist():
        held_out |= spellings_of(captions[position][0])
        if heads[position].startswith(EMOJI_HEAD):
            held_out |= spellings_of(heads[position].removeprefix(EMOJI_HEAD))
    return held_out


# ---- further icons, for training


def held_out_further_icons() -> tuple[np.ndarray, np.ndarray]:
    """Tell which further icons name a held-out concept, and which nearly equal a held-out picture.

    Returns:
        Two arrays bool (n,), aligned with `further_icons.load_further_icons()`.
    """
    corpus, further = load_pictures(), further_icons.load_further_icons()
    spellings = held_out_spellings(corpus.captions, corpus.heads, corpus.splits)
    pixels = corpus.pixels(np.flatnonzero(np.isin(corpus.splits, HELD_OUT)))
    ink = (255 - pixels.mean(axis=3)).astype(np.uint8)
    return (
        further_icons.held_out_names(further.names, spellings),
        further_icons.held_out_drawings(further.images, ink),
    )


@lru_cache(maxsize=1)
def load_training_pictures() -> Pictures:
    """Load all pictures and, behind them, the further icons that show nothing held out.

    Positions of the pictures are those of `load_pictures`. A further icon has its name as its one
    caption and lies in the training split. Without the packages of the extra `train` this raises
    `MissingFileError`.
    """
    corpus, further = load_pictures(), further_icons.load_further_icons()
    named, drawn = held_out_further_icons()
    places = np.flatnonzero(~named & ~drawn)
    names = [further.names[place] for place in places.tolist()]
    groups = group_by_keys([[icons.concept_of(name)] for name in names])
    n = len(places)
    joined = replace(
        corpus,
        captions=(*corpus.captions, *((icons.phrase_of(name),) for name in names)),
        sources=np.concatenate([corpus.sources, np.repeat([FURTHER], n)]),
        places=np.concatenate([corpus.places, places]),
        heads=(*corpus.heads, *map(icons.head_of, names)),
        groups=np.concatenate([corpus.groups, corpus.groups.max() + 1 + groups]),
        splits=np.concatenate([corpus.splits, np.repeat(["train"], n)]),
    )
    return _read_only(joined)


# ---- tasks


def in_colour(task: RetrievalTask) -> RetrievalTask:
    """Return a task of drawings, uint8 (n, 64, 64) as ink, with pictures, uint8 (n, 64, 64, 3)."""
    side = "gallery" if task.gallery_modality == "image" else "queries"
    drawings = np.asarray(getattr(task, side))
    if drawings.dtype != np.uint8 or drawings.shape[1:] != (SIZE, SIZE):
        raise RetrievalInputError(
            f"the images of the task must be uint8 (n, {SIZE}, {SIZE}), got {drawings.dtype}"
            f" {drawings.shape}"
        )
    return replace(task, **{side: np.repeat(255 - drawings[..., None], 3, axis=3)})


def task(
    split: str = "test", direction: str = "text_to_image", source: str | None = None
) -> RetrievalTask:
    """Return the task from names to pictures, or from pictures to names, on one split.

    With `source="icons"` or `"emoji"` it is the task of that corpus, with the same queries,
    gallery, grades and groups, except for what this corpus holds in `"test_b"` instead of
    `"train"`. Without a source both galleries are searched together: a picture of the other source
    has grade 3 if it bears the name, and grade 2 if it shares its concept.

    Args:
        split: an entry of `SPLITS`. `"test_b"` was a part of the training split of icons; no choice
            was ever made on it.
        direction: `"text_to_image"` or `"image_to_text"`.
        source: `"icons"`, `"emoji"`, or None for both.
    """
    if source is not None:
        return _task_of(check_choice(source, GALLERIES, "source"), split, direction)
    check_choice(direction, icons.DIRECTIONS, "direction")
    corpus = load_pictures()
    parts = [_task_of(part, split, "text_to_image") for part in GALLERIES]
    positions = corpus.positions(split, GALLERIES)
    queries, rows = _join_queries([list(part.queries) for part in parts])
    grades: dict[tuple[int, int], int] = {}
    start = 0
    for part, own in zip(parts, rows, strict=True):
        for query, item, grade in zip(
            own[part.qrels.query_index].tolist(),
            (start + part.qrels.items).tolist(),
            part.qrels.grades.tolist(),
            strict=True,
        ):
            grades[query, item] = grade
        start += len(part.gallery)
    names, groups = corpus.names, corpus.groups[positions]
    first: dict[str, int] = {}
    for item, position in enumerate(positions.tolist()):
        first.setdefault(names[position], item)
    query_groups = np.array([groups[first[query]] for query in queries])
    for item, (position, group) in enumerate(zip(positions.tolist(), groups.tolist(), strict=True)):
        for query in np.flatnonzero(query_groups == group).tolist():
            same = names[position] == queries[query]
            least = SAME_NAME if same else SAME_CONCEPT
            grades[query, item] = max(least, grades.get((query, item), 0))
    query, item = np.array(list(grades)).T
    shape = len(queries), len(positions)
    qrels = Qrels.from_pairs(query, item, np.array(list(grades.values())), shape=shape)
    by_name = RetrievalTask(
        name=NAME,
        split=split,
        direction="text_to_image",
        queries=queries,
        gallery=corpus.pixels(positions),
        qrels=qrels,
        query_groups=query_groups,
        hit_grade=SAME_NAME,
        datasheet=NAME,
    )
    return by_name if direction == "text_to_image" else by_name.turned(groups)


def _task_of(source: str, split: str, direction: str) -> RetrievalTask:
    """Make the task of one source on this corpus' splits."""
    corpus = load_pictures()
    places = corpus.places[corpus.positions(split, [source])]
    if source == "icons":
        return in_colour(icons.names_task(places, split, direction))
    return emoji.names_task(places, split, direction)


def _join_queries(queries: list[list[str]]) -> tuple[list[str], list[np.ndarray]]:
    """Join lists of queries, each text once in lower case, and tell the new row of each."""
    rows: dict[str, int] = {}
    places = [np.array([rows.setdefault(q.lower(), len(rows)) for q in part]) for part in queries]
    return list(rows), places
