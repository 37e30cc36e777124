"""Late interaction: one vector per patch and per word; they meet in a sum of maxima, after
encoding.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.core.token_vectors import Tokens
from lib.models.baselines import FeatureTokens
from lib.models.dual_encoder import (
    Progress,
    build_network,
    device_of,
    image_states,
    image_tensor,
    in_chunks,
    text_states,
    transformer,
)
from lib.models.tokenizer import Tokenizer


class TokenSide(nn.Module):
    """States of one modality to unit vectors: each sees the others of its own item, none of the
    other side.

    Args:
        states: width of the incoming states.
        length: most states of an item; each place has an embedding of its own.
        width, heads, layers, dropout: of the self-attention.
        dim: of the vectors.
    """

    def __init__(
        self,
        states: int,
        length: int,
        *,
        width: int,
        heads: int,
        layers: int,
        dim: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.LayerNorm(states), nn.Linear(states, width))
        self.place_embedding = nn.Parameter(0.02 * torch.randn(length, width))
        self.attend = transformer(width, heads, layers, dropout)
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, dim))

    def forward(self, states: Tensor, mask: Tensor | None = None) -> Tensor:
        """(n, length, states) and what is no padding, (n, length), to unit vectors (n, length,
        dim).
        """
        entered = self.enter(states) + self.place_embedding[: states.shape[1]]
        padding = None if mask is None else ~mask
        attended = self.attend(entered, src_key_padding_mask=padding)
        return F.normalize(self.leave(attended).float(), dim=-1)


class TowerTokens(nn.Module):
    """A dual encoder's towers without their pooling, and a `TokenSide` on each.

    Args:
        config: of the dual encoder it grew from (see `DualEncoder`), with `interaction`: `maps`
            (see `image_states`), `patches` and `image_width`, their number and width, and the
            `width`, `heads`, `layers`, `dropout` and `dim` of both `TokenSide`s.
    """

    def __init__(self, config: dict) -> None:
        super().__init__()
        made = config["interaction"]
        sides = {key: made[key] for key in ("width", "heads", "layers", "dim", "dropout")}
        self.config, self.maps = config, made["maps"]
        self.tokenizer = Tokenizer.from_dict(config["tokenizer"])
        self.towers = build_network(config)
        self.image = TokenSide(made["image_width"], made["patches"], **sides)
        self.text = TokenSide(config["text"]["width"], self.tokenizer.context_length, **sides)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def images_in(self, images: np.ndarray) -> Tensor:
        """What `encode_image` reads of images, as `DualEncoder` takes them."""
        return image_tensor(images, self.config["channels"], self.config["image_size"])

    def texts_in(self, texts: Sequence[str]) -> np.ndarray:
        """What `encode_text` reads of texts: ids (n, length)."""
        return self.tokenizer.encode(texts)

    def encode_image(self, images: Tensor) -> Tensor:
        """(n, channels, H, W) to (n, patches, dim) unit vectors."""
        return self.image(image_states(self.towers, images, self.maps))

    def encode_text(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(n, length) ids to (n, length, dim) unit vectors, and (n, length) which of them count."""
        states, mask = text_states(self.towers, tokens)
        return self.text(states, mask), mask


NETWORKS: dict[str, type[nn.Module]] = {"towers": TowerTokens, "features": FeatureTokens}


class LateInteraction:
    """Images and texts to unit token vectors; `maxsim` of two of them is their score.

    Args:
        config: that of `TowerTokens`, or with `interaction["reads"]` "features" that of
            `FeatureTokens`.
        network: with these weights; an untrained one by default.
    """

    def __init__(self, config: dict, network: TowerTokens | FeatureTokens | None = None) -> None:
        self.config = config
        make = NETWORKS[config["interaction"].get("reads", "towers")]
        self.network = (make(config) if network is None else network).eval()

    @property
    def dim(self) -> int:
        """Of one token vector."""
        return self.config["interaction"]["dim"]

    @property
    def device(self) -> torch.device:
        """Where it encodes, and where a retriever scores."""
        return device_of(self.network)

    @torch.inference_mode()
    def encode_image(
        self, images: np.ndarray, *, batch_size: int = 256, progress: Progress | None = None
    ) -> Tokens:
        """One unit vector per patch (or slot); arguments and errors as for
        `DualEncoder.encode_image`.
        """
        self.network.eval()
        vectors = np.empty(
            (len(images), self.config["interaction"]["patches"], self.dim), dtype=np.float32
        )
        for rows, chunk in in_chunks(images, batch_size, progress):
            found = self.network.encode_image(self.network.images_in(chunk).to(self.device))
            vectors[rows] = found.float().cpu().numpy()
        return Tokens(vectors)

    @torch.inference_mode()
    def encode_text(
        self, texts: Sequence[str], *, batch_size: int = 256, progress: Progress | None = None
    ) -> Tokens:
        """One unit vector per piece of a text and one for all of it; padding is masked.

        Raises:
            RetrievalInputError: as for `DualEncoder.encode_text`.
        """
        self.network.eval()
        ids = self.network.texts_in(texts)
        vectors, mask = (
            np.zeros((*ids.shape[:2], self.dim), dtype=np.float32),
            np.empty(ids.shape[:2], dtype=bool),
        )
        for rows, chunk in in_chunks(ids, batch_size, progress):
            found, counts = self.network.encode_text(torch.from_numpy(chunk).to(self.device))
            vectors[rows], mask[rows] = found.float().cpu().numpy(), counts.cpu().numpy()
        return Tokens(vectors, mask)
