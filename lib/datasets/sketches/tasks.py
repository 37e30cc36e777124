"""Tasks from sketches to pictures, icons and pages, with graded judgements."""

from collections.abc import Hashable, Iterable

import numpy as np

from lib.core.checks import check_choice, check_switch
from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask
from lib.datasets import emoji, pictures
from lib.datasets.sketches.drawings import (
    PLAIN,
    draw_sketches,
    emoji_groups,
    emoji_places,
    sketch_strokes,
)
from lib.datasets.sketches.hand_drawn import load_hand_drawn
from lib.datasets.sketches.pages import load_pages
from lib.datasets.strokes import Hand, measured_hand

NAME, HAND_DRAWN = "sketches", "hand drawn"
DIRECTIONS = ("sketch_to_picture", "sketch_to_icon", "sketch_to_document")
GALLERIES = ("split", "all")
QUERIES = ("own", "icon")  # of sketch_to_document
SAME, SAME_CONCEPT, RELATED = 3, 2, 1  # grades


def task(
    split: str = "test",
    direction: str = "sketch_to_picture",
    *,
    gallery: str = "split",
    hand: Hand | None = None,
    deformed: bool = True,
    queries: str = "own",
    variant: int = 0,
) -> RetrievalTask:
    """Return the task from sketches to pictures, icons or pages on one split.

    A query is a line drawing of an emoji, drawn again by the measured hand, uint8 (64, 64, 3).

        sketch_to_picture   emoji in colour, uint8 (n, 64, 64, 3), by the same artist
        sketch_to_icon      icons, uint8 (n, 64, 64, 3), by other artists; queries are the sketches
                            of which the gallery holds an icon
        sketch_to_document  a list of `Page`

    Grades of pictures and pages: 3 the emoji that is drawn, or one with the same colour picture or
    the same line drawing; 2 another emoji of its concept, such as the man and the woman; 1 another
    one of its group of Unicode. A hit has grade 3. Grades of icons: 3 the icon bears a name of the
    emoji; 2 it shares its concept; 1 its name begins with the first word of such an icon. A hit has
    grade 2 or 3.

    `query_groups` is the concept group of `lib.datasets.pictures`, the unit of splits and
    intervals.

    Args:
        split: an entry of `lib.datasets.pictures.SPLITS`.
        direction: an entry of `DIRECTIONS`.
        gallery: `"split"`, what belongs to the split, or `"all"`, what belongs to any.
        hand: the hand that draws; the measured one by default.
        deformed: False leaves the lines as the artist drew them.
        queries: `"own"`, or for pages `"icon"`: icons of the concept of a page, which another
            artist drew, as they are. A hit then has grade 2.
        variant: other sketches of the same drawings, see `sketch_strokes`.
    """
    check_choice(direction, DIRECTIONS, "direction")
    check_choice(gallery, GALLERIES, "gallery")
    check_choice(queries, QUERIES if direction == "sketch_to_document" else QUERIES[:1], "queries")
    places = query_places(split, direction, gallery=gallery)
    if queries == "icon":
        return _icons_to_pages(split, gallery)
    if not check_switch(deformed, "deformed"):
        hand = PLAIN
    hand = measured_hand() if hand is None else hand
    sketches = draw_sketches(sketch_strokes(places, hand, variant=variant), hand, variant=variant)
    return _task_of(NAME, sketches, places, split, direction, gallery)


def query_places(split: str, direction: str, *, gallery: str = "split") -> np.ndarray:
    """Return the place in `emoji` of each query of `task`, for its strokes, name or word."""
    places = emoji_places(split, drawn=True)
    if direction == "sketch_to_icon":
        groups = pictures.load_pictures().groups[_icon_positions(split, gallery)]
        places = places[np.isin(emoji_groups()[places], groups)]
    return places


def hand_drawn_task(
    direction: str = "sketch_to_picture", *, gallery: str = "all", split: str | None = None
) -> RetrievalTask:
    """Return the task of the drawings recorded with a mouse; see `task` for galleries and grades.

    Args:
        direction: an entry of `DIRECTIONS`.
        gallery: `"all"`, or `"split"` with a split.
        split: only drawings whose concept lies in this split; all by default. Nothing was trained
            on any of them, but on other drawings of the concepts of `"train"`.
    """
    check_choice(direction, DIRECTIONS, "direction")
    check_choice(gallery, GALLERIES if split else GALLERIES[1:], "gallery")
    records = load_hand_drawn()
    kept = np.ones(len(records), dtype=bool)
    places = np.array([record.place for record in records])
    if split:
        kept &= np.isin(places, emoji_places(split))
    if direction == "sketch_to_icon":
        groups = pictures.load_pictures().groups[_icon_positions(split, gallery)]
        kept &= np.isin(emoji_groups()[places], groups)
    sketches = draw_sketches([records[i].drawing for i in np.flatnonzero(kept)])
    return _task_of(HAND_DRAWN, sketches, places[kept], split or "all", direction, gallery)


def _task_of(
    name: str, sketches: np.ndarray, places: np.ndarray, split: str, direction: str, gallery: str
) -> RetrievalTask:
    corpus = pictures.load_pictures()
    if direction == "sketch_to_icon":
        positions = _icon_positions(split, gallery)
        items, qrels = corpus.pixels(positions), judge_icons(places, positions)
    else:
        shown = _emoji_gallery(split, gallery)
        items = emoji.load_emoji().color[shown]
        items = items if direction == "sketch_to_picture" else load_pages(shown)
        qrels = judge_emoji(places, shown)
    return RetrievalTask(
        name=name,
        split=split,
        direction=direction,
        queries=sketches,
        gallery=items,
        qrels=qrels,
        query_groups=emoji_groups()[places],
        hit_grade=SAME_CONCEPT if direction == "sketch_to_icon" else SAME,
        datasheet=NAME,
    )


def _emoji_gallery(split: str, gallery: str) -> np.ndarray:
    return emoji_places(split) if gallery == "split" else np.arange(len(emoji.load_emoji()))


def _icon_positions(split: str, gallery: str) -> np.ndarray:
    return pictures.load_pictures().positions(split if gallery == "split" else None, ["icons"])


def judge_emoji(places: np.ndarray, shown: np.ndarray) -> Qrels:
    """Grade every pair of a drawn emoji and one of the gallery, see `task`.

    Args:
        places: int (n_queries,), what is drawn, places in `emoji`.
        shown: int (n_items,), the gallery, places in `emoji`.
    """
    corpus, groups = emoji.load_emoji(), emoji_groups()
    subgroups = _numbered(corpus.subgroups)
    related = subgroups[places][:, None] == subgroups[shown]
    concept = groups[places][:, None] == groups[shown]
    same = np.array(places)[:, None] == np.array(shown)
    for images in (corpus.color, corpus.line):
        numbers = _numbered(image.tobytes() for image in images)
        same |= (numbers[places][:, None] == numbers[shown]) & concept
    grades = np.select([same, concept, related], [SAME, SAME_CONCEPT, RELATED], 0)
    return _qrels_of(grades)


def judge_icons(places: np.ndarray, positions: np.ndarray) -> Qrels:
    """Grade every pair of a drawn emoji and an icon, see `task`.

    Args:
        places: int (n_queries,), what is drawn, places in `emoji`.
        positions: int (n_items,), the icons, positions in `lib.datasets.pictures`.
    """
    corpus, drawn = pictures.load_pictures(), emoji.load_emoji()
    names, aliases = drawn.names["en"], drawn.aliases
    groups, found = corpus.groups[positions], corpus.names
    heads = _numbered([corpus.heads[position] for position in positions.tolist()])
    grades = np.zeros((len(places), len(positions)), dtype=int)
    for row, place in zip(grades, np.asarray(places).tolist(), strict=True):
        concept = groups == emoji_groups()[place]
        row[np.isin(heads, heads[concept])] = RELATED
        row[concept] = SAME_CONCEPT
        texts = names[place], emoji.concept_of(names[place]), *aliases[place]
        own = set().union(*map(pictures.spellings_of, texts))
        for item in np.flatnonzero(concept).tolist():
            if pictures.spellings_of(found[positions[item]]) & own:
                row[item] = SAME
    return _qrels_of(grades)


def _numbered(keys: Iterable[Hashable]) -> np.ndarray:
    """Number keys, equal ones alike."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys])


def _qrels_of(grades: np.ndarray) -> Qrels:
    query, item = np.nonzero(grades)
    return Qrels.from_pairs(query, item, grades[query, item], shape=grades.shape)


def _icons_to_pages(split: str, gallery: str) -> RetrievalTask:
    """Icons that share the concept of a page find it: another artist's drawings, as they are."""
    corpus, shown = pictures.load_pictures(), _emoji_gallery(split, gallery)
    positions = corpus.positions(check_choice(split, pictures.SPLITS, "split"), ["icons"])
    positions = positions[np.isin(corpus.groups[positions], emoji_groups()[shown])]
    by_icon = judge_icons(shown, positions).T
    grades = np.zeros(by_icon.shape, dtype=int)
    grades[by_icon.query_index, by_icon.items] = by_icon.grades
    grades[grades == RELATED] = 0  # the first word of an icon's name says little about a page
    return RetrievalTask(
        name=f"{NAME}, icons",
        split=split,
        direction="sketch_to_document",
        queries=corpus.pixels(positions),
        gallery=load_pages(shown),
        qrels=_qrels_of(grades),
        query_groups=corpus.groups[positions],
        hit_grade=SAME_CONCEPT,
        datasheet=NAME,
    )
