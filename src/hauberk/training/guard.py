"""The guard against catastrophic overfitting: single-step training that fools itself is seen and undone.

Under it a model keeps its accuracy against the single step while a longer attack takes everything (Wong, Rice,
Kolter 2020, section 5; Andriushchenko, Flammarion 2020, "Understanding and Improving Fast Adversarial Training").
After each epoch the guard measures both on held-out rows. When the longer attack takes what the single step leaves,
the last good state is put back and the rest of the training uses PGD, which does not collapse.

Imports torch when it is imported; `fitting` asks for torch first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hauberk.training.heldout import HeldOut
from hauberk.training.loop import Plain
from hauberk.training.state import State
from hauberk.training.watching import Method, Watch

# Two ways to collapse. At once: accuracy under PGD is below this share of its best so far, lost at least this much, and
# lies at least this much below the single step's ...
_FALL, _GAP = 0.6, 0.15
# ... or slowly, with no best to fall from: it is below this share of the single step's, and this much below it. On
# Fashion-MNIST at L-inf 0.2, honest training kept two thirds or more of it, 0.18 apart at most.
_SHARE, _APART = 0.5, 0.2


class Guard(Watch):
    """Watches single-step training.

    single: the method in use. strong: PGD for measuring. fallback: what takes its place after a collapse.
    `collapses` lists the epochs in which one was seen.
    """

    def __init__(self, held: HeldOut, *, single: Method, strong: Method, fallback: Method) -> None:
        self._held = held
        self._single, self._strong, self._fallback = single, strong, fallback
        self._best = 0.0
        self._good: dict[str, Any] | None = None
        self.collapses: list[int] = []
        self.method: Method | None = None

    def after(self, epoch: int, state: State) -> dict[str, float]:
        """Measure, and put the last good state back after a collapse."""
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
        """Return how many collapses were seen."""
        return {"collapses": float(len(self.collapses))}

    def notes(self) -> list[str]:
        """Return what a person should know of what was seen."""
        return [
            f"Catastrophic overfitting in epoch {epoch}: accuracy under PGD collapsed while it held under the "
            "single step. The last good state was put back, and training went on with PGD."
            for epoch in self.collapses
        ]

    def remember(self) -> dict[str, Any]:
        """Return best, good and collapses."""
        return {"best": self._best, "good": self._good, "collapses": self.collapses}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Take them back."""
        self._best, self._good = remembered["best"], remembered["good"]
        self.collapses = list(remembered["collapses"])
        self.method = self._fallback if self.collapses else None

    def _collapsed(self, single: float, strong: float) -> bool:
        gap = single - strong
        fell = strong < _FALL * self._best and self._best - strong >= _GAP and gap >= _GAP
        return fell or (strong < _SHARE * single and gap >= _APART)
