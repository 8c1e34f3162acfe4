"""The guard against catastrophic overfitting: single-step training that fools itself is seen and undone.

Under it a model keeps its accuracy against the single step while a longer attack takes everything (Wong, Rice,
Kolter 2020, section 5; Andriushchenko, Flammarion 2020, "Understanding and Improving Fast Adversarial Training").
After each epoch the guard measures both on held-out rows. When the longer attack gains far while the single step
does not, the last good state is put back and the rest of the training uses PGD, which does not collapse.

Imports torch when it is imported; `fitting` asks for torch first.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from hauberk.training.loop import Perturb
from hauberk.training.torch_model import forward

ROWS = 256  # held out at most; enough to see a fall of tens of points
_FALL = 0.6  # collapsed: below this share of the best accuracy under PGD so far ...
_GAP = 0.15  # ... lost at least this much, with the single step's accuracy at least this much above PGD's


class Guard:
    """A `loop.Watch` over single-step training.

    x, y: held-out rows on the training device. single: the method in use. strong: PGD for measuring. fallback: what
    takes its place after a collapse. `collapses` lists the epochs in which one was seen.
    """

    def __init__(  # noqa: PLR0913 - the three attacks and the rows are each another thing
        self, x: Tensor, y: Tensor, *, single: Perturb, strong: Perturb, fallback: Perturb, seed: int
    ) -> None:
        self._x, self._y = x, y
        self._single, self._strong, self._fallback = single, strong, fallback
        self._seed = seed
        self._best = 0.0
        self._good: tuple[dict[str, Any], dict[str, Any]] | None = None
        self.collapses: list[int] = []

    @property
    def perturb(self) -> Perturb:
        """The single step until a collapse, the fallback afterwards."""
        return self._fallback if self.collapses else self._single

    def after(self, epoch: int, module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, float]:
        """Measure, and put the last good state back after a collapse."""
        strong = self._accuracy(module, self._strong)
        measured = {"held_out_pgd_accuracy": strong}
        if self.collapses:
            return measured
        single = self._accuracy(module, self._single)
        measured["held_out_single_step_accuracy"] = single
        if self._good is not None and self._collapsed(single, strong):
            self.collapses.append(epoch)
            module.load_state_dict(self._good[0])
            optimizer.load_state_dict(self._good[1])
            return measured
        if strong >= self._best or self._good is None:
            self._best = strong
        self._good = copy.deepcopy((module.state_dict(), optimizer.state_dict()))
        return measured

    def _collapsed(self, single: float, strong: float) -> bool:
        fell = strong < _FALL * self._best and self._best - strong >= _GAP
        return fell and single - strong >= _GAP

    def _accuracy(self, module: nn.Module, perturb: Perturb) -> float:
        was_training = module.training
        module.eval()
        rng = torch.Generator(self._x.device).manual_seed(self._seed)
        changed = perturb(module, self._x, self._y, rng=rng, strength=1.0)
        with torch.no_grad():
            right = (forward(module, changed).argmax(1) == self._y).float().mean()
        module.train(was_training)
        return float(right)
