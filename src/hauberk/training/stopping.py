"""Early stopping on robust accuracy: the weights of the best epoch on held-out rows are kept.

Adversarial training overfits where plain training does not: accuracy under attack falls on new rows while it still
grows on those that are trained on. Source: Rice, Wong, Kolter 2020, "Overfitting in adversarially robust deep
learning". Imports torch when it is imported; `fitting` asks for torch first.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from hauberk.training.heldout import HeldOut
from hauberk.training.loop import Plain
from hauberk.training.state import State
from hauberk.training.watching import Method, Watch


class Stopping(Watch):
    """Stops a run after `patience` epochs without a gain, and keeps the best epoch.

    strong: the attack that measures. start: the epoch from which patience counts: before it, while learning rate and
    budget still grow, a fall says nothing. The figure is of 256 rows at most, and so some points off; of two equal epochs
    the later is kept.
    """

    def __init__(self, held: HeldOut, *, strong: Method, patience: int, start: int = 0) -> None:
        self._held, self._strong, self._patience, self._start = held, strong, patience, start
        self._best = -1.0
        self._weights: dict[str, Any] | None = None
        self.best_epoch = 0
        self.stop = False

    def after(self, epoch: int, state: State) -> dict[str, float]:
        """Measure what would be kept, and remember it when it is the best so far."""
        if not epoch:
            return {}
        robust = self._held.accuracy(state.kept, self._strong)
        if robust >= self._best:
            self._best, self.best_epoch = robust, epoch
            self._weights = copy.deepcopy(dict(state.kept.state_dict()))
        self.stop = epoch - max(self.best_epoch, self._start) >= self._patience
        clean = self._held.accuracy(state.kept, Plain())
        return {"held_out_clean_accuracy": clean, "held_out_robust_accuracy": robust}

    def finish(self, state: State) -> None:
        """Put the best epoch's weights in the place of what would be kept."""
        if self._weights is not None:
            state.kept.load_state_dict(self._weights)

    def metrics(self) -> dict[str, float]:
        """Return the epoch that was kept."""
        return {"best_epoch": float(self.best_epoch)}

    def notes(self) -> list[str]:
        """Return which epoch was kept, and why."""
        reached = f"accuracy under PGD on held-out rows was highest then, {self._best:.3f}"
        return [f"The weights of epoch {self.best_epoch} were kept: {reached}."]

    def remember(self) -> dict[str, Any]:
        """Return the best epoch, its weights, and whether the run has ended."""
        return {"best": self._best, "epoch": self.best_epoch, "weights": self._weights, "stop": self.stop}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Take them back."""
        self._best, self.best_epoch = remembered["best"], remembered["epoch"]
        self._weights, self.stop = remembered["weights"], remembered["stop"]
