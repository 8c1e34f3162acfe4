"""TRADES: the clean loss plus `beta` times how far the worst point in the budget moves the prediction.

Source: Zhang, Yu, Jiao, Xing, El Ghaoui, Jordan 2019, "Theoretically Principled Trade-off between Robustness and
Accuracy", algorithm 1. Here the ascent starts at a random point of the budget rather than beside the input, and
points are crafted in evaluation mode.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from hauberk.attacks.budget import Budget
from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.training.adversarial import HARDENING, Traits, _inner
from hauberk.training.batch import Batch

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Trades:
    """Settings of TRADES; the radius is the threat's."""

    traits: ClassVar[Traits] = Traits(rank=3, pays_from=25)

    beta: float = field(default=6.0, metadata={"help": "weight of robustness against clean accuracy, 1 to 10"})
    steps: int = field(default=7, metadata={"help": "gradient steps for each batch"})
    step: float = field(default=0.25, metadata={"help": "size of one step, as a fraction of the radius"})
    warmup: float = field(default=0.2, metadata={"help": "share of the epochs in which the radius grows to full"})

    def __post_init__(self) -> None:
        if not 0 < self.beta <= 100:
            raise InvalidInput(f"trades `beta` must be above 0 and at most 100, found {self.beta}.")
        _inner.check_ascent("trades", steps=self.steps, step=self.step, warmup=self.warmup)

    @property
    def passes(self) -> int:
        """Forward and backward passes of a batch, with the pass for the weights."""
        return self.steps + 2

    def loss(
        self,
        module: nn.Module,
        batch: Batch[Tensor],
        budget: Budget,  # noqa: ARG002 - the signature of the family
    ) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy on x + beta * KL(p(x) || p(changed)), and the scores on `changed`."""
        from hauberk.training import losses

        clean, scores = module(batch.x), module(batch.changed)
        return losses.cross_entropy(clean, batch.y) + self.beta * losses.divergence(scores, clean).mean(), scores


@HARDENING.register(
    "trades",
    practice="2a",
    threats=("evasion",),
    summary="TRADES (Zhang 2019): trades clean accuracy for robustness by one weight",
    params=Trades,
)
def trades(
    module: nn.Module, batch: Batch[Tensor], budget: Budget, params: Trades, *, rng: torch.Generator
) -> Tensor:
    """Return allowed points whose prediction is far from the prediction of x, like `batch.x`.

    Answers: attackers with the model's gradients, within the budget. Does not answer: larger budgets or another
    norm; the robustness reached is empirical. Cost: one gradient for each step, and two passes for the loss.
    """
    torch = need("torch")
    from hauberk.training import losses

    with _inner.evaluating(module):
        with torch.no_grad():
            clean = module(batch.x)
        return _inner.ascend(module, batch, budget, lambda scores: losses.divergence(scores, clean), params, rng)
