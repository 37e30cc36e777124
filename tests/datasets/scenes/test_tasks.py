"""Tasks of both directions, the hard split of twins, and training streams."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets import scenes
from lib.datasets.scenes.splits import split_of
from lib.datasets.scenes.tasks import TWINS, can_be_swapped, sample_swappable, training_twins, twins
from tests.datasets.scenes.examples import equal


def test_both_directions_of_the_test_split() -> None:
    there, back = scenes.task("test"), scenes.task("test", "image_to_text")
    assert there.name == "scenes" and there.hit_grade == 3 and there.qrels.max_grade == 3
    assert there.gallery.shape == (5000, 64, 64, 3) and there.gallery.dtype == np.uint8
    assert len(there.queries) == 25_000 and there.queries == back.gallery
    assert there.qrels.shape == (25_000, 5000) and back.qrels == there.qrels.T
    assert (
        np.array_equal(there.query_groups, np.repeat(np.arange(5000), 5))
        and back.query_groups is None
    )
    assert there.queries[:5] == scenes.captions(scenes.sample("test", 1))[0]
    assert (back.qrels.at_least(3).counts >= 5).all()


def test_a_smaller_task_is_the_beginning_of_a_larger_one() -> None:
    small, large = scenes.task("validation", n_images=30), scenes.task("validation")
    assert len(large.gallery) == 1000
    assert (
        np.array_equal(small.gallery, large.gallery[:30]) and small.queries == large.queries[:150]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"split": "dev"},
            "split must be one of 'train', 'validation', 'test', 'test_unseen'; got 'dev'",
        ),
        (
            {"direction": "text_to_clip"},
            "direction must be one of 'text_to_image', 'image_to_text'",
        ),
        ({"n_images": 0}, "n_images must be at least 1"),
        ({"n_images": "5000"}, "n_images must be a whole number, got '5000'"),
    ],
)
def test_bad_tasks_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(RetrievalInputError, match=message):
        scenes.task(**arguments)


@pytest.mark.parametrize("chunk", [1, 7, 20, 99])
def test_chunks_are_the_whole(chunk: int) -> None:
    pieces = list(scenes.iter_chunks("validation", 20, chunk=chunk, seed=1))
    assert [len(batch) for _, batch in pieces][:-1] == [chunk] * (len(pieces) - 1)
    whole = scenes.sample("validation", 20, seed=1)
    assert equal(scenes.concatenate(batch for _, batch in pieces), whole)
    assert np.array_equal(np.concatenate([images for images, _ in pieces]), scenes.render(whole))


# ---- twins


def test_twins_differ_in_binding_or_relation_alone() -> None:
    base = sample_swappable("test", 40)
    four = twins(base)
    assert len(four) == len(TWINS) * 40
    for name in ("shape", "size", "texture", "count", "layout", "jitter", "background", "wording"):
        np.testing.assert_array_equal(
            getattr(four, name), np.concatenate([getattr(base, name)] * 4)
        )
    np.testing.assert_array_equal(
        np.sort(four.colour, axis=1), np.sort(np.tile(base.colour, (4, 1)), axis=1)
    )
    np.testing.assert_array_equal(four.relation // 2, np.tile(base.relation // 2, 4))
    keys = scenes.composition_key(four).reshape(4, 40)
    assert all(len(set(column)) == 4 for column in keys.T.tolist())
    assert (split_of(four) == scenes.SPLITS.index("test")).all()


def test_exchanging_both_is_exchanging_the_shapes() -> None:
    base = sample_swappable("test", 20)
    both = twins(base)[60:]
    np.testing.assert_array_equal(both.colour[:, ::-1], base.colour)
    np.testing.assert_array_equal(both.relation ^ 1, base.relation)


def test_what_cannot_be_swapped_is_left_out() -> None:
    every = scenes.sample("test", 400)
    kept = can_be_swapped(every)
    equal = (every.shape[:, 0] == every.shape[:, 1]) | (every.colour[:, 0] == every.colour[:, 1])
    assert equal.any() and not kept[equal].any() and kept.any()
    found = sample_swappable("test", 30)
    np.testing.assert_array_equal(found.wording, every[np.flatnonzero(kept)[:30]].wording)


def test_a_full_caption_is_true_of_one_twin_and_judged_on_all() -> None:
    task = scenes.hard_task(n_scenes=60)
    assert task.split == "test_hard" and len(task.queries) == 300 and len(task.gallery) == 240
    own = np.arange(300) // 5
    grades = task.qrels.grades_of(own[:, None] + 60 * np.arange(4))
    assert (grades[:, 0] == 3).all() and (grades[:, 1:] < 3).all()
    # The other places hold the same two (shape, colour) pairs; other colours make other pairs.
    assert (grades[:, 1] == 1).all() and (grades[:, 2:] == 0).all()
    np.testing.assert_array_equal(task.query_groups, own)


def test_a_reader_blind_to_order_cannot_do_better_than_one_in_four() -> None:
    base = sample_swappable("test", 60)
    for row in scenes.ceilings(base, twins(base)):
        assert row["blind_own_image"] <= 0.25 < 0.6 < row["own_image"]


def test_the_ceilings_of_the_datasheet() -> None:
    base = sample_swappable("test", scenes.N_HARD)
    *_, order, every = scenes.ceilings(base, twins(base))
    rounded = [round(100 * every[key], 1) for key in ("blind_any_true", "own_image")]
    assert [*rounded, round(100 * order["own_image"], 1)] == [24.5, 96.2, 83.0]


def test_both_directions_judge_alike() -> None:
    there, back = scenes.hard_task(n_scenes=8), scenes.hard_task("test", "image_to_text", 8)
    assert len(back.queries) == 8 and len(back.gallery) == 160
    assert back.gallery[:40] == there.queries
    np.testing.assert_array_equal(back.queries, there.gallery[:8])
    everyone = np.tile(np.arange(160), (8, 1))
    own = back.qrels.grades_of(everyone)[
        np.arange(8)[:, None], 5 * np.arange(8)[:, None] + np.arange(5)
    ]
    assert (own == 3).all()


def test_training_twins_stay_in_training_and_depend_on_their_step_alone() -> None:
    images, batch = training_twins(3, 5, 64)
    assert images.shape == (64, 64, 64, 3) and (split_of(batch) == 0).all()
    again, _ = training_twins(3, 5, 64)
    np.testing.assert_array_equal(images, again)
    moved = batch.relation[32:] != batch.relation[:32]
    recoloured = (batch.colour[32:] != batch.colour[:32]).any(axis=1)
    assert (moved ^ recoloured).all() and moved.any() and recoloured.any()
    assert not np.array_equal(images, training_twins(3, 6, 64)[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scenes.hard_task("tests"), "split must be one of"),
        (lambda: scenes.hard_task("test", "text_to_text"), "direction must be one of"),
        (lambda: scenes.hard_task(n_scenes=0), "n_scenes must be at least 1"),
        (lambda: training_twins(0, 0, 1), "half of the batch size must be at least 1"),
        (lambda: training_twins(0, -1, 2), "step must be at least 0"),
    ],
)
def test_refuses(call, message: str) -> None:
    with pytest.raises(RetrievalInputError, match=message):
        call()
