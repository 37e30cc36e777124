"""Choose the judgements of an evaluation: the pairs of a corpus, or extended positives of COCO."""

from dataclasses import replace
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask
from lib.datasets import coco, cxc
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import Count
from lib.studies.published.protocol import JUDGEMENTS, positives_of


def judged_qrels(
    corpus,
    task: RetrievalTask,
    judgements: str = "original",
    ratings_root: str | Path | None = None,
) -> tuple[Qrels, list[Count]]:
    """Return the judgements of one direction: the corpus's pairs, or extended positives of COCO.

    Args:
        corpus: corpus of the task.
        task: task of the direction.
        judgements: one of `JUDGEMENTS`.
        ratings_root: folder with CxC's ratings, for `"cxc-grades"`.

    Returns:
        `Qrels` of the shape of the task's, with empty rows for unjudged queries, and the counts of
        judged queries and positives in the corpus. Those of `"eccv-published"` have two items more.
    """
    if check_choice(judgements, JUDGEMENTS, "judgements") == "original":
        return task.qrels, []
    if not is_coco(corpus):
        raise RetrievalInputError(f"{judgements} judges the captions of COCO, not {corpus.name}")
    if judgements == "cxc-grades":
        if ratings_root is None:
            raise RetrievalInputError("cxc-grades needs ratings_root, the folder of the ratings")
        qrels, count = cxc.load_grades(ratings_root, corpus, task.direction)
        counts = [count]
    else:
        arguments = corpus, positives_of(judgements), task.direction
        as_published = {"as_published": judgements == "eccv-published"}
        qrels = coco.judgements(*arguments, **as_published)
        counts = coco.judgement_counts(*arguments, **as_published)
    return qrels, [replace(count, what=f"{count.what}, {task.direction}") for count in counts]


def is_coco(corpus) -> bool:
    """Tell whether a corpus is COCO or its miniature."""
    return isinstance(corpus, CaptionedMedia) and corpus.name.split(" ")[0] == "coco"
