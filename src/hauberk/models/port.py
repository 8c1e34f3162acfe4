"""Model: what the other rooms need from a classifier. Checked once, by protocol.

Arrays are numpy: x float32, (n, channels, height, width) in [0, 1] for images or (n, columns) as `core.columns`
says for tables; y int64 (n,) in [0, classes). `adapting.as_model` turns other objects into a Model.
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

SMALLEST = 1e-12  # probabilities are floored here before the logarithm, so that a certain tree gives finite scores


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
    """A model that can be differentiated by its input: what a white-box attack needs."""

    @property
    def device(self) -> str:
        """Where tensors have to be, as torch names it."""

    def logits(self, x: Tensor) -> Tensor:
        """Return (n, classes), differentiable by `x`, in evaluation mode and with weights that ask for no gradient.

        The model's mode and its weights' flags are as before when this returns. A model may also have `held()`, which
        returns a Differentiable that answers the same and faster: searches use it, verdicts do not.
        """


def passes(shape: tuple[int, ...], device: str = "cpu") -> Iterator[slice]:
    """Yield slices of the rows of `shape` that go through a network in one pass.

    A processor likes parts whose activations stay in its cache, a GPU larger ones; large inputs go in smaller parts, so
    that memory does not depend on how many rows there are. Rows are independent: the sizes change no result.
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
    """Return log-probabilities in float32, floored at log(1e-12)."""
    logs: Floats = np.log(np.maximum(probabilities.astype(np.float32), np.float32(SMALLEST)))
    return logs
