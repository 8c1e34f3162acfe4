"""Descent: how one optimiser step is computed from a batch. The default is the gradient of the mean loss.

A training room with other needs brings its own: per-sample gradients that are clipped and noised while an accountant
counts the steps, or gradients corrected towards a server's. A descent receives the loss as a function of a module and
a batch, so that it may evaluate it on single rows, under `torch.func.vmap`, or several times.
Imports torch when it is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from hauberk.training import awp
from hauberk.training.batch import Batch

# The mean loss over the rows of a batch, and the scores (n, classes). The first argument is the module, or any callable
# with the same forward, such as `torch.func.functional_call` bound to other weights.
Objective = Callable[[Any, Batch[Tensor]], tuple[Tensor, Tensor]]


class Step(NamedTuple):
    """What one step measured. loss: mean over the batch, 0 for an empty batch. scores: (n, classes), detached."""

    loss: float
    scores: Tensor


class Descent(Protocol):
    """Computes the gradients of one batch and lets the optimiser step."""

    def step(
        self,
        objective: Objective,
        batch: Batch[Tensor],
        *,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        rng: torch.Generator,
    ) -> Step:
        """Change the weights of `module`, which is in training mode, by one step.

        batch: n rows, n may be 0. rng: on the device of the module; the only source of randomness to draw from, so
        that a run which is stopped and continued gives the same bits.
        """

    def remember(self) -> dict[str, Any]:
        """Return what the next step depends on (an accountant's count): JSON values and tensors, nested."""

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Restore what `remember` returned."""


@dataclass(frozen=True, slots=True)
class MeanLoss:
    """One backward pass of the mean loss; an empty batch changes nothing.

    awp: radius of the adversarial weight perturbation as a share of each layer's norm, 0 for none; used once the
    budget has grown to its full size.
    """

    awp: float = 0.0

    def step(
        self,
        objective: Objective,
        batch: Batch[Tensor],
        *,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        rng: torch.Generator,  # noqa: ARG002 - the signature of Descent
    ) -> Step:
        """Change the weights by one step down the mean loss. Cost: one forward and backward pass, two with `awp`."""
        if not len(batch.y):
            return Step(0.0, batch.x.new_zeros((0, 1)))
        radius = self.awp if batch.strength == 1 else 0.0
        lifted = (
            awp.ascended(module, lambda: objective(module, batch)[0], radius=radius) if radius else nullcontext()
        )
        with lifted:
            optimizer.zero_grad(set_to_none=True)
            loss, scores = objective(module, batch)
            loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return Step(float(loss.detach()), scores.detach())

    def remember(self) -> dict[str, Any]:
        """Return nothing: a step depends on no earlier one."""
        return {}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Restore nothing."""
