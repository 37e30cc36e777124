"""Known and unknown queries: goldens, properties, the stored scale, and bad input."""

import subprocess
import sys
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.models.numpy_text import load_text_encoder
from lib.search import familiarity
from lib.search.familiarity import (
    Familiarity,
    familiarity_scores,
    load_scale,
    logistic,
    measure_familiarity,
    part_inside,
    words_in,
)


@pytest.fixture(scope="module")
def encoder():
    return load_encoder()


@pytest.fixture(scope="module")
def scale():
    return load_scale()


KNOWN = [
    "alarm clock", "thunderstorm", "someone laughing", "send a message", "red alarm clock",
    "sunset over the sea with palm trees", "kettlebell", "bitcoin", "zebra",
]  # fmt: skip


@pytest.mark.parametrize("query", KNOWN)
def test_real_queries_are_known(encoder, query):
    (found,) = measure_familiarity([query], encoder)
    assert not found.is_unknown and not found.unknown_words and not found.sentences


def test_strings_without_meaning_are_unknown_and_their_words_are_named(encoder):
    (found,) = measure_familiarity(["xyzzy  qwrt"], encoder)
    assert found.is_unknown and found.unknown_words == ("xyzzy", "qwrt")
    far, named = found.sentences
    assert far.startswith('Perhaps no picture is close to "xyzzy qwrt": its familiarity is 0.')
    assert far.endswith(f"95% of the validation queries reach {load_scale().least:.2f}.")
    assert named == "Unknown words: xyzzy, qwrt."


def test_one_unknown_word_is_named_as_it_is_written(encoder):
    (found,) = measure_familiarity(["a red alarm clock beside Xyzzkq, Xyzzkq"], encoder)
    assert found.unknown_words == ("Xyzzkq",)
    assert found.sentences[-1] == "Unknown word: Xyzzkq."


def test_a_sentence_off_the_topic_is_unknown(encoder):
    law = "Neither the name of the author may be used to endorse products."
    assert measure_familiarity([law], encoder)[0].is_unknown


def test_a_batch_equals_single_queries(encoder):
    queries = [*KNOWN[:3], "xyzzy qwrt", "Regenschirm", "42"]
    single = [measure_familiarity([query], encoder)[0] for query in queries]
    batch = measure_familiarity(queries, encoder)
    assert [f.score for f in batch] == pytest.approx([f.score for f in single], rel=1e-4)
    assert [(f.is_unknown, f.unknown_words) for f in batch] == [
        (f.is_unknown, f.unknown_words) for f in single
    ]
    assert measure_familiarity([], encoder) == []


def test_case_and_spaces_do_not_matter(encoder, scale):
    scores = familiarity_scores(["alarm clock", " Alarm   CLOCK "], encoder, scale)
    assert scores[0] == scores[1]


def test_a_long_query_is_judged_by_its_beginning(encoder):
    assert len(measure_familiarity(["alarm clock " * 40], encoder)) == 1


@pytest.mark.parametrize("query", ["", "  ", "?!"])
def test_a_query_without_words_is_refused(encoder, query):
    with pytest.raises(RetrievalInputError, match="no letter or digit"):
        measure_familiarity([query], encoder)


def test_another_text_tower_is_refused(encoder, scale):
    with pytest.raises(RetrievalInputError, match="encoder must have the text tower"):
        measure_familiarity(["a"], encoder, replace(scale, sha256="0" * 64))


# ---- parts


def test_part_inside_by_hand():
    directions = np.eye(3)[:, :2]
    vectors = np.array([[0.6, 0.8, 0], [0, 0, 1], [0.6, 0, 0.8]])
    assert part_inside(vectors, directions) == pytest.approx([1, 0, 0.6])


def test_logistic_by_hand():
    assert logistic(np.array([[0.0, 0.0], [1.0, 2.0]]), (1, -1, 0)) == pytest.approx(
        [0.5, 1 / (1 + np.e)]
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Red alarm-clock, 3x!", ["Red", "alarm", "clock", "3x"]),
        ("don\u2019t \u00abstop\u00bb\u3002", ["don", "t", "stop"]),
        ("\u092a\u093e\u0928\u0940 \u2764", ["\u092a\u093e\u0928\u0940"]),
    ],
)
def test_words_are_those_of_the_text(text, words):
    assert words_in(text) == words


@lru_cache(maxsize=1)
def load_encoder():
    return load_text_encoder("pictures")


@settings(max_examples=15, deadline=None)
@given(st.text(alphabet="aeiouxzq123 -\u00e9\u65e5", min_size=1, max_size=12))
def test_any_text_with_a_word_is_judged(text):
    encoder = load_encoder()
    if not words_in(text):
        return
    (found,) = measure_familiarity([text], encoder)
    assert 0 <= found.score <= 1 and set(found.unknown_words) <= set(words_in(text))


def test_the_message_is_empty_for_known_words():
    assert not Familiarity("a", 0.5, 0.4, 0.95, ()).sentences
    (line,) = Familiarity("a b", 0.3, 0.4, 0.95, ()).sentences
    assert "familiarity is 0.30; 95% of the validation queries reach 0.40" in line


# ---- the stored scale


def test_the_scale_is_stored_as_it_was(scale, tmp_path):
    scale.save(tmp_path)
    again = load_scale(tmp_path)
    assert (again.directions == scale.directions).all()
    assert replace(again, directions=0) == replace(scale, directions=0)


def test_its_directions_are_orthonormal(scale):
    n = scale.directions.shape[1]
    assert scale.directions.T @ scale.directions == pytest.approx(np.eye(n), abs=2e-3)
    assert scale.weights[0] > 0 > scale.weights[1]


def test_a_missing_or_damaged_scale_is_refused(scale, tmp_path):
    with pytest.raises(MissingFileError, match="crossmodal bench familiarity"):
        load_scale(tmp_path / "none")
    scale.save(tmp_path)
    (tmp_path / familiarity.SCALE_FILE).write_bytes(b"damaged")
    with pytest.raises(DamagedFileError, match="crossmodal bench familiarity"):
        load_scale(tmp_path)


def test_it_imports_neither_torch_nor_pandas():
    code = "import sys, lib.search.familiarity; print({'torch', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr[-500:]
