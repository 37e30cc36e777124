"""A cross-encoder: one transformer over the pieces of a text and the patches of an image, one score
out.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lib.core.checks import RetrievalInputError
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


class CrossEncoderNetwork(nn.Module):
    """Two sides that do not look across, and self-attention over both at once.

    The sides are a dual encoder's towers without their pooling or, with `interaction["reads"]`
    "features", a trained `FeatureTokens` that stays as it is.

    Args:
        config: see `CrossEncoder`.
    """

    def __init__(self, config: dict) -> None:
        super().__init__()
        made = config["interaction"]
        width = made["width"]
        if made.get("reads") == "features":
            self.tokens = FeatureTokens(config).requires_grad_(False)
            image_width = text_width = made["dim"]
            length = 1 + self.tokens.words
        else:
            self.towers, self.maps = build_network(config), made["maps"]
            self.tokenizer = Tokenizer.from_dict(config["tokenizer"])
            image_width, text_width = made["image_width"], config["text"]["width"]
            length = self.tokenizer.context_length
        self.config = config
        self.enter_image = nn.Sequential(nn.LayerNorm(image_width), nn.Linear(image_width, width))
        self.enter_text = nn.Sequential(nn.LayerNorm(text_width), nn.Linear(text_width, width))
        self.image_embedding = nn.Parameter(0.02 * torch.randn(made["patches"], width))
        self.text_embedding = nn.Parameter(0.02 * torch.randn(length, width))
        self.start_embedding = nn.Parameter(0.02 * torch.randn(1, width))  # its last state is read
        self.attend = transformer(width, made["heads"], made["layers"], made["dropout"])
        self.matches = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))

    def images_in(self, images: np.ndarray) -> Tensor:
        """What `read_image` reads of images, as `DualEncoder` takes them."""
        if hasattr(self, "tokens"):
            return self.tokens.images_in(images)
        return image_tensor(images, self.config["channels"], self.config["image_size"])

    def texts_in(self, texts: Sequence[str]) -> np.ndarray:
        """What `read_text` reads of texts."""
        return (self.tokens.texts_in if hasattr(self, "tokens") else self.tokenizer.encode)(texts)

    def read_image(self, images: Tensor) -> Tensor:
        """From `images_in` to (n, patches, width): what is the same whatever the text."""
        if hasattr(self, "tokens"):
            states = self.tokens.encode_image(images)
        else:
            states = image_states(self.towers, images, self.maps)
        return self.enter_image(states) + self.image_embedding

    def read_text(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """From `texts_in` to (n, length, width), and (n, length) which of them are no padding."""
        if hasattr(self, "tokens"):
            states, mask = self.tokens.encode_text(tokens)
        else:
            states, mask = text_states(self.towers, tokens)
        return self.enter_text(states) + self.text_embedding, mask

    def forward(self, text: Tensor, mask: Tensor, image: Tensor) -> Tensor:
        """Logits (n,) that text i describes image i, from what `read_text` and `read_image`
        gave.
        """
        start = self.start_embedding.expand(len(text), 1, -1)
        joint = torch.cat([start, text, image], dim=1)
        padding = nn.functional.pad(~mask, (1, image.shape[1]), value=False)
        read = self.attend(joint, src_key_padding_mask=padding)[:, 0]
        return self.matches(read).float()[:, 0]


class CrossEncoder:
    """Reads a text and an image together and scores how well they match.

    A score needs both at once, so nothing of it can be stored ahead: N items cost N passes of the
    joint transformer per query. The towers below it do not look across; `read_text` and
    `read_image` run them once per item.

    Args:
        config: that of the dual encoder it grew from (see `DualEncoder`), with `interaction`:
            `maps` (see `image_states`), `patches` and `image_width`, their number and width, and
            the `width`, `heads`, `layers` and `dropout` of the joint transformer; or, with `reads`
            "features", what `FeatureTokens` takes, and the joint transformer's.
        network: with these weights; an untrained one by default.

    Relations: `LateInteraction` lets the same states meet in a maximum instead, after encoding.

    Reference: Li et al. 2021, "Align before fuse" (ALBEF); Li et al. 2022, "BLIP": towers, then a
    joint encoder with a matching head.
    """

    def __init__(self, config: dict, network: CrossEncoderNetwork | None = None) -> None:
        self.config = config
        self.network = (CrossEncoderNetwork(config) if network is None else network).eval()

    @torch.inference_mode()
    def read_image(
        self, images: np.ndarray, *, batch_size: int = 256, progress: Progress | None = None
    ) -> Tokens:
        """States of images, for `score`; arguments and errors as for `DualEncoder.encode_image`."""
        self.network.eval()
        made = self.config["interaction"]
        states = np.empty((len(images), made["patches"], made["width"]), dtype=np.float32)
        for rows, chunk in in_chunks(images, batch_size, progress):
            found = self.network.read_image(
                self.network.images_in(chunk).to(device_of(self.network))
            )
            states[rows] = found.float().cpu().numpy()
        return Tokens(states)

    @torch.inference_mode()
    def read_text(
        self, texts: Sequence[str], *, batch_size: int = 256, progress: Progress | None = None
    ) -> Tokens:
        """States of texts, for `score`; errors as for `DualEncoder.encode_text`."""
        self.network.eval()
        ids = self.network.texts_in(texts)
        shape = (len(ids), len(self.network.text_embedding))
        states = np.empty((*shape, self.config["interaction"]["width"]), dtype=np.float32)
        mask = np.empty(shape, dtype=bool)
        for rows, chunk in in_chunks(ids, batch_size, progress):
            found, counts = self.network.read_text(
                torch.from_numpy(chunk).to(device_of(self.network))
            )
            states[rows], mask[rows] = found.float().cpu().numpy(), counts.cpu().numpy()
        return Tokens(states, mask)

    @torch.inference_mode()
    def score(
        self,
        text: Tokens,
        image: Tokens,
        *,
        batch_size: int = 512,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """How well text i describes image i, as a logit: above 0 the model would say that it does.

        Args:
            text: n states from `read_text`.
            image: n states from `read_image`.
            batch_size: pairs per pass of the joint transformer.
            progress: called with the number of pairs done after each pass.

        Returns:
            float32 (n,). Logits of different queries are no ranking of one another's items.

        Raises:
            RetrievalInputError: not as many texts as images.
        """
        if len(text) != len(image):
            raise RetrievalInputError(
                f"pairs are aligned, got {len(text)} texts and {len(image)} images"
            )
        self.network.eval()
        # Texts of like length go together and are cut to the longest: padding costs as much as
        # words.
        order = np.argsort(text.counts, kind="stable")
        scores = np.empty(len(text), dtype=np.float32)
        for _, rows in in_chunks(order, batch_size, progress):
            longest = text.counts[rows].max()
            sides = text.vectors[rows, :longest], text.mask[rows, :longest], image.vectors[rows]
            moved = (torch.from_numpy(side).to(device_of(self.network)) for side in sides)
            scores[rows] = self.network(*moved).cpu().numpy()
        return scores
