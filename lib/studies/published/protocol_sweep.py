"""Evaluate the same embeddings under every protocol of R@1, and with lost files."""

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
from lib.studies.published.evaluation import fold_positions, select_qrels, weighted_by_fold
from lib.studies.readme_results import load_test_task, stored_embeddings

WHOLE = {"captions": "all", "gallery": "whole", "judgements": "own pairs", "inference": "inductive"}


def stored_scenes() -> tuple[CaptionedMedia, np.ndarray, np.ndarray, Qrels]:
    """Return the scenes test in the shape of COCO-5K, with the committed embeddings.

    Returns:
        `(corpus, image rows, text rows, truth)`: 5,000 images, five captions each; int8 rows of 256
        dimensions; and `(25000, 5000)` judgements of all true pairs. Media are
        positions, not pictures.
    """
    task = load_test_task("scenes", "text_to_image")
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
class ProtocolInputs:
    """Hold the inputs of one protocol."""

    name: str
    columns: dict[str, str]  # the keys of `WHOLE`
    # (media rows, text rows, (texts, media) qrels) of each gallery; their mean counts
    parts: tuple[tuple[np.ndarray, np.ndarray, Qrels], ...]
    beta: float | None = None  # inverse temperature of a dual softmax over the test queries

    @property
    def differs_in(self) -> str:
        """List the columns that differ from the whole gallery with all captions, in words."""
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
) -> Iterator[ProtocolInputs]:
    """Yield the inputs of every protocol that is printed as "R@1".

    Args:
        corpus: media and texts; every text describes at least one item.
        media_rows, text_rows: `(n_items, d)` and `(n_texts, d)` embeddings in the order of the
            corpus.
        truth: `(n_texts, n_items)` judgements beyond the corpus's own pairs, if there are any.
        n_folds: contiguous folds of items.
        beta: inverse temperature of the dual softmax on the first fold.
    """
    media, texts = as_embeddings(media_rows, "media rows"), as_embeddings(text_rows, "text rows")
    qrels, by_item = corpus.qrels, corpus.qrels.T
    for side, rows, ids in (("media", media, corpus.item_ids), ("text", texts, corpus.text_ids)):
        if len(rows) != len(ids):
            raise RetrievalInputError(
                f"{len(rows)} {side} rows for {len(ids)} ids of {corpus.name}"
            )
    if not qrels.counts.all() or not by_item.counts.all():
        raise RetrievalInputError(
            f"{corpus.name}: every text must describe an item, every item must have a text"
        )
    yield ProtocolInputs("whole gallery", WHOLE, ((media, texts, qrels),))
    positions = [(fold[corpus.modality], fold["text"]) for fold in fold_positions(corpus, n_folds)]
    folds = tuple(
        (media[items], texts[captions], select_qrels(qrels, captions, items))
        for items, captions in positions
    )
    first = {**WHOLE, "gallery": f"first of {n_folds} folds"}
    yield ProtocolInputs("first fold only", first, folds[:1])
    name = f"mean of {n_folds} folds"
    yield ProtocolInputs(name, {**WHOLE, "gallery": name}, folds)
    firsts = by_item.items[by_item.indptr[:-1]]  # (n_items,)
    one_each = media, texts[firsts], qrels.take_queries(firsts)
    yield ProtocolInputs("first caption only", {**WHOLE, "captions": "first of each"}, (one_each,))
    directions = unit_rows(texts, "text rows")[by_item.items]
    together = np.add.reduceat(directions, by_item.indptr[:-1], axis=0)  # (n_items, d)
    averaged = media, together, Qrels.from_owner(np.arange(len(media)), len(media))
    yield ProtocolInputs("captions averaged", {**WHOLE, "captions": "mean of each"}, (averaged,))
    unique, merged = equal_texts_once(corpus.texts, qrels)
    once = media, texts[unique], merged
    yield ProtocolInputs("equal captions once", {**WHOLE, "captions": "unique"}, (once,))
    if truth is not None:
        name = "every true pair"
        yield ProtocolInputs(name, {**WHOLE, "judgements": name}, ((media, texts, truth),))
    adjusted = {**first, "inference": "transductive"}
    yield ProtocolInputs("first fold, dual softmax", adjusted, folds[:1], beta)


def r1_rows(
    protocols: Sequence[ProtocolInputs] | Iterator[ProtocolInputs], modality: str = "image"
) -> list[dict]:
    """Compute R@1 in both directions under each protocol, ties against the model.

    Returns:
        Rows `protocol`, `direction`, `value`, `low`, `high` (fractions; 95%, texts resampled by
        their item), `n_queries`, `n_gallery` (of the first part), `differs_in`.
    """
    rows = []
    for protocol in protocols:
        for direction in (f"{modality}_to_text", f"text_to_{modality}"):
            to_text = direction.endswith("to_text")
            hits_of_parts = [_hits(part, to_text, protocol.beta) for part in protocol.parts]
            hits, groups = zip(*hits_of_parts, strict=True)
            weighted = weighted_by_fold(hits)
            low, high = bootstrap_interval(weighted, _disjoint(groups))
            gallery = protocol.parts[0][1 if to_text else 0]
            row = {"protocol": protocol.name, "direction": direction}
            row |= {"value": float(weighted.mean()), "low": low, "high": high}
            row |= {"n_queries": weighted.size, "n_gallery": len(gallery)}
            rows.append(row | {"differs_in": protocol.differs_in})
    return rows


def both_directions(rows: Sequence[dict]) -> list[dict]:
    """Arrange the rows of `r1_rows`: one row per protocol, R@1 in percent per direction."""
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
    # A text belongs to the cluster of its first item.
    groups = np.arange(len(media)) if to_text else qrels.items[qrels.indptr[:-1]]
    queries, gallery = (media, texts) if to_text else (texts, media)
    qrels = qrels.T if to_text else qrels
    if beta is None:
        result = evaluate_embeddings(queries, gallery, qrels, ks=[1], metrics=("R",))
        return result.per_query["R@1"], groups
    run = dual_softmax(Cosines(queries, gallery), beta=beta, depth=1)
    return hit_rate_at_k(run.ids, qrels, 1), groups


def _disjoint(groups: Sequence[np.ndarray]) -> np.ndarray:
    """Number the clusters of all parts without overlap."""
    starts = np.cumsum([0] + [part.max() + 1 for part in groups])
    return np.concatenate([part + start for part, start in zip(groups, starts)])


def lost_media_rows(
    corpus: CaptionedMedia, media_rows, text_rows, shares: Sequence[float], *, seed: int = 0
) -> list[dict]:
    """Compute R@1 for a loader that silently skips missing media with their texts.

    Args:
        corpus: media and texts.
        media_rows, text_rows: embeddings in the order of the corpus.
        shares: shares of lost media, each below 1; a larger loss contains the smaller ones.
        seed: seed of the order of loss.

    Returns:
        Rows `lost` (fraction), `direction`, `value`, `low`, `high`, `n_queries`, `n_gallery`.
    """
    order = np.random.default_rng(seed).permutation(len(corpus.item_ids))
    bare = replace(corpus, media=range(len(order)))
    media, texts = as_embeddings(media_rows, "media rows"), as_embeddings(text_rows, "text rows")
    rows = []
    for share in shares:
        if not 0 <= share < 1:
            raise RetrievalInputError(f"`shares` must be in [0, 1), got {share}")
        remaining = bare.take_items(np.sort(order[round(share * len(order)) :]))
        remaining_texts = texts[corpus.positions("text", remaining.text_ids)]
        part = media[np.asarray(remaining.media)], remaining_texts, remaining.qrels
        inputs = ProtocolInputs("", WHOLE, (part,))
        rows += [{"lost": share, **row} for row in r1_rows([inputs], corpus.modality)]
    return [{name: value for name, value in row.items() if name != "differs_in"} for row in rows]
