"""Noise: train on inputs with Gaussian noise, so that the model votes well under randomised smoothing.

Source: Lecuyer et al. 2019 and Cohen, Rosenfeld, Kolter 2019, "Certified Adversarial Robustness via Randomized
Smoothing", section 3.3. The noise is no attack and is not held to the budget: `training.certified.smoothing`
proves what the vote withstands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from hauberk.attacks.budget import Ball, Budget
from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.threats import Norm
from hauberk.training.adversarial import HARDENING

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Noise:
    """Settings of training with noise."""

    framework: ClassVar[str] = "torch"
    adversarial: ClassVar[bool] = False

    sigma: float = field(default=0.5, metadata={"help": "standard deviation, as a fraction of the L2 radius"})

    def __post_init__(self) -> None:
        if not 0 < self.sigma <= 10:
            raise InvalidInput(f"noise `sigma` is a fraction of the radius in (0, 10], found {self.sigma}.")

    def needs(self, budget: Budget) -> None:
        """Raise InvalidInput unless the budget is an L2 ball: that is what Gaussian noise certifies."""
        if not (isinstance(budget, Ball) and budget.norm is Norm.L2):
            raise InvalidInput(
                'hardening method "noise" trains for smoothing, which certifies L2 balls around images: declare '
                'norm = "l2", or use pgd, or ibp for a certificate of its own.'
            )


@HARDENING.register(
    "noise",
    practice="2a",
    threats=("evasion",),
    summary="Gaussian noise (Cohen 2019): for the certificate of a smoothed vote, L2",
    params=Noise,
    kinds=("image",),
)
def noise(  # noqa: PLR0913 - the shape of the family
    module: nn.Module,  # noqa: ARG001 - the shape of the family
    x: Tensor,
    y: Tensor,  # noqa: ARG001 - the shape of the family
    budget: Ball,
    params: Noise,
    *,
    rng: torch.Generator,
) -> Tensor:
    """Return x with noise of params.sigma * budget.eps, not cut to the pixel range.

    Answers: nothing by itself; with the vote of `certified.smoothing`, any L2 change below each row's radius.
    """
    drawn: Tensor = need("torch").randn(x.shape, generator=rng, device=x.device, dtype=x.dtype)
    return x + params.sigma * budget.eps * drawn
