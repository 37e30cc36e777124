"""Scenes as JPEG files: what stands for photographs in the miniatures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from lib.datasets.scenes import SceneBatch, render

QUALITY = 95  # with full colour resolution: thin stripes of 64 x 64 pixels survive


def write_pictures(scenes: SceneBatch, paths: Iterable[Path]) -> None:
    """Draws each scene at 64 x 64 and saves it as JPEG, some 2 kB each."""
    for pixels, path in zip(render(scenes), paths, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=QUALITY, subsampling=0)
