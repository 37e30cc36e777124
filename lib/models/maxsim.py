"""Late interaction: every token of a query looks for its best token in a document.

The similarities of all tokens are the one large object. They are made a tile at a time, of whole
queries and whole documents, small enough to stay in a core's cache until their maxima are taken,
and never kept: a gradient needs only which token won.
"""

import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.losses.blocked import blocks
from lib.losses.inputs import check_tensor, wide_dtype
from lib.models.maxsim_tiled import TiledMaxSim, Tiles, TokenSide

REDUCTIONS = ("sum", "mean")
TILE_BYTES = 2**20  # of similarities: a tile stays in a core's cache until its maxima are taken
GATHERED_BYTES = 2**24  # of the tokens of candidates at one time


def maxsim(
    query: Tensor,
    document: Tensor,
    query_mask: Tensor | None = None,
    document_mask: Tensor | None = None,
    *,
    reduce: str = "sum",
    block_bytes: int = TILE_BYTES,
) -> Tensor:
    """Late-interaction scores of every query with every document.

        s(q, d) = sum_i max_j <q_i, d_j>        "mean": the same divided by the tokens of q

    i and j run over the tokens that count, so padding changes nothing: a document scores the same
    alone and in a batch, also where all its similarities are negative. Maxima are added in float64
    and rounded once; scores of int8 tokens do not depend on any order of adding (d <= 1024).

    Args:
        query: (n_queries, L_q, d) floats or int8, of unit length where cosines are meant.
        document: (n_documents, L_d, d), likewise.
        query_mask: bool (n_queries, L_q), True where a token counts; all count when None.
        document_mask: bool (n_documents, L_d), likewise.
        reduce: "sum" (ColBERT), which grows with the length of the query, or "mean" (FILIP).
        block_bytes: of a tile of similarities; it holds at least one query and one document. It
            changes time and memory, nothing else.

    Returns:
        (n_queries, n_documents), float32, or float64 where a side is. Differentiable once: the
        gradient reaches the tokens that won, the first of equals.

    Raises:
        RetrievalInputError: other shapes or dtypes, or a query or document without a token.

    Relations: with one token a side it is the dot product. `maxsim_pairs` scores chosen pairs,
    `late_interaction_logits` both directions. `lib.core.token_vectors.Tokens` holds `vectors` and
    `mask` of either side.

    Reference: Khattab and Zaharia 2020, "ColBERT", equation 3.
    """
    check_choice(reduce, REDUCTIONS, "reduce")
    sides = _sides(query, document, query_mask, document_mask)
    scores = TiledMaxSim.apply(query, document, Tiles(*sides, block_bytes))
    return scores / sides[0].counts[:, None] if reduce == "mean" else scores


def late_interaction_logits(
    text: Tensor, image: Tensor, text_mask: Tensor | None = None, image_mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mean similarities both ways, which differ: a text may find all its words in an image that
    shows more.

        text_to_image[t, i] = mean over words w of t of max over patches p of i of <w, p>
        image_to_text[t, i] = mean over patches p of i of max over words w of t of <w, p>

    Both have a row per text and a column per image. A softmax over the candidates of each query is
    therefore along rows of the first and along columns of the second: transpose that before a
    cross-entropy.

    Args:
        text: (n_texts, L_t, d) unit token vectors.
        image: (n_images, L_i, d) unit token vectors.
        text_mask: bool (n_texts, L_t), True where a token counts; all count when None.
        image_mask: bool (n_images, L_i), likewise.

    Returns:
        (text_to_image, image_to_text), both (n_texts, n_images).

    Raises:
        RetrievalInputError: what `maxsim` refuses.

    Reference: Yao et al. 2022, "FILIP", equations 4 and 5.
    """
    text_to_image = maxsim(text, image, text_mask, image_mask, reduce="mean")
    return text_to_image, maxsim(image, text, image_mask, text_mask, reduce="mean").T


def maxsim_pairs(
    query: Tensor,
    document: Tensor,
    candidates: Tensor,
    query_mask: Tensor | None = None,
    document_mask: Tensor | None = None,
    *,
    reduce: str = "sum",
    block_bytes: int = GATHERED_BYTES,
) -> Tensor:
    """The scores of `maxsim` for each query with a list of documents of its own, as a reranker
    wants them.

    Args:
        query: (n_queries, L_q, d) floats or int8.
        document: (n_documents, L_d, d), likewise.
        candidates: int64 (n_queries, k) positions of documents, -1 where a query has fewer; a
            column of `torch.arange(n)` scores aligned pairs.
        query_mask, document_mask, reduce: as for `maxsim`.
        block_bytes: of gathered document tokens at one time.

    Returns:
        (n_queries, k), with -inf where `candidates` is -1. Differentiable.

    Raises:
        RetrievalInputError: what `maxsim` refuses, or positions outside -1 to n_documents - 1.
    """
    check_choice(reduce, REDUCTIONS, "reduce")
    asked, offered = _sides(query, document, query_mask, document_mask)
    _check_candidates(candidates, len(query), len(document))
    dtype = wide_dtype(query, document)
    asked_rows, offered_rows = query.flatten(0, 1), document.flatten(0, 1)
    is_token = torch.arange(asked.filled.shape[1], device=query.device) < asked.counts[:, None]
    gathered = (
        max(1, candidates.shape[1]) * offered.filled.shape[1] * query.shape[2] * dtype.itemsize
    )
    parts = []
    with torch.autocast(query.device.type, enabled=False):
        for block in blocks(
            len(query), max(1, check_count(block_bytes, "block_bytes") // gathered)
        ):
            at = offered.filled[candidates[block].clamp(min=0)]  # (b, k, W)
            theirs = offered_rows[at.flatten(1)].to(dtype)  # (b, k * W, d)
            similarities = asked_rows[asked.filled[block]].to(dtype) @ theirs.mT
            best = similarities.unflatten(2, at.shape[1:]).max(dim=3).values  # (b, L_q, k)
            best = best.masked_fill(~is_token[block, :, None], 0)
            parts.append(best.sum(dim=1, dtype=torch.float64).to(dtype))
    scores = torch.cat(parts) if parts else query.new_empty(candidates.shape, dtype=dtype)
    scores = scores / asked.counts[:, None] if reduce == "mean" else scores
    return scores.masked_fill(candidates < 0, -torch.inf)


def _sides(
    query: Tensor, document: Tensor, query_mask, document_mask
) -> tuple[TokenSide, TokenSide]:
    sides = TokenSide(query, query_mask, "query"), TokenSide(document, document_mask, "document")
    if query.shape[2] != document.shape[2]:
        raise RetrievalInputError(
            f"tokens of queries have dimension {query.shape[2]}, those of documents"
            f" {document.shape[2]}"
        )
    return sides


def _check_candidates(candidates: Tensor, n_queries: int, n_documents: int) -> None:
    check_tensor(candidates, "candidates", dtype=torch.int64)
    if candidates.ndim != 2 or len(candidates) != n_queries or candidates.dtype != torch.int64:
        raise RetrievalInputError(
            f"candidates must be int64 ({n_queries}, k), a row for each query, "
            f"got {candidates.dtype} {tuple(candidates.shape)}"
        )
    outside = (candidates < -1) | (candidates >= n_documents)
    if outside.any():
        row, column = outside.nonzero()[0].tolist()
        raise RetrievalInputError(
            f"candidate {int(candidates[row, column])} of query {row} is no document: there are "
            f"{n_documents}, counted from 0, and -1 stands for none"
        )
