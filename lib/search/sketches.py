"""Encode sketches into the space of the model `pictures`, with numpy alone.

A sketch is strokes or a picture of lines. Both are drawn as the sketch tower saw its training:
black lines on white, centred, in one size. Strokes get its width of line too.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.core.paths import artifacts_dir
from lib.datasets import pictures
from lib.datasets.sketches import draw_sketches
from lib.datasets.sketches.drawings import MARGIN, PEN, SIZE
from lib.datasets.strokes import Drawing, render_drawing
from lib.datasets.user_drawings import as_sketch
from lib.models.artifact_files import WEIGHTS
from lib.models.numpy_image import NumpyImageEncoder, load_image_encoder, load_sketch_tower

TOWER = "sketches"  # artifact of the sketch tower
PAGE = 512  # pixels, a side of a page for people and for published models
Sketch = Drawing | Image.Image


def sketch_pixels(sketches: Sequence[Sketch]) -> np.ndarray:
    """Draw sketches as inputs of a tower, uint8 (n, 64, 64, 3), black lines on white.

    Args:
        sketches: strokes, or pictures of lines.
    """
    pixels = np.empty((len(sketches), pictures.SIZE, pictures.SIZE, 3), np.uint8)
    for row, sketch in zip(pixels, sketches, strict=True):
        if isinstance(sketch, Drawing):
            row[:] = draw_sketches([sketch])[0]
        elif isinstance(sketch, Image.Image):
            row[:] = as_sketch(sketch, "the sketch")
        else:
            kind = type(sketch).__name__
            raise RetrievalInputError(f"a sketch must be a Drawing or a picture, got {kind}")
    return pixels


def sketch_page(sketch: Sketch) -> Image.Image:
    """Draw a sketch as a large picture in the same layout; a picture is returned as it is."""
    if isinstance(sketch, Image.Image):
        return sketch
    share = PAGE / SIZE
    ink = render_drawing(sketch, PAGE, PEN * share, margin=MARGIN * share)
    return Image.fromarray(255 - ink).convert("RGB")


def tower_of_sketches(root: Path | None = None) -> str:
    """Return the artifact that encodes sketches: the sketch tower, or else the picture tower.

    Args:
        root: folder of the artifacts.
    """
    there = ((root or artifacts_dir()) / TOWER / WEIGHTS).is_file()
    return TOWER if there else pictures.NAME


def load_sketch_encoder() -> NumpyImageEncoder:
    """Load the tower that encodes `sketch_pixels` into the space of `pictures`."""
    name = tower_of_sketches()
    return load_sketch_tower(name) if name == TOWER else load_image_encoder(name)
