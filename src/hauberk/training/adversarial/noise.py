"""Noise: train on inputs with Gaussian noise, so that the model predicts noisy copies well, which randomised smoothing needs.

Source: Lecuyer et al. 2019 and Cohen, Rosenfeld, Kolter 2019, "Certified Adversarial Robustness via Randomized
Smoothing", section 3.3. The noise is no attack and may leave the budget: `training.certified.smoothing` proves which
changes the vote withstands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from hauberk.attacks.budget import Ball, Budget
from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.threats import Norm
from hauberk.training.adversarial import HARDENING, Traits
from hauberk.training.batch import Batch

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Noise:
    """Settings of training with noise."""

    traits: ClassVar[Traits] = Traits(adversarial=False)

    sigma: float = field(default=0.5, metadata={"help": "standard deviation, as a fraction of the L2 radius"})

    def __post_init__(self) -> None:
        if not 0 < self.sigma <= 10:
            raise InvalidInput(f"noise `sigma` is a fraction of the radius in (0, 10], found {self.sigma}.")

    @property
    def passes(self) -> int:
        """Forward and backward passes of a batch, with the pass for the weights."""
        return 1

    def needs(self, budget: Budget) -> None:
        """Raise InvalidInput unless the budget is an L2 ball, the only one that Gaussian noise certifies."""
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
def noise(
    module: nn.Module,  # noqa: ARG001 - the signature of the family
    batch: Batch[Tensor],
    budget: Ball,
    params: Noise,
    *,
    rng: torch.Generator,
) -> Tensor:
    """Return x plus noise of standard deviation params.sigma * budget.eps, not clipped to the pixel range.

    Answers: nothing by itself; with the vote of `certified.smoothing`, any L2 change below each row's radius.
    Does not answer: attackers of a model that does not vote.
    """
    x = batch.x
    drawn: Tensor = need("torch").randn(x.shape, generator=rng, device=x.device, dtype=x.dtype)
    return x + params.sigma * budget.eps * drawn
