"""Compare `icons` and `pictures` on forty everyday queries that were fixed before any result.

`data/published/everyday_queries.csv` has the queries and, for each, the tags that answer it. A
picture is right if one of its own texts holds one of these tags. The judgement is a function of
texts alone: it sees neither pixels nor scores. It cannot judge colours, counts or scenes, and a
picture that fits but bears none of the tags counts as wrong.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.paths import data_dir
from lib.core.qrels import Qrels
from lib.datasets import icon_terms
from lib.datasets.concept_splits import singular_of
from lib.datasets.csv_files import read_table
from lib.datasets.icons import phrase_of
from lib.datasets.picture_gallery import EMOJI_NOTICE, UNSEEN, load_gallery
from lib.datasets.pictures import GALLERIES
from lib.index.exact import topk_exact
from lib.metrics import Evaluation, evaluate
from lib.metrics.geometry import to_int8
from lib.models.artifact_files import load_embeddings
from lib.models.tokenizer import words_of
from lib.plots import result_grid

HEADER = ("query", "language", "kind", "tags")
SUBGROUP = "subgroup:"  # begins a tag that is a subgroup of Unicode
METRICS = ("R@1", "R@5", "R@12", "P@5")
NAME = "everyday queries"
PIXELS = 128  # of a picture on the sheet


@dataclass(frozen=True)
class System:
    """One searcher: a trained model and the pictures that it searches.

    Args:
        model: `"icons"` or `"pictures"`, a folder of `data/artifacts`.
        sources: entries of `lib.datasets.pictures.GALLERIES`.
        splits: the splits that are searched; None for all pictures.
    """

    model: str
    sources: tuple[str, ...]
    splits: tuple[str, ...] | None = None


SYSTEMS = {
    "before: icons": System("icons", ("icons",)),
    "after: icons": System("pictures", ("icons",)),
    "after: icons and emoji": System("pictures", GALLERIES),
    "after: unseen pictures": System("pictures", GALLERIES, UNSEEN),
}
BEFORE, AFTER = "before: icons", "after: icons and emoji"


@dataclass(frozen=True)
class EverydayQuery:
    """A query with its language, its kind and the tags that answer it."""

    query: str
    language: str
    kind: str
    tags: tuple[str, ...]


def read_queries(path: str | Path | None = None) -> list[EverydayQuery]:
    """Read the queries in their fixed order."""
    path = data_dir() / "published" / "everyday_queries.csv" if path is None else path
    queries = []
    for line, row in read_table(path, HEADER):
        tags = tuple(tag for tag in row["tags"].split("|") if tag)
        if not row["query"] or not tags:
            raise RetrievalInputError(
                f"{path}, line {line}: query and tags must not be empty, got {row!r:.120}."
                " Write tags as: thunder|lightning"
            )
        queries.append(EverydayQuery(row["query"], row["language"], row["kind"], tags))
    return queries


# ---- judgement by the corpora's own texts


def tag_words(text: str) -> frozenset[str]:
    """Return the words of a text as they are compared: lower case, without regular plural."""
    return frozenset(map(singular_of, words_of(text)))


def mark_right(
    tags: Collection[str], pictures: Sequence[tuple[Sequence[frozenset[str]], str]]
) -> np.ndarray:
    """Mark the pictures of which one text holds every word of one tag, or whose subgroup is a tag.

    Args:
        tags: such as `["thumbs up", "subgroup:food-fruit"]`.
        pictures: of each, the words of its texts, from `tag_words`, and its subgroup of Unicode,
            "" for an icon.

    Returns:
        bool (n_pictures,).
    """
    wanted = [tag_words(tag) for tag in tags if not tag.startswith(SUBGROUP)]
    subgroups = {tag.removeprefix(SUBGROUP) for tag in tags if tag.startswith(SUBGROUP)} - {""}
    return np.array(
        [
            subgroup in subgroups or any(words <= text for words in wanted for text in texts)
            for texts, subgroup in pictures
        ],
        dtype=bool,
    )


@lru_cache(maxsize=1)
def picture_texts() -> list[tuple[tuple[frozenset[str], ...], str]]:
    """Return English texts, as words, and subgroup of every icon and emoji, in corpus order.

    Icons have their name and search terms. Emoji have their English name and aliases: the names in
    other languages say the same, and could match an English tag by accident ("pain" is bread).
    """
    gallery, found = load_gallery(), []
    for (_, name, _), terms in zip(gallery.icon_rows, icon_terms.load_terms(), strict=True):
        found.append((tuple(map(tag_words, (phrase_of(name), *terms))), ""))
    for entry in gallery.entries:
        texts = entry.names["en"], *entry.aliases
        found.append((tuple(map(tag_words, texts)), entry.subgroup[1]))
    return found


@lru_cache(maxsize=1)
def judgements() -> np.ndarray:
    """Return bool (n_queries, n_pictures): icons and emoji that answer each query."""
    texts = picture_texts()
    return np.array([mark_right(query.tags, texts) for query in read_queries()])


# ---- search


@lru_cache(maxsize=2)
def query_embeddings(model: str) -> np.ndarray:
    """Encode the queries with a committed model, int8 (n_queries, dim)."""
    texts = [query.query for query in read_queries()]
    if check_choice(model, ("icons", "pictures"), "model") == "icons":
        from lib.models.trained_models import load_model

        return to_int8(load_model(model).encode_text(texts))
    from lib.models.numpy_text import load_text_encoder

    return to_int8(load_text_encoder(model).encode_text(texts))


def searched_positions(system: str) -> np.ndarray:
    """Return the positions in `lib.datasets.pictures` that an entry of `SYSTEMS` searches."""
    chosen = SYSTEMS[check_choice(system, SYSTEMS, "system")]
    return load_gallery().positions(chosen.splits, chosen.sources)


def ranked_pictures(system: str, k: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Search for every query.

    Returns:
        `(scores, positions)`, both (n_queries, k), positions in `lib.datasets.pictures`.
    """
    positions, model = searched_positions(system), SYSTEMS[system].model
    vectors = load_embeddings(model)["all_image"][positions]
    scores, ids = topk_exact(query_embeddings(model), vectors, k, metric="cosine")
    return scores, positions[ids]


# ---- tables and the sheet


def query_rows(system: str, depth: int = 1000) -> list[dict]:
    """List for each query how many pictures are right, and where the first of them ranks.

    Returns:
        Rows: query, language, kind, n_right (right pictures among those that are searched),
        first_rank (None beyond the depth), in_5, in_12 (right pictures among the first 5 and 12).
    """
    right, (_, found) = judgements(), ranked_pictures(system, depth)
    hits = np.take_along_axis(right, found, axis=1)
    n_right = right[:, searched_positions(system)].sum(axis=1)
    return [
        {
            "query": query.query,
            "language": query.language,
            "kind": query.kind,
            "n_right": int(own),
            "first_rank": int(row.argmax()) + 1 if row.any() else None,
            "in_5": int(row[:5].sum()),
            "in_12": int(row[:12].sum()),
        }
        for query, own, row in zip(read_queries(), n_right, hits, strict=True)
    ]


def evaluate_queries(system: str, languages: Sequence[str] | None = None) -> Evaluation:
    """Evaluate a system on the queries, of all or some languages, to which a picture is right."""
    positions = searched_positions(system)
    scores, found = ranked_pictures(system)
    kept = [languages is None or query.language in languages for query in read_queries()]
    query, item = np.nonzero(judgements()[kept][:, positions])
    qrels = Qrels.from_pairs(query, item, shape=(sum(kept), len(positions)))
    run = scores[kept], np.searchsorted(positions, found[kept])
    return evaluate(run, qrels, metrics=METRICS, name=NAME, no_relevant="skip")


def system_rows(systems: Sequence[str] = tuple(SYSTEMS)) -> list[dict]:
    """Evaluate systems on all queries: a row per system and metric, with interval and chance."""
    return [
        {"system": system, **row} for system in systems for row in evaluate_queries(system).rows()
    ]


def format_systems() -> list[dict[str, str]]:
    """Format `system_rows` in percent: a row per system, a column per metric."""
    lines: dict[str, dict[str, str]] = {}
    for row in system_rows():
        line = lines.setdefault(row["system"], {"system": row["system"]})
        line["queries"], line["pictures"] = str(row["n_queries"]), f"{row['n_gallery']:,}"
        value, low, high = (100 * row[part] for part in ("value", "low", "high"))
        line[row["metric"]] = f"{value:.1f} [{low:.1f}, {high:.1f}]"
    return list(lines.values())


def format_queries() -> list[dict[str, str]]:
    """Format the rank of the first right picture: a row per query, a column per system."""
    columns = {system: query_rows(system) for system in SYSTEMS}
    return [
        {
            "query": query.query,
            **{system: str(rows[i]["first_rank"] or "-") for system, rows in columns.items()},
        }
        for i, query in enumerate(read_queries())
    ]


def queries_sheet(
    chosen: Sequence[str] | None = None, systems: tuple[str, str] = (BEFORE, AFTER), k: int = 5
) -> Figure:
    """Draw the k best pictures of two systems side by side, a row per query.

    Args:
        chosen: some of the queries; None for all forty.
        systems: two of `SYSTEMS`, left and right.
        k: pictures of each.
    """
    known = [query.query for query in read_queries()]
    chosen = known if chosen is None else chosen
    rows = [known.index(check_choice(query, known, "query")) for query in chosen]
    sides = [ranked_pictures(system, k)[1][rows] for system in systems]  # each (n, k)
    right, gallery = judgements()[rows], load_gallery()
    pixels = [[gallery.pixels(own, PIXELS) for own in found] for found in sides]
    marks = [np.take_along_axis(right, found, axis=1) for found in sides]
    by_system, right_of = (dict(zip(systems, each, strict=True)) for each in (pixels, marks))
    coloured = any("emoji" in SYSTEMS[system].sources for system in systems)
    note = EMOJI_NOTICE if coloured else None
    return result_grid(chosen, by_system, right=right_of, note=note, beside=True)
