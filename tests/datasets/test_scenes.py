"""The world, its splits and its pictures."""

from dataclasses import fields, replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from lib.core.checks import RetrievalInputError
from lib.core.writing import sha256_of
from lib.datasets import scenes
from lib.datasets.scenes.drawing import SPRITE_SIZES, colour_sprites, place
from lib.datasets.scenes.language import plan
from lib.datasets.scenes.splits import compositions

# The published bytes of the corpus. If one of these changes, every stored embedding and number is
# void.
TEST_IMAGES_SHA256 = "c51234713e5cf38682024439315e22c056592ee3bf0d56dc9524b836953af3f2"
TEST_CAPTIONS_SHA256 = "30efb00710a832d569ef8278f403bb10206d336712eba281948626255f83cb06"
SKETCHES_SHA256 = "740acfd7e6d1f99283738f9682d653b97fbee7f5d43fd79ca7f3da5456a74971"
CLIPS_SHA256 = "e3d7f7b763587c2b8bca69e1d65a66e22ea2d14a63415a492b8887e98a46e833"


def equal(a: scenes.SceneBatch, b: scenes.SceneBatch) -> bool:
    return all(
        np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(scenes.SceneBatch)
    )


def one_scene(**changes) -> scenes.SceneBatch:
    """Two large solid red circles left of a small striped blue square."""
    values = {
        "shape": [[0, 1]], "colour": [[0, 4]], "size": [[1, 0]], "texture": [[0, 1]], "count": [[2, 1]],
        "relation": [0], "motion": [0], "layout": [[0, 0]], "jitter": [[[8, 8], [8, 8]]], "background": [0],
        "wording": [0],
    }  # fmt: skip
    return scenes.SceneBatch(
        **{name: np.array(value) for name, value in (values | changes).items()}
    )


@pytest.fixture(scope="module")
def every_layout() -> scenes.SceneBatch:
    """All sizes, counts, layouts and relations of both groups, with the jitter at its ends in every
    way.
    """
    half = list(product(range(2), range(1, 4), range(4)))
    rows = [(a, b, relation) for a, b in product(half, half) for relation in range(4)]
    groups = np.array([(a, b) for a, b, _ in rows])  # (n, 2, 3)
    n = len(rows)
    pick = np.arange(n)
    return scenes.SceneBatch(
        shape=np.stack([pick % 8, (pick // 8) % 8], axis=1),
        colour=np.stack([np.zeros(n, int), np.ones(n, int)], axis=1),
        texture=np.stack([pick % 3, (pick // 3) % 3], axis=1),
        size=groups[..., 0],
        count=groups[..., 1],
        layout=groups[..., 2],
        relation=np.array([relation for _, _, relation in rows]),
        jitter=15 * (pick[:, None, None] // 7 >> np.arange(4).reshape(2, 2) & 1),
        background=pick % 8,
        motion=pick % 4,
        wording=pick,
    )


# ---- the published bytes


def test_a_seed_gives_the_published_bytes() -> None:
    batch = scenes.sample("test", 400)
    texts = "\n".join(text for five in scenes.captions(batch) for text in five)
    assert sha256_of(scenes.render(batch).tobytes()) == TEST_IMAGES_SHA256
    assert sha256_of(texts.encode()) == TEST_CAPTIONS_SHA256
    assert sha256_of(scenes.render_sketch(batch[:50]).tobytes()) == SKETCHES_SHA256
    assert sha256_of(scenes.render_clip(batch[:50]).tobytes()) == CLIPS_SHA256


# ---- streams


def test_a_scene_depends_on_its_number_alone() -> None:
    whole = scenes.sample("train", 40, seed=3)
    assert equal(whole[25:], scenes.sample("train", 15, seed=3, start=25))
    assert not equal(whole, scenes.sample("train", 40, seed=4))
    images, batch = scenes.training_batch(3, 2, 10)
    assert equal(batch, whole[20:30])
    assert np.array_equal(images, scenes.render(whole)[20:30])


@pytest.mark.parametrize("chunk", [1, 7, 20, 99])
def test_chunks_are_the_whole(chunk: int) -> None:
    pieces = list(scenes.iter_chunks("validation", 20, chunk=chunk, seed=1))
    assert [len(batch) for _, batch in pieces][:-1] == [chunk] * (len(pieces) - 1)
    whole = scenes.sample("validation", 20, seed=1)
    assert equal(scenes.concatenate(batch for _, batch in pieces), whole)
    assert np.array_equal(np.concatenate([images for images, _ in pieces]), scenes.render(whole))


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


# ---- splits


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


# ---- pictures


def test_pictures_show_the_right_number_of_separate_objects(
    every_layout: scenes.SceneBatch,
) -> None:
    for rows in np.array_split(np.arange(len(every_layout)), 4)[
        ::3
    ]:  # half of 2,304 scenes is plenty
        batch = every_layout[rows]
        images = scenes.render(batch)
        ground = images[:, :1, :1]
        assert (images[:, [0, -1]] == ground).all() and (images[:, :, [0, -1]] == ground).all()
        ink = (images != ground).any(axis=3)
        found = [ndimage.label(one, structure=np.ones((3, 3)))[1] for one in ink]
        assert np.array_equal(found, batch.count.sum(axis=1))


def test_sprites_do_not_overlap(every_layout: scenes.SceneBatch) -> None:
    batch = scenes.canonical(every_layout)
    objects = place(batch)
    side = np.array(SPRITE_SIZES)[objects.size]
    assert min(objects.x.min(), objects.y.min()) >= 1
    assert max((objects.x + side).max(), (objects.y + side).max()) <= scenes.SIZE - 1
    filled = np.zeros((len(batch), scenes.SIZE, scenes.SIZE), dtype=np.int8)
    for scene, x, y, s in zip(objects.scene, objects.x, objects.y, side, strict=True):
        filled[scene, y : y + s, x : x + s] += 1
    assert filled.max() == 1
    assert np.array_equal(np.bincount(objects.scene), batch.count.sum(axis=1))


def test_the_relation_is_unambiguous(every_layout: scenes.SceneBatch) -> None:
    batch = scenes.canonical(every_layout)
    objects = place(batch)
    side = np.array(SPRITE_SIZES)[objects.size]
    corners = np.full(
        (len(batch), 2, 2, 2), [[[999, 999], [-999, -999]]]
    )  # scene, group, (low, high), (x, y)
    np.minimum.at(
        corners[:, :, 0], (objects.scene, objects.group), np.stack([objects.x, objects.y], 1)
    )
    np.maximum.at(
        corners[:, :, 1],
        (objects.scene, objects.group),
        np.stack([objects.x + side, objects.y + side], 1),
    )
    vertical = batch.relation == 2
    corners[vertical] = corners[vertical][..., ::-1]  # now (along, across)
    assert (corners[:, 1, 0, 0] - corners[:, 0, 1, 0] >= 2).all()  # a free strip between the groups
    centres = corners.sum(axis=2)  # twice the centre
    along, across = (centres[:, 1] - centres[:, 0]).T
    assert (along >= 2 * np.abs(across)).all()


def test_any_two_sprites_look_different() -> None:
    for sprites in colour_sprites():
        assert sprites.shape[:4] == (8, 8, 3, 8)
        flat = sprites[0].reshape(8 * 3 * 8, -1).astype(np.int16)
        difference = np.array([np.abs(flat - one).mean(axis=1) for one in flat])
        np.fill_diagonal(difference, 255)
        assert difference.min() > 3  # of 255, mean over the sprite's square


def test_a_texture_keeps_the_colour_recognisable() -> None:
    for sprites in colour_sprites():
        rgb = sprites[0, ..., :3].astype(int)  # colour, texture, shape, y, x, 3
        for colour, paint in enumerate(rgb[:, 0, 0, rgb.shape[3] // 2, rgb.shape[4] // 2]):
            pure = (rgb[colour] == paint).all(axis=-1).sum(axis=(-1, -2))  # texture, shape
            assert pure.min() >= 3


def test_a_picture_follows_its_attributes() -> None:
    image = scenes.render(one_scene())[0].astype(int)
    red = (image[..., 0] > 180) & (image[..., 1] < 80)
    blue = (image[..., 2] > 180) & (image[..., 0] < 80)
    assert ndimage.label(red)[1] == 2
    assert not red[:, 32:].any() and red.sum() > 200
    assert not blue[:, :32].any() and blue.sum() > 20
    mirrored = scenes.render(scenes.swap_relation(one_scene()))[0].astype(int)
    assert ((mirrored[..., 0] > 180) & (mirrored[..., 1] < 80))[:, :32].sum() == 0
    below = scenes.render(one_scene(relation=np.array([3])))[0].astype(int)
    assert ((below[..., 0] > 180) & (below[..., 1] < 80))[:32].sum() == 0


def test_nuisance_changes_pixels_but_no_judgement() -> None:
    batch = scenes.sample("test", 50)
    other = replace(
        batch,
        jitter=15 - batch.jitter,
        background=(batch.background + 1) % 8,
        layout=3 - batch.layout,
    )
    assert not (scenes.render(batch) == scenes.render(other)).all(axis=(1, 2, 3)).any()
    assert scenes.qrels(batch, other) == scenes.qrels(batch)


def test_sketches_show_the_same_objects() -> None:
    batch = scenes.sample("test", 40)
    sketch, image = scenes.render_sketch(batch), scenes.render(batch)
    assert sketch.shape == (40, 64, 64) and sketch.dtype == np.uint8
    ink = (image != image[:, :1, :1]).any(axis=3)
    # A sketch has ink only where the picture has, and the same outer borders.
    assert not (sketch < 255)[~ink].any()
    for drawn, full in zip(sketch < 255, ink, strict=True):
        assert np.array_equal(ndimage.binary_fill_holes(drawn), ndimage.binary_fill_holes(full))
    recoloured = replace(batch, colour=7 - batch.colour, texture=2 - batch.texture)
    assert np.array_equal(scenes.render_sketch(recoloured), sketch)


def test_clips_drift_as_their_scene_says() -> None:
    batch = scenes.sample("test", 40)
    clips, still = scenes.render_clip(batch), scenes.render(batch)
    assert clips.shape == (40, 8, 64, 64, 3) and clips.dtype == np.uint8
    assert np.array_equal(clips[:, 4], still)
    steps = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
    for clip, motion, ground in zip(clips, batch.motion, still[:, 0, 0], strict=True):
        dy, dx = steps[scenes.MOTIONS[motion]]
        moved = np.roll(
            clip[4], (dy, dx), axis=(0, 1)
        )  # the border of the still is empty, so nothing wraps
        assert (clip[4][[0, -1]] == ground).all() and np.array_equal(clip[5], moved)
    assert scenes.render_clip(batch[:2], n_frames=1).shape[1] == 1


# ---- batches


def test_batches_can_be_cut_and_joined() -> None:
    batch = scenes.sample("test", 10)
    assert len(batch[3]) == 1 and equal(batch[3], batch[[3]])
    assert equal(scenes.concatenate([batch[:4], batch[4:]]), batch)
    mask = np.arange(10) % 2 == 0
    assert equal(batch[mask], batch[::2])
    assert scenes.render(batch[:0]).shape == (0, 64, 64, 3) and scenes.captions(batch[:0]) == []
    assert scenes.qrels(batch[:0]).shape == (0, 0)
    assert repr(batch) == "SceneBatch(10 scenes)"
    assert plan(batch).states_size.shape == (10, 5, 2)


# ---- bad input


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": np.array([[0, 8]])}, r"colour must lie in 0\.\.7, got 8 in scene 0"),
        ({"count": np.array([[0, 1]])}, r"count must lie in 1\.\.3, got 0"),
        ({"relation": np.array([-1])}, r"relation must lie in 0\.\.3, got -1"),
        ({"size": np.array([[1, 0, 0]])}, r"size must hold integers of shape \(1, 2\)"),
        ({"size": np.array([[1.0, 0.0]])}, "size must hold integers"),
        (
            {"shape": np.array([[1, 1]]), "colour": np.array([[4, 4]])},
            "both groups of scene 0 are blue squares",
        ),
    ],
)
def test_impossible_scenes_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(RetrievalInputError, match=message):
        one_scene(**changes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: scenes.sample("tset", 5),
            r"split must be one of 'train', .*'test_unseen'.*'test'",
        ),
        (lambda: scenes.sample("test", 0), "n must be at least 1"),
        (lambda: scenes.sample("test", 2.0), "n must be a whole number, got 2.0"),
        (lambda: scenes.sample("test", True), "n must be a whole number"),
        (lambda: scenes.sample("test", 1, seed=-1), "seed must be at least 0"),
        (lambda: scenes.sample("test", 1, seed=2**63), "seed must be at most"),
        (lambda: scenes.sample("test", 1, start=-1), "start must be at least 0"),
        (lambda: scenes.training_batch(0, -1, 4), "step must be at least 0"),
        (lambda: scenes.training_batch(0, 0, 0), "batch_size must be at least 1"),
        (lambda: scenes.iter_chunks("dev", 5), "split must be one of"),
        (lambda: scenes.iter_chunks("test", 5, chunk=0), "chunk must be at least 1"),
        (lambda: scenes.render_clip(one_scene(), n_frames=0), "n_frames must be at least 1, got 0"),
    ],
)
def test_bad_numbers_and_names_are_refused(call, message: str) -> None:
    with pytest.raises(RetrievalInputError, match=message):
        call()
