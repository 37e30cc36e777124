"""Splits and streams: no composition leaks, and a scene depends on its number alone."""

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.datasets import scenes
from lib.datasets.scenes.splits import compositions
from tests.datasets.scenes.examples import equal


def test_a_scene_depends_on_its_number_alone() -> None:
    whole = scenes.sample("train", 40, seed=3)
    assert equal(whole[25:], scenes.sample("train", 15, seed=3, start=25))
    assert not equal(whole, scenes.sample("train", 40, seed=4))
    images, batch = scenes.training_batch(3, 2, 10)
    assert equal(batch, whole[20:30])
    assert np.array_equal(images, scenes.render(whole)[20:30])


def test_attributes_are_uniform() -> None:
    batch = scenes.sample("train", 24_000)
    domains = {
        "size": 2,
        "texture": 3,
        "count": 3,
        "layout": 4,
        "jitter": 16,
        "relation": 4,
        "background": 8,
    }
    for name, n_values in domains.items():
        values = getattr(batch, name)
        share = np.bincount((values - values.min()).ravel(), minlength=n_values) / values.size
        # 24,000 draws: 6 standard deviations of a share are below 0.02.
        assert np.abs(share - 1 / n_values).max() < 0.02, name
    first_is_lower = (batch.pair[:, 0] < batch.pair[:, 1]).mean()
    assert abs(first_is_lower - 0.5) < 0.02


def test_words_of_the_generator_are_used_once() -> None:
    # Attributes drawn from the same bits would be correlated; 6 standard deviations are 0.04.
    batch = scenes.sample("train", 24_000)
    names = ("size", "texture", "count", "layout", "jitter", "motion", "background", "wording")
    columns = np.concatenate(
        [getattr(batch, name).reshape(len(batch), -1) for name in names], axis=1
    )
    correlation = np.corrcoef(columns.astype(float), rowvar=False)
    assert np.abs(correlation - np.eye(len(correlation))).max() < 0.04


def test_splits_share_no_composition_and_no_binding_or_order_of_one() -> None:
    drawn = {split: scenes.sample(split, 6000) for split in scenes.SPLITS}
    keys = {split: set(scenes.composition_key(batch).tolist()) for split, batch in drawn.items()}
    for a, b in product(scenes.SPLITS, scenes.SPLITS):
        assert a == b or not keys[a] & keys[b]
    for k, (split, batch) in enumerate(drawn.items()):
        assert (scenes.split_of(batch) == k).all()
        swapped = scenes.split_of(scenes.swap_relation(batch))
        assert (swapped == k).all()
        rebound = scenes.split_of(scenes.swap_colours(batch))
        assert (
            split == "test_unseen"
            or np.isin(rebound, [k, scenes.SPLITS.index("test_unseen")]).all()
        )


def test_unseen_pairs_occur_in_their_split_only() -> None:
    assert (
        sorted(s for s, _ in scenes.UNSEEN_PAIRS)
        == sorted(c for _, c in scenes.UNSEEN_PAIRS)
        == list(range(8))
    )
    unseen = [8 * s + c for s, c in scenes.UNSEEN_PAIRS]
    for split in scenes.SPLITS:
        held_out = np.isin(scenes.sample(split, 3000).pair, unseen).any(axis=1)
        assert held_out.all() if split == "test_unseen" else not held_out.any()


def test_every_shape_colour_and_seen_pair_is_trained() -> None:
    assert len(np.unique(scenes.sample("train", 6000).pair)) == 64 - 8


def test_sizes_of_the_splits() -> None:
    table = compositions()
    assert len(np.unique(table["code"])) == len(table["code"]) == 64 * 63 * 2
    assert np.bincount(table["split"]).tolist() == [4956, 268, 936, 1904]
    assert (np.diff(table["code"]) > 0).all()  # split_of searches it


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**63 - 1), st.integers(0, 2**62))
def test_converse_descriptions_are_one_scene(seed: int, start: int) -> None:
    batch = scenes.sample("test_unseen", 4, seed, start=start)
    told_again = scenes.canonical(batch)
    assert (told_again.relation % 2 == 0).all()
    assert np.array_equal(scenes.composition_key(batch), scenes.composition_key(told_again))
    assert np.array_equal(scenes.render(batch), scenes.render(told_again))
    twin = scenes.swap_relation(batch)
    assert (scenes.composition_key(twin) != scenes.composition_key(batch)).all()
    assert equal(scenes.swap_relation(twin), batch)
    assert equal(scenes.swap_colours(scenes.swap_colours(batch)), batch)
