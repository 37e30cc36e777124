"""BM25: the formula by hand, stems, letter grams, another library, and bad input."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.models.tokenizer import words_of
from lib.search.bm25 import BM25Retriever, letter_grams_of, stems_of

TEXTS = ["alarm clock", "clock", "alarm bell alarm outline"]  # lengths 2, 1, 4; mean 7 / 3


def scores_of(retriever, query):
    """Return the score of every text, 0 where it is not returned."""
    run = retriever.search(retriever.encode([query]), retriever.n_items)
    scores = np.zeros(retriever.n_items)
    found = run.ids[0] >= 0
    scores[run.ids[0][found]] = run.scores[0][found]
    return scores


def test_three_texts_by_hand():
    # clock is in 2 of 3 texts, bell in 1: idf = ln(1 + (3 - n + 0.5) / (n + 0.5)).
    clock, bell = math.log(1 + 1.5 / 2.5), math.log(1 + 2.5 / 1.5)
    # k1 (1 - b + b length / mean length), with k1 = 1.2 and b = 0.75
    two, one, four = (1.2 * (0.25 + 0.75 * length / (7 / 3)) for length in (2, 1, 4))
    retriever = BM25Retriever(TEXTS)
    assert scores_of(retriever, "Clock!") == pytest.approx(
        [clock / (1 + two), clock / (1 + one), 0]
    )
    alarm = clock  # as frequent; it stands twice in the third text
    assert scores_of(retriever, "bell, alarm") == pytest.approx(
        [alarm / (1 + two), 0, bell / (1 + four) + alarm * 2 / (2 + four)]
    )


def test_the_limits_of_k1_and_b():
    alarm = math.log(1 + 1.5 / 2.5)
    binary = BM25Retriever(TEXTS, k1=0)  # a token counts once, whatever the length
    assert scores_of(binary, "alarm") == pytest.approx([alarm, 0, alarm])
    no_length = BM25Retriever(TEXTS, k1=1, b=0)
    assert scores_of(no_length, "alarm") == pytest.approx([alarm / 2, 0, alarm * 2 / 3])


def test_a_repeated_query_token_counts_twice_and_an_unknown_one_not_at_all():
    retriever = BM25Retriever(TEXTS)
    once = scores_of(retriever, "bell")
    assert scores_of(retriever, "bell bell") == pytest.approx(2 * once)
    assert scores_of(retriever, "bell zebra") == pytest.approx(once)


def test_items_without_a_shared_token_are_not_returned():
    retriever = BM25Retriever(["b", "a", "a"], labels=["x", "y", "z"])
    run = retriever.search(retriever.encode(["a", "zebra"]), 3)
    assert run.ids.tolist() == [[1, 2, -1], [-1, -1, -1]]  # equal scores: the smaller id
    assert run.scores[1].tolist() == [-math.inf] * 3
    assert run.work[0].pairs == 2
    assert [hit.label for hit in retriever.by_text("a", k=3)] == ["y", "z"]


def test_no_query_gives_no_row():
    retriever = BM25Retriever(TEXTS)
    assert retriever.search(retriever.encode([]), 2).ids.shape == (0, 2)


def test_many_queries_are_searched_in_parts():
    texts = [f"word{i}" for i in range(600)]
    retriever = BM25Retriever(texts)
    run = retriever.search(retriever.encode(texts), 1)
    assert run.ids[:, 0].tolist() == list(range(600))


@pytest.mark.parametrize(
    ("word", "stem"),
    [
        ("clocks", "clock"), ("stories", "story"), ("houses", "house"), ("bus", "bus"),
        ("glass", "glass"), ("trees", "trees"), ("shoes", "shoes"), ("gas", "gas"), ("as", "as"),
        ("calories", "calory"), ("clock", "clock"),
    ],
)  # fmt: skip
def test_the_s_stemmer_by_hand(word, stem):
    assert stems_of(f"{word} x") == [stem, "x"]


def test_letter_grams_by_hand():
    assert letter_grams_of("Clock up") == ["<cl", "clo", "loc", "ock", "ck>", "<up", "up>"]
    assert letter_grams_of("a", n=4) == ["<a>"]


def test_letter_grams_find_a_part_of_a_word():
    texts = ["thunderstorm", "sun"]
    assert not scores_of(BM25Retriever(texts), "storm").any()
    scores = scores_of(BM25Retriever(texts, tokens_of=letter_grams_of), "storm")
    assert scores[0] > 0 and scores[1] == 0


letters = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6).map(" ".join)


@settings(deadline=None)
@given(
    texts=st.lists(letters, min_size=1, max_size=8),
    query=letters,
    k1=st.sampled_from([0.5, 1.2, 2.0]),
    b=st.sampled_from([0.0, 0.75, 1.0]),
)
def test_bm25s_gives_the_same_scores(texts, query, k1, b):
    bm25s = pytest.importorskip("bm25s", reason="bm25s is optional")
    peer = bm25s.BM25(k1=k1, b=b, method="lucene")
    peer.index([words_of(text) for text in texts], show_progress=False)
    known = [word for word in words_of(query) if word in peer.vocab_dict]
    expected = peer.get_scores(known) if known else np.zeros(len(texts))
    assert scores_of(BM25Retriever(texts, k1=k1, b=b), query) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ("alarm clock", {}, "texts must be a list of strings"),
        (["a", 3], {}, "texts must be a list of strings"),
        ([], {}, "at least one text"),
        (["", "--"], {}, "must hold a word"),
        (["a"], {"k1": -1}, "k1"),
        (["a"], {"b": 1.5}, "b must be between 0 and 1"),
        (["a"], {"k1": math.nan}, "k1"),
        (["a"], {"labels": ["x", "y"]}, "2 labels"),
    ],
)
def test_bad_arguments(arguments, options, message):
    with pytest.raises(RetrievalInputError, match=message):
        BM25Retriever(arguments, **options)


def test_bad_queries():
    retriever = BM25Retriever(TEXTS)
    with pytest.raises(RetrievalInputError, match="queries must be a list of strings"):
        retriever.encode("clock")
    with pytest.raises(RetrievalInputError, match="modality"):
        retriever.encode(["clock"], "image")
    with pytest.raises(RetrievalInputError, match="between 1 and 3"):
        retriever.search(retriever.encode(["clock"]), 4)
