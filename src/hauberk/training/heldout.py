"""HeldOut: rows kept out of training, on which a training measures clean accuracy and accuracy under attack.

Imports torch when it is imported; `fitting` checks for torch first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hauberk.models.port import Floats, Labels
from hauberk.models.torch_model import forward
from hauberk.training.batch import Batch

if TYPE_CHECKING:
    from hauberk.training.watching import Method

ROWS = 256  # at most; enough to detect a drop of tens of points


class HeldOut:
    """Held-out rows on the training's device. seed: of the measuring attacks, the same for each measurement."""

    def __init__(self, x: Floats, y: Labels, *, device: str, seed: int) -> None:
        self.x, self.y = torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)
        self._seed = seed

    def accuracy(self, module: nn.Module, method: Method) -> float:
        """Return the module's accuracy in [0, 1], in evaluation mode, on the rows as the method changes them."""
        modes = [(part, part.training) for part in module.modules()]
        module.eval()
        rng = torch.Generator(self.x.device).manual_seed(self._seed)
        changed = method.perturb(module, Batch.of(self.x, self.y), rng=rng)
        with torch.no_grad():
            right = (forward(module, changed).argmax(1) == self.y).float().mean()
        for part, training in modes:
            part.training = training
        return float(right)


def split(rows: int, seed: int, *, most: int = ROWS) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return held-out row numbers, a tenth of the rows and at most `most`, and the remaining row numbers; both sorted."""
    order = np.random.default_rng(seed).permutation(rows)
    held, kept = np.split(order, [min(most, max(1, rows // 10))])
    return np.sort(held), np.sort(kept)
