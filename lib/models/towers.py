"""What an encoder needs of a loaded model, whoever built it: two towers, and how inputs reach
them.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from lib.core.checks import RetrievalInputError
from lib.datasets.user_drawings import as_icon
from lib.models.dual_encoder import DualEncoder, image_tensor, text_features
from lib.models.trained_models import load_model


@dataclass(frozen=True, eq=False, repr=False)
class Towers:
    """A model of two towers.

    Attributes:
        network: in evaluation mode; the features below are computed by it, on whichever device it
            is.
        dim: of the space.
        read: pictures of any size and mode to what the image tower takes, on the CPU.
        tokenize: texts to ids `(n, context_length)`.
        too_long: for each text whether `tokenize` cut it.
        image_features, text_features: `(n, ...)` to `(n, dim)`, not normalised.
        identity: what decides an embedding; `model`, `tag`, `transform`, `tokenizer`,
            `weights_sha256`...
        notes: what a reader of the numbers should know.
    """

    network: nn.Module
    dim: int
    read: Callable[[Sequence[Image.Image]], Tensor]
    tokenize: Callable[[list[str]], Tensor]
    too_long: Callable[[list[str]], np.ndarray]
    image_features: Callable[[Tensor], Tensor]
    text_features: Callable[[Tensor], Tensor]
    identity: dict[str, str]
    notes: tuple[str, ...] = ()


def weights_digest(network: nn.Module) -> str:
    """SHA-256 over names, shapes and bytes of all weights: the same in a file of another format."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def trained_here(name: str) -> Towers:
    """The towers of a committed artifact.

    A model of colour (`"scenes"`) gets the picture's central square at its own size. A model of one
    channel (`"icons"`) gets the picture as an icon, ink bright on black (see
    `lib.datasets.user_drawings.as_icon`); what is an icon already, gray at the model's size on a
    black border, is taken as it is. A text that is too long is cut, as by published tokenizers, and
    counted; `DualEncoder.encode_text` refuses it.

    Raises:
        MissingFileError, DamagedFileError: as `lib.models.trained_models.load_model`.
        RetrievalInputError: an artifact of another kind, which has no vector for each side.
    """
    model = load_model(name)
    if not isinstance(model, DualEncoder):
        raise RetrievalInputError(
            f"{name!r} is a {type(model).__name__}, which has no one vector for each picture and"
            " text; load a dual encoder, for example 'scenes' or 'icons'"
        )
    channels, size = model.config["channels"], model.config["image_size"]
    as_read = _square if channels == 3 else _icon
    shown = "central square, bicubic" if channels == 3 else "ink of a drawing, centred"
    return Towers(
        network=model.network,
        dim=model.dim,
        read=lambda pictures: image_tensor(
            np.stack([as_read(picture, size) for picture in pictures]), channels, size
        ),
        tokenize=lambda texts: torch.from_numpy(model.tokenizer.encode(texts, cut=True)),
        too_long=lambda texts: model.tokenizer.lengths(texts) > model.tokenizer.context_length,
        image_features=model.network.encode_image,
        text_features=lambda tokens: text_features(model.network, tokens),
        identity={
            "model": name,
            "tag": "trained here",
            "transform": f"size {size} x {size}, {shown}, {channels} channels in [0, 1]",
            "tokenizer": f"byte pairs of the model, context {model.tokenizer.context_length}",
            "weights_sha256": weights_digest(model.network),
        },
    )


def _square(picture: Image.Image, size: int) -> np.ndarray:
    """uint8 `(size, size, 3)`; a picture of that size keeps its pixels."""
    picture = picture if picture.mode == "RGB" else picture.convert("RGB")
    if picture.size != (size, size):
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def _icon(picture: Image.Image, size: int) -> np.ndarray:
    """uint8 `(size, size)`, ink bright on black."""
    if picture.size == (size, size):
        pixels = np.asarray(picture if picture.mode == "L" else picture.convert("RGB"))
        gray = pixels if pixels.ndim == 2 else pixels[..., 0]
        border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
        is_gray = (pixels.reshape(size, size, -1) == gray[..., None]).all()
        if is_gray and gray.any() and np.median(border) == 0:
            return gray
    return as_icon(picture)
