"""Retrieval tasks on generated scenes, and the endless streams for training and index work."""

from collections.abc import Iterator

import numpy as np

from lib.core.checks import check_choice
from lib.core.task import RetrievalTask
from lib.datasets.scenes.drawing import render
from lib.datasets.scenes.language import N_CAPTIONS, captions
from lib.datasets.scenes.relevance import TRUE, qrels
from lib.datasets.scenes.splits import SPLITS, sample
from lib.datasets.scenes.world import SceneBatch, check_integer

DIRECTIONS = ("text_to_image", "image_to_text")
DEFAULT_IMAGES = {"train": 1000, "validation": 1000, "test": 5000, "test_unseen": 5000}


def task(
    split: str = "test",
    direction: str = "text_to_image",
    n_images: int | None = None,
    *,
    seed: int = 0,
) -> RetrievalTask:
    """Captions to images, or images to captions: the COCO-5K protocol on scenes.

    `n_images` images with five captions each; caption q belongs to image q // 5. A smaller task
    holds the first images of a larger one. Any image that a caption is true of counts as a hit
    (grade 3), and the judgements know them all.

    Args:
        split: "train", "validation", "test" (new compositions) or "test_unseen" (new shape-colour
            pairs).
        direction: "text_to_image" or "image_to_text".
        n_images: None means 5,000 for the test splits and 1,000 for the others.
        seed: which draw; published numbers use 0.

    Returns:
        RetrievalTask with images (n, 64, 64, 3) uint8 and captions as a list of 5 n strings; in
        text_to_image, `query_groups` is the image of each caption.

    Raises:
        RetrievalInputError: unknown split or direction, n_images < 1.

    Relations:
        `ceilings(sample(split, n_images))` tells the best R@1 that is possible on this task.
    """
    check_choice(split, SPLITS, "split")
    check_choice(direction, DIRECTIONS, "direction")
    n_images = DEFAULT_IMAGES[split] if n_images is None else check_integer(n_images, "n_images", 1)
    scenes = sample(split, n_images, seed)
    images = render(scenes)
    texts = [text for five in captions(scenes) for text in five]
    judged = qrels(scenes)
    common = {"name": "scenes", "split": split, "hit_grade": TRUE, "datasheet": "scenes"}
    if direction == "image_to_text":
        return RetrievalTask(
            direction=direction, queries=images, gallery=texts, qrels=judged.T, **common
        )
    owner = np.arange(n_images * N_CAPTIONS) // N_CAPTIONS
    return RetrievalTask(
        direction=direction,
        queries=texts,
        gallery=images,
        qrels=judged,
        query_groups=owner,
        **common,
    )


def training_batch(seed: int, step: int, batch_size: int) -> tuple[np.ndarray, SceneBatch]:
    """Batch `step` of the endless training stream, a function of its arguments alone, so that a run
    resumes.

    Args:
        seed: which stream.
        step: at least 0. Batches of one size never share a scene number.
        batch_size: at least 1.

    Returns:
        images (batch_size, 64, 64, 3) uint8, and the scenes (`captions` or `caption_choice` word
        them).
    """
    batch_size = check_integer(batch_size, "batch_size", 1)
    step = check_integer(step, "step", 0, (2**63 - 1) // batch_size)
    scenes = sample("train", batch_size, seed, start=step * batch_size)
    return render(scenes), scenes


def iter_chunks(
    split: str, n: int, *, chunk: int = 10_000, seed: int = 0
) -> Iterator[tuple[np.ndarray, SceneBatch]]:
    """`sample(split, n, seed)` rendered in chunks, for more images than fit into memory (1M take 12
    GB).

    Yields:
        images (chunk, 64, 64, 3) uint8 and their scenes; the last chunk may be smaller. The chunk
        size does not change what is in them.
    """
    n, chunk = check_integer(n, "n", 1), check_integer(chunk, "chunk", 1)
    check_choice(split, SPLITS, "split")
    return _chunks(split, n, chunk, seed)


def _chunks(split: str, n: int, chunk: int, seed: int) -> Iterator[tuple[np.ndarray, SceneBatch]]:
    for start in range(0, n, chunk):
        scenes = sample(split, min(chunk, n - start), seed, start=start)
        yield render(scenes), scenes
