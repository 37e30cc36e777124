"""Load the encoder of a collection again, for queries: without torch where that is possible."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.core.paths import artifacts_dir
from lib.core.writing import sha256_of
from lib.datasets.pictures import NAME
from lib.datasets.user_drawings import as_picture
from lib.models.artifact_files import WEIGHTS
from lib.models.tokenizer import plain_letters

if TYPE_CHECKING:
    from PIL import Image

    from lib.search.collection.files import Manifest
    from lib.search.sketches import Sketch


def model_of(name: str, pretrained: str | None) -> dict[str, str | None]:
    """Describe a model so that a search can load it again."""
    path = artifacts_dir() / name / WEIGHTS
    digest = sha256_of(path) if pretrained is None and path.is_file() else None
    return {"name": name, "pretrained": pretrained, "artifact_sha256": digest}


def load_query_encoder(manifest: Manifest):
    """Load the encoder that made a collection; another one is refused.

    The model `pictures` needs numpy alone. Others are loaded by `load_encoder`, which takes
    seconds.
    """
    model = manifest.model
    if model["name"] == NAME and model["pretrained"] is None:
        if model_of(NAME, None) != dict(model):
            raise RetrievalInputError(
                f"the collection was indexed with another version of the model {NAME!r}: its"
                f" weights have the SHA-256 {str(model['artifact_sha256'])[:12]}... Index it again"
            )
        return PicturesQueries()
    return LoadedQueries(manifest)


class PicturesQueries:
    """Queries for the committed model `pictures`, encoded by numpy."""

    def __init__(self) -> None:
        from lib.models.numpy_image import load_image_encoder
        from lib.models.numpy_text import load_text_encoder

        self._text, self._image = load_text_encoder(NAME), load_image_encoder(NAME)

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        return self._text.encode_text([plain_letters(text) for text in texts], cut=True)

    def encode_image(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        return self._image.encode_image(np.stack([as_picture(picture) for picture in pictures]))

    def encode_sketch(self, sketches: Sequence[Sketch]) -> np.ndarray:
        """Encode sketches by the sketch tower; it shares the space of the pictures."""
        from lib.search.sketches import sketch_pixels

        return self._sketch.encode_image(sketch_pixels(sketches))

    @cached_property
    def _sketch(self):
        from lib.search.sketches import load_sketch_encoder

        return load_sketch_encoder()

    def doubts_about(self, text: str) -> list[str]:
        """Say where a text is far from all captions of the training, or has unknown words."""
        from lib.search.familiarity import measure_familiarity

        return list(measure_familiarity([text], self._text)[0].sentences)


class LoadedQueries:
    """Queries for any other model."""

    def __init__(self, manifest: Manifest) -> None:
        from lib.models.encoder import load_encoder

        name, pretrained = manifest.model["name"], manifest.model["pretrained"]
        settings = {"precision": manifest.identity.get("precision", "fp32")}
        prompt = manifest.identity.get("prompt", "")
        settings["prompt"] = "" if prompt == "{}" else prompt
        place = pretrained and (str(Path(pretrained)) if Path(pretrained).exists() else pretrained)
        self._encoder = load_encoder(name, place, **settings)
        manifest.check_model(self._encoder.identity, Path("the collection"))

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        return self._encoder.encode_text(list(texts))

    def encode_image(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        return self._encoder.encode_image(list(pictures))

    def encode_sketch(self, sketches: Sequence[Sketch]) -> np.ndarray:
        """Encode sketches as pictures: black lines on a white page."""
        from lib.search.sketches import sketch_page

        return self._encoder.encode_image([sketch_page(sketch) for sketch in sketches])

    def doubts_about(self, text: str) -> list[str]:
        """Say where a text is too long for the model."""
        cut = self._encoder.count_truncated([text])
        return ["The query is long: the model reads its beginning."] if cut else []
