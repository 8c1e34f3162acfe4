"""IBP: train on the worst scores that interval bounds cannot rule out, so that robustness can be certified later.

Source: Gowal et al. 2018, "On the Effectiveness of Interval Bound Propagation for Training Verifiably Robust
Models", equations 10 to 12. Here the bounds use batch norm's running statistics, and the weight of the bound
grows with the radius.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from hauberk.attacks.budget import Budget
from hauberk.training.adversarial import HARDENING, Traits, _inner
from hauberk.training.batch import Batch

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Ibp:
    """Settings of IBP training; the radius is the threat's."""

    traits: ClassVar[Traits] = Traits(adversarial=False)

    bound: float = field(default=0.5, metadata={"help": "weight of the bound's loss once the radius is full"})
    warmup: float = field(default=0.6, metadata={"help": "share of the epochs in which the radius grows to full"})

    def __post_init__(self) -> None:
        _inner.share("bound", self.bound)
        _inner.share("warmup", self.warmup)

    @property
    def passes(self) -> int:
        """Forward and backward passes of a batch, with the pass for the weights."""
        return 3

    def loss(self, module: nn.Module, batch: Batch[Tensor], budget: Budget) -> tuple[Tensor, Tensor]:
        """Return the weighted sum of the cross-entropies on x and on the worst scores, and the scores on x."""
        from hauberk.training import losses
        from hauberk.training.certified import bounds

        scores = module(batch.x)
        reached = bounds.intervals(module, bounds.box_of(batch.x, budget, module).inputs)
        worst = losses.cross_entropy(bounds.worst_scores(reached, batch.y), batch.y)
        share = self.bound * batch.strength
        return (1 - share) * losses.cross_entropy(scores, batch.y) + share * worst, scores


@HARDENING.register(
    "ibp",
    practice="2a",
    threats=("evasion",),
    summary="interval bounds (Gowal 2018): less accurate, but its robustness can be proven",
    params=Ibp,
)
def ibp(
    module: nn.Module,  # noqa: ARG001 - the signature of the family
    batch: Batch[Tensor],
    budget: Budget,  # noqa: ARG001 - the signature of the family
    params: Ibp,  # noqa: ARG001 - the signature of the family
    *,
    rng: torch.Generator,  # noqa: ARG001 - the signature of the family
) -> Tensor:
    """Return `batch.x`: no point is attacked, because the loss bounds all allowed inputs at once.

    Answers: every attacker within the budget, for the rows that `certified.bounds` then proves. Does not answer:
    larger budgets or another norm. Cost: about three plain epochs. Raises InvalidInput for a layer without a rule.
    """
    return batch.x
