"""FGSM-RS: adversarial training with one gradient step from a random start, at about twice the plain cost.

Source: Wong, Rice, Kolter 2020, "Fast is better than free: Revisiting adversarial training", algorithm 3. One step
can fail silently: the model learns to hide from the single step and falls to any longer attack (catastrophic
overfitting). `training.guard` detects that with PGD on held-out rows, and is on by default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from hauberk.attacks.budget import Budget
from hauberk.core.errors import InvalidInput
from hauberk.training.adversarial import HARDENING, Traits, _inner
from hauberk.training.batch import Batch

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class FgsmRs:
    """Settings of FGSM-RS; the radius is the threat's."""

    traits: ClassVar[Traits] = Traits()

    step: float = field(default=1.25, metadata={"help": "size of the one step, as a fraction of the radius"})
    warmup: float = field(default=0.2, metadata={"help": "share of the epochs in which the radius grows to full"})
    guard: bool = field(default=True, metadata={"help": "detect catastrophic overfitting, and continue with PGD"})

    def __post_init__(self) -> None:
        if not 0 < self.step <= 2:
            raise InvalidInput(f"fgsm-rs `step` is a fraction of the radius in (0, 2], found {self.step}.")
        _inner.share("warmup", self.warmup)

    @property
    def passes(self) -> int:
        """Forward and backward passes of a batch, with the pass for the weights."""
        return 2


@HARDENING.register(
    "fgsm-rs",
    practice="2a",
    threats=("evasion",),
    summary="FGSM with random start (Wong 2020): fast; guarded against catastrophic overfitting",
    params=FgsmRs,
)
def fgsm_rs(
    module: nn.Module, batch: Batch[Tensor], budget: Budget, params: FgsmRs, *, rng: torch.Generator
) -> Tensor:
    """Return allowed points one step away from a random start, like `batch.x`.

    Answers: attackers with the model's gradients, within the budget, as long as the guard detects no collapse.
    Does not answer: larger budgets or another norm; the robustness reached is empirical.
    """
    with _inner.evaluating(module):
        point = _inner.start(module, batch, budget, rng)
        moved = point + budget.step(_inner.gradient(module, point, _inner.cross_entropy(batch.y)), params.step)
        return budget.project(moved, batch.x)  # type: ignore[no-any-return]  # arrays of either library
