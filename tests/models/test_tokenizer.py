"""The tokenizer: words, pieces, ids, and the position that open_clip's text tower reads."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.model import CustomTextCLIP

from lib.core.checks import RetrievalInputError
from lib.models.tokenizer import END, PAD, UNKNOWN, Tokenizer, learn_merges, words_of

TEXTS = [
    "red car",
    "red cart",
    "blue car",
    "card game",
    "red card",
    "arrow left",
    "arrow right",
    "alarm clock",
]
TOKENIZER = Tokenizer.train(TEXTS, 30, context_length=12)
LETTERS = st.text("abcdeglortwx", min_size=1, max_size=8)


def learn_merges_by_hand(texts, n_merges):
    """Run Sennrich's algorithm and count everything again after each merge."""
    counts = Counter(word for text in texts for word in words_of(text))
    spelled = {word: [*word[:-1], word[-1] + END] for word in counts}
    merges = []
    while len(merges) < n_merges:
        pairs = Counter()
        for word, pieces in spelled.items():
            for i in range(len(pieces) - 1):
                pairs[pieces[i], pieces[i + 1]] += counts[word]
        best = min(pairs, key=lambda pair: (-pairs[pair], pair), default=None)
        if best is None or pairs[best] < 2:
            return merges
        merges.append(best)
        for pieces in spelled.values():
            i = 0
            while i < len(pieces) - 1:
                if (pieces[i], pieces[i + 1]) == best:
                    pieces[i : i + 2] = ["".join(best)]
                i += 1
    return merges


# ---- words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Red alarm-clock", ["red", "alarm", "clock"]),
        ("café CAFÉ cafe\u0301", ["cafe", "cafe", "cafe"]),
        ("Straße ﬁne ①", ["strasse", "fine", "1"]),
        ("3d_cube, (v2.0)!", ["3d", "cube", "v2", "0"]),
        ("  \t\n", []),
        ("· — !?", []),
        ("l·l", ["l", "l"]),  # the end mark itself can never be part of a word
        ("日本", ["日本"]),
    ],
)
def test_words_by_hand(text, words):
    assert words_of(text) == words


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30))
def test_words_hold_letters_and_digits_only_and_are_stable(text):
    words = words_of(text)
    assert all(word and END not in word and " " not in word for word in words)
    assert words_of(" ".join(words)) == words


@given(st.text(st.characters(codec="ascii"), max_size=30))
def test_words_of_ascii_are_those_of_the_general_way(text):
    assert [*words_of(text), "e"] == words_of(f"{text} é")


# ---- merges


def test_merges_by_hand():
    # "ab" x3, "abc" x2: a+b at the end occurs 3 times, a+b inside 2, b+c at the end 2; ties go by
    # alphabet.
    assert learn_merges(["ab ab ab abc abc"], 10) == [
        ("a", "b" + END),
        ("a", "b"),
        ("ab", "c" + END),
    ]
    assert learn_merges(["ab ab ab abc abc"], 1) == [("a", "b" + END)]
    assert learn_merges(["ab cd"], 10) == []  # nothing occurs twice
    assert learn_merges([], 10) == []


def test_overlapping_pairs_are_joined_from_the_left():
    assert learn_merges(["aaaa aaaa"], 1) == [("a", "a")]
    assert Tokenizer("a", [("a", "a")]).pieces("aaaa") == ["aa", "a", "a" + END]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("abc", min_size=1, max_size=7), max_size=12), st.integers(0, 12))
def test_merges_equal_recounting_from_scratch(texts, n_merges):
    assert learn_merges(texts, n_merges) == learn_merges_by_hand(texts, n_merges)


def test_merges_do_not_depend_on_the_order_of_the_texts():
    assert learn_merges(TEXTS, 20) == learn_merges(TEXTS[::-1], 20)


# ---- pieces


def test_frequent_words_are_one_piece_and_unseen_ones_are_spelled():
    assert TOKENIZER.pieces("red") == ["red" + END]
    assert TOKENIZER.pieces("car") == ["car" + END] and TOKENIZER.pieces("card")[0] != "car" + END
    unseen = TOKENIZER.pieces("redcart")
    assert "".join(unseen) == "redcart" + END and len(unseen) < len("redcart")


@settings(max_examples=60, deadline=None)
@given(LETTERS, st.integers(0, 1000))
def test_pieces_spell_the_word_with_or_without_dropout(word, seed):
    for dropout in (0.0, 0.5):
        pieces = TOKENIZER.pieces(word, dropout=dropout, rng=np.random.default_rng(seed))
        assert "".join(pieces) == word + END


def test_dropout_of_one_spells_letter_by_letter():
    assert TOKENIZER.pieces("red", dropout=1.0, rng=np.random.default_rng(0)) == [
        "r",
        "e",
        "d" + END,
    ]


# ---- ids


def test_ids_by_hand():
    tokenizer = Tokenizer("ab", [("a", "b" + END)], context_length=6)
    # 0 padding, 1 unknown, 2 a, 3 b, 4 a at the end, 5 b at the end, 6 ab at the end, 7 the end of
    # the text
    assert tokenizer.eot == 7 and tokenizer.vocab_size == 8
    rows = tokenizer.encode(["ab", "ba ab", "b?c"])
    assert rows.dtype == np.int64
    assert rows.tolist() == [[6, 7, 0, 0, 0, 0], [3, 4, 6, 7, 0, 0], [5, 1, 7, 0, 0, 0]]


def test_unknown_characters_become_one_token_and_the_rest_is_kept():
    row = TOKENIZER.encode(["red 日本"])[0]
    assert row[0] == TOKENIZER.encode(["red"])[0, 0]
    assert row[1:4].tolist() == [UNKNOWN, UNKNOWN, TOKENIZER.eot]


def test_spelling_of_the_query_does_not_matter():
    rows = TOKENIZER.encode(["red car", "RED-CAR!", "  réd   car "])
    assert (rows == rows[0]).all()


def test_a_word_is_not_the_start_of_another():
    assert TOKENIZER.encode(["car d"]).tolist() != TOKENIZER.encode(["card"]).tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(LETTERS, min_size=1, max_size=3), st.integers(0, 1000))
def test_the_end_is_the_largest_id_of_every_row_and_padding_follows_it(words, seed):
    tokenizer = Tokenizer.train(TEXTS, 10, context_length=32)
    for options in ({}, {"dropout": 0.3, "rng": np.random.default_rng(seed)}):
        row = tokenizer.encode([" ".join(words)], **options)[0]
        end = int(row.argmax())
        assert row[end] == tokenizer.eot == tokenizer.vocab_size - 1
        assert (row[:end] != PAD).all() and (row[:end] < tokenizer.eot).all()
        assert (row[end + 1 :] == PAD).all()


def test_dropout_is_repeatable_and_changes_some_spellings():
    texts = TEXTS * 20

    def rows(seed):
        return TOKENIZER.encode(texts, dropout=0.3, rng=np.random.default_rng(seed))

    usual = TOKENIZER.encode(texts)
    np.testing.assert_array_equal(rows(1), rows(1))
    assert (rows(1) != rows(2)).any()
    changed = (rows(1) != usual).any(axis=1).mean()
    assert 0.1 < changed < 0.9
    np.testing.assert_array_equal(TOKENIZER.encode(texts), usual)  # dropout left nothing behind


def test_dropout_falls_back_to_the_usual_spelling_where_the_rare_one_is_too_long():
    tokenizer = Tokenizer.train(["alarm clock"] * 3, 30, context_length=3)
    rows = tokenizer.encode(["alarm clock"] * 50, dropout=0.9, rng=np.random.default_rng(0))
    assert (rows == tokenizer.encode(["alarm clock"])).all()


def test_round_trip_through_json_gives_equal_ids():
    again = Tokenizer.from_dict(json.loads(json.dumps(TOKENIZER.to_dict())))
    texts = [*TEXTS, "dragon", "日本 9"]
    np.testing.assert_array_equal(again.encode(texts), TOKENIZER.encode(texts))
    assert again.to_dict() == TOKENIZER.to_dict() and again.vocab_size == TOKENIZER.vocab_size


def test_no_texts_give_no_rows():
    assert TOKENIZER.encode([]).shape == (0, 12)


# ---- where open_clip's text tower looks


@pytest.fixture(scope="module")
def tower():
    torch.manual_seed(0)
    vision = {"image_size": 8, "patch_size": 8, "width": 16, "layers": 1, "head_width": 8}
    text = {
        "width": 16,
        "heads": 2,
        "layers": 2,
        "context_length": 12,
        "vocab_size": TOKENIZER.vocab_size,
    }
    return CustomTextCLIP(8, vision, text).eval()


def encode(tower, rows):
    with torch.no_grad():
        return tower.encode_text(torch.from_numpy(np.asarray(rows)))


def test_what_stands_after_the_end_does_not_matter(tower):
    row = TOKENIZER.encode(["red car"])
    end = int(row[0].argmax())
    other = row.copy()
    other[0, end + 1 :] = 3
    torch.testing.assert_close(encode(tower, other), encode(tower, row))
    other[0, end - 1] = 3  # what stands before it does
    assert (encode(tower, other) - encode(tower, row)).abs().max() > 1e-3


def test_an_end_that_is_not_the_largest_id_would_be_pooled_at_a_word(tower):
    # The same texts with the ids of the end and of some word exchanged: the tower stops at that
    # word and no longer sees what follows. This is the pitfall that `Tokenizer` is built to avoid.
    first, second, end = TOKENIZER.encode(["car red"])[0, :3].tolist()
    assert second < first < end == TOKENIZER.eot

    def wrong(words):
        row = np.full((1, 12), PAD)
        row[0, : len(words) + 1] = [*words, UNKNOWN]  # a smaller id for the end
        return encode(tower, row)

    torch.testing.assert_close(
        wrong([first, second]), wrong([first, 3])
    )  # blind to the second word
    right = TOKENIZER.encode(["car red", "car"])
    assert (encode(tower, right[:1]) - encode(tower, right[1:])).abs().max() > 1e-3


# ---- bad input


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("red car", r"got one string 'red car'; pass \[text\]"),
        (["red", ""], r"texts\[1\] is '': it holds no letter or digit"),
        (["?!"], r"texts\[0\] is '\?!': it holds no letter"),
        (["red", None], r"texts\[1\] must be a string, got NoneType"),
        ([b"red"], r"texts\[0\] must be a string, got bytes"),
        (["red " * 12], r"texts\[0\] is too long: 12 pieces, the model reads 11. Shorten 'red red"),
    ],
)
def test_refuses_what_is_not_a_list_of_texts(texts, message):
    with pytest.raises(RetrievalInputError, match=message):
        TOKENIZER.encode(texts)


def test_the_longest_text_that_fits_is_read():
    assert TOKENIZER.encode(["red " * 11])[0, -1] == TOKENIZER.eot


def test_refuses_dropout_that_cannot_be_repeated_or_is_no_probability():
    for call in (TOKENIZER.pieces, lambda word, **options: TOKENIZER.encode([word], **options)):
        with pytest.raises(RetrievalInputError, match="dropout needs rng"):
            call("red", dropout=0.1)
        with pytest.raises(RetrievalInputError, match="between 0 and 1, got 1.5"):
            call("red", dropout=1.5, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("length", "message"), [(1, "leaves no room"), (0, "at least 1"), (2.5, "whole number")]
)
def test_refuses_a_row_without_room(length, message):
    with pytest.raises(RetrievalInputError, match=message):
        Tokenizer("ab", [], context_length=length)


def test_cutting_keeps_the_first_pieces_and_the_end_mark():
    texts = ["red car", "red " * 11, "red " * 10 + "car red red"]
    assert TOKENIZER.lengths(texts).tolist() == [3, 12, 14]
    rows = TOKENIZER.encode(texts, cut=True)
    np.testing.assert_array_equal(rows[:2], TOKENIZER.encode(texts[:2]))
    np.testing.assert_array_equal(rows[2], TOKENIZER.encode(["red " * 10 + "car"])[0])
    with pytest.raises(RetrievalInputError, match=r"texts\[1\] is '\?': it holds no letter"):
        TOKENIZER.lengths(["red", "?"])
