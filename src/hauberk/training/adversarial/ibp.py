"""IBP: train on the worst scores that interval bounds cannot rule out, so that a certificate can be proven later.

Source: Gowal et al. 2018, "On the Effectiveness of Interval Bound Propagation for Training Verifiably Robust
Models", equations 10 to 12. Here batch norm takes its kept statistics in the bounds, and the weight of the bound
grows along with the radius.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from hauberk.attacks.budget import Budget
from hauberk.training.adversarial import HARDENING, Batch, _inner

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Ibp:
    """Settings of IBP training; the radius is the threat's."""

    framework: ClassVar[str] = "torch"
    adversarial: ClassVar[bool] = False

    bound: float = field(default=0.5, metadata={"help": "weight of the bound's loss once the radius is full"})
    warmup: float = field(default=0.6, metadata={"help": "share of the epochs in which the radius grows to full"})

    def __post_init__(self) -> None:
        _inner.share("bound", self.bound)
        _inner.share("warmup", self.warmup)

    def loss(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy on x and on the worst scores, weighed; and the scores on x."""
        from hauberk.training import losses
        from hauberk.training.certified import bounds

        scores = module(batch.x)
        found = bounds.intervals(module, bounds.box_of(batch.x, batch.budget, module).inputs)
        worst = losses.cross_entropy(bounds.worst_scores(found, batch.y), batch.y)
        share = self.bound * batch.strength
        return (1 - share) * losses.cross_entropy(scores, batch.y) + share * worst, scores


@HARDENING.register(
    "ibp",
    practice="2a",
    threats=("evasion",),
    summary="interval bounds (Gowal 2018): less accurate, but what it withstands can be proven",
    params=Ibp,
)
def ibp(  # noqa: PLR0913 - the shape of the family
    module: nn.Module,  # noqa: ARG001 - the shape of the family
    x: Tensor,
    y: Tensor,  # noqa: ARG001 - the shape of the family
    budget: Budget,  # noqa: ARG001 - the shape of the family
    params: Ibp,  # noqa: ARG001 - the shape of the family
    *,
    rng: torch.Generator,  # noqa: ARG001 - the shape of the family
) -> Tensor:
    """Return x: nothing is attacked, the loss looks at all allowed inputs at once.

    Answers: every attacker within the budget, for the rows that `certified.bounds` then proves. Does not answer:
    larger budgets or another norm. Cost: about three plain epochs. Raises InvalidInput for a layer without a rule.
    """
    return x
