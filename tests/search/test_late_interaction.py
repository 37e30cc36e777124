"""Search by token vectors against a plain loop, and as a second stage."""

import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.core.token_vectors import Tokens
from lib.index import TokenIndex
from lib.models.late_interaction import LateInteraction
from lib.search import LateInteractionRetriever, Work
from tests.models.toy import WORDS, interaction_config
from tests.search.fakes import sorted_by_definition

TEXTS = [*WORDS, "red clock", "left"]


class Dimension:
    """Stand in for a model of this dimension."""

    dim, device = 4, "cpu"


def ragged(n: int, seed: int, longest: int = 5) -> Tokens:
    """Make tokens of small whole numbers with ties: every order of adding gives the same score."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, longest + 1, size=n)
    return Tokens(
        rng.integers(-2, 3, size=(n, longest, 4)).astype(np.int8),
        np.arange(longest) < counts[:, None],
    )


def plain(queries: Tokens, items: Tokens) -> np.ndarray:
    def of(tokens, i):
        return tokens.vectors[i][tokens.mask[i]].astype(np.float64)

    pairs = [(of(queries, q), of(items, i)) for q in range(len(queries)) for i in range(len(items))]
    return np.array([(q @ d.T).max(axis=1).sum() for q, d in pairs]).reshape(
        len(queries), len(items)
    )


@pytest.fixture(scope="module")
def sides():
    return ragged(5, 0), ragged(40, 1)


def test_search_is_the_plain_loop(sides):
    queries, items = sides
    run = LateInteractionRetriever(Dimension(), items).search(queries, k=40)
    expected = plain(queries, items)
    np.testing.assert_array_equal(run.ids, sorted_by_definition(expected))
    np.testing.assert_array_equal(run.scores, -np.sort(-expected, axis=1))
    assert run.work == (Work("MaxSim", 200, queries.n_tokens * items.n_tokens),)


def test_blocks_of_queries_change_nothing(sides, monkeypatch):
    queries, items = sides
    whole = LateInteractionRetriever(Dimension(), items).search(queries, k=7)
    monkeypatch.setattr("lib.search.late_interaction.CELLS", 80)
    blocked = LateInteractionRetriever(Dimension(), items).search(queries, k=7)
    np.testing.assert_array_equal(blocked.ids, whole.ids)
    np.testing.assert_array_equal(blocked.scores, whole.scores)


def test_scores_given_pairs_and_counts_their_products(sides):
    queries, items = sides
    retriever = LateInteractionRetriever(Dimension(), items)
    ids = np.array([[3, 39, -1], [0, 1, 2], [5, -1, -1], [7, 8, 9], [9, 8, 7]])
    scores, expected = retriever.score(queries, ids), plain(queries, items)
    for row, column in np.argwhere(ids >= 0):
        assert scores[row, column] == expected[row, ids[row, column]]
    assert (scores[ids < 0] == -np.inf).all()
    products = sum(
        int(queries.counts[row] * items.counts[ids[row, column]])
        for row, column in np.argwhere(ids >= 0)
    )
    assert retriever.work(queries, ids) == Work("MaxSim", 12, products)


def test_the_mean_ranks_as_the_sum(sides):
    queries, items = sides
    total = LateInteractionRetriever(Dimension(), items).search(queries, k=40)
    mean = LateInteractionRetriever(Dimension(), items, reduce="mean").search(queries, k=40)
    np.testing.assert_array_equal(mean.ids, total.ids)
    np.testing.assert_allclose(mean.scores * queries.counts[:, None], total.scores, rtol=1e-6)


def test_finds_its_own_images_and_texts_first():
    torch.manual_seed(0)
    model = LateInteraction(interaction_config())
    images = np.random.default_rng(0).integers(0, 256, size=(6, 32, 32, 3), dtype=np.uint8)
    retriever = LateInteractionRetriever(model, model.encode_image(images))
    hits = [retriever.by_image(image, k=1)[0] for image in images]
    assert [hit.position for hit in hits] == list(range(6)) and hits[0].scored_by == "MaxSim"
    assert hits[0].score == pytest.approx(4, abs=1e-5)  # 4 patches, each its own best
    retriever = LateInteractionRetriever(model, model.encode_text(TEXTS), TEXTS)
    assert [retriever.by_text(text, k=1)[0].label for text in TEXTS] == TEXTS


# ---- over an index


def indexed(items, **options):
    index = TokenIndex(4, "int8", n_centroids=16)
    index.add(items)
    return LateInteractionRetriever(Dimension(), index, **options)


@pytest.fixture(scope="module")
def nonzero():
    """Make documents without a zero token, which has no nearest centroid, and queries."""
    items = ragged(60, 2)
    vectors = items.vectors.copy()
    vectors[(vectors == 0).all(axis=2)] = 1
    return ragged(5, 3), Tokens(vectors, items.mask)


def test_an_index_searched_whole_is_the_plain_search(nonzero, monkeypatch):
    queries, items = nonzero
    plain_run = LateInteractionRetriever(Dimension(), items).search(queries, k=60)
    monkeypatch.setattr("lib.search.late_interaction.ITEMS_AT_ONCE", 17)
    for options in ({}, {"nprobe": 16}):  # every centroid asked: every document is a candidate
        run = indexed(items, **options).search(queries, k=60)
        np.testing.assert_array_equal(run.ids, plain_run.ids)
        np.testing.assert_array_equal(run.scores, plain_run.scores)
        assert run.work[-1] == plain_run.work[0]


def test_candidates_alone_are_scored_and_counted(nonzero):
    queries, items = nonzero
    retriever = indexed(items, nprobe=1, max_candidates=8)
    run, offered = (
        retriever.search(queries, k=12),
        retriever.items.candidates(queries, 1, 8).padded_ids(),
    )
    scores = plain(queries, items)
    for row, candidates in enumerate(offered):
        candidates = candidates[candidates >= 0]
        expected = candidates[np.argsort(-scores[row, candidates], kind="stable")]
        assert run.ids[row].tolist() == [*expected.tolist(), *[-1] * (12 - expected.size)]
    named, scored = run.work
    assert named == Work("token index", int((offered >= 0).sum()), queries.n_tokens * 16)
    assert (scored.scorer, scored.pairs) == ("MaxSim", named.pairs)
    assert scored.products == retriever.work(queries, offered).products


def test_an_index_reranks_as_the_tokens_it_holds(nonzero, monkeypatch):
    queries, items = nonzero
    monkeypatch.setattr("lib.search.late_interaction.QUERIES_AT_ONCE", 2)
    ids = np.array([[3, -1], [59, 0], [-1, -1], [-1, -1], [7, 8]])
    one, two = indexed(items), LateInteractionRetriever(Dimension(), items)
    np.testing.assert_array_equal(one.score(queries, ids), two.score(queries, ids))
    assert one.work(queries, ids) == two.work(queries, ids)


def test_bad_input(sides):
    queries, items = sides
    retriever = LateInteractionRetriever(Dimension(), items)
    wide = Tokens(np.ones((2, 3, 8), np.float32))
    for wrong, message in (
        (
            lambda: LateInteractionRetriever(Dimension(), wide),
            "items have dimension 8, the encoder 4",
        ),
        (lambda: LateInteractionRetriever(Dimension(), items, ["a"]), "40 items for 1 labels"),
        (
            lambda: LateInteractionRetriever(Dimension(), items, reduce="max"),
            "reduce must be one of",
        ),
        (
            lambda: LateInteractionRetriever(Dimension(), items, nprobe=2),
            "put them into a TokenIndex",
        ),
        (
            lambda: indexed(items, max_candidates=5),
            "max_candidates = 5 limits the candidates of nprobe",
        ),
        (lambda: retriever.search(wide, 3), "dimension 8"),
        (lambda: retriever.search(queries, 41), "k must be between 1 and 40"),
        (lambda: retriever.score(queries, np.zeros((3, 1), int)), "each of 5 queries, got 3 rows"),
        (lambda: retriever.score(queries, np.full((5, 1), 40)), "id 40 in row 0"),
    ):
        with pytest.raises(RetrievalInputError, match=message):
            wrong()
