"""A sketch tower: sketches enter the space of another model, where its pictures and words are.

The tower is the image tower of that model with some of its weights trained again: the first
layers, which see strokes instead of coloured areas, the gain and bias of every norm, and the head.
All other weights are shared and frozen, so pictures and texts keep their embeddings.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from lib.core.checks import RetrievalInputError, check_number
from lib.models.dual_encoder import (
    DualEncoder,
    Progress,
    build_network,
    device_of,
    image_tensor,
)

KIND = "sketch_tower"
PICTURE_SHARE = 0.5  # of a document's vector; the rest is that of its title
EARLY = ("trunk.stem.", "trunk.stages.0.", "trunk.stages.1.", "head.")


def retrained_names(visual: nn.Module) -> list[str]:
    """Return the names of the weights of an image tower that a sketch tower trains again."""
    return [
        name
        for name, _ in visual.named_parameters()
        if name.startswith(EARLY) or ".bn." in name or name == "trunk.gradients.layers.1.bias"
    ]


class SketchNetwork(nn.Module):
    """The network of another model, and its own copy of some weights of the image tower.

    Args:
        config: see `SketchEncoder`.
    """

    def __init__(self, config: dict) -> None:
        super().__init__()
        # The name under which `trained_models` finds shared weights.
        self.tokens = build_network(config).requires_grad_(False)
        weights = dict(self.tokens.visual.named_parameters())
        wrong = [name for name in config["retrained"] if name not in weights]
        if wrong:
            raise RetrievalInputError(f"retrained must name weights of the tower, got {wrong[0]!r}")
        self.names = tuple(config["retrained"])
        self.own = nn.ParameterDict({key_of(name): weights[name].clone() for name in self.names})

    def train(self, mode: bool = True) -> "SketchNetwork":
        """Switch dropout; norms keep the statistics of the shared tower."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def start_from(self, shared: nn.Module) -> None:
        """Copy the weights of the shared network, also into the own ones."""
        self.tokens.load_state_dict(shared.state_dict())
        weights = dict(self.tokens.visual.named_parameters())
        with torch.no_grad():
            for name in self.names:
                self.own[key_of(name)].copy_(weights[name])

    def encode_sketch(self, images: Tensor) -> Tensor:
        """Encode sketches as (n, dim), not normalised; with gradient."""
        own = {name: self.own[key_of(name)] for name in self.names}
        return functional_call(self.tokens.visual, own, (images,))

    def encode_image(self, images: Tensor) -> Tensor:
        """Encode pictures by the shared tower."""
        return self.tokens.encode_image(images)

    def encode_text(self, texts: Tensor) -> Tensor:
        """Encode texts by the shared tower."""
        return self.tokens.encode_text(texts)


def key_of(name: str) -> str:
    """Return the key of a weight in a `ParameterDict`, whose keys have no dots."""
    return name.replace(".", "/")


class SketchEncoder(DualEncoder):
    """Encode sketches, pictures, texts and documents as unit vectors of one space.

    Args:
        config: that of the shared `DualEncoder`, with `kind` "sketch_tower", `shared`, the artifact
            of that model, and `retrained`, names of weights of its image tower.
        network: a network with these weights; an untrained one by default.
    """

    def __init__(self, config: dict, network: SketchNetwork | None = None) -> None:
        super().__init__(config, SketchNetwork(config) if network is None else network)

    @torch.inference_mode()
    def encode_sketch(
        self, images: np.ndarray, *, batch_size: int = 256, progress: Progress | None = None
    ) -> np.ndarray:
        """Encode sketches as `lib.datasets.sketches.draw_sketches` draws them.

        Args:
            images: uint8 (n, size, size, 3), dark lines on white.
            batch_size, progress: as for `encode_image`.

        Returns:
            float32 (n, dim), rows of length 1.
        """

        def features(chunk: np.ndarray) -> Tensor:
            tensor = image_tensor(chunk, self.config["channels"], self.config["image_size"])
            return self.network.encode_sketch(tensor.to(device_of(self.network)))

        return self._encode(images, batch_size, progress, features)

    def encode_document(self, pages: Sequence, *, share: float = PICTURE_SHARE) -> np.ndarray:
        """Encode pages of a title and a picture: v = unit(share f(picture) + (1 - share) g(title)).

        Args:
            pages: with `title` and `picture`, as `lib.datasets.sketches.Page`.
            share: of the picture, from 0 to 1.

        Returns:
            float32 (n, dim), rows of length 1.
        """
        share = check_number(share, "share", 0, 1)
        vectors = np.zeros((len(pages), self.dim), np.float32)
        if share > 0:
            vectors += share * self.encode_image(np.stack([page.picture for page in pages]))
        if share < 1:
            vectors += (1 - share) * self.encode_text([page.title for page in pages])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
