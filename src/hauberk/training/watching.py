"""What the training loop calls: a Method for each batch and a Watch after each epoch. Imports torch when it is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from hauberk.training.state import State


class Method(Protocol):
    """How a batch is hardened. `strength` in (0, 1] scales the budget while it grows; `turn` is the batch's number."""

    def perturb(  # noqa: PLR0913 - a batch and where in the run it is
        self, module: nn.Module, x: Tensor, y: Tensor, *, rng: torch.Generator, strength: float = 1.0, turn: int = 0
    ) -> Tensor:
        """Return inputs like x to train on."""

    def loss(  # noqa: PLR0913 - as above
        self, module: nn.Module, x: Tensor, changed: Tensor, y: Tensor, *, strength: float = 1.0, turn: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Return what is minimised, and the scores on the changed batch."""


class Watch:
    """Looks at the state before the first epoch and after each. This one does nothing."""

    method: Method | None = None  # takes over from the run's own where it is not None
    stop = False  # whether the run ends here

    def after(self, epoch: int, state: State) -> dict[str, float]:  # noqa: ARG002 - for those who look
        """Return what was measured; it joins the epoch's history."""
        return {}

    def finish(self, state: State) -> None:
        """Put the state to be kept into `state`, once the run has ended."""

    def metrics(self) -> dict[str, float]:
        """Return what the run as a whole came to."""
        return {}

    def notes(self) -> list[str]:
        """Return what a person should know of what was seen, in plain sentences."""
        return []

    def remember(self) -> dict[str, Any]:
        """Return what the next epochs depend on: JSON values and tensors, nested."""
        return {}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Take back what `remember` returned."""
