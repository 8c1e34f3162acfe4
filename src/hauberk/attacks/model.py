"""Model: the little that an attack needs to know of the thing it attacks. Checked once at the door, by protocol.

Arrays are numpy: x float32, (n, channels, height, width) in [0, 1] for images or (n, columns) as `core.columns`
says for tables; y int64 (n,) in [0, classes).
"""

from __future__ import annotations

from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Labels: TypeAlias = NDArray[np.int64]


@runtime_checkable
class Model(Protocol):
    """Anything that can be asked for scores: enough for a black-box attack."""

    @property
    def classes(self) -> int:
        """How many classes there are, at least 2."""

    def scores(self, x: Floats) -> Floats:
        """Return (n, classes) logits or log-probabilities; the largest is the prediction. Batches inside."""


@runtime_checkable
class Differentiable(Model, Protocol):
    """A model whose loss can be differentiated by its input: what a white-box attack needs."""

    def loss_gradient(self, x: Floats, y: Labels) -> tuple[Floats, Floats]:
        """Return the cross-entropy of each row (n,) and its gradient by x (like x). Evaluation mode."""
