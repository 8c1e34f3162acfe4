"""Model: the interface of a classifier for the other rooms, as protocols.

Arrays are numpy: x float32, (n, channels, height, width) in [0, 1] for images, or (n, columns) as described in
`core.columns` for tables; y int64 (n,) in [0, classes). `adapting.as_model` turns other objects into a Model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Floats: TypeAlias = NDArray[np.float32]
Labels: TypeAlias = NDArray[np.int64]

SMALLEST = 1e-12  # lower limit of probabilities before the logarithm, so that a certain tree gives finite scores


@runtime_checkable
class Model(Protocol):
    """An object that returns scores: enough for a black-box attack."""

    @property
    def classes(self) -> int:
        """Number of classes, at least 2."""

    def scores(self, x: Floats) -> Floats:
        """Return (n, classes) logits or log-probabilities; the largest is the prediction. Splits x into batches itself."""


@runtime_checkable
class Differentiable(Model, Protocol):
    """A model that can be differentiated by its input, as a white-box attack needs it."""

    @property
    def device(self) -> str:
        """Torch's name of the device of its tensors."""

    def logits(self, x: Tensor) -> Tensor:
        """Return (n, classes) logits, differentiable by `x`, in evaluation mode, without gradients for the weights.

        The model does not change, so that several threads may call this at once. A model may also have `held()`, which
        returns a faster Differentiable with the same answers: searches use it, verdicts do not.
        """


def passes(shape: tuple[int, ...], device: str = "cpu") -> Iterator[slice]:
    """Yield slices of the rows of `shape` that go through a network in one pass.

    A CPU is fastest with parts whose activations fit into its cache, a GPU with larger ones. Memory does not depend on the
    number of rows. Rows are independent: the sizes change no result.
    """
    values = max(1, math.prod(shape[1:]))
    if device != "cpu":
        size = min(4096, (1 << 25) // values)
    elif len(shape) == 2:
        size = min(1024, (1 << 22) // values)
    else:
        size = min(128, max(8, (1 << 18) // values), (1 << 22) // values)
    for first in range(0, shape[0], max(1, size)):
        yield slice(first, min(first + max(1, size), shape[0]))


def log_of(probabilities: NDArray[np.generic]) -> Floats:
    """Return log-probabilities in float32, at least log(1e-12)."""
    logs: Floats = np.log(np.maximum(probabilities.astype(np.float32), np.float32(SMALLEST)))
    return logs
