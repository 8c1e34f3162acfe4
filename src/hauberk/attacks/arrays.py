"""Arrays: the few operations that numpy and torch name differently, for geometry that works on both."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = Any  # numpy.ndarray or torch.Tensor, float32; both have the methods that are used here
TOLERANCE = 1e-5  # float32 rounding of values near 1, and of a sum over a row's costs


def namespace(value: Array) -> Any:  # noqa: ANN401 - the module numpy or torch
    """Return numpy or torch, whichever `value` belongs to. Does not import torch."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(value, torch.Tensor) else np


def like(values: NDArray[Any], x: Array) -> Array:
    """Return constant `values` as an array of the kind of `x`, on its device."""
    xp = namespace(x)
    return values if xp is np else xp.as_tensor(values, device=x.device)


def rows(values: Array, like: Array) -> Array:
    """Return (n,) values reshaped so that they multiply `like` row by row."""
    return values.reshape((-1,) + (1,) * (like.ndim - 1))


def double(x: Array) -> Array:
    """Return `x` in float64."""
    return x.astype(np.float64) if namespace(x) is np else x.double()


def single(x: Array) -> Array:
    """Return `x` in float32."""
    return x.astype(np.float32) if namespace(x) is np else x.float()
