"""MART: PGD's points, with more weight on the rows that the model does not get right with ease.

Source: Wang, Zou, Yi, Bailey, Ma, Gu 2020, "Improving Adversarial Robustness Requires Revisiting Misclassified
Examples", equation 11 and algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from hauberk.attacks.budget import Budget
from hauberk.core.errors import InvalidInput
from hauberk.training.adversarial import HARDENING, Batch, _inner

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Mart:
    """Settings of MART; the radius is the threat's."""

    framework: ClassVar[str] = "torch"

    beta: float = field(default=5.0, metadata={"help": "weight of the rows that are not right with ease"})
    steps: int = field(default=7, metadata={"help": "gradient steps for each batch"})
    step: float = field(default=0.25, metadata={"help": "size of one step, as a fraction of the radius"})
    warmup: float = field(default=0.2, metadata={"help": "share of the epochs in which the radius grows to full"})

    def __post_init__(self) -> None:
        if not 0 < self.beta <= 100:
            raise InvalidInput(f"mart `beta` must be above 0 and at most 100, found {self.beta}.")
        _inner.check_ascent("mart", steps=self.steps, step=self.step, warmup=self.warmup)

    def loss(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return BCE(changed) + beta * mean of KL(p(x) || p(changed)) * (1 - p_y(x)), and scores on `changed`."""
        from hauberk.training import losses

        scores, clean = module(batch.changed), module(batch.x)
        doubt = 1 - clean.softmax(1).gather(1, batch.y[:, None])[:, 0]
        weighed = (losses.divergence(scores, clean) * doubt).mean()
        return losses.boosted_cross_entropy(scores, batch.y) + self.beta * weighed, scores


@HARDENING.register(
    "mart",
    practice="2a",
    threats=("evasion",),
    summary="MART (Wang 2020): PGD with weight on the rows that are hard",
    params=Mart,
)
def mart(  # noqa: PLR0913 - the shape of the family
    module: nn.Module, x: Tensor, y: Tensor, budget: Budget, params: Mart, *, rng: torch.Generator
) -> Tensor:
    """Return allowed points of high cross-entropy, like x.

    Answers: attackers with the model's gradients, within the budget. Does not answer: larger budgets or another
    norm; the figure reached is empirical. Cost: one gradient for each step, and two passes for the loss.
    """
    with _inner.evaluating(module):
        loss = _inner.cross_entropy(y)
        return _inner.ascend(module, x, y, budget, loss, steps=params.steps, step=params.step, rng=rng)
