"""Retrieval tasks on scenes, the hard split of twins, and endless streams of training batches."""

from collections.abc import Iterator

import numpy as np

from lib.core.checks import check_choice, check_count
from lib.core.task import RetrievalTask
from lib.datasets.scenes.drawing import render
from lib.datasets.scenes.language import N_CAPTIONS, captions
from lib.datasets.scenes.relevance import TRUE, qrels
from lib.datasets.scenes.splits import SPLITS, sample, split_of
from lib.datasets.scenes.world import SceneBatch, concatenate, swap_colours, swap_relation

DIRECTIONS = ("text_to_image", "image_to_text")
DEFAULT_IMAGES = {"train": 1000, "validation": 1000, "test": 5000, "test_unseen": 5000}
# The exchanged attribute of each of the four images of a scene, in gallery order.
TWINS = ("nothing", "places", "colours", "both")
N_HARD = 500


def task(
    split: str = "test",
    direction: str = "text_to_image",
    n_images: int | None = None,
    *,
    seed: int = 0,
) -> RetrievalTask:
    """Return the task from captions to images, or back: the COCO-5K protocol on scenes.

    `n_images` images have five captions each; caption q belongs to image q // 5. A smaller task
    holds the first images of a larger one. Any image that a caption is true of counts as a hit
    (grade 3), and the judgements know them all; `ceilings` gives the best possible R@1.

    Args:
        split: "train", "validation", "test" (new compositions) or "test_unseen" (new shape-colour
            pairs).
        direction: "text_to_image" or "image_to_text".
        n_images: None means 5,000 for the test splits and 1,000 for the others.
        seed: number of the draw; published numbers use 0.

    Returns:
        RetrievalTask with images (n, 64, 64, 3) uint8 and captions as a list of 5 n strings; in
        text_to_image, `query_groups` is the image of each caption.
    """
    check_choice(split, SPLITS, "split")
    check_choice(direction, DIRECTIONS, "direction")
    n_images = check_count(DEFAULT_IMAGES[split] if n_images is None else n_images, "n_images")
    scenes = sample(split, n_images, seed)
    return _task(split, direction, scenes, scenes, image_groups=None)


def _task(
    split: str,
    direction: str,
    queries: SceneBatch,
    gallery: SceneBatch,
    image_groups: np.ndarray | None,
) -> RetrievalTask:
    """One side of the query scenes against the other side of the gallery scenes."""
    told, shown = (queries, gallery) if direction == "text_to_image" else (gallery, queries)
    by_caption = RetrievalTask(
        name="scenes",
        split=split,
        direction="text_to_image",
        queries=[text for five in captions(told) for text in five],
        gallery=render(shown),
        qrels=qrels(told, shown),
        query_groups=np.arange(len(told) * N_CAPTIONS) // N_CAPTIONS,
        hit_grade=TRUE,
        datasheet="scenes",
    )
    return by_caption if direction == "text_to_image" else by_caption.turned(image_groups)


def hard_task(
    split: str = "test", direction: str = "text_to_image", n_scenes: int = N_HARD, *, seed: int = 0
) -> RetrievalTask:
    """Return the hard task: a query is true of one image in four that look and read alike.

    Queries are the captions (or images) of `n_scenes` scenes; the gallery holds the images (or
    captions) of their `twins`, four times as many. Text to image, query q belongs to scene q // 5,
    and item i is scene i % n_scenes with `TWINS[i // n_scenes]` exchanged. A reader who ignores the
    order of words finds the four images at once, and then has to guess.

    Args:
        split: "train", "validation", "test" or "test_unseen".
        direction: "text_to_image" or "image_to_text".
        n_scenes: number of query scenes.
        seed: number of the draw; published numbers use 0.

    Returns:
        RetrievalTask with the split's name followed by "_hard"; `query_groups` is the scene.

    Reference:
        Thrush et al. 2022, "Winoground"; Yuksekgonul et al. 2023, "When and why vision-language
        models behave like bags-of-words": the same test with photographs.
    """
    check_choice(direction, DIRECTIONS, "direction")
    n_scenes = check_count(n_scenes, "n_scenes")
    scenes = sample_swappable(split, n_scenes, seed)
    return _task(f"{split}_hard", direction, scenes, twins(scenes), np.arange(n_scenes))


def can_be_swapped(scenes: SceneBatch) -> np.ndarray:
    """Test whether all four of `twins` differ and belong to the scene's own split, (n,) bool.

    Equal colours or shapes make twins equal; exchanged colours can make a held-out pair.
    """
    shape, colour = scenes.shape, scenes.colour
    differ = (shape[:, 0] != shape[:, 1]) & (colour[:, 0] != colour[:, 1])
    return differ & (split_of(swap_colours(scenes)) == split_of(scenes))


def twins(scenes: SceneBatch) -> SceneBatch:
    """Return the scenes, then with places exchanged, with colours exchanged, with both: (4 n,).

    Size, texture, count, layout and background are equal. Each word of a caption is true of all
    four; only the order of the words tells which colour belongs to which shape, and the places.
    """
    bases = scenes, swap_colours(scenes)
    return concatenate([batch for base in bases for batch in (base, swap_relation(base))])


def sample_swappable(split: str, n: int, seed: int = 0) -> SceneBatch:
    """Draw the first n scenes of a stream (see `sample`) with four twins in their split."""
    check_choice(split, SPLITS, "split")
    n, start, batches = check_count(n, "n"), 0, []
    while sum(map(len, batches)) < n:
        scenes = sample(split, 2 * n, seed, start=start)
        batches.append(scenes[np.flatnonzero(can_be_swapped(scenes))])
        start += 2 * n
    return concatenate(batches)[:n]


# ---- streams


def training_batch(seed: int, step: int, batch_size: int) -> tuple[np.ndarray, SceneBatch]:
    """Draw batch `step` of an endless training stream, from its arguments alone: runs can resume.

    Args:
        seed: number of the stream.
        step: at least 0. Batches of one size never share a scene number.
        batch_size: at least 1.

    Returns:
        images (batch_size, 64, 64, 3) uint8, and the scenes (`captions` or `caption_choice` word
        them).
    """
    batch_size = check_count(batch_size, "batch_size")
    step = check_count(step, "step", least=0, most=(2**63 - 1) // batch_size)
    scenes = sample("train", batch_size, seed, start=step * batch_size)
    return render(scenes), scenes


def training_twins(seed: int, step: int, batch_size: int) -> tuple[np.ndarray, SceneBatch]:
    """Draw batch `step` of an endless stream; its second half are twins of the first.

    Scene i + batch_size / 2 is scene i with places or colours exchanged, at random; places where
    colours would leave the training split. `training_batch` explains arguments and results.
    """
    half = check_count(batch_size // 2, "half of the batch size")
    scenes = sample("train", half, seed, start=check_count(step, "step", least=0) * half)
    coin = np.random.default_rng([seed, step, 1]).random(half) < 0.5
    colours = coin & can_be_swapped(scenes)
    both = concatenate([swap_relation(scenes), swap_colours(scenes)])
    scenes = concatenate([scenes, both[np.arange(half) + half * colours]])
    return render(scenes), scenes


def iter_chunks(
    split: str, n: int, *, chunk: int = 10_000, seed: int = 0
) -> Iterator[tuple[np.ndarray, SceneBatch]]:
    """Render `sample(split, n, seed)` in chunks, for more images than fit into memory.

    Yields:
        images (chunk, 64, 64, 3) uint8 and their scenes; the last chunk may be smaller. The chunk
        size does not change the images. A million images take 12 GB.
    """
    n, chunk = check_count(n, "n"), check_count(chunk, "chunk")
    check_choice(split, SPLITS, "split")
    return _chunks(split, n, chunk, seed)


def _chunks(split: str, n: int, chunk: int, seed: int) -> Iterator[tuple[np.ndarray, SceneBatch]]:
    for start in range(0, n, chunk):
        scenes = sample(split, min(chunk, n - start), seed, start=start)
        yield render(scenes), scenes
