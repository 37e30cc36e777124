"""The hard split: first answers by kind, and what words find."""

from types import SimpleNamespace

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.token_vectors import Tokens
from lib.datasets import scenes
from lib.search import Run
from lib.studies.architectures.twins import (
    FIRST,
    WORDS,
    best_similarities,
    first_answers,
    kind_rows,
    on_background,
    word_rows,
)


def run_of(first) -> Run:
    ids = np.array(first)[:, None]
    return Run.of_one_stage(np.zeros(ids.shape), ids, "any")


def test_first_answers_by_hand():
    # Two scenes: images 0 and 1, their twins 2..7. The first scene's captions find 0, 0, 2
    # (places), 4 (colours), 1 (another scene); those of the second 1, 1, 1, 7 (both), 2 (another
    # scene). Image 2 of another scene is right for the last caption all the same: that is no error.
    right = [1, 1, 0, 0, 0, 1, 1, 1, 0, 1]
    shares = first_answers(run_of([0, 0, 2, 4, 1, 1, 1, 1, 7, 2]), right)
    assert shares == dict(zip(FIRST, [60, 10, 10, 10, 10]))


def test_the_order_of_the_gallery_is_that_of_the_task():
    task = scenes.hard_task("validation", n_scenes=3)
    own = np.arange(15) // 5
    assert (task.qrels.grades_of(own[:, None]) >= task.hit_grade).all()
    assert first_answers(run_of(own), np.ones(15))["a right one"] == 100


def test_by_kind_takes_every_fifth_caption():
    result = SimpleNamespace(per_query={"R@1": np.array([1, 0, 0, 0, 1, 1, 1, 0, 0, 0.0])})
    rows = kind_rows({"a": result})
    assert [row["caption"] for row in rows] == list(scenes.KINDS)
    assert [row["a"] for row in rows] == [100, 50, 0, 0, 50]


def test_best_similarities_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    mask = rng.random((10, 3)) < 0.7
    mask[:, 0] = True
    texts = Tokens(rng.standard_normal((10, 3, 4)), mask)
    images = Tokens(rng.standard_normal((8, 5, 4)), rng.random((8, 5)) < 2)
    expected = [
        [
            (images.vectors[2 * twin + q // 5] @ texts.vectors[q, i]).max()
            for q, i in np.argwhere(mask)
        ]
        for twin in range(4)
    ]
    np.testing.assert_allclose(best_similarities(texts, images), expected, rtol=1e-5)


def test_padding_of_images_finds_nothing():
    texts = Tokens(np.ones((5, 1, 2)))
    images = Tokens(np.tile([[-1.0, -1.0], [0.0, 0.0]], (4, 1, 1)), np.tile([True, False], (4, 1)))
    assert (best_similarities(texts, images) == -2).all()


def test_on_background_by_hand():
    # A picture of 2 x 2 patches, of which only the last shows something.
    picture = np.full((1, 4, 4, 3), 9, np.uint8)
    picture[0, 3, 3, 0] = 200
    images = Tokens(np.tile(np.eye(4), (4, 1, 1)))
    texts = Tokens(
        np.tile(np.eye(4)[[0, 3]], (5, 1, 1))
    )  # the first word wins on patch 0, the second on 3
    found = on_background(texts, images, np.repeat(picture, 4, axis=0))
    assert found.tolist() == [True, False] * 5
    with pytest.raises(
        RetrievalInputError, match=r"4 images of 4 patches do not fit pictures \(1, 4, 4, 3\)"
    ):
        on_background(texts, images, picture)


def test_by_word_averages_over_the_words_of_a_kind():
    picture = np.full((4, 4, 4, 3), 9, np.uint8)
    picture[:, 3, 3, 0] = 200  # the last patch shows something
    shown = np.tile(np.eye(4), (4, 1, 1))
    shown[1] *= 0.5  # exchanged places
    captions = ["red star left a two"] * 5
    # red and the end look at patch 0, all others at patch 3.
    texts = Tokens(np.tile(np.eye(4)[[0, 3, 3, 3, 3, 0]], (5, 1, 1)))
    rows = {row["words"]: row for row in word_rows(captions, texts, Tokens(shown), picture)}
    assert list(rows) == [*WORDS, "all"]
    expected = {"nothing": 1, "places": 0.5, "colours": 1, "both": 1, "on_background": 100}
    assert rows["colours"] == {"words": "colours"} | expected
    assert rows["shapes"]["on_background"] == 0
    assert rows["all"]["on_background"] == pytest.approx(100 / 3)
    with pytest.raises(
        RetrievalInputError, match="5 captions have 35 words and ends, the texts 30 tokens"
    ):
        word_rows([f"{caption} more" for caption in captions], texts, Tokens(shown), picture)


def test_words_are_words_of_captions():
    assert {word for members in WORDS.values() for word in members} <= set(scenes.words())


def test_refuses_what_is_not_the_hard_split():
    with pytest.raises(RetrievalInputError, match="got 7 captions"):
        first_answers(run_of(range(7)), np.ones(7))
    with pytest.raises(RetrievalInputError, match="with 4 twins; got 3"):
        best_similarities(Tokens(np.ones((5, 1, 2))), Tokens(np.ones((3, 1, 2))))
