"""Evaluate composed queries: every gallery of the corpus, and the mean over its parts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from lib.core.checks import RetrievalInputError, as_embeddings
from lib.core.qrels import Qrels
from lib.datasets.composed import ComposedGallery, ComposedQueries
from lib.metrics import Evaluation, evaluate_embeddings, parse_metric
from lib.studies.published.evaluation import default_ks, summarise
from lib.studies.published.folds import select_qrels
from lib.studies.published.protocol import Protocol
from lib.studies.published.results import RANK_METRICS, DirectionResult, Measurement, Result

METRICS = ("R", "MRR", *RANK_METRICS)  # with one target for each query, R@1 is also MAP@R
SUBSET_KS = (1, 2, 3)  # the R_subset@K of CIRR, where a query has five candidates


def embed_composed(
    encoder, corpus: ComposedQueries, *, folder=None, chunk: int = 1024, progress=None
) -> tuple[np.ndarray, np.ndarray]:
    """Encode the pictures and the texts of a corpus, and compose its queries.

    Args:
        encoder: object with `identity`, `encode_image` and `encode_text`.
        corpus: the queries; its `composition` says how a vector is made of picture and text.
        folder, chunk, progress: as for `evaluate_corpus`.

    Returns:
        `image_rows` and `query_rows`, for `evaluate_composed`.
    """
    from lib.search.embedding_cache import embed  # rows alone need no encoder

    settings = {"folder": folder, "chunk": chunk, "progress": progress}
    settings["corpus_checksum"] = corpus.checksum()
    images = embed(encoder, corpus.media, corpus.modality, side="media", **settings)
    texts = embed(encoder, corpus.texts, corpus.query_modality, side="texts", **settings)
    return images, corpus.query_rows(images, texts)


def evaluate_composed(
    image_rows,
    query_rows,
    corpus: ComposedQueries,
    *,
    metrics: Sequence[str] | None = None,
    ks: Sequence[int] | None = None,
    identity: Mapping[str, str] | None = None,
) -> Result:
    """Evaluate vectors of composed queries in every gallery of a corpus.

        R@K, MRR, median and mean rank, 95% intervals by reference, chance; ties count against

    Args:
        image_rows: `(n_items, d)` vectors of the pictures, in the order of the corpus.
        query_rows: `(n_queries, d)` vectors of the queries, as a model composes them.
        corpus: CIRR or FashionIQ.
        metrics: names instead of the usual ones; a cut-off above the candidates of a set is left
            out there.
        ks: cut-offs of names without one; those that papers report when None.
        identity: source of the vectors.

    Returns:
        A `Result` with one direction for each gallery, `"query_to_image"`, `"query_to_subset"` (the
        R_subset@K of CIRR), `"query_to_dress"`. Where the galleries are parts, the direction
        `"query_to_image"` is the mean of their means.
    """
    if not corpus.has_targets:
        raise RetrievalInputError(
            f"the targets of {corpus.name}, {corpus.split} split, are not published. Write its"
            " rankings for the server of the authors: --write-submission FOLDER"
        )
    image_rows, query_rows = checked_rows(image_rows, query_rows, corpus)
    metrics = METRICS if metrics is None else tuple(metrics)
    parts = [one for one in corpus.galleries if one.members is None]
    evaluated = {
        one.name: _evaluate_gallery(image_rows, query_rows, corpus, one, metrics, ks)
        for one in corpus.galleries
    }
    directions = [
        _summary([evaluated[one.name]], [one], corpus, metrics) for one in corpus.galleries
    ]
    if len(parts) > 1:
        mean = _summary([evaluated[one.name] for one in parts], parts, corpus, metrics)
        directions.insert(0, replace(mean, direction=corpus.directions[0]))
    identity = dict(identity or {"model": "given embeddings"})
    protocol = Protocol(
        benchmark=corpus.name,
        split=corpus.split,
        sizes=(("image", len(corpus.item_ids)), ("query", len(corpus.text_ids))),
        captions=corpus.relevance,
        gallery="mean of folds" if len(parts) > 1 else "whole",
        n_folds=len(parts),
        prompt="" if identity.get("prompt") in (None, "{}") else identity["prompt"],
        precision=identity.get("precision", "fp32"),
        counts=tuple(
            (one.what, one.found, one.published)
            for one in corpus.counts
            if one.published is not None
        ),
    )
    return Result(protocol, identity, corpus.checksum(media=False), tuple(directions))


def _evaluate_gallery(
    image_rows: np.ndarray,
    query_rows: np.ndarray,
    corpus: ComposedQueries,
    gallery: ComposedGallery,
    metrics: Sequence[str],
    ks: Sequence[int] | None,
) -> Evaluation:
    def part(pairs: Qrels | None) -> Qrels | None:
        return pairs and select_qrels(pairs, gallery.queries, gallery.items)

    among, excluded = part(gallery.members), part(corpus.excluded)
    if among is not None:
        fewest, ks, excluded = int(among.counts.min()), ks or SUBSET_KS, None
        metrics = [name for name in metrics if _cut_off(name) <= fewest]
    else:
        fewest, ks = gallery.items.size - (excluded is not None), ks or default_ks(corpus)
    return evaluate_embeddings(
        query_rows[gallery.queries],
        image_rows[gallery.items],
        part(corpus.qrels),
        metrics=[*(name for name in metrics if name not in RANK_METRICS), "MAP@R"],
        ks=[k for k in ks if k <= fewest],
        groups=corpus.references[gallery.queries],  # one picture starts several queries
        name=corpus.name,
        split=corpus.split,
        direction=f"query_to_{gallery.name}",
        excluded=excluded,
        candidates=among,
    )


def _summary(
    evaluations: Sequence[Evaluation],
    galleries: Sequence[ComposedGallery],
    corpus: ComposedQueries,
    metrics: Sequence[str],
) -> DirectionResult:
    """Summarise one gallery, or the mean of several."""
    ids = [corpus.text_ids[at] for one in galleries for at in one.queries]
    summary = summarise(evaluations, ids, metrics)
    if len(evaluations) == 1:
        return summary
    values = {
        name: Measurement(measured.value, *_interval_of_mean(evaluations, name), measured.chance)
        for name, measured in summary.values.items()
    }
    return replace(summary, values=values)


def _interval_of_mean(evaluations: Sequence[Evaluation], metric: str) -> tuple[float, float]:
    """Combine the intervals of independent parts to that of the mean of their values.

        low = m - sqrt(sum (m_f - low_f)^2) / F,   high = m + sqrt(sum (high_f - m_f)^2) / F

    Reference: Zou and Donner 2008, "Construction of confidence limits about effect measures".
    """
    means = np.array([one.value(metric) for one in evaluations])
    lows, highs = np.array([one.interval(metric) for one in evaluations]).T
    below, above = (np.sqrt(((means - ends) ** 2).sum()) / means.size for ends in (lows, highs))
    return float(means.mean() - below), float(means.mean() + above)


def _cut_off(metric: str) -> int:
    """Return the cut-off in the name of a metric, or 0."""
    return 0 if metric in RANK_METRICS else parse_metric(metric)[1] or 0


def checked_rows(image_rows, query_rows, corpus: ComposedQueries) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of both sides, one of each picture and each query."""
    rows = []
    for given, ids, side in (
        (image_rows, corpus.item_ids, "image"), (query_rows, corpus.text_ids, "query")
    ):  # fmt: skip
        given = as_embeddings(given, f"{side} rows")
        if len(given) != len(ids):
            raise RetrievalInputError(
                f"{len(given)} {side} rows for {len(ids)} of {corpus.name}; rows must be in the"
                " order of the corpus, one each"
            )
        rows.append(given)
    return rows[0], rows[1]
