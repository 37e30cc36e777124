"""The same embeddings under every protocol that prints R@1, and under a loader that loses files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lib.core.checks import RetrievalInputError, as_embeddings, unit_rows
from lib.core.qrels import Qrels
from lib.datasets.captioned import CaptionedMedia, equal_texts_once
from lib.metrics import (
    Cosines,
    bootstrap_interval,
    dual_softmax,
    evaluate_embeddings,
    hit_rate_at_k,
)
from lib.studies.published.evaluate_direction import weighted_by_fold
from lib.studies.published.relevance_sets import fold_positions, within
from lib.studies.readme_results import stored_embeddings, test_task

WHOLE = {"captions": "all", "gallery": "whole", "judgements": "own pairs", "inference": "inductive"}


def stored_scenes() -> tuple[CaptionedMedia, np.ndarray, np.ndarray, Qrels]:
    """The scenes test in the shape of COCO-5K, with the committed embeddings of the model `scenes`.

    Returns:
        `(corpus, image rows, text rows, truth)`: 5,000 images, five captions each, each relevant to
        the image that it was written for; int8 rows of 256 dimensions, whose rankings agree on
        every machine; and `(25000, 5000)` judgements of all images that a caption is true of. Media
        are positions, not pictures.
    """
    task = test_task("scenes", "text_to_image")
    text, image = stored_embeddings("scenes", "text_to_image")
    corpus = CaptionedMedia(
        name="scenes",
        split="test",
        modality="image",
        media=range(len(image)),
        item_ids=[f"image {item}" for item in range(len(image))],
        texts=task.queries,
        text_ids=[f"caption {caption}" for caption in range(len(text))],
        qrels=Qrels.from_owner(task.query_groups, len(image)).T,
        captions="all",
        counts=(),
        datasheet="scenes",
    )
    return corpus, image, text, task.qrels.at_least(task.hit_grade)


@dataclass(frozen=True, eq=False, repr=False)
class Asked:
    """What one protocol asks of one model.

    Args:
        name: of the protocol, as a table shows it.
        columns: what it decides, the keys of `WHOLE`.
        parts: `(media rows, text rows, qrels)` of each gallery, qrels of `(texts, media)`; their
            mean counts.
        beta: inverse temperature of a dual softmax over the test queries; None for none.
    """

    name: str
    columns: dict[str, str]
    parts: tuple[tuple[np.ndarray, np.ndarray, Qrels], ...]
    beta: float | None = None

    @property
    def differs_in(self) -> str:
        """The columns in which it departs from the whole gallery with all captions, in words."""
        return ", ".join(
            f"{name}: {value}" for name, value in self.columns.items() if value != WHOLE[name]
        )


def protocols(
    corpus: CaptionedMedia,
    media_rows,
    text_rows,
    truth: Qrels | None = None,
    *,
    n_folds: int = 5,
    beta: float = 20.0,
) -> Iterator[Asked]:
    """Everything that is printed as "R@1" of one model, from its embeddings.

    Args:
        corpus: media and texts; every text describes at least one item.
        media_rows, text_rows: `(n_items, d)` and `(n_texts, d)` embeddings in the order of the
            corpus.
        truth: `(n_texts, n_items)` judgements beyond the corpus's own pairs; without, no such
            protocol.
        n_folds: contiguous folds of items.
        beta: of the dual softmax, which is asked on the first fold, beside the same fold without
            it.

    Returns:
        The whole gallery, the first fold, the mean of the folds, the first caption of each item,
        its captions averaged to one, equal texts as one, more positives, and help from the other
        test queries.

    Raises:
        RetrievalInputError: rows that do not fit the corpus, a text that describes nothing, an item
            without a text, and what `fold_positions` refuses.


    """
    media, texts = as_embeddings(media_rows, "media rows"), as_embeddings(text_rows, "text rows")
    own = corpus.qrels
    for what, rows, ids in (("media", media, corpus.item_ids), ("text", texts, corpus.text_ids)):
        if len(rows) != len(ids):
            raise RetrievalInputError(
                f"{len(rows)} {what} rows for {len(ids)} ids of {corpus.name}"
            )
    if not own.counts.all() or not own.T.counts.all():
        raise RetrievalInputError(
            f"{corpus.name}: every text must describe an item, every item have a text"
        )
    yield Asked("whole gallery", WHOLE, ((media, texts, own),))
    folds = tuple(
        (
            media[of[corpus.modality]],
            texts[of["text"]],
            within(own, of["text"], of[corpus.modality]),
        )
        for of in fold_positions(corpus, n_folds)
    )
    first = {**WHOLE, "gallery": f"first of {n_folds} folds"}
    yield Asked("first fold only", first, folds[:1])
    yield Asked(f"mean of {n_folds} folds", {**WHOLE, "gallery": f"mean of {n_folds} folds"}, folds)
    by_item = own.T
    firsts = by_item.items[by_item.indptr[:-1]]  # (n_items,)
    one_each = media, texts[firsts], own.take_queries(firsts)
    yield Asked("first caption only", {**WHOLE, "captions": "first of each"}, (one_each,))
    directions = unit_rows(texts, "text rows")[by_item.items]
    together = np.add.reduceat(directions, by_item.indptr[:-1], axis=0)  # (n_items, d)
    averaged = media, together, Qrels.from_owner(np.arange(len(media)), len(media))
    yield Asked("captions averaged", {**WHOLE, "captions": "mean of each"}, (averaged,))
    kept, merged = equal_texts_once(corpus.texts, own)
    yield Asked(
        "equal captions once", {**WHOLE, "captions": "unique"}, ((media, texts[kept], merged),)
    )
    if truth is not None:
        yield Asked(
            "every true pair", {**WHOLE, "judgements": "every true pair"}, ((media, texts, truth),)
        )
    helped = {**first, "inference": "transductive"}
    yield Asked("first fold, dual softmax", helped, folds[:1], beta)


def r1_rows(asked: Sequence[Asked] | Iterator[Asked], modality: str = "image") -> list[dict]:
    """R@1 in both directions under each protocol, ties against the model.

    Args:
        asked: of `protocols`.
        modality: of the media.

    Returns:
        Rows of protocol, direction, value, low, high (fractions; 95%, texts resampled by their
        item), n_queries, n_gallery (of the first part), differs_in.
    """
    rows = []
    for one in asked:
        for direction in (f"{modality}_to_text", f"text_to_{modality}"):
            found = [_hits(part, direction.endswith("to_text"), one.beta) for part in one.parts]
            hits, groups = (
                weighted_by_fold([hits for hits, _ in found]),
                _apart([of for _, of in found]),
            )
            low, high = bootstrap_interval(hits, groups)
            gallery = one.parts[0][1 if direction.endswith("to_text") else 0]
            row = {"protocol": one.name, "direction": direction, "value": float(hits.mean())}
            row |= {"low": low, "high": high, "n_queries": hits.size, "n_gallery": len(gallery)}
            rows.append(row | {"differs_in": one.differs_in})
    return rows


def both_directions(rows: Sequence[dict]) -> list[dict]:
    """The rows of `r1_rows` as a table: a line per protocol, R@1 in percent with its interval per
    direction.

    Returns:
        Rows of protocol, the two directions as `(value, low, high)`, texts, media (what is asked
        and searched when texts ask), differs_in.
    """
    lines: dict[str, dict] = {}
    for row in rows:
        line = lines.setdefault(row["protocol"], {"protocol": row["protocol"]})
        line[row["direction"]] = tuple(100 * row[part] for part in ("value", "low", "high"))
        if row["direction"].startswith("text_to"):
            line |= {"texts": row["n_queries"], "media": row["n_gallery"]}
        line["differs_in"] = row["differs_in"] or "-"
    return list(lines.values())


def _hits(part, to_text: bool, beta: float | None) -> tuple[np.ndarray, np.ndarray]:
    media, texts, qrels = part
    groups = (
        np.arange(len(media)) if to_text else qrels.items[qrels.indptr[:-1]]
    )  # the first item of a text
    queries, gallery = (media, texts) if to_text else (texts, media)
    qrels = qrels.T if to_text else qrels
    if beta is None:
        return evaluate_embeddings(queries, gallery, qrels, ks=[1], metrics=("R",)).per_query[
            "R@1"
        ], groups
    run = dual_softmax(Cosines(queries, gallery), beta=beta, depth=1)
    return hit_rate_at_k(run.ids, qrels, 1), groups


def _apart(groups: Sequence[np.ndarray]) -> np.ndarray:
    """The clusters of all parts, numbered so that no two parts share one."""
    starts = np.cumsum([0] + [of.max() + 1 for of in groups])
    return np.concatenate([of + start for of, start in zip(groups, starts)])


def with_lost_media(
    corpus: CaptionedMedia, media_rows, text_rows, shares: Sequence[float], *, seed: int = 0
) -> list[dict]:
    """What R@1 becomes when a loader skips media that are not there, with their texts, and says
    nothing.

    Args:
        corpus: media and texts.
        media_rows, text_rows: embeddings in the order of the corpus.
        shares: of the media that are lost, each below 1; a larger loss contains the smaller ones.
        seed: which are lost first.

    Returns:
        Rows of lost (fraction), direction, value, low, high, n_queries, n_gallery.
    """
    order = np.random.default_rng(seed).permutation(len(corpus.item_ids))
    bare = replace(corpus, media=range(len(order)))
    media, texts = as_embeddings(media_rows, "media rows"), as_embeddings(text_rows, "text rows")
    rows = []
    for share in shares:
        if not 0 <= share < 1:
            raise RetrievalInputError(f"the share that is lost must be in [0, 1), got {share}")
        kept = bare.take_items(np.sort(order[round(share * len(order)) :]))
        part = (
            media[np.asarray(kept.media)],
            texts[corpus.positions("text", kept.text_ids)],
            kept.qrels,
        )
        asked = Asked("", WHOLE, (part,))
        rows += [{"lost": share, **row} for row in r1_rows([asked], corpus.modality)]
    return [{name: value for name, value in row.items() if name != "differs_in"} for row in rows]
