"""The guard against catastrophic overfitting: detects a collapse of single-step training and undoes it.

After a collapse the model keeps its accuracy against the single step but loses it against longer attacks (Wong, Rice,
Kolter 2020, section 5; Andriushchenko, Flammarion 2020, "Understanding and Improving Fast Adversarial Training").
After each epoch the guard measures both accuracies on held-out rows. When they diverge, it restores the last good state,
and the rest of the training uses PGD, which does not collapse.

Imports torch when it is imported; `fitting` checks for torch first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hauberk.training.heldout import HeldOut
from hauberk.training.state import State
from hauberk.training.watching import Method, Plain, Watch

# A sudden collapse: accuracy under PGD is below this share of its best so far, has lost at least this much, and is at
# least this much below accuracy under the single step.
_FALL, _GAP = 0.6, 0.15
# A slow collapse, without an earlier best: accuracy under PGD is below this share of accuracy under the single step, and
# this much below it. On Fashion-MNIST at L-inf 0.2, healthy training kept at least two thirds, at most 0.18 apart.
_SHARE, _APART = 0.5, 0.2


class Guard(Watch):
    """Watches single-step training.

    single: the method in use. strong: PGD, to measure with. fallback: the method after a collapse. `collapses` lists
    the epochs in which a collapse was detected.
    """

    def __init__(self, held: HeldOut, *, single: Method, strong: Method, fallback: Method) -> None:
        self._held = held
        self._single, self._strong, self._fallback = single, strong, fallback
        self._best = 0.0
        self._good: dict[str, Any] | None = None
        self.collapses: list[int] = []
        self.method: Method | None = None

    def after(self, epoch: int, state: State) -> dict[str, float]:
        """Return accuracies on held-out rows; restore the last good state after a collapse."""
        strong = self._held.accuracy(state.module, self._strong)
        clean = self._held.accuracy(state.module, Plain())
        measured = {"held_out_clean_accuracy": clean, "held_out_pgd_accuracy": strong}
        if self.collapses:
            return measured
        single = self._held.accuracy(state.module, self._single)
        measured["held_out_single_step_accuracy"] = single
        if self._good is not None and self._collapsed(single, strong):
            self.collapses.append(epoch)
            self.method = self._fallback
            state.put_back(self._good)
            self._good = None
            return measured
        self._best = max(self._best, strong)
        self._good = state.weights()
        return measured

    def metrics(self) -> dict[str, float]:
        """Return the number of collapses."""
        return {"collapses": float(len(self.collapses))}

    def notes(self) -> list[str]:
        """Return one sentence for each collapse."""
        return [
            f"Catastrophic overfitting in epoch {epoch}: accuracy under PGD collapsed while accuracy under the single "
            "step did not. The last good state was restored, and training continued with PGD."
            for epoch in self.collapses
        ]

    def remember(self) -> dict[str, Any]:
        """Return the best accuracy under PGD, the last good weights and the collapses."""
        return {"best": self._best, "good": self._good, "collapses": self.collapses}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Restore them."""
        self._best, self._good = remembered["best"], remembered["good"]
        self.collapses = list(remembered["collapses"])
        self.method = self._fallback if self.collapses else None

    def _collapsed(self, single: float, strong: float) -> bool:
        gap = single - strong
        fell = strong < _FALL * self._best and self._best - strong >= _GAP and gap >= _GAP
        return fell or (strong < _SHARE * single and gap >= _APART)
