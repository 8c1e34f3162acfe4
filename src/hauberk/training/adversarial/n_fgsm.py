"""N-FGSM: one gradient step from a noisy input, without projection: close to PGD's robustness at single-step cost.

Source: de Jorge, Bibi, Volpi, Sanyal, Torr, Rogez, Dokania 2022, "Make Some Noise: Reliable and Efficient Single-Step
Adversarial Training", algorithm 1. FGSM-RS projects its points into the budget, which makes most of them weaker
than the attack to withstand; here noise and step add up, and training uses points of up to twice the budget.
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
class NFgsm:
    """Settings of N-FGSM; the radius is the threat's."""

    traits: ClassVar[Traits] = Traits(rank=1)

    noise: float = field(default=1.0, metadata={"help": "radius of the noise, as a multiple of the threat's"})
    step: float = field(default=1.0, metadata={"help": "size of the one step, as a fraction of the radius"})
    warmup: float = field(default=0.2, metadata={"help": "share of the epochs in which the radius grows to full"})
    guard: bool = field(default=True, metadata={"help": "detect catastrophic overfitting, and continue with PGD"})

    def __post_init__(self) -> None:
        if not 0 < self.step <= 2 or not 0 <= self.noise <= 4:
            raise InvalidInput(
                "n-fgsm `step` and `noise` are multiples of the radius, in (0, 2] and [0, 4]; "
                f"found {self.step} and {self.noise}."
            )
        _inner.share("warmup", self.warmup)

    @property
    def passes(self) -> int:
        """Forward and backward passes of a batch, with the pass for the weights."""
        return 2

    @property
    def reach(self) -> float:
        """Multiple of the budget that the points may use."""
        return self.noise + self.step


@HARDENING.register(
    "n-fgsm",
    practice="2a",
    threats=("evasion",),
    summary="FGSM from noise, not projected (de Jorge 2022): fast, and close to PGD; guarded",
    params=NFgsm,
)
def n_fgsm(
    module: nn.Module, batch: Batch[Tensor], budget: Budget, params: NFgsm, *, rng: torch.Generator
) -> Tensor:
    """Return points one step away from a noisy x, like `batch.x`; allowed by `budget.scaled(params.reach)`.

    Answers: attackers with the model's gradients, within the budget, as long as the guard detects no collapse.
    Does not answer: larger budgets or another norm; the robustness reached is empirical.
    """
    with _inner.evaluating(module):
        point = _inner.start(module, batch, budget.scaled(params.noise), rng)
        moved = point + budget.step(_inner.gradient(module, point, _inner.cross_entropy(batch.y)), params.step)
        return budget.scaled(params.reach).project(moved, batch.x)  # type: ignore[no-any-return]  # arrays of either library
