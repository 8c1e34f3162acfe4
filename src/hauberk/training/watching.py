"""What the training loop calls: a Method for each batch, and a Watch after each epoch.

Imports torch when it is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from hauberk.models.torch_model import forward
from hauberk.training import losses
from hauberk.training.batch import Batch
from hauberk.training.state import State


class Method(Protocol):
    """Hardens a batch, and defines the loss on it."""

    def perturb(self, module: nn.Module, batch: Batch[Tensor], *, rng: torch.Generator) -> Tensor:
        """Return inputs like `batch.x` to train on. rng: on the device of the batch."""

    def loss(self, module: nn.Module, batch: Batch[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the mean loss over the batch in nats, and the scores (n, classes) on `batch.changed`."""


class Plain:
    """No hardening: cross-entropy on the batch as it is. Methods that only change the batch inherit the loss."""

    def perturb(
        self,
        module: nn.Module,  # noqa: ARG002 - the signature of Method
        batch: Batch[Tensor],
        *,
        rng: torch.Generator,  # noqa: ARG002 - the signature of Method
    ) -> Tensor:
        """Return `batch.x`."""
        return batch.x

    def loss(self, module: nn.Module, batch: Batch[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy and the scores on `batch.changed`."""
        scores = forward(module, batch.changed)
        return losses.cross_entropy(scores, batch.y), scores


class Watch:
    """Inspects the state before the first epoch and after each epoch. This base class does nothing."""

    method: Method | None = None  # replaces the run's method when it is not None
    stop = False  # True ends the run

    def after(self, epoch: int, state: State) -> dict[str, float]:  # noqa: ARG002 - subclasses read them
        """Return measurements that are added to the epoch's history."""
        return {}

    def finish(self, state: State) -> None:
        """Write the weights to keep into `state`; called once, after the last epoch."""

    def metrics(self) -> dict[str, float]:
        """Return metrics of the whole run."""
        return {}

    def notes(self) -> list[str]:
        """Return plain sentences for the person who reads the evidence."""
        return []

    def remember(self) -> dict[str, Any]:
        """Return everything the next epochs depend on: JSON values and tensors, nested."""
        return {}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Restore what `remember` returned."""
