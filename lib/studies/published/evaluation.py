"""Evaluate embeddings on a published benchmark: both directions, whole or in folds."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, as_embeddings, check_choice
from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask
from lib.core.writing import sha256_of
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.choices import ChoiceCorpus
from lib.datasets.class_folders import ClassifiedPictures
from lib.datasets.completeness import Count
from lib.datasets.composed import ComposedQueries
from lib.datasets.judged import JudgedCorpus
from lib.metrics import (
    Cosines,
    Evaluation,
    FoldedEvaluation,
    bootstrap_interval,
    dual_softmax,
    evaluate,
    evaluate_both_ways,
    evaluate_by_best_text,
    evaluate_embeddings,
    parse_metric,
    qb_norm,
    write_trec_qrels,
    write_trec_run,
)
from lib.metrics.hubness import INFERENCE
from lib.studies.published.choice_evaluation import check_no_gallery, evaluate_choices
from lib.studies.published.classification import as_accuracies, check_no_prompt
from lib.studies.published.folds import fold_positions, select_qrels, weights_of_parts
from lib.studies.published.judgements import judged_qrels
from lib.studies.published.protocol import (
    BEST_OF_ITEM,
    TEXT_GALLERIES,
    Protocol,
    check_best_of_item,
)
from lib.studies.published.results import RANK_METRICS, DirectionResult, Measurement, Result
from lib.studies.published.unfindable import findable, with_unfindable
from lib.studies.published.usual_metrics import METRICS, chosen_metrics, default_ks

NO_PROMPT = "{}"  # a template with nothing but the place of the text
CXC_HIT_GRADE = 3  # a rating of 2.5 and more; the authors call 3 and more, of 5, a match
WHOLE_RUN_CELLS = 4 * 10**6  # adjusted rankings are kept whole up to here (96 MB)
RUN_DEPTH = 100  # beyond that size, they are kept to this depth; TREC files too


def evaluate_corpus(
    encoder, corpus, *, bank=None, folder=None, chunk: int = 1024, progress=None, **options
) -> Result:
    """Encode a corpus, or read cached embeddings, and evaluate both directions.

    Args:
        encoder: object with `identity` and `encode_*`, for example `PretrainedEncoder`.
        corpus: `CaptionedMedia`.
        bank: another `CaptionedMedia` of the same kind, the training split, for
            `inference="querybank"`. Texts that are also test queries are left out.
        folder: folder of the embeddings; the cache of the project when None.
        chunk: inputs that are encoded and stored together.
        progress: function that gets the number of encoded inputs.
        options: options of `evaluate_rows`.

    Returns:
        A `Result` with model, tag, prompt and precision.
    """
    from lib.search.embedding_cache import embed  # rows alone need no encoder

    def embed_sides(captioned) -> tuple[np.ndarray, np.ndarray]:
        settings = {"folder": folder, "chunk": chunk, "progress": progress}
        settings["corpus_checksum"] = captioned.checksum()
        if isinstance(captioned, ClassifiedPictures):
            prompts = embed(encoder, captioned.prompts, "text", side="prompts", **settings)
            media = captioned.class_rows(prompts)
        else:
            media = embed(encoder, captioned.media, captioned.modality, side="media", **settings)
        asked = captioned.query_modality
        return media, embed(encoder, captioned.texts, asked, side="texts", **settings)

    if isinstance(corpus, ClassifiedPictures):
        check_no_prompt(encoder.identity.get("prompt"), NO_PROMPT)
    if bank is not None and corpus.query_modality != "text":
        raise RetrievalInputError(
            f"querybank needs queries in words, to leave out those that are tested; {corpus.name}"
            f" asks with {corpus.query_modality}s"
        )
    if bank is not None:
        tested = {_plain(text) for text in corpus.texts}
        untested = [i for i, text in enumerate(bank.texts) if _plain(text) not in tested]
        bank_media, bank_texts = embed_sides(bank)
        options["banks"] = {"text": bank_texts[untested], bank.modality: bank_media}
    return evaluate_rows(*embed_sides(corpus), corpus, identity=encoder.identity, **options)


def evaluate_rows(
    media_rows,
    text_rows,
    corpus,
    *,
    metrics: Sequence[str] | None = None,
    ks: Sequence[int] | None = None,
    folds: int | None = None,
    first_fold: bool = False,
    judgements: str = "original",
    ratings_root: str | Path | None = None,
    inference: str = "inductive",
    banks: Mapping[str, np.ndarray] | None = None,
    beta: float = 20.0,
    text_gallery: str = "every text",
    identity: Mapping[str, str] | None = None,
    trec_folder: str | Path | None = None,
) -> Result:
    """Evaluate embeddings of the two sides of a corpus in both directions.

        R@K, MRR, R-precision, mAP@R, median and mean rank (or `metrics`), 95% intervals by item,
        chance; ties count against

    Args:
        media_rows: `(n_items, d)` embeddings of the media, in the order of the corpus.
        text_rows: `(n_texts, d)` embeddings of the texts.
        corpus: `CaptionedMedia`, or `AudioVideoClips`, with pictures as "media" and sounds as
            "texts", or `ChoiceCorpus`, whose scores are those of `evaluate_choices`.
        metrics: names such as "nDCG@10", "R@1", "MRR" and "MedR", instead of the usual ones.
        ks: cut-offs of names without one; 1, 5, 10 (and 50 for ActivityNet) when None. Those beyond
            a gallery are left out.
        folds: contiguous folds of items, each a gallery of its own; their mean is reported. 5 gives
            COCO 1K.
        first_fold: only the first of the folds, which some papers also call 1K: another number.
        judgements: "original", "cxc" or "eccv" (extended positives); "eccv-published", which
            divides by all published positives, as the authors do, while two of them lie in no
            gallery; or "cxc-grades": ratings of 1 to 5, with nDCG; other metrics call 3 and more
            relevant. Unjudged queries are left out and counted.
        ratings_root: folder of the corpus with CxC's ratings, for "cxc-grades".
        inference: "inductive"; "querybank" (QB-Norm, needs `banks`); "transductive" (dual softmax).
        banks: modality to `(n, d)` embeddings of queries that are not tested. Directions without a
            bank are left out of the result.
        beta: inverse temperature of the latter two.
        text_gallery: ranked where media seek texts: "every text"; or "best of item", the items,
            each by the best of its texts, as CLIP4Clip does for MSVD.
        identity: source of the embeddings; "prompt" and "precision" go into the protocol.
        trec_folder: writes the best 100 items of every query, and the judgements, as TREC files.

    Returns:
        A `Result` with one `DirectionResult` per direction.
    """
    check_choice(inference, INFERENCE, "inference")
    if (inference == "querybank") != bool(banks):
        raise RetrievalInputError(
            "inference='querybank' and banks go together: give both or neither"
        )
    if judgements == "eccv-published" and folds:
        raise RetrievalInputError("eccv-published is of the whole gallery; leave out the folds")
    if first_fold and folds is None:
        raise RetrievalInputError("first_fold needs the number of folds, for example folds=5")
    if trec_folder and (folds or inference != "inductive"):
        raise RetrievalInputError("TREC files are of the whole gallery, with inductive inference")
    if check_choice(text_gallery, TEXT_GALLERIES, "text_gallery") == BEST_OF_ITEM:
        simple = not folds and not trec_folder and inference == "inductive"
        check_best_of_item(corpus, simple and judgements == "original")
    text, media = corpus.directions[0].split("_to_")
    ids = ids_of(corpus)
    rows = {media: media_rows, text: text_rows}
    rows = {side: _checked(rows[side], side, ids[side], corpus.name) for side in rows}
    if isinstance(corpus, ChoiceCorpus):
        asked = folds or trec_folder or metrics or judgements != "original"
        check_no_gallery(corpus, asked or inference != "inductive")
        return _result(
            corpus,
            identity or {"model": "given embeddings"},
            evaluate_choices(rows[media], rows[text], corpus),
            sizes=tuple((side, len(ids[side])) for side in (media, text)),
        )
    metrics = chosen_metrics(metrics, judgements, corpus, n_folds=folds or 1)
    whole = {modality: np.arange(len(side)) for modality, side in rows.items()}
    parts = [whole] if folds is None else fold_positions(corpus, folds)
    parts = parts[:1] if first_fold else parts
    ks = ks or default_ks(corpus)
    judged_counts, judged = [], {}
    for direction in reversed(corpus.directions):  # media first, as papers print them
        query_side, gallery_side = direction.split("_to_")
        if banks and query_side not in banks:
            continue
        task = corpus.task(direction)
        qrels, counts = judged_qrels(corpus, task, judgements, ratings_root)
        judged[direction] = task, qrels
        judged_counts += counts
        if trec_folder:
            write_trec_files(
                Path(trec_folder) / direction,
                (rows[query_side], rows[gallery_side]),
                (ids[query_side], ids[gallery_side]),
                findable(qrels, len(ids[gallery_side])),
            )
    evaluations, query_ids, methods = {way: [] for way in judged}, {way: [] for way in judged}, {}
    for part in parts:
        sides = {side: rows[side][part[side]] if folds else rows[side] for side in rows}
        wanted = {}
        for direction, (task, qrels) in judged.items():
            queries, items = (part[side] for side in direction.split("_to_"))
            options = _evaluation_options(corpus, task, metrics, judgements)
            if text_gallery == BEST_OF_ITEM and direction.endswith("_to_text"):
                best = _by_best_text(rows[media], rows[text], qrels, ks, options)
                evaluations[direction].append(best)
                query_ids[direction] += ids[media]
                methods["none"] = None
                continue
            options["ks"] = [k for k in ks if k <= items.size]
            if task.query_groups is not None:
                options["groups"] = task.query_groups[queries]
            options["qrels"] = select_qrels(qrels, queries, items) if folds else qrels
            wanted[direction] = options
        for direction, evaluation, method in _evaluate_part(sides, wanted, inference, banks, beta):
            side = direction.split("_to_")[0]
            evaluations[direction].append(evaluation)
            query_ids[direction] += [ids[side][p] for p in part[side][evaluation.queries]]
            methods[method] = None  # an ordered set: two directions may have banks of two sizes
    directions = [summarise(evaluations[way], query_ids[way], metrics) for way in judged]
    if not directions:
        raise RetrievalInputError(
            f"banks are of {', '.join(banks)}, the corpus has {text} and {media}"
        )
    return _result(
        corpus,
        identity or {"model": "given embeddings"},
        directions,
        sizes=tuple((modality, parts[0][modality].size) for modality in (media, text)),
        gallery="first fold" if first_fold else "mean of folds" if folds else "whole",
        n_folds=folds or 1,
        judgements=judgements,
        inference=inference,
        method="; ".join(methods),
        judged_counts=_counts(judged_counts),
        text_gallery=text_gallery,
    )


def _by_best_text(media, texts, qrels: Qrels, ks: Sequence[int], options: dict) -> Evaluation:
    """Evaluate media by the best of their texts; one item is relevant to each, itself."""
    names = ("metrics", "name", "split", "direction")
    return evaluate_by_best_text(
        media, texts, qrels, ks=[k for k in ks if k <= len(media)],
        **{name: options[name] for name in names},
    )  # fmt: skip


def write_trec_files(stem: Path, rows: tuple, ids: tuple, qrels: Qrels) -> None:
    """Write the best items of every query as `<stem>.run`, and the judgements as `<stem>.qrels`."""
    from lib.index.exact import topk_exact  # the evaluation itself needs no index

    queries, gallery = rows
    run = topk_exact(queries, gallery, min(RUN_DEPTH, len(gallery)))
    write_trec_run(stem.with_suffix(".run"), run, *ids)
    write_trec_qrels(stem.with_suffix(".qrels"), qrels, *ids)


def evaluate_ranking(
    run: tuple[np.ndarray, np.ndarray],
    direction: str,
    corpus,
    *,
    metrics: Sequence[str] | None = None,
    judgements: str = "original",
    ratings_root: str | Path | None = None,
    identity: Mapping[str, str] | None = None,
) -> Result:
    """Evaluate a run of one direction over the whole gallery of a corpus.

    Args:
        run: `(scores, ids)`, both `(n_queries, depth)`, for example of `read_run`. Ranks beyond its
            depth count as not found, and "MRR" is named with the depth.
        direction: `"text_to_image"` or `"image_to_text"`.
        corpus, metrics, judgements, ratings_root, identity: as for `evaluate_rows`.

    Returns:
        A `Result` with one `DirectionResult`.
    """
    check_no_gallery(corpus, True)
    depth = run[1].shape[1]
    metrics = chosen_metrics(metrics, judgements, corpus, depth=depth)
    task = corpus.task(check_choice(direction, corpus.directions, "direction"))
    qrels, counts = judged_qrels(corpus, task, judgements, ratings_root)
    options = _evaluation_options(corpus, task, metrics, judgements)
    ks = [k for k in default_ks(corpus) if k <= depth]
    run = _filled_up(run, int(qrels.at_least(options["hit_grade"]).counts.max(initial=0)))
    evaluation = evaluate(run, qrels, ties="pessimistic", ks=ks, **options)
    ids, (text, media) = ids_of(corpus), corpus.directions[0].split("_to_")
    query_ids = [ids[direction.split("_to_")[0]][query] for query in evaluation.queries]
    return _result(
        corpus,
        identity or {"model": "given run"},
        [summarise([evaluation], query_ids, metrics)],
        sizes=tuple((modality, len(ids[modality])) for modality in (media, text)),
        judgements=judgements,
        judged_counts=_counts(counts),
    )


def _filled_up(run: tuple[np.ndarray, np.ndarray], depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Append "nothing was returned" up to a depth, which MAP@R needs."""
    scores, ids = run
    missing = ((0, 0), (0, max(depth - ids.shape[1], 0)))
    scores = scores.astype(np.result_type(scores, np.float32), copy=False)  # -inf is a float
    return (
        np.pad(scores, missing, constant_values=-np.inf),
        np.pad(ids, missing, constant_values=-1),
    )


def _evaluation_options(
    corpus, task: RetrievalTask, metrics: Sequence[str], judgements: str
) -> dict:
    """Return the arguments of `lib.metrics.evaluate` for a direction; MAP@R is always computed."""
    measured = [name for name in metrics if name not in RANK_METRICS]
    return {
        "metrics": list(dict.fromkeys([*measured, "MAP@R"])),
        "hit_grade": CXC_HIT_GRADE if judgements == "cxc-grades" else 1,
        "groups": task.query_groups,
        "name": corpus.name,
        "split": corpus.split,
        "direction": task.direction,
        "no_relevant": "skip",
        # MTEB, BEIR and ViDoRe compute nDCG with trec_eval, whose gain is the grade itself.
        "gain": "linear" if isinstance(corpus, JudgedCorpus) else "exponential",
    }


def _result(
    corpus, identity: Mapping[str, str], directions: Sequence[DirectionResult], **columns
) -> Result:
    """Make a result; `columns` are those of the protocol that the corpus does not decide."""
    identity = dict(identity)
    if isinstance(corpus, ClassifiedPictures):
        directions = [as_accuracies(part, corpus) for part in directions]
    protocol = Protocol(
        benchmark=corpus.name,
        split=corpus.split,
        captions=corpus.captions if isinstance(corpus, CaptionedMedia) else corpus.relevance,
        prompt="" if identity.get("prompt") in (None, NO_PROMPT) else identity["prompt"],
        precision=identity.get("precision", "fp32"),
        counts=_counts(corpus.counts),
        **columns,
    )
    return Result(protocol, identity, corpus.checksum(media=False), tuple(directions))


def _plain(text: str) -> str:
    """Drop capitals and repeated spaces; tokenizers ignore both."""
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
    stated = (count for count in counts if count.published is not None)
    return tuple((count.what, count.found, count.published) for count in stated)


def ids_of(corpus) -> dict[str, tuple[str, ...]]:
    """Return the ids of each side of a corpus, by modality."""
    if isinstance(corpus, CaptionedMedia | ChoiceCorpus):
        return {corpus.modality: corpus.item_ids, "text": corpus.text_ids}
    if isinstance(corpus, JudgedCorpus | ComposedQueries):
        return {corpus.modality: corpus.item_ids, corpus.query_side: corpus.text_ids}
    return dict.fromkeys(corpus.directions[0].split("_to_"), corpus.item_ids)


# ---- one direction


def _evaluate_part(
    sides: Mapping[str, np.ndarray], wanted: Mapping[str, dict], inference: str, banks, beta: float
) -> Iterator[tuple[str, Evaluation, str]]:
    """Yield direction, evaluation and method against hubs of the wanted directions of one fold."""
    pairs = {way: [sides[side] for side in way.split("_to_")] for way in wanted}
    if inference == "inductive" and len(wanted) == 2:
        judged = {way: options["qrels"] for way, options in wanted.items()}
        for way, options in wanted.items():
            options["qrels"] = findable(judged[way], len(pairs[way][1]))
        both = evaluate_both_ways(*next(iter(pairs.values())), *wanted.values())
        for way, evaluation in zip(wanted, both):
            counted = *pairs[way], judged[way], wanted[way]
            yield way, with_unfindable(evaluation, *counted), "none"
        return
    for way, options in wanted.items():
        bank, qrels = banks[way.split("_to_")[0]] if banks else None, options.pop("qrels")
        yield way, *evaluate_gallery(*pairs[way], qrels, inference, bank, beta, options)


def evaluate_gallery(
    queries, gallery, qrels: Qrels, inference: str, bank, beta: float, options: dict
) -> tuple[Evaluation, str]:
    """Evaluate one gallery in one direction; return the method against hubs too."""
    if inference == "inductive":
        inside = findable(qrels, len(gallery))
        evaluation = evaluate_embeddings(queries, gallery, inside, **options)
        return with_unfindable(evaluation, queries, gallery, qrels, options), "none"
    cuts = [parse_metric(name)[1] or 1 for name in options["metrics"]]
    n_items, deepest = len(gallery), max(*options["ks"], *cuts, qrels.counts.max(initial=1))
    whole = len(queries) * n_items <= WHOLE_RUN_CELLS
    depth = n_items if whole else min(n_items, max(RUN_DEPTH, deepest))
    scores = Cosines(queries, gallery)
    if inference == "querybank":
        run = qb_norm(scores, Cosines(bank, gallery), beta=beta, depth=depth)
        run = replace(run, method=f"{run.method}, bank of {len(bank):,}")
    else:
        run = dual_softmax(scores, beta=beta, depth=depth)
    result = evaluate(run.run, qrels, ties="pessimistic", **options)
    names = {f"MRR@{n_items}": "MRR"}  # over the whole gallery it needs no depth in its name
    return replace(
        result,
        per_query={names.get(name, name): values for name, values in result.per_query.items()},
        chance={names.get(name, name): value for name, value in result.chance.items()},
    ), run.method


def summarise(
    evaluations: Sequence[Evaluation], query_ids: Sequence[str], metrics: Sequence[str] = METRICS
) -> DirectionResult:
    """Combine the folds of one direction; a single fold is the whole."""
    first, folded = evaluations[0], FoldedEvaluation(tuple(evaluations))
    groups = None if first.groups is None else np.concatenate([e.groups for e in evaluations])
    values = {}
    measured = [name for name in first.per_query if name != "MAP@R" or name in metrics]
    for metric in (*measured, *(name for name in RANK_METRICS if name in metrics)):
        if len(evaluations) == 1:
            low, high = first.interval(metric)
        else:
            low, high = _fold_interval(folded, metric, groups)
        chance = float(np.mean([e.chance[metric] for e in evaluations]))
        values[metric] = Measurement(folded.value(metric), low, high, chance)
    n_queries = np.array([e.n_queries for e in evaluations])
    return DirectionResult(
        direction=first.direction,
        n_queries=int(n_queries.sum()),
        n_gallery=max(e.n_gallery for e in evaluations),
        n_without_relevant=sum(e.n_without_relevant for e in evaluations),
        tie_share=float(np.average([e.tie_share for e in evaluations], weights=n_queries)),
        values=values,
        first_ranks=np.concatenate([e.first_ranks for e in evaluations]),
        map_at_r=np.concatenate([e.per_query["MAP@R"] for e in evaluations]),
        queries_checksum=sha256_of(json.dumps(list(query_ids)).encode()),
        groups=groups,
    )


def _fold_interval(folded: FoldedEvaluation, metric: str, groups) -> tuple[float, float]:
    """Compute the interval of a mean of folds by clusters of all folds; NaN for several medians."""
    if metric == "MedR":
        return np.nan, np.nan
    values = np.concatenate(
        [e.first_ranks if metric == "MeanR" else e.per_query[metric] for e in folded.folds]
    )
    if not np.isfinite(values).all():
        return np.nan, np.nan
    return bootstrap_interval(values, groups, weights_of_parts([e.n_queries for e in folded.folds]))
