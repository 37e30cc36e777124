"""Cross-encoders: one transformer over the pieces of a text and the patches of an image."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lib.core.checks import RetrievalInputError
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
from lib.models.late_interaction import image_tokens, text_tokens
from lib.models.tokenizer import Tokenizer


class CrossEncoder:
    """Read a text and an image together and score how well they match.

    A score needs both at once, so it cannot be stored in advance: N items cost N passes of the
    joint transformer per query. The towers below it read each side alone; `read_text` and
    `read_image` run them once per item.

    Args:
        config: that of the dual encoder it starts from (see `DualEncoder`), with `interaction`:
            `maps` (see `image_states`), `patches` and `image_width`, their number and width, and
            the `width`, `heads`, `layers` and `dropout` of the joint transformer. Where `reads` is
            "features", the options of `FeatureTokens` replace those of the towers.
        network: a network with these weights; an untrained one by default.

    Reference: Li et al. 2021, "Align before fuse" (ALBEF); Li et al. 2022, "BLIP": towers, then a
    joint encoder with a matching head.
    """

    def __init__(self, config: dict, network: "CrossEncoderNetwork | None" = None) -> None:
        self.config = config
        self.network = (CrossEncoderNetwork(config) if network is None else network).eval()

    @torch.inference_mode()
    def read_image(
        self, images: np.ndarray, *, batch_size: int = 256, progress: Progress | None = None
    ) -> Tokens:
        """Compute the states of images, for `score`; arguments as for `DualEncoder`."""
        shape = self.config["interaction"]["patches"], self.config["interaction"]["width"]
        return image_tokens(
            self.network, self.network.read_image, images, shape, batch_size, progress
        )

    @torch.inference_mode()
    def read_text(
        self, texts: Sequence[str], *, batch_size: int = 256, progress: Progress | None = None
    ) -> Tokens:
        """Compute the states of texts, for `score`."""
        width = self.config["interaction"]["width"]
        return text_tokens(self.network, self.network.read_text, texts, width, batch_size, progress)

    @torch.inference_mode()
    def score(
        self,
        text: Tokens,
        image: Tokens,
        *,
        batch_size: int = 512,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Score how well text i describes image i, as a logit: above 0 it probably does.

        Args:
            text: n states from `read_text`.
            image: n states from `read_image`.
            batch_size: pairs per pass of the joint transformer.
            progress: called with the number of pairs after each pass.

        Returns:
            float32 (n,). Logits of different queries cannot be compared in one ranking.
        """
        if len(text) != len(image):
            raise RetrievalInputError(
                f"pairs are aligned, got {len(text)} texts and {len(image)} images"
            )
        self.network.eval()
        # Texts of similar length are read together and cut to the longest: padding costs time.
        order = np.argsort(text.counts, kind="stable")
        scores = np.empty(len(text), dtype=np.float32)
        for _, rows in in_chunks(order, batch_size, progress):
            longest = text.counts[rows].max()
            sides = text.vectors[rows, :longest], text.mask[rows, :longest], image.vectors[rows]
            moved = (torch.from_numpy(side).to(device_of(self.network)) for side in sides)
            scores[rows] = self.network(*moved).cpu().numpy()
        return scores


class CrossEncoderNetwork(nn.Module):
    """Read each side alone, then apply self-attention over both at once.

    The sides are the towers of a dual encoder without pooling, or, where `interaction["reads"]` is
    "features", a trained and frozen `FeatureTokens`. See `CrossEncoder` for the config.
    """

    def __init__(self, config: dict) -> None:
        super().__init__()
        interaction = config["interaction"]
        width = interaction["width"]
        if interaction.get("reads") == "features":
            self.tokens = FeatureTokens(config).requires_grad_(False)
            image_width = text_width = interaction["dim"]
            length = 1 + self.tokens.words
        else:
            self.towers, self.maps = build_network(config), interaction["maps"]
            self.tokenizer = Tokenizer.from_dict(config["tokenizer"])
            image_width, text_width = interaction["image_width"], config["text"]["width"]
            length = self.tokenizer.context_length
        self.config = config
        self.enter_image = nn.Sequential(nn.LayerNorm(image_width), nn.Linear(image_width, width))
        self.enter_text = nn.Sequential(nn.LayerNorm(text_width), nn.Linear(text_width, width))
        self.image_embedding = nn.Parameter(0.02 * torch.randn(interaction["patches"], width))
        self.text_embedding = nn.Parameter(0.02 * torch.randn(length, width))
        self.start_embedding = nn.Parameter(0.02 * torch.randn(1, width))  # its last state is read
        self.attend = transformer(
            width, interaction["heads"], interaction["layers"], interaction["dropout"]
        )
        self.matches = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))

    def images_in(self, images: np.ndarray) -> Tensor:
        """Convert images, as `DualEncoder` takes them, to the input of `read_image`."""
        if hasattr(self, "tokens"):
            return self.tokens.images_in(images)
        return image_tensor(images, self.config["channels"], self.config["image_size"])

    def texts_in(self, texts: Sequence[str]) -> np.ndarray:
        """Convert texts to the input of `read_text`."""
        return (self.tokens.texts_in if hasattr(self, "tokens") else self.tokenizer.encode)(texts)

    def read_image(self, images: Tensor) -> Tensor:
        """Compute states (n, patches, width), which do not depend on the text."""
        if hasattr(self, "tokens"):
            states = self.tokens.encode_image(images)
        else:
            states = image_states(self.towers, images, self.maps)
        return self.enter_image(states) + self.image_embedding

    def read_text(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Compute states (n, length, width), and their mask (n, length), False for padding."""
        if hasattr(self, "tokens"):
            states, mask = self.tokens.encode_text(tokens)
        else:
            states, mask = text_states(self.towers, tokens)
        return self.enter_text(states) + self.text_embedding, mask

    def forward(self, text: Tensor, mask: Tensor, image: Tensor) -> Tensor:
        """Compute logits (n,) that text i describes image i, from the states of both."""
        start = self.start_embedding.expand(len(text), 1, -1)
        joint = torch.cat([start, text, image], dim=1)
        padding = nn.functional.pad(~mask, (1, image.shape[1]), value=False)
        read = self.attend(joint, src_key_padding_mask=padding)[:, 0]
        return self.matches(read).float()[:, 0]
