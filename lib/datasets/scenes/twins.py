"""The hard split: every scene beside the three that differ from it in binding or relation alone."""

import numpy as np

from lib.core.checks import check_choice
from lib.core.task import RetrievalTask
from lib.datasets.scenes.drawing import render
from lib.datasets.scenes.language import N_CAPTIONS, captions
from lib.datasets.scenes.relevance import TRUE, qrels
from lib.datasets.scenes.splits import SPLITS, sample, split_of
from lib.datasets.scenes.tasks import DIRECTIONS
from lib.datasets.scenes.world import (
    SceneBatch,
    check_integer,
    concatenate,
    swap_colours,
    swap_relation,
)

# What each of the four images of a scene has exchanged, in gallery order.
TWINS = ("nothing", "places", "colours", "both")
N_HARD = 500


def can_be_swapped(scenes: SceneBatch) -> np.ndarray:
    """(n,) whether all four of `twins` differ and belong to the scene's own split.

    Colours must differ, or exchanging them changes nothing; shapes must differ, or it changes as
    much as exchanging places. Exchanged colours may make one of the held-out (shape, colour) pairs.
    """
    differ = (scenes.shape[:, 0] != scenes.shape[:, 1]) & (
        scenes.colour[:, 0] != scenes.colour[:, 1]
    )
    return differ & (split_of(swap_colours(scenes)) == split_of(scenes))


def twins(scenes: SceneBatch) -> SceneBatch:
    """The scenes, then the same with places exchanged, with colours exchanged, and with both: (4
    n,).

    Everything else is equal: size, texture, count, layout, background. The words of a caption are
    true of all four taken one by one; only their order tells which colour belongs to which shape
    and who is where.
    """
    return concatenate(
        [pair for base in (scenes, swap_colours(scenes)) for pair in (base, swap_relation(base))]
    )


def sample_swappable(split: str, n: int, seed: int = 0) -> SceneBatch:
    """The first n scenes of a stream (see `sample`) that have four different twins in their
    split.
    """
    check_choice(split, SPLITS, "split")
    n, start, found = check_integer(n, "n", 1), 0, []
    while sum(map(len, found)) < n:
        scenes = sample(split, 2 * n, seed, start=start)
        found.append(scenes[np.flatnonzero(can_be_swapped(scenes))])
        start += 2 * n
    return concatenate(found)[:n]


def hard_task(
    split: str = "test", direction: str = "text_to_image", n_scenes: int = N_HARD, *, seed: int = 0
) -> RetrievalTask:
    """The hard split: what is asked is true of one image in four that look and read alike.

    Queries are the captions (or images) of `n_scenes` scenes; the gallery holds the images (or
    captions) of their `twins`, four times as many. Text to image, query q belongs to scene q // 5,
    and item i is scene i % n_scenes with `TWINS[i // n_scenes]` exchanged. A reader who ignores the
    order of words finds the four images at once, and then has to guess.

    Args:
        split: "train", "validation", "test" or "test_unseen".
        direction: "text_to_image" or "image_to_text".
        n_scenes: scenes that are asked for.
        seed: which draw; published numbers use 0.

    Returns:
        RetrievalTask with the split's name followed by "_hard"; `query_groups` is the scene.

    Raises:
        RetrievalInputError: unknown split or direction, n_scenes < 1.

    Reference:
        Thrush et al. 2022, "Winoground"; Yuksekgonul et al. 2023, "When and why vision-language
        models behave like bags-of-words": the same test with photographs.
    """
    check_choice(direction, DIRECTIONS, "direction")
    asked = sample_swappable(split, n_scenes, seed)
    shown = twins(asked)
    common = {"name": "scenes", "split": f"{split}_hard", "hit_grade": TRUE, "datasheet": "scenes"}
    if direction == "image_to_text":
        # An image is asked for its captions: those of the scene, among those of all four.
        return RetrievalTask(
            direction=direction,
            queries=render(asked),
            gallery=[text for five in captions(shown) for text in five],
            qrels=qrels(shown, asked).T,
            query_groups=np.arange(n_scenes),
            **common,
        )
    return RetrievalTask(
        direction=direction,
        queries=[text for five in captions(asked) for text in five],
        gallery=render(shown),
        qrels=qrels(asked, shown),
        query_groups=np.arange(n_scenes * N_CAPTIONS) // N_CAPTIONS,
        **common,
    )


def training_twins(seed: int, step: int, batch_size: int) -> tuple[np.ndarray, SceneBatch]:
    """Batch `step` of an endless training stream whose second half are twins of the first.

    Scene i + batch_size / 2 is scene i with places or colours exchanged, at random; where colours
    cannot be exchanged within the training split, places. A function of its arguments alone, like
    `training_batch`.

    Args:
        seed, step: which batch.
        batch_size: even.

    Returns:
        images (batch_size, 64, 64, 3) uint8, and the scenes.
    """
    half = check_integer(batch_size // 2, "half of the batch size", 1)
    scenes = sample("train", half, seed, start=check_integer(step, "step", 0) * half)
    coin = np.random.default_rng([seed, step, 1]).random(half) < 0.5
    colours = coin & can_be_swapped(scenes)
    both = concatenate([swap_relation(scenes), swap_colours(scenes)])
    scenes = concatenate([scenes, both[np.arange(half) + half * colours]])
    return render(scenes), scenes
