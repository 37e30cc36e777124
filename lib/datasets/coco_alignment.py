"""COCO's test split as it was loaded, beside the ids of the judgements: 1K folds and extended
positives.
"""

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.qrels import Qrels
from lib.datasets import coco_judgements
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import Count


def folds(corpus: CaptionedMedia) -> list[CaptionedMedia]:
    """The five 1K test sets: contiguous blocks of the test split, in the order of Karpathy's file.

    A metric is computed on each and averaged. The first block alone is a different, higher number.

    Raises:
        RetrievalInputError: another split, missing images, the gallery `"unique"` (no 1K protocol
            has it), or an order that is not Karpathy's.

    Reference: Faghri et al. 2018, "VSE++".
    """
    if corpus.missing:
        raise RetrievalInputError(
            f"{corpus.name}: images are missing ({len(corpus.missing):,}), which would move all"
            " later folds"
        )
    n, remainder = divmod(len(corpus.item_ids), coco_judgements.N_FOLDS)
    if corpus.split != "test" or corpus.captions == "unique" or remainder or not n:
        raise RetrievalInputError(
            "the 1K folds are fifths of the whole test split with captions 'all' or 'first 5', got"
            f" {corpus.describe()}"
        )
    _check_order(corpus)
    return [
        corpus.take_items(
            np.arange(fold * n, (fold + 1) * n), f"fold {fold + 1} of {coco_judgements.N_FOLDS}"
        )
        for fold in range(coco_judgements.N_FOLDS)
    ]


def _check_order(corpus: CaptionedMedia) -> None:
    known = {
        str(image): at
        for at, image in enumerate(coco_judgements.load_judgements().image_ids.tolist())
    }
    places = np.array([known.get(image, -1) for image in corpus.item_ids])
    if (places < 0).any():
        raise RetrievalInputError(
            f"image {corpus.item_ids[int(np.argmax(places < 0))]} is not in the test split of COCO"
        )
    if (np.diff(places) < 0).any():
        raise RetrievalInputError(
            "the images are not in the order of Karpathy's file, so blocks of them are not the 1K"
            " folds; load the corpus from dataset_coco.json"
        )


def judgements(corpus: CaptionedMedia, name: str, direction: str) -> Qrels:
    """Positives of one set of judgements, aligned to a corpus by the ids of images and captions.

    Args:
        corpus: the test split or a part of it, with captions `"all"` or `"first 5"`.
        name: `"original"` (the corpus's own), `"cxc"` or `"eccv"`.
        direction: `"text_to_image"` or `"image_to_text"`.

    Returns:
        `Qrels` of grade 1. Queries that the set does not judge have empty rows: evaluate with
        `no_relevant="skip"`. The ten captions that `"all"` has beyond the first five are judged by
        no set.

    Raises:
        RetrievalInputError: an unknown name, or the gallery `"unique"`, whose texts stand for
            several ids.

    Relations: `judgement_counts` says how many positives are in the corpus; without a corpus,
    `coco_judgements.load_judgements().qrels` has the same judgements.
    """
    return _aligned(corpus, name, direction)[0]


def judgement_counts(corpus: CaptionedMedia, name: str, direction: str) -> tuple[Count, ...]:
    """How many judged queries and positives of a set the corpus holds; those of a part lie partly
    outside.
    """
    return _aligned(corpus, name, direction)[1]


def _aligned(corpus: CaptionedMedia, name: str, direction: str) -> tuple[Qrels, tuple[Count, ...]]:
    check_choice(name, coco_judgements.JUDGEMENTS, "judgements")
    to_text = check_choice(direction, corpus.directions, "direction") == "image_to_text"
    if name == "original":
        own = corpus.qrels.T if to_text else corpus.qrels
        return own, _judged(
            name, (own.counts > 0).sum(), own.items.size, (own.counts > 0).sum(), own.items.size
        )
    if corpus.captions == "unique":
        raise RetrievalInputError(
            "the judgements name captions by id; load captions='all' or 'first 5'"
        )
    known = coco_judgements.load_judgements()
    all_of_it = known.qrels(name, direction, as_published=True)
    captions = [*known.caption_ids.tolist(), *coco_judgements.UNFINDABLE_CAPTIONS]
    text_at = corpus.positions("text", [str(caption) for caption in captions])
    item_at = corpus.positions("item", [str(image) for image in known.image_ids.tolist()])
    query_at, answer_at = (item_at, text_at) if to_text else (text_at, item_at)
    query, answer = query_at[all_of_it.query_index], answer_at[all_of_it.items]
    kept = (query >= 0) & (answer >= 0)
    shape = corpus.qrels.shape[::-1] if to_text else corpus.qrels.shape
    qrels = Qrels.from_pairs(query[kept], answer[kept], shape=shape)
    asked = np.flatnonzero(all_of_it.counts)
    here = int((query_at[asked] >= 0).sum())
    return qrels, _judged(
        name, (qrels.counts > 0).sum(), qrels.items.size, here, int((query >= 0).sum())
    )


def _judged(name: str, queries, positives, all_queries, all_positives) -> tuple[Count, ...]:
    return (
        Count(f"{name} queries", int(queries), int(all_queries)),
        Count(f"{name} positives", int(positives), int(all_positives)),
    )
