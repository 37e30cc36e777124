"""Pictures, sketches and clips: the published bytes, and what every picture must show."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import ndimage

from lib.core.writing import sha256_of
from lib.datasets import scenes
from lib.datasets.scenes.drawing import SPRITE_SIZES, colour_sprites, place
from tests.datasets.scenes.examples import one_scene

# The published bytes of the corpus. If one of these changes, every stored embedding and number is
# void.
TEST_IMAGES_SHA256 = "c51234713e5cf38682024439315e22c056592ee3bf0d56dc9524b836953af3f2"
TEST_CAPTIONS_SHA256 = "30efb00710a832d569ef8278f403bb10206d336712eba281948626255f83cb06"
SKETCHES_SHA256 = "740acfd7e6d1f99283738f9682d653b97fbee7f5d43fd79ca7f3da5456a74971"
CLIPS_SHA256 = "e3d7f7b763587c2b8bca69e1d65a66e22ea2d14a63415a492b8887e98a46e833"


@pytest.fixture(scope="module")
def every_layout() -> scenes.SceneBatch:
    """All sizes, counts, layouts and relations of both groups, with extreme jitter."""
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


def test_a_seed_gives_the_published_bytes() -> None:
    batch = scenes.sample("test", 400)
    texts = "\n".join(text for five in scenes.captions(batch) for text in five)
    assert sha256_of(scenes.render(batch).tobytes()) == TEST_IMAGES_SHA256
    assert sha256_of(texts.encode()) == TEST_CAPTIONS_SHA256
    assert sha256_of(scenes.render_sketch(batch[:50]).tobytes()) == SKETCHES_SHA256
    assert sha256_of(scenes.render_clip(batch[:50]).tobytes()) == CLIPS_SHA256


def test_pictures_show_the_right_number_of_separate_objects(
    every_layout: scenes.SceneBatch,
) -> None:
    # Half of 2,304 scenes is plenty.
    for rows in np.array_split(np.arange(len(every_layout)), 4)[::3]:
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
    # Scene, group, (low, high), (x, y).
    corners = np.full((len(batch), 2, 2, 2), [[[999, 999], [-999, -999]]])
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
        # The border of the still is empty, so nothing wraps.
        moved = np.roll(clip[4], (dy, dx), axis=(0, 1))
        assert (clip[4][[0, -1]] == ground).all() and np.array_equal(clip[5], moved)
    assert scenes.render_clip(batch[:2], n_frames=1).shape[1] == 1
