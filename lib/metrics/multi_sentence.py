"""Ranking items by the best of several texts each: the second protocol for videos with many
sentences.
"""

import numpy as np

from lib.core.checks import RetrievalInputError, as_embeddings, check_count, unit_rows
from lib.core.qrels import Qrels
from lib.metrics.counting import check_judgements, ranks_in_scores
from lib.metrics.ranks import RelevantRanks

DECIMALS = 12  # scores are summed in float64; equal vectors may differ behind these, by the order of the sum


def ranks_by_best_text(items, texts, qrels: Qrels, *, block: int = 64) -> RelevantRanks:
    """The rank of each item's own texts when the texts of one item count as one answer.

        s(i, j) = max over the texts t of item j of cos(x_i, y_t),    rank of j = i among all items

    Protocol (i), `ranks_of_relevant(items, texts, qrels)`, ranks the best own text among all texts,
    so that five good texts of one wrong item push it down by five places; here, protocol (ii), by
    one. R@1 is the same by construction, and for k > 1 R@k here is at least that of (i).

    Args:
        items: `(n_items, d)` embeddings of videos or images; each asks for its own texts.
        texts: `(n_texts, d)` embeddings.
        qrels: `(n_items, n_texts)`; every text belongs to exactly one item, every item has a text.
        block: items at a time; memory is 8 bytes x (block x n_texts + n_items^2). It does not
            change the result.

    Returns:
        `RelevantRanks` over `(n_items, n_items)` judgements, item i to item i.

    Raises:
        RetrievalInputError: embeddings that do not fit, a text of no item or of several, an item of
            no text.

    Relations: CLIP4Clip reports (ii) for MSVD, VATEX and the full MSR-VTT; VSE++ and CE report (i).

    Reference: H. Luo et al., CLIP4Clip, Neurocomputing 2022.
    """
    block = check_count(block, "block")
    items = unit_rows(items, "items").astype(np.float64)
    texts = unit_rows(as_embeddings(texts, "texts", dim=items.shape[1]), "texts")
    check_judgements(qrels, len(items), len(texts))
    owners = np.bincount(qrels.items, minlength=len(texts))
    if (owners != 1).any() or not qrels.counts.all():
        text, item = int(np.argmax(owners != 1)), int(np.argmin(qrels.counts))
        broken = (
            f"text {text} has {owners[text]}" if (owners != 1).any() else f"item {item} has no text"
        )
        raise RetrievalInputError(
            f"every text must belong to one item, and every item must have one; {broken}. Where"
            " texts are shared, use ranks_of_relevant"
        )
    by_owner = texts[qrels.items].astype(
        np.float64
    )  # the texts of item 0, then those of item 1, ...
    scores = np.empty((len(items), len(items)))
    for start in range(0, len(items), block):
        rows = slice(start, start + block)
        products = items[rows] @ by_owner.T  # (block, n_texts)
        np.round(products, DECIMALS, out=products)
        scores[rows] = np.maximum.reduceat(products, qrels.indptr[:-1], axis=1)
    return ranks_in_scores(scores, Qrels.from_owner(np.arange(len(items)), len(items)))
