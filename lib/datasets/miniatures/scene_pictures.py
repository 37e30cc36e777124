"""Scenes as JPEG files: what stands for photographs in the miniatures."""

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from lib.datasets.scenes import SceneBatch, concatenate, render, sample
from lib.datasets.scenes.twins import sample_swappable, twins

QUALITY = 95  # with full colour resolution: thin stripes of 64 x 64 pixels survive


def scenes_with_twins(n_families: int, n_others: int, *, seed: int, start: int) -> SceneBatch:
    """Scenes that leave a trained model something to get wrong: families of four twins, then
    others.

    A model that finds nearly every scene among a hundred others mistakes those for each other that
    differ in who is where, or in which shape has which colour.

    Args:
        n_families: how many families; the first of each family, then their second ones, and so on.
        n_others: how many single scenes.
        seed: the stream that families come from; numbers of the course use 0.
        start: the first of the single scenes, in stream 0.
    """
    families = twins(sample_swappable("test", n_families, seed))
    return concatenate([families, sample("test", n_others, start=start)])


def write_pictures(scenes: SceneBatch, paths: Iterable[Path]) -> None:
    """Draws each scene at 64 x 64 and saves it as JPEG, some 2 kB each."""
    for pixels, path in zip(render(scenes), paths, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=QUALITY, subsampling=0)
