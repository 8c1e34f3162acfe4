"""Early stopping on robust accuracy: keeps the weights of the best epoch on held-out rows.

Adversarial training overfits where plain training does not: accuracy under attack falls on new rows while it still
grows on the training rows. Source: Rice, Wong, Kolter 2020, "Overfitting in adversarially robust deep
learning". Imports torch when it is imported; `fitting` checks for torch first.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from hauberk.training.heldout import HeldOut
from hauberk.training.state import State
from hauberk.training.watching import Method, Plain, Watch


class Stopping(Watch):
    """Stops a run after `patience` epochs without a gain, and keeps the best epoch.

    strong: the attack to measure with. start: the epoch from which patience counts; before it, learning rate and
    budget still grow, and a drop means nothing. Accuracy is measured on at most 256 rows, so it is some points off; of
    two equal epochs the later one is kept.
    """

    def __init__(self, held: HeldOut, *, strong: Method, patience: int, start: int = 0) -> None:
        self._held, self._strong, self._patience, self._start = held, strong, patience, start
        self._best = -1.0
        self._weights: dict[str, Any] | None = None
        self.best_epoch = 0
        self.stop = False

    def after(self, epoch: int, state: State) -> dict[str, float]:
        """Return accuracies of the weights that would be kept; remember these weights if they are the best so far."""
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
        """Write the best epoch's weights into the module that is kept."""
        if self._weights is not None:
            state.kept.load_state_dict(self._weights)

    def metrics(self) -> dict[str, float]:
        """Return the number of the kept epoch."""
        return {"best_epoch": float(self.best_epoch)}

    def notes(self) -> list[str]:
        """Return one sentence: the kept epoch, and the reason."""
        reason = f"its accuracy under PGD on held-out rows was the highest, {self._best:.3f}"
        return [f"The weights of epoch {self.best_epoch} were kept: {reason}."]

    def remember(self) -> dict[str, Any]:
        """Return the best epoch, its accuracy and weights, and whether the run has ended."""
        return {"best": self._best, "epoch": self.best_epoch, "weights": self._weights, "stop": self.stop}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Restore them."""
        self._best, self.best_epoch = remembered["best"], remembered["epoch"]
        self._weights, self.stop = remembered["weights"], remembered["stop"]
