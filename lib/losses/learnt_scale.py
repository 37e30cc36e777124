"""The two numbers that a contrastive loss can learn: how sharp its logits are, and where they are
centred.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lib.core.checks import RetrievalInputError
from lib.losses.inputs import check_finite, check_positive


class LogitScale(nn.Module):
    """A learnt scale t = exp(p), the inverse of the temperature.

    Learnt in the logarithm, a step changes it by a factor, whether it is 1 or 100. Call `clamp_`
    after each optimizer step: on data that can be told apart the gradient drives the scale up
    without end.

    Args:
        init: scale to start from; CLIP starts at 1 / 0.07, SigLIP at 10.
        max_scale: what `clamp_` allows.
        learnable: whether it is a parameter; otherwise a buffer, in the state dict all the same.

    Raises:
        RetrievalInputError: a scale that is not positive, or `init` outside [1, max_scale].

    Relations: give `temperature` to `infonce_loss` and `sigmoid_loss`, `scale()` to `mnr_loss`. Its
    parameter is 0-d, which `lib.training.loop` exempts from weight decay: decay would pull the
    scale to 1.

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
                f"init is {init}, outside [1, {max_scale}], where clamp_ keeps the scale; to start"
                " from a temperature give init = 1 / temperature"
            )
        self.max_scale = float(max_scale)
        log_scale = torch.tensor(math.log(init))
        if learnable:
            self.log_scale = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale)

    def forward(self) -> Tensor:
        """The scale, 0-d, with gradient. No clamp here: beyond its bound the gradient would be 0
        for good.
        """
        return self.log_scale.exp()

    @property
    def temperature(self) -> Tensor:
        """1 / scale, 0-d, with gradient."""
        return (-self.log_scale).exp()

    @torch.no_grad()
    def clamp_(self) -> LogitScale:
        """Brings the parameter back into [1, max_scale]; call it after the optimizer's step."""
        self.log_scale.clamp_(0.0, math.log(self.max_scale))
        return self

    def extra_repr(self) -> str:
        return f"scale={self.log_scale.exp().item():.4g}, max_scale={self.max_scale:g}"


class LogitBias(nn.Module):
    """A learnt bias b on all logits, for the sigmoid loss; in a softmax it would cancel.

    Args:
        init: bias to start from; SigLIP starts at -10, `siglip_bias_for` gives the prior of a
            batch.

    Raises:
        RetrievalInputError: a bias that is not finite.

    Reference: Zhai et al. 2023, section 3.2.
    """

    def __init__(self, init: float = -10.0) -> None:
        super().__init__()
        check_finite(init, "init")
        self.bias = nn.Parameter(torch.tensor(float(init)))

    def forward(self) -> Tensor:
        """The bias, 0-d, with gradient."""
        return self.bias

    def extra_repr(self) -> str:
        return f"bias={self.bias.item():.4g}"
