"""Who says what is relevant, and within which gallery: the captions of a corpus, later judgements,
folds.
"""

from dataclasses import replace

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask
from lib.datasets import coco, coco_judgements
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import Count
from lib.studies.published.protocol import JUDGEMENTS

COCO = "coco"


def judged(
    corpus, task: RetrievalTask, judgements: str = "original"
) -> tuple[Qrels, tuple[Count, ...]]:
    """The relevance of one direction of a corpus, by its own pairs or by extended positives.

    Args:
        corpus: the corpus of the task; for extended positives, the test split of COCO.
        task: of the direction.
        judgements: `"original"`, `"cxc"` or `"eccv"`.

    Returns:
        `Qrels` of the shape of the task's, where rows of queries that a set does not judge are
        empty; and how many of the judged queries and positives are in the corpus.

    Raises:
        RetrievalInputError: extended positives of another corpus.

    Relations: `lib.datasets.coco.judgements`.
    """
    if check_choice(judgements, JUDGEMENTS, "judgements") == "original":
        return task.qrels, ()
    if not is_coco(corpus):
        raise RetrievalInputError(f"{judgements} judges the captions of COCO, not {corpus.name}")
    asked = corpus, judgements, task.direction
    return coco.judgements(*asked), coco.judgement_counts(*asked)


def is_coco(corpus) -> bool:
    """Whether a corpus is COCO or its miniature."""
    return isinstance(corpus, CaptionedMedia) and corpus.name.split(" ")[0] == COCO


def within(qrels: Qrels, rows: np.ndarray, columns: np.ndarray) -> Qrels:
    """The judgements between some queries and some items, in positions of these."""
    return qrels.take_queries(rows).T.take_queries(columns).T


def fold_positions(corpus: CaptionedMedia, n_folds: int) -> list[dict[str, np.ndarray]]:
    """The items and texts of each contiguous fold, `{modality: positions}`.

    Raises:
        RetrievalInputError: no captioned media, folds of unequal size; for the five of COCO also
            what `lib.datasets.coco.folds` refuses.
    """
    check_count(n_folds, "folds", least=2)
    if not isinstance(corpus, CaptionedMedia):
        raise RetrievalInputError(f"folds are of captioned media; {corpus.name} is evaluated whole")
    n_items = len(corpus.item_ids)
    if n_items % n_folds:
        raise RetrievalInputError(
            f"{n_items} items of {corpus.name} do not make {n_folds} equal folds"
        )
    bare = replace(
        corpus, media=range(n_items)
    )  # positions stand for media, which nobody opens here
    if is_coco(corpus) and n_folds == coco_judgements.N_FOLDS:
        folds = coco.folds(bare)
    else:
        folds = [bare.take_items(items) for items in np.split(np.arange(n_items), n_folds)]
    text_at = {one: place for place, one in enumerate(corpus.text_ids)}
    return [
        {
            corpus.modality: np.asarray(fold.media),
            "text": np.array([text_at[one] for one in fold.text_ids], np.int64),
        }
        for fold in folds
    ]
