"""PGD adversarial training: train on the worst point that projected gradient descent finds in the budget.

Source: Madry, Makelov, Schmidt, Tsipras, Vladu 2018, "Towards Deep Learning Models Resistant to Adversarial
Attacks", section 2.1. Here the points are crafted in evaluation mode, and the budget grows over the first epochs.
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
class Pgd:
    """Settings of PGD training; the radius is the threat's."""

    traits: ClassVar[Traits] = Traits(rank=2, pays_from=12, default=True)

    steps: int = field(default=7, metadata={"help": "gradient steps for each batch"})
    step: float = field(default=0.25, metadata={"help": "size of one step, as a fraction of the radius"})
    warmup: float = field(default=0.2, metadata={"help": "share of the epochs in which the radius grows to full"})

    def __post_init__(self) -> None:
        _inner.check_ascent("pgd", steps=self.steps, step=self.step, warmup=self.warmup)

    @property
    def passes(self) -> int:
        """Forward and backward passes of a batch, with the pass for the weights."""
        return self.steps + 1


@HARDENING.register(
    "pgd",
    practice="2a",
    threats=("evasion",),
    summary="PGD adversarial training (Madry 2018): strong, costs one more pass for each step",
    params=Pgd,
)
def pgd(module: nn.Module, batch: Batch[Tensor], budget: Budget, params: Pgd, *, rng: torch.Generator) -> Tensor:
    """Return allowed points of high loss, like `batch.x`: a random start, then `steps` projected ascents.

    Answers: attackers with the model's gradients, within the budget. Does not answer: larger budgets or another
    norm. The robustness it reaches is an empirical figure, not a certificate.
    """
    with _inner.evaluating(module):
        return _inner.ascend(module, batch, budget, _inner.cross_entropy(batch.y), params, rng)
