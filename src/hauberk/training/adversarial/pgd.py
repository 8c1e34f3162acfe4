"""PGD adversarial training: train on the worst point that projected gradient descent finds in the budget.

Source: Madry, Makelov, Schmidt, Tsipras, Vladu 2018, "Towards Deep Learning Models Resistant to Adversarial
Attacks", section 2.1. Here the points are crafted in evaluation mode, and the budget grows over the first epochs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from hauberk.attacks.budget import Budget
from hauberk.training.adversarial import HARDENING, _inner

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Pgd:
    """Settings of PGD training; the radius is the threat's."""

    framework: ClassVar[str] = "torch"

    steps: int = field(default=7, metadata={"help": "gradient steps for each batch"})
    step: float = field(default=0.25, metadata={"help": "size of one step, as a fraction of the radius"})
    warmup: float = field(default=0.2, metadata={"help": "share of the epochs in which the radius grows to full"})

    def __post_init__(self) -> None:
        _inner.check_ascent("pgd", steps=self.steps, step=self.step, warmup=self.warmup)


@HARDENING.register(
    "pgd",
    practice="2a",
    threats=("evasion",),
    summary="PGD adversarial training (Madry 2018): strong, costs one pass more for each step",
    params=Pgd,
)
def pgd(  # noqa: PLR0913 - the shape of the family
    module: nn.Module, x: Tensor, y: Tensor, budget: Budget, params: Pgd, *, rng: torch.Generator
) -> Tensor:
    """Return allowed points of high loss, like x: a random start, then `steps` projected ascents.

    Answers: attackers with the model's gradients, within the budget. Does not answer: larger budgets or another
    norm; and what it reaches is an empirical figure, no certificate.
    """
    with _inner.evaluating(module):
        loss = _inner.cross_entropy(y)
        return _inner.ascend(module, x, y, budget, loss, steps=params.steps, step=params.step, rng=rng)
