"""Late interaction: one vector per patch and per word, compared by a sum of maxima (MaxSim)."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.core.token_vectors import Tokens
from lib.models.attention import transformer
from lib.models.baselines import FeatureTokens
from lib.models.dual_encoder import (
    Progress,
    build_network,
    device_of,
    image_states,
    image_tensor,
    in_chunks,
    text_states,
)
from lib.models.tokenizer import Tokenizer


class LateInteraction:
    """Encode images and texts as unit token vectors; `maxsim` of two of them is their score.

    Args:
        config: that of `TowerTokens`, or that of `FeatureTokens` where `interaction["reads"]` is
            "features".
        network: a network with these weights; an untrained one by default.
    """

    def __init__(self, config: dict, network: "TowerTokens | FeatureTokens | None" = None) -> None:
        self.config = config
        make = NETWORKS[config["interaction"].get("reads", "towers")]
        self.network = (make(config) if network is None else network).eval()

    @property
    def dim(self) -> int:
        """Dimension of a token vector."""
        return self.config["interaction"]["dim"]

    @property
    def device(self) -> torch.device:
        """Device of the weights, where a retriever scores too."""
        return device_of(self.network)

    @torch.inference_mode()
    def encode_image(
        self, images: np.ndarray, *, batch_size: int = 256, progress: Progress | None = None
    ) -> Tokens:
        """Encode each patch (or slot) of each image; arguments as for `DualEncoder`."""
        shape = self.config["interaction"]["patches"], self.dim
        return image_tokens(
            self.network, self.network.encode_image, images, shape, batch_size, progress
        )

    @torch.inference_mode()
    def encode_text(
        self, texts: Sequence[str], *, batch_size: int = 256, progress: Progress | None = None
    ) -> Tokens:
        """Encode each piece of each text, and the whole text; padding is masked."""
        return text_tokens(
            self.network, self.network.encode_text, texts, self.dim, batch_size, progress
        )


def image_tokens(
    network: nn.Module,
    encode: Callable,
    images: np.ndarray,
    shape: tuple[int, int],
    batch_size: int,
    progress: Progress | None,
) -> Tokens:
    """Encode images as tokens of `shape` (patches, dim) each, with a method of a network."""
    network.eval()
    vectors = np.empty((len(images), *shape), dtype=np.float32)
    for rows, chunk in in_chunks(images, batch_size, progress):
        states = encode(network.images_in(chunk).to(device_of(network)))
        vectors[rows] = states.float().cpu().numpy()
    return Tokens(vectors)


def text_tokens(
    network: nn.Module,
    encode: Callable,
    texts: Sequence[str],
    dim: int,
    batch_size: int,
    progress: Progress | None,
) -> Tokens:
    """Encode texts as tokens of `dim`, with a method of a network; padding is masked."""
    network.eval()
    ids = network.texts_in(texts)
    vectors = np.zeros((*ids.shape[:2], dim), dtype=np.float32)
    mask = np.empty(ids.shape[:2], dtype=bool)
    for rows, chunk in in_chunks(ids, batch_size, progress):
        states, is_token = encode(torch.from_numpy(chunk).to(device_of(network)))
        vectors[rows], mask[rows] = states.float().cpu().numpy(), is_token.cpu().numpy()
    return Tokens(vectors, mask)


class TowerTokens(nn.Module):
    """Put a `TokenSide` on each tower of a dual encoder, in place of its pooling.

    Args:
        config: that of the dual encoder it starts from (see `DualEncoder`), with `interaction`:
            `maps` (see `image_states`), `patches` and `image_width`, their number and width, and
            the `width`, `heads`, `layers`, `dropout` and `dim` of both `TokenSide`s.
    """

    def __init__(self, config: dict) -> None:
        super().__init__()
        interaction = config["interaction"]
        options = {key: interaction[key] for key in ("width", "heads", "layers", "dim", "dropout")}
        self.config, self.maps = config, interaction["maps"]
        self.tokenizer = Tokenizer.from_dict(config["tokenizer"])
        self.towers = build_network(config)
        self.image = TokenSide(interaction["image_width"], interaction["patches"], **options)
        self.text = TokenSide(config["text"]["width"], self.tokenizer.context_length, **options)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def images_in(self, images: np.ndarray) -> Tensor:
        """Convert images, as `DualEncoder` takes them, to the input of `encode_image`."""
        return image_tensor(images, self.config["channels"], self.config["image_size"])

    def texts_in(self, texts: Sequence[str]) -> np.ndarray:
        """Convert texts to the input of `encode_text`: ids (n, length)."""
        return self.tokenizer.encode(texts)

    def encode_image(self, images: Tensor) -> Tensor:
        """Encode (n, channels, H, W) as (n, patches, dim) unit vectors."""
        return self.image(image_states(self.towers, images, self.maps))

    def encode_text(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Encode (n, length) ids as (n, length, dim) unit vectors and their (n, length) mask."""
        states, mask = text_states(self.towers, tokens)
        return self.text(states, mask), mask


class TokenSide(nn.Module):
    """Map the states of one modality to unit vectors, by self-attention within each item.

    Args:
        states: width of the incoming states.
        length: largest number of states of an item; each position has its own embedding.
        width, heads, layers, dropout: options of the self-attention.
        dim: dimension of the vectors.
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
        """Map (n, length, states), with mask (n, length), to unit vectors (n, length, dim)."""
        entered = self.enter(states) + self.place_embedding[: states.shape[1]]
        padding = None if mask is None else ~mask
        attended = self.attend(entered, src_key_padding_mask=padding)
        return F.normalize(self.leave(attended).float(), dim=-1)


NETWORKS: dict[str, type[nn.Module]] = {"towers": TowerTokens, "features": FeatureTokens}
