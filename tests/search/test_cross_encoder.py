"""Search by a network for each pair: known tables, and the real architecture with fresh weights."""

import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.models.cross_encoder import CrossEncoder
from lib.search import CrossEncoderRetriever, Work, rerank
from tests.models.toy import WORDS, interaction_config
from tests.search.fakes import TableModel, TableRetriever, sorted_by_definition, tables


def retriever_of(table, item_modality="image", **options):
    model = TableModel(table)
    if item_modality == "image":
        items = model.read_image(range(table.shape[1]))
    else:
        items = model.read_text(map(str, range(table.shape[0])))
    return CrossEncoderRetriever(model, items, item_modality, **options)


@pytest.mark.parametrize("pairs_at_once", [1, 7, 2048])
@pytest.mark.parametrize("n_queries", [1, 6, 150])  # 150 is more than one block of queries
def test_search_sorts_every_pair(n_queries, pairs_at_once):
    table, _ = tables(n_queries)
    retriever = retriever_of(table, pairs_at_once=pairs_at_once)
    run = retriever.search(retriever.encode(map(str, range(n_queries)), "text"), k=4)
    expected = sorted_by_definition(table)[:, :4]
    np.testing.assert_array_equal(run.ids, expected)
    np.testing.assert_array_equal(run.scores, np.take_along_axis(table, expected, axis=1))
    assert run.work == (Work("cross-encoder", 9 * n_queries, 0),)
    assert (
        sum(retriever.encoder.calls) == 9 * n_queries
        and max(retriever.encoder.calls) <= pairs_at_once
    )


def test_images_ask_a_gallery_of_texts():
    table, _ = tables(5, 8)
    retriever = retriever_of(table, "text")
    run = retriever.search(retriever.encode(np.arange(8), "image"), k=5)
    np.testing.assert_array_equal(run.ids, sorted_by_definition(table.T))


def test_scores_given_pairs_and_leaves_out_what_is_not_there():
    table, _ = tables(2)
    retriever = retriever_of(table)
    queries, ids = retriever.encode(["0", "1"], "text"), np.array([[8, 2, -1], [0, -1, -1]])
    scores = retriever.score(queries, ids)
    assert scores.tolist() == [[table[0, 8], table[0, 2], -np.inf], [table[1, 0], -np.inf, -np.inf]]
    assert retriever.work(queries, ids) == Work(
        "cross-encoder", 3, 0
    ) and retriever.encoder.calls == [3]


def test_hits_say_whose_score_it_is():
    hits = retriever_of(np.float32([[1, 3, 2]]), labels=["a", "b", "c"]).by_text("0", k=2)
    assert [(hit.label, hit.score, hit.scored_by) for hit in hits] == [
        ("b", 3, "cross-encoder logit"),
        ("c", 2, "cross-encoder logit"),
    ]


def test_bad_input():
    retriever = retriever_of(tables()[0])
    queries = retriever.encode(["0", "1"], "text")
    for wrong, message in (
        (
            lambda: retriever.encode(np.arange(2), "image"),
            "gallery holds images .* search with a text",
        ),
        (
            lambda: retriever.encode(["0"], "sound"),
            "modality must be one of 'text', 'image'; got 'sound'",
        ),
        (lambda: retriever.search(queries, 10), "k must be between 1 and "),
        (lambda: retriever.score(queries, np.array([[0], [9]])), "id 9 in row 1"),
        (lambda: retriever.score(queries, np.array([[0, 0], [1, 2]])), "id 0 is twice in row 0"),
        (lambda: retriever.score(queries, np.array([[0]])), "each of 2 queries, got 1 rows"),
        (lambda: retriever_of(tables()[0], labels=["a"]), "9 items for 1 labels"),
        (lambda: retriever_of(tables()[0], pairs_at_once=0), "pairs_at_once must be at least 1"),
    ):
        with pytest.raises(RetrievalInputError, match=message):
            wrong()


def test_a_logit_that_is_not_finite_is_refused_with_its_pair():
    table = tables()[0]
    table[1, 4] = np.nan
    retriever = retriever_of(table)
    with pytest.raises(RetrievalInputError, match="score of query 1 and item 4 is nan"):
        retriever.search(retriever.encode(["0", "1"], "text"), k=3)


def test_reranking_the_whole_gallery_gives_the_logits_of_a_search_to_the_last_bit():
    torch.manual_seed(0)
    model = CrossEncoder(interaction_config())
    images = np.random.default_rng(0).integers(0, 256, size=(23, 32, 32, 3), dtype=np.uint8)
    second = CrossEncoderRetriever(model, model.read_image(images), pairs_at_once=32)
    texts = [*WORDS, "red clock", "left"]
    queries = second.encode(texts, "text")
    alone = second.search(queries, 23)
    first = TableRetriever(tables(len(texts), 23)[0]).search(np.arange(len(texts)), 23)
    both = rerank(first, second.score(queries, first.ids), 23, "logit")
    np.testing.assert_array_equal(both.ids, alone.ids)
    np.testing.assert_array_equal(both.scores, alone.scores)
