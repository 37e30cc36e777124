"""Ranks of relevant items in a matrix of scores, and of items scored by the best of their texts."""

import numpy as np

from lib.core.checks import (
    RetrievalInputError,
    as_embeddings,
    as_real_matrix,
    check_choice,
    check_count,
    check_finite,
    unit_rows,
)
from lib.core.qrels import Qrels
from lib.metrics.ranks import RelevantRanks
from lib.metrics.runs import check_judgements, queries_without_relevant

DECIMALS = 12  # equal vectors can differ behind these, by the order of the sum in float64


def ranks_in_scores(scores, qrels: Qrels, *, no_relevant: str = "error") -> RelevantRanks:
    """Count the ranks of relevant items in a matrix of scores, such as those of a re-ranker.

    Args:
        scores: `(n_queries, n_items)` finite numbers, higher is better. Equal means equal in this
            dtype: half precision has more ties than single.
        qrels: the judgements, of the same shape.
        no_relevant: for queries without relevant items: "error", or "zero" (rank infinity).

    Returns:
        `RelevantRanks`, with metrics under each policy for ties.
    """
    scores = as_real_matrix(scores, "scores")
    check_choice(no_relevant, ("error", "zero"), "no_relevant")
    check_judgements(qrels, *scores.shape)
    queries_without_relevant(qrels, no_relevant)
    check_finite(scores, "scores", "it has no place in an order")  # NaN would make a hit
    rows = qrels.query_index
    above, tied, before = np.zeros((3, rows.size), np.int64)
    at_once = max(1, 2**22 // scores.shape[1])
    for start in range(0, rows.size, at_once):
        cells = slice(start, start + at_once)
        items = qrels.items[cells, None]
        of_row = scores[rows[cells]]  # (cells, n_items)
        relevant = np.take_along_axis(of_row, items, axis=1)
        same = of_row == relevant
        above[cells], tied[cells] = (of_row > relevant).sum(axis=1), same.sum(axis=1)
        before[cells] = (same & (np.arange(scores.shape[1]) < items)).sum(axis=1)
    return RelevantRanks(qrels, above, tied, before)


def ranks_by_best_text(items, texts, qrels: Qrels, *, block: int = 64) -> RelevantRanks:
    """Count the rank of each item when it is scored by the best of its texts.

        s(i, j) = max over the texts t of item j of cos(x_i, y_t),    rank of j = i among all items

    This is protocol (ii) for videos with many sentences, as in CLIP4Clip for MSVD and VATEX.
    Protocol (i), `ranks_of_relevant(items, texts, qrels)`, ranks the best own text among all texts:
    five good texts of one wrong item count as five places there, and as one here. R@1 is the same;
    R@k here is at least that of (i).

    Args:
        items: `(n_items, d)` embeddings of videos or images.
        texts: `(n_texts, d)` embeddings.
        qrels: `(n_items, n_texts)`; every text belongs to exactly one item, every item has a text.
        block: items at a time; memory is 8 bytes x (block x n_texts + n_items^2). It does not
            change the result.

    Returns:
        `RelevantRanks` over `(n_items, n_items)` judgements, item i to item i.

    Reference: H. Luo et al., CLIP4Clip, Neurocomputing 2022.
    """
    block = check_count(block, "block")
    items = unit_rows(items, "items").astype(np.float64)
    texts = unit_rows(as_embeddings(texts, "texts", dim=items.shape[1]), "texts")
    check_judgements(qrels, len(items), len(texts))
    owners = np.bincount(qrels.items, minlength=len(texts))
    if (owners != 1).any() or not qrels.counts.all():
        text, item = int(np.argmax(owners != 1)), int(np.argmin(qrels.counts))
        text_is_wrong = owners[text] != 1
        problem = f"text {text} has {owners[text]}" if text_is_wrong else f"item {item} has no text"
        raise RetrievalInputError(
            f"every text must belong to one item, and every item must have one; {problem}. Where"
            " texts are shared, use ranks_of_relevant"
        )
    by_owner = texts[qrels.items].astype(np.float64)  # texts of item 0, then of item 1, ...
    scores = np.empty((len(items), len(items)))
    for start in range(0, len(items), block):
        rows = slice(start, start + block)
        products = items[rows] @ by_owner.T  # (block, n_texts)
        np.round(products, DECIMALS, out=products)
        scores[rows] = np.maximum.reduceat(products, qrels.indptr[:-1], axis=1)
    return ranks_in_scores(scores, Qrels.from_owner(np.arange(len(items)), len(items)))
