"""What a dual encoder knows before it pools: one state per patch of an image, one per piece of a
text.

The models that let images and texts interact (`late_interaction`, `cross_encoder`) start from these
states.
"""

from open_clip.model import CustomTextCLIP
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lib.models.tokenizer import PAD


def image_states(network: CustomTextCLIP, images: Tensor, maps: int = 1) -> Tensor:
    """The last feature maps of the image tower, patches row by row; with gradient.

    Args:
        network: whose `visual` is a timm tower.
        images: (n, channels, H, W), as from `image_tensor`.
        maps: 1 takes the last map, 2 the one before it, whose patches are a quarter as large.

    Returns:
        (n, patches, channels).
    """
    if maps == 1:
        states = network.visual.trunk.forward_features(images)
    else:
        (states,) = network.visual.trunk.forward_intermediates(
            images, indices=[-maps], stop_early=True, output_fmt="NCHW", intermediates_only=True
        )
    return states.flatten(2).transpose(1, 2)


def text_states(network: CustomTextCLIP, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """The text tower's states of every piece, and which of them are no padding; with gradient.

    In a tower with a causal mask a state knows the pieces to its left alone.

    Args:
        network: see `image_states`.
        tokens: (n, length) ids, as from `Tokenizer.encode`.

    Returns:
        (n, length, width) states and (n, length) bool mask.
    """
    tower = network.text
    embedded, causal = tower._embeds(tokens)
    with sdpa_kernel(SDPBackend.MATH):  # the quicker one for short texts, see `text_features`
        states = tower.ln_final(tower.transformer(embedded, attn_mask=causal))
    return states, tokens != PAD


def transformer(width: int, heads: int, layers: int, dropout: float) -> nn.TransformerEncoder:
    """Self-attention without a causal mask, normalised before each step."""
    layer = nn.TransformerEncoderLayer(
        width, heads, 4 * width, dropout, "gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
