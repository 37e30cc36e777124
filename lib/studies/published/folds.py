"""Divide a corpus into contiguous folds, each a gallery of its own, as COCO 1K does."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lib.core.checks import RetrievalInputError, check_count
from lib.core.qrels import Qrels
from lib.datasets import coco, coco_judgements
from lib.datasets.captioned import CaptionedMedia
from lib.metrics import subset_weights
from lib.studies.published.judgements import is_coco


def select_qrels(qrels: Qrels, rows: np.ndarray, columns: np.ndarray) -> Qrels:
    """Select the judgements between some queries and some items, in their positions."""
    return qrels.take_queries(rows).T.take_queries(columns).T


def fold_positions(corpus: CaptionedMedia, n_folds: int) -> list[dict[str, np.ndarray]]:
    """Return the items and texts of each contiguous fold, `{modality: positions}`."""
    check_count(n_folds, "folds", least=2)
    if not isinstance(corpus, CaptionedMedia):
        raise RetrievalInputError(f"folds need captioned media; {corpus.name} is evaluated whole")
    n_items = len(corpus.item_ids)
    if n_items % n_folds:
        raise RetrievalInputError(
            f"`folds` must divide the {n_items} items of {corpus.name}, got {n_folds}"
        )
    bare = replace(corpus, media=range(n_items))  # positions stand for media
    if is_coco(corpus) and n_folds == coco_judgements.N_FOLDS:
        folds = coco.folds(bare)
    else:
        folds = [bare.take_items(items) for items in np.split(np.arange(n_items), n_folds)]
    text_at = {name: place for place, name in enumerate(corpus.text_ids)}
    return [
        {
            corpus.modality: np.asarray(fold.media),
            "text": np.array([text_at[name] for name in fold.text_ids], np.int64),
        }
        for fold in folds
    ]


def weights_of_parts(sizes: Sequence[int]) -> np.ndarray:
    """Weight the queries of consecutive parts, so that each part counts the same in their mean."""
    return subset_weights(np.repeat(np.arange(len(sizes)), sizes))
