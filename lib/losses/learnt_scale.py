"""Learnable scale and bias of the logits."""

import math
from typing import Self

import torch
from torch import Tensor, nn

from lib.core.checks import RetrievalInputError
from lib.losses.inputs import check_finite, check_positive


class LogitScale(nn.Module):
    """Learn the scale t = exp(p) of the logits, the inverse of the temperature.

    Learning the logarithm, a step changes the scale by a factor, at 1 as at 100. Call `clamp_`
    after each optimizer step: on separable data the gradient increases the scale without end.
    Exempt it from weight decay, which would pull it to 1.

    Args:
        init: scale to start from; CLIP starts at 1 / 0.07, SigLIP at 10.
        max_scale: upper bound of `clamp_`.
        learnable: whether it is a parameter; otherwise a buffer, also in the state dict.

    Reference: Radford et al. 2021, sections 2.4 and 2.5.
    """

    def __init__(
        self, init: float = 1 / 0.07, max_scale: float = 100.0, learnable: bool = True
    ) -> None:
        super().__init__()
        check_positive(init, "init")
        check_positive(max_scale, "max_scale")
        if not 1 <= init <= max_scale:
            raise RetrievalInputError(
                f"init must be in [1, {max_scale}], the range of clamp_, got {init}; to start from"
                " a temperature give init = 1 / temperature"
            )
        self.max_scale = float(max_scale)
        log_scale = torch.tensor(math.log(init))
        if learnable:
            self.log_scale = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale)

    def forward(self) -> Tensor:
        """Compute the scale, 0-d. It is not clamped: beyond a bound its gradient would be 0."""
        return self.log_scale.exp()

    @property
    def temperature(self) -> Tensor:
        """Compute 1 / scale, 0-d."""
        return (-self.log_scale).exp()

    @torch.no_grad()
    def clamp_(self) -> Self:
        """Clamp the scale to [1, max_scale]; call it after the optimizer's step."""
        self.log_scale.clamp_(0.0, math.log(self.max_scale))
        return self

    def extra_repr(self) -> str:
        return f"scale={self.log_scale.exp().item():.4g}, max_scale={self.max_scale:g}"


class LogitBias(nn.Module):
    """Learn a bias on all logits, for the sigmoid loss; in a softmax it would cancel.

    Args:
        init: bias to start from; SigLIP starts at -10, see `siglip_bias_for`.

    Reference: Zhai et al. 2023, section 3.2.
    """

    def __init__(self, init: float = -10.0) -> None:
        super().__init__()
        check_finite(init, "init")
        self.bias = nn.Parameter(torch.tensor(float(init)))

    def forward(self) -> Tensor:
        return self.bias

    def extra_repr(self) -> str:
        return f"bias={self.bias.item():.4g}"
