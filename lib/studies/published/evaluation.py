"""A benchmark from embeddings to a result: both directions, whole or in folds, under a named
protocol.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from lib.core.checks import RetrievalInputError, as_embeddings, check_choice
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import Count
from lib.metrics.hubness import INFERENCE
from lib.studies.published.evaluate_direction import evaluate_gallery, summary
from lib.studies.published.protocol import Protocol
from lib.studies.published.relevance_sets import fold_positions, judged, within
from lib.studies.published.results import Result

NO_PROMPT = "{}"  # a template with nothing but the place of the text
KS = {"activitynet": (1, 5, 10, 50)}  # of the others: 1, 5, 10


def evaluate_corpus(
    encoder, corpus, *, bank=None, folder=None, chunk: int = 1024, progress=None, **options
) -> Result:
    """Encodes a corpus, or reads what was encoded before, and evaluates both directions.

    Args:
        encoder: `PretrainedEncoder`, or anything with its `identity` and `encode_*`.
        corpus: `CaptionedMedia`.
        bank: another `CaptionedMedia` of the same kind, the training split, for
            `inference="querybank"`. Its texts that also are test queries, capitals and spaces
            aside, are left out.
        folder: where embeddings are kept; the cache of the project when None.
        chunk: inputs that are encoded and stored together.
        progress: called with the number of inputs as they are done.
        options: of `evaluate_rows`.

    Returns:
        A `Result` that knows model, tag, prompt and precision.

    Raises:
        RetrievalInputError: what `evaluate_rows` refuses.
    """
    from lib.search.embedding_cache import embed  # rows alone need no encoder

    def rows_of(of) -> tuple[np.ndarray, np.ndarray]:
        """Rows of media and of texts."""
        keep = {
            "corpus_checksum": of.checksum(),
            "folder": folder,
            "chunk": chunk,
            "progress": progress,
        }
        media = embed(encoder, of.media, of.modality, side="media", **keep)
        return media, embed(encoder, of.texts, "text", side="texts", **keep)

    if bank is not None:
        tested = {_plain(text) for text in corpus.texts}
        other = [place for place, text in enumerate(bank.texts) if _plain(text) not in tested]
        bank_media, bank_texts = rows_of(bank)
        options["banks"] = {"text": bank_texts[other], bank.modality: bank_media}
    return evaluate_rows(*rows_of(corpus), corpus, identity=encoder.identity, **options)


def evaluate_rows(
    media_rows,
    text_rows,
    corpus,
    *,
    ks: Sequence[int] | None = None,
    folds: int | None = None,
    first_fold: bool = False,
    judgements: str = "original",
    inference: str = "inductive",
    banks: Mapping[str, np.ndarray] | None = None,
    beta: float = 20.0,
    identity: Mapping[str, str] | None = None,
) -> Result:
    """Evaluates embeddings of the two sides of a corpus in both directions.

        R@K, MRR, R-precision, mAP@R, median and mean rank, 95% intervals by item, chance; ties
        count against

    Args:
        media_rows: `(n_items, d)` embeddings of the media, in the order of the corpus.
        text_rows: `(n_texts, d)` embeddings of the texts.
        corpus: `CaptionedMedia`, or `AudioVideoClips`, whose pictures are the "media" and sounds the
            "texts".
        ks: cut-offs; 1, 5, 10 (and 50 for ActivityNet) when None. Those beyond a gallery are left
            out.
        folds: contiguous folds of items, each a gallery of its own, whose mean is reported; 5 gives
            COCO 1K.
        first_fold: only the first of the folds, which some papers also call 1K. It is another
            number.
        judgements: "original", "cxc" or "eccv", see `judged`. Unjudged queries are left out and
            counted.
        inference: "inductive"; "querybank" (QB-Norm, needs `banks`); "transductive" (dual softmax).
        banks: modality to `(n, d)` embeddings of queries that are not tested. Directions without a
            bank are left out of the result.
        beta: inverse temperature of the latter two.
        identity: what the embeddings come from; "prompt" and "precision" go into the protocol.

    Returns:
        A `Result` with one `DirectionResult` per direction.

    Raises:
        RetrievalInputError: rows that are not one per item or text; options that do not go
            together; folds of unequal size; a querybank without a bank.

    Relations: `lib.metrics.evaluate_embeddings` for one direction of one gallery.
    """
    check_choice(inference, INFERENCE, "inference")
    if (inference == "querybank") != bool(banks):
        raise RetrievalInputError(
            "inference='querybank' and banks go together: give both or neither"
        )
    if first_fold and folds is None:
        raise RetrievalInputError("first_fold needs the number of folds, for example folds=5")
    text, media = corpus.directions[0].split("_to_")
    ids = ids_of(corpus)
    rows = {media: media_rows, text: text_rows}
    rows = {
        modality: _checked(of, modality, ids[modality], corpus.name)
        for modality, of in rows.items()
    }
    whole = {modality: np.arange(len(of)) for modality, of in rows.items()}
    parts = [whole] if folds is None else fold_positions(corpus, folds)
    parts = parts[:1] if first_fold else parts
    ks = ks or KS.get(corpus.name.split(" ")[0], (1, 5, 10))
    directions, found_pairs, methods = [], [], {}
    for direction in reversed(corpus.directions):  # media first, as papers print them
        asked, found = direction.split("_to_")
        if banks and asked not in banks:
            continue
        task = corpus.task(direction)
        qrels, judged_counts = judged(corpus, task, judgements)
        found_pairs += [
            replace(count, what=f"{count.what}, {direction}") for count in judged_counts
        ]
        evaluations = []
        for part in parts:
            options = {
                "ks": [k for k in ks if k <= part[found].size],
                "groups": None if task.query_groups is None else task.query_groups[part[asked]],
                "name": corpus.name,
                "split": corpus.split,
                "direction": direction,
                "no_relevant": "skip",
            }
            queries, gallery = rows[asked][part[asked]], rows[found][part[found]]
            own = within(qrels, part[asked], part[found]) if folds else qrels
            bank = banks[asked] if banks else None
            evaluation, method = evaluate_gallery(
                queries, gallery, own, inference, bank, beta, options
            )
            evaluations.append(evaluation)
            methods[method] = None  # a set in order: the banks of two directions may differ in size
        query_ids = [
            ids[asked][p] for part, e in zip(parts, evaluations) for p in part[asked][e.queries]
        ]
        directions.append(summary(evaluations, query_ids))
    if not directions:
        raise RetrievalInputError(
            f"banks are of {', '.join(banks)}, the corpus has {text} and {media}"
        )
    identity = dict(identity or {"model": "given embeddings"})
    protocol = Protocol(
        benchmark=corpus.name,
        split=corpus.split,
        sizes=tuple((modality, parts[0][modality].size) for modality in (media, text)),
        captions=corpus.captions if isinstance(corpus, CaptionedMedia) else corpus.relevance,
        gallery="first fold" if first_fold else "mean of folds" if folds else "whole",
        n_folds=folds or 1,
        judgements=judgements,
        inference=inference,
        method="; ".join(methods),
        prompt="" if identity.get("prompt") in (None, NO_PROMPT) else identity["prompt"],
        precision=identity.get("precision", "fp32"),
        counts=_counts(corpus.counts),
        judged_counts=_counts(found_pairs),
    )
    return Result(protocol, identity, corpus.checksum(), tuple(directions))


def _plain(text: str) -> str:
    """What tokenizers make no difference of: a text without capitals and runs of spaces."""
    return " ".join(text.casefold().split())


def _checked(rows, modality: str, ids: tuple[str, ...], name: str) -> np.ndarray:
    rows = as_embeddings(rows, f"{modality} rows")
    if len(rows) != len(ids):
        raise RetrievalInputError(
            f"{len(rows)} {modality} rows for {len(ids)} {modality}s of {name}; rows must be in the"
            " order of the corpus, one each"
        )
    return rows


def _counts(counts: Sequence[Count]) -> tuple[tuple[str, int, int], ...]:
    return tuple((count.what, count.found, count.published) for count in counts)


def ids_of(corpus) -> dict[str, tuple[str, ...]]:
    """The ids of each side of a corpus, by modality; the two sides of `AudioVideoClips` share
    theirs.
    """
    if isinstance(corpus, CaptionedMedia):
        return {corpus.modality: corpus.item_ids, "text": corpus.text_ids}
    return dict.fromkeys(corpus.directions[0].split("_to_"), corpus.item_ids)
