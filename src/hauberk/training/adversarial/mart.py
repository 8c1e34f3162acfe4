"""MART: the points of PGD, with more weight on rows that the model classifies with low confidence.

Source: Wang, Zou, Yi, Bailey, Ma, Gu 2020, "Improving Adversarial Robustness Requires Revisiting Misclassified
Examples", equation 11 and algorithm 1.
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
class Mart:
    """Settings of MART; the radius is the threat's."""

    traits: ClassVar[Traits] = Traits()

    beta: float = field(default=5.0, metadata={"help": "weight of the rows with low confidence"})
    steps: int = field(default=7, metadata={"help": "gradient steps for each batch"})
    step: float = field(default=0.25, metadata={"help": "size of one step, as a fraction of the radius"})
    warmup: float = field(default=0.2, metadata={"help": "share of the epochs in which the radius grows to full"})

    def __post_init__(self) -> None:
        if not 0 < self.beta <= 100:
            raise InvalidInput(f"mart `beta` must be above 0 and at most 100, found {self.beta}.")
        _inner.check_ascent("mart", steps=self.steps, step=self.step, warmup=self.warmup)

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
    summary="MART (Wang 2020): PGD with more weight on rows of low confidence",
    params=Mart,
)
def mart(module: nn.Module, batch: Batch[Tensor], budget: Budget, params: Mart, *, rng: torch.Generator) -> Tensor:
    """Return allowed points of high cross-entropy, like `batch.x`.

    Answers: attackers with the model's gradients, within the budget. Does not answer: larger budgets or another
    norm; the robustness reached is empirical. Cost: one gradient for each step, and two passes for the loss.
    """
    with _inner.evaluating(module):
        return _inner.ascend(module, batch, budget, _inner.cross_entropy(batch.y), params, rng)
