"""Small transformers that are trained on the states of a tower, and their pooling to one vector."""

from types import SimpleNamespace

import torch
from torch import Tensor, nn

from lib.core.checks import check_choice

POOLINGS = ("attention", "mean")


def transformer(width: int, heads: int, layers: int, dropout: float) -> nn.TransformerEncoder:
    """Build self-attention without a causal mask, with normalisation before each step."""
    layer = _EncoderLayer(
        width, heads, 4 * width, dropout, "gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


class _EncoderLayer(nn.TransformerEncoderLayer):
    """A layer with the exact GELU on every device.

    On a GPU torch's fused layer, which runs in evaluation mode, takes the tanh form of GELU.
    Training and the CPU take the exact one, and scores would differ from theirs by up to 0.001.
    """

    def forward(self, src: Tensor, *args, **options) -> Tensor:
        """Compute the layer; other arguments as for `nn.TransformerEncoderLayer`."""
        # 2 lets torch take its fused layer with GELU, 0 does not.
        self.activation_relu_or_gelu = 2 if src.device.type == "cpu" else 0
        return super().forward(src, *args, **options)


class StatesPooler(nn.Module):
    """Pool the states of a transformer with a small trained transformer: one vector per text.

        h_t = A word_t + B state_t + position_t
        z = norm(transformer(h)),   a = softmax_t(q . z_t),   result = sum_t a_t z_t

    `word_t` is the embedding of piece t alone, which keeps digits and rare words apart; `state_t`
    is its last state, which knows the sentence.

    Args:
        states: width of the incoming states.
        length: largest number of pieces of a text.
        width, heads, layers, dropout: options of the self-attention; `layers` may be 0.
        pooling: `"attention"` as above, or `"mean"` with equal weights.
    """

    def __init__(
        self,
        states: int,
        length: int,
        *,
        width: int,
        heads: int,
        layers: int,
        dropout: float = 0.0,
        pooling: str = "attention",
    ) -> None:
        super().__init__()
        check_choice(pooling, POOLINGS, "pooling")
        self.words = nn.Linear(states, width, bias=False)
        self.contexts = nn.Linear(states, width)
        self.position_embedding = nn.Parameter(0.02 * torch.randn(length, width))
        self.attend = transformer(width, heads, layers, dropout) if layers else None
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, 1, bias=False) if pooling == "attention" else None

    def forward(self, x: SimpleNamespace, attention_mask: Tensor) -> Tensor:
        """Pool an output of transformers with `hidden_states`, as open_clip's poolers do."""
        return self.pool(x.hidden_states[0], x.hidden_states[-1], attention_mask.bool())

    def pool(self, words: Tensor, contexts: Tensor, mask: Tensor) -> Tensor:
        """Pool (n, length, states) word embeddings and last states, mask (n, length)."""
        entered = self.words(words) + self.contexts(contexts)
        entered = entered + self.position_embedding[: mask.shape[1]]
        if self.attend is not None:
            entered = self.attend(entered, src_key_padding_mask=~mask)
        states = self.norm(entered)
        scores = mask.float() if self.query is None else self.query(states).squeeze(-1).float()
        weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=1)
        return (weights.unsqueeze(-1) * states).sum(dim=1)
