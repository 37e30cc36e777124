"""The hard split: what its twins share, what tells them apart, and who can."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets import scenes
from lib.datasets.scenes.splits import split_of
from lib.datasets.scenes.tasks import TWINS, can_be_swapped, sample_swappable, training_twins, twins


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
